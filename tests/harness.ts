// Apps for the tests: a folder of their own with a schema and a package.json, booted as a user would boot them, by the
// built start.js in a real process. Guarantees: every folder and process is gone when the test file ends.

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { afterAll } from 'vitest'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))
const start = join(root, 'dist', 'start.js')

export interface TestApp {
  dir: string
  database: string
  backups: string
  env: Record<string, string>
  setSchema(models: string): void
  /** Opens the app's database; the caller closes it. */
  open(): Database.Database
  state(): { attempts: number; pinned?: string; unprovenChange?: string }
  files(): string[]
}

export interface LogLine {
  level: string
  msg: string
  step?: string
  state?: 'done' | 'skipped' | 'failed'
  ms?: number
  code?: string
  safe?: string
  next?: string
  detail?: string
}

export interface Boot {
  child: ChildProcess
  lines: LogLine[]
  /** Everything that was written to stdout and stderr. */
  output(): string
  ended: Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>
  /** Resolves once a line fits; rejects when the process ended before. */
  until(fits: (line: LogLine) => boolean): Promise<LogLine>
}

export interface Finished {
  exitCode: number | null
  signal: NodeJS.Signals | null
  lines: LogLine[]
  output: string
  step(name: string): LogLine | undefined
}

const folders: string[] = []
const running = new Set<ChildProcess>()

afterAll(() => {
  for (const child of running) killHard(child)
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

export const baseModels = `
model User {
  id    Int     @id @default(autoincrement())
  name  String  @unique
  notes String?
  posts Post[]
}

model Post {
  id       Int    @id @default(autoincrement())
  title    String
  author   User   @relation(fields: [authorId], references: [id])
  authorId Int
}
`

export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'bootkeeper-test-'))
  folders.push(folder)
  return folder
}

export function makeApp(models = baseModels, provider: 'sqlite' | 'postgresql' = 'sqlite'): TestApp {
  const dir = makeFolder()
  const backups = join(dir, 'data', 'backups')
  const database = join(dir, 'data', 'app.db')
  mkdirSync(join(dir, 'prisma'))
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'))
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ name: 'test-app', version: '1.2.3', type: 'module' }))
  const app: TestApp = {
    dir,
    database,
    backups,
    env: {},
    setSchema(text) {
      // No generator: the client has tests of its own, and takes a second each time.
      writeFileSync(join(dir, 'prisma', 'schema.prisma'), `datasource db {\n  provider = "${provider}"\n}\n${text}`)
    },
    open: () => new Database(database),
    state: () => JSON.parse(readFileSync(join(dir, 'data', '.bootkeeper', 'state.json'), 'utf8')),
    files: () => (existsSync(backups) ? readdirSync(backups).sort() : []),
  }
  app.setSchema(models)
  return app
}

/** Boots and returns at once. Without words the built-in console is the app, on a free port. */
export function startBoot(app: TestApp, words: string[] = [], env: Record<string, string> = {}): Boot {
  const uid = Number(env.BOOTKEEPER_TEST_UID ?? app.env.BOOTKEEPER_TEST_UID ?? Number.NaN)
  const child = spawn(process.execPath, [start, ...(words.length > 0 ? ['--', ...words] : [])], {
    ...(Number.isNaN(uid) ? {} : { uid, gid: uid }),
    cwd: app.dir,
    env: { ...cleanEnv(), PORT: '0', LOG_FORMAT: 'json', LOCK_WAIT_SECONDS: '0', ...app.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  const lines: LogLine[] = []
  const waiting: {
    fits: (line: LogLine) => boolean
    resolve: (line: LogLine) => void
    reject: (error: Error) => void
  }[] = []
  let output = ''
  let rest = ''
  const take = (chunk: Buffer) => {
    output += chunk
    rest += chunk
    const parts = rest.split('\n')
    rest = parts.pop() ?? ''
    for (const part of parts) {
      const line = parseLine(part)
      lines.push(line)
      for (const [i, one] of [...waiting.entries()].reverse())
        if (one.fits(line)) {
          waiting.splice(i, 1)
          one.resolve(line)
        }
    }
  }
  child.stdout!.on('data', take)
  child.stderr!.on('data', take)
  const ended = new Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('close', (exitCode, signal) => {
      running.delete(child)
      for (const { reject } of waiting)
        reject(new Error(`the boot ended (${signal ?? exitCode}) before that line:\n${output}`))
      resolve({ exitCode, signal })
    })
  })
  return {
    child,
    lines,
    output: () => output,
    ended,
    until(fits) {
      const found = lines.find(fits)
      if (found) return Promise.resolve(found)
      return new Promise((resolve, reject) => waiting.push({ fits, resolve, reject }))
    },
  }
}

/** Boots with an app that ends by itself, `true` where none is given. */
export async function boot(
  app: TestApp,
  words: string[] = ['true'],
  env: Record<string, string> = {},
): Promise<Finished> {
  const started = startBoot(app, words, env)
  const { exitCode, signal } = await started.ended
  return {
    exitCode,
    signal,
    lines: started.lines,
    output: started.output(),
    step: (name) => started.lines.find((line) => line.step === name && line.state !== undefined),
  }
}

/** An ops command of the built package, in the app's folder. */
export async function ops(
  app: TestApp,
  ...words: string[]
): Promise<{ exitCode: number | null; stdout: string; stderr: string }> {
  const uid = Number(app.env.BOOTKEEPER_TEST_UID ?? Number.NaN)
  const child = spawn(process.execPath, [join(root, 'bin', 'bootkeeper.js'), ...words], {
    ...(Number.isNaN(uid) ? {} : { uid, gid: uid }),
    cwd: app.dir,
    env: { ...cleanEnv(), ...app.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  const exitCode = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { exitCode, stdout, stderr }
}

export function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

/** The whole process tree of a boot, at once. */
export function killHard(child: ChildProcess): void {
  try {
    child.kill('SIGKILL')
  } catch {}
}

export async function poll<Value>(
  read: () => Value | undefined | false,
  what: string,
  timeoutMs = 20_000,
): Promise<Value> {
  for (const until = Date.now() + timeoutMs; Date.now() < until; ) {
    const value = read()
    if (value) return value
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`timed out waiting for ${what}`)
}

// What the machine of a developer has set must not reach the boots of the tests.
function cleanEnv(): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR, LANG } = process.env
  return {
    ...(PATH ? { PATH } : {}),
    ...(HOME ? { HOME } : {}),
    ...(TMPDIR ? { TMPDIR } : {}),
    ...(LANG ? { LANG } : {}),
  }
}

function parseLine(text: string): LogLine {
  try {
    return JSON.parse(text) as LogLine
  } catch {
    return { level: 'raw', msg: text }
  }
}
