// Step 4: the generated client belongs to the schema.
// Guarantees: it is generated again only where it is missing or was made of another schema or Prisma version; what is
// there is read to tell, because it lives in the image and not in the data directory.

import { createHash } from 'node:crypto'
import { access, readFile, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Config } from './config.ts'
import { BootkeeperError } from './errors.ts'
import { prismaVersion } from './prisma/fingerprint.ts'
import type { SchemaSet } from './prisma/schema-files.ts'
import type { StepResult } from './timeline.ts'

export async function generateClient(
  config: Config,
  schema: SchemaSet,
  signal: AbortSignal,
): Promise<StepResult<void>> {
  const cwd = process.cwd()
  const state = await clientState(schema)
  if (state !== 'stale') return { skipped: true, text: whyCurrent[state], value: undefined }
  const wanted = stampOf(schema, await prismaVersion(cwd))
  const outputs = outputsOf(schema)

  for (const output of outputs) await requireWritable(output)
  const { runPrisma } = await import('./prisma/cli.ts')
  const { exitCode, stdout, stderr } = await runPrisma(['generate', '--schema', schema.location], {
    cwd,
    url: config.databaseUrl,
    signal,
    nativeEngine: config.nativeEngine,
  })
  if (exitCode !== 0) {
    const said = `${stderr}\n${stdout}`.trim().replace(/\s+/g, ' ').slice(0, 1_000)
    throw new BootkeeperError('CLIENT_NOT_GENERATED', `prisma generate failed: ${said}`)
  }
  // Of no account where it cannot be written: then the next boot generates again.
  for (const output of outputs)
    if (await isFolder(output)) await writeFile(join(output, stampName), wanted).catch(() => {})
  return { text: `prisma generate: ${outputs.join(', ')}`, value: undefined }
}

const whyCurrent = {
  none: 'the schema has no generator',
  stamped: 'made of this schema already',
  inlined: 'made of this schema when the image was built',
}

/** Whether the generated clients belong to the schema, and from what that is known; `none`: it asks for no client. */
export async function clientState(schema: SchemaSet): Promise<keyof typeof whyCurrent | 'stale'> {
  if (schema.generators.length === 0) return 'none'
  const wanted = stampOf(schema, await prismaVersion(process.cwd()))
  const outputs = outputsOf(schema)
  const stamps = await Promise.all(outputs.map((output) => readStamp(output)))
  if (stamps.every((stamp) => stamp === wanted)) return 'stamped'
  const fresh = await Promise.all(outputs.map((output) => inlinedSchemaIs(output, schema)))
  return fresh.every(Boolean) ? 'inlined' : 'stale'
}

function outputsOf(schema: SchemaSet): string[] {
  return schema.generators.map((generator) => outputOf(generator, schema.location, process.cwd()))
}

const stampName = '.bootkeeper'

function stampOf(schema: SchemaSet, version: string): string {
  return createHash('sha256')
    .update(JSON.stringify([version, schema.files.map(({ content }) => content)]))
    .digest('hex')
}

/** The folder that a generator of the schema writes its client into. */
export function outputOf(generator: SchemaSet['generators'][number], location: string, cwd: string): string {
  const base = /\.prisma$/.test(location) ? dirname(location) : location
  if (generator.output) return isAbsolute(generator.output) ? generator.output : resolve(base, generator.output)
  try {
    // The older generator writes into node_modules/.prisma beside @prisma/client.
    const client = createRequire(pathToFileURL(join(cwd, 'package.json'))).resolve('@prisma/client/package.json')
    return join(dirname(client), '..', '..', '.prisma', 'client')
  } catch {
    return join(cwd, 'node_modules', '.prisma', 'client')
  }
}

async function readStamp(output: string): Promise<string | undefined> {
  return await readFile(join(output, stampName), 'utf8').catch(() => undefined)
}

/** Both of Prisma's generators write the schema that they were given into the client. */
async function inlinedSchemaIs(output: string, schema: SchemaSet): Promise<boolean> {
  for (const name of ['internal/class.ts', 'index.js']) {
    const text = await readFile(join(output, name), 'utf8').catch(() => '')
    const inlined = /"inlineSchema":\s*("(?:[^"\\]|\\.)*")/.exec(text)?.[1]
    const version = /"clientVersion":\s*"([^"]*)"/.exec(text)?.[1]
    if (inlined === undefined || version !== (await prismaVersion(process.cwd()))) continue
    const inside = JSON.parse(inlined) as string
    const length = schema.files.reduce((sum, { content }) => sum + content.length, 0)
    // Several files are joined in an order of Prisma's own.
    return (
      schema.files.every(({ content }) => inside.includes(content)) && inside.length - length < 2 * schema.files.length
    )
  }
  return false
}

async function requireWritable(output: string): Promise<void> {
  for (let folder = output; ; folder = dirname(folder)) {
    try {
      await access(folder, 2)
      return
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' && folder !== dirname(folder)) continue
      throw new BootkeeperError(
        'CLIENT_NOT_GENERATED',
        `The Prisma client in ${output} is missing or was made of another schema, and the folder cannot be written.`,
        { cause: error },
      )
    }
  }
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (s) => s.isDirectory(),
    () => false,
  )
}
