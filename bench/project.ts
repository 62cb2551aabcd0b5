// A project folder as an app has it: the bundled schema, a database, the installed packages; and the two ways in which
// it is started. Guarantees: each folder is alone, so that nothing of one contender helps or hinders another.

import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { type ProgramRun, runProgram, type Sample } from './measure.ts'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))
export const builtStart = join(root, 'dist', 'start.js')

export interface Project {
  dir: string
  database: string
}

export function makeProject(dir: string, database: string): Project {
  mkdirSync(join(dir, 'prisma'), { recursive: true })
  mkdirSync(join(dir, 'data'))
  copyFileSync(join(root, 'prisma', 'schema.prisma'), join(dir, 'prisma', 'schema.prisma'))
  copyFileSync(join(root, 'prisma.config.ts'), join(dir, 'prisma.config.ts'))
  cpSync(join(root, 'bench', 'usual-script'), dir, { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'))
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ name: 'bench-app', version: '1.0.0', type: 'module' }))
  copyFileSync(database, join(dir, 'data', 'app.db'))
  return { dir, database: join(dir, 'data', 'app.db') }
}

/** As it was delivered: a database, and nothing that an earlier start made. */
export function forgetStarts({ dir }: Project): void {
  const made = [
    'generated',
    'data/.bootkeeper',
    'data/backups',
    'data/backup_latest.json',
    'data/app.db.backup',
    'data/backup.json',
  ]
  for (const name of made) rmSync(join(dir, name), { recursive: true, force: true })
}

/** One row is written, and time passes: as when an app worked and was stopped. */
export async function changeData({ database: path }: Project): Promise<void> {
  const database = new Database(path)
  database.prepare('UPDATE User SET tvProfile = ? WHERE id = 1').run(new Date().toISOString())
  database.close()
  await new Promise((resolve) => setTimeout(resolve, 100))
}

/** Bootkeeper, until the app starts. `parts` are its steps. */
export async function bootOurs(project: Project, env: Record<string, string> = {}): Promise<Sample> {
  const words = [builtStart, '--']
  const run = await untilStarted(project, process.execPath, words, { LOG_FORMAT: 'json', ...env }, 600_000)
  return { ...run, parts: stepTimes(run.output) }
}

/** The usual script, until the app starts. That its export crashed is a failure of the script, though the app starts. */
export async function bootUsual(project: Project, timeoutMs: number): Promise<Sample> {
  const run = await untilStarted(project, './start.sh', [], usualEnv, timeoutMs)
  return run.output.includes('Export failed') ? { ...run, failure: `its export crashed: ${crashOf(run.output)}` } : run
}

export type UsualExport = 'export.ts' | 'export-lists.ts'

/** The export of the usual script by itself, as the script runs it; or the other usual one, of users with their lists. */
export async function exportUsual(
  { dir }: Project,
  timeoutMs: number,
  script: UsualExport = 'export.ts',
): Promise<Sample> {
  const run = await runProgram({ command: 'npx', args: ['tsx', script], cwd: dir, env: usualEnv, timeoutMs })
  return run.failure?.startsWith('ended after') || !run.failure
    ? run
    : { ...run, failure: `crashed: ${crashOf(run.output)}` }
}

export async function generateClient({ dir }: Project): Promise<void> {
  const { failure, output } = await runProgram({
    command: 'npx',
    args: ['prisma', 'generate'],
    cwd: dir,
    env: usualEnv,
  })
  if (failure) throw new Error(`prisma generate: ${failure}\n${output}`)
}

// The same offline engine as ours: without one the CLI would look for a download.
export const usualEnv = {
  PRISMA_SCHEMA_ENGINE_BINARY: join(root, 'bin', 'schema-engine.js'),
  npm_config_update_notifier: 'false',
  npm_config_offline: 'true',
}

/** The app notes the moment in which it starts. The file's own time stamp would be too coarse. */
async function untilStarted(
  { dir }: Project,
  command: string,
  args: string[],
  env: NodeJS.ProcessEnv,
  timeoutMs: number,
): Promise<ProgramRun> {
  const note = join(dir, 'started')
  rmSync(note, { force: true })
  const app = ['sh', '-c', 'date +%s%N > started']
  const run = await runProgram({ command, args: [...args, ...app], cwd: dir, env, timeoutMs })
  if (!existsSync(note)) return { ...run, failure: run.failure ?? `the app was not started: ${run.output.slice(-500)}` }
  return { ...run, ms: Number(readFileSync(note, 'utf8')) / 1e6 - run.beganMs }
}

function stepTimes(output: string): Record<string, number> {
  const lines = output.split('\n').filter((line) => line.startsWith('{') && line.includes('"step"'))
  const steps = lines.map((line) => JSON.parse(line) as { step: string; state?: string; ms?: number })
  return Object.fromEntries(steps.flatMap(({ step, state, ms }) => (state ? [[step, ms ?? 0]] : [])))
}

function crashOf(output: string): string {
  const reason = /(FATAL ERROR: .*?(?= -|\n)|RangeError: .*|Invalid string length.*|\w*Error: .*|Killed)/.exec(
    output,
  )?.[1]
  return reason?.slice(0, 120) ?? output.trim().slice(-120)
}
