// A small Prisma project in a temporary folder, with this repository's packages, for tests of the real CLI.

import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { afterAll } from 'vitest'
import { type PrismaOptions, type PrismaResult, runPrisma } from '../../src/prisma/cli.ts'

export const repository = fileURLToPath(new URL('../../', import.meta.url))

export interface Project {
  directory: string
  path(name: string): string
  write(name: string, content: string): Promise<void>
  prisma(args: string[], options?: Partial<PrismaOptions>): Promise<PrismaResult>
}

const made: string[] = []
// Not per test: the tests of a file run side by side, where vitest cannot tell whose hook it is.
afterAll(() => Promise.all(made.splice(0).map((directory) => rm(directory, { recursive: true, force: true }))))

/** Gone when the tests of the file are. The config reads DATABASE_URL, as most do. */
export async function makeProject(files: Record<string, string>): Promise<Project> {
  const directory = await mkdtemp(join(tmpdir(), 'bootkeeper-project-'))
  made.push(directory)
  await symlink(join(repository, 'node_modules'), join(directory, 'node_modules'))
  const project: Project = {
    directory,
    path: (name) => join(directory, name),
    async write(name, content) {
      await mkdir(dirname(join(directory, name)), { recursive: true })
      await writeFile(join(directory, name), content)
    },
    prisma: (args, options) => runPrisma(args, { cwd: directory, ...options }),
  }
  const config = `import { defineConfig } from 'prisma/config'
export default defineConfig({ schema: 'prisma', datasource: { url: process.env.DATABASE_URL } })
`
  for (const [name, content] of Object.entries({
    'package.json': '{ "type": "module" }',
    'prisma.config.ts': config,
    ...files,
  }))
    await project.write(name, content)
  return project
}

export function schema(provider: 'sqlite' | 'postgresql', models: string): string {
  return `generator client {
  provider = "prisma-client"
  output   = "../generated"
}

datasource db {
  provider = "${provider}"
}

${models}
`
}

export const user = `model User {
  id    Int     @id @default(autoincrement())
  email String  @unique
  name  String?
}`

export const userWithoutName = user.replace(/^ {2}name.*\n/m, '')
export const userWithRequiredAge = user.replace('name  String?', 'name  String?\n  age   Int')
export const extra = `model Extra {
  id Int @id
}`

/** Asks Bootkeeper's schema engine as the CLI does, for what the CLI refuses without a terminal or to an AI agent. */
export async function askEngine(cwd: string, url: string, requests: { method: string; params: object }[]) {
  const input = requests.map((request, id) => `${JSON.stringify({ jsonrpc: '2.0', id, ...request })}\n`).join('')
  const engine = join(repository, 'bin', 'schema-engine.js')
  const { stdout } = await execa(engine, ['--datasource', JSON.stringify({ url })], {
    cwd,
    input,
    env: { BOOTKEEPER_FROM_SOURCE: '1' },
  })
  return stdout
    .split('\n')
    .map((line) => JSON.parse(line) as { result?: unknown; error?: { data: { message: string } } })
}

/** `migrate dev` insists on a terminal: script(1) makes one. */
export async function migrateDev(project: Project, name: string, url: string): Promise<string> {
  const prisma = join(repository, 'node_modules/prisma/build/index.js')
  const command = `${process.execPath} ${prisma} migrate dev --name ${name}`
  const { stdout } = await execa('script', ['-qec', command, '/dev/null'], {
    cwd: project.directory,
    stdin: 'ignore',
    reject: false,
    timeout: 30_000,
    env: {
      DATABASE_URL: url,
      CHECKPOINT_DISABLE: '1',
      BOOTKEEPER_FROM_SOURCE: '1',
      PRISMA_SCHEMA_ENGINE_BINARY: join(repository, 'bin', 'schema-engine.js'),
    },
  })
  return stdout
}
