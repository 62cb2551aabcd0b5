// The guard: a script that may change or remove rows is run only after these rows were backed up.
// Guarantees: the script is not run where the backup was not taken and read back; its exit code, signals and words are
// its own; what it did is counted in the database, not taken from what it says.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { extname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Origin, takeBackup } from './backup.ts'
import { outputOf } from './client.ts'
import type { Config } from './config.ts'
import type { Engine } from './engines/engine.ts'
import { asBootkeeperError, BootkeeperError } from './errors.ts'
import { exportDatabase, readDataModelCached } from './export.ts'
import { planImport } from './import.ts'
import { takeLock } from './lock.ts'
import { exportOf, type Manifest, newStem, readManifest, totalOf } from './manifest.ts'
import type { SchemaSet } from './prisma/schema-files.ts'
import type { PartialScope } from './scope.ts'
import { analyseScript, type ScriptAnalysis } from './script-analysis.ts'
import { listenForSignals } from './signals.ts'
import { measure, planPartialBackup, takePartialBackup } from './table-backup.ts'

export interface GuardTools {
  config: Config
  engine: Engine
  schema: SchemaSet
  origin: Omit<Origin, 'trigger' | 'reason'>
}

export interface SecuredRows {
  manifest: Manifest
  /** Rows by model, of all that the backup holds. */
  before: Record<string, number>
}

/** What became of the rows of a model. The last three are known where the backup could be compared with the database. */
export interface RowChange {
  before: number
  after: number
  removed?: number
  changed?: number
  added?: number
}

const runners: Record<string, 'tsx' | 'node'> = {
  '.ts': 'tsx',
  '.mts': 'tsx',
  '.cts': 'tsx',
  '.js': 'node',
  '.mjs': 'node',
  '.cjs': 'node',
}
/** To compare more rows than these with their backup takes longer than anybody wants to wait after a script. */
const comparableRows = 100_000

/** Throws USAGE for what is no script, SCRIPT_INVALID for one that cannot be parsed. */
export async function readScript({ config, schema, origin }: GuardTools, script: string): Promise<ScriptAnalysis> {
  if (!existsSync(script) || !statSync(script).isFile())
    throw new BootkeeperError('USAGE', `There is no script ${script}.`)
  if (runners[extname(script)] === undefined)
    throw new BootkeeperError(
      'USAGE',
      `${script} is no script that the guard can read: it takes .ts, .mts, .cts, .js, .mjs and .cjs.`,
    )
  const model = await readDataModelCached(config, schema, origin.prisma)
  const clients = schema.generators.map((generator) => outputOf(generator, schema.location, process.cwd()))
  return await analyseScript(resolve(script), model, clients)
}

/**
 * Backs up what the script may change: the rows of the models, or, where it cannot be told or structure may go, a copy
 * and an export of everything. Whatever the script does afterwards, this is there.
 */
export async function secureRows(
  tools: GuardTools,
  analysis: ScriptAnalysis,
  reason: string,
  { onStem, onProgress }: { onStem?: (stem: string) => void; onProgress?: (rows: number) => void } = {},
): Promise<SecuredRows> {
  const { config, engine, schema } = tools
  const origin: Origin = { ...tools.origin, trigger: 'guard', reason }
  const lock = await takeLock(config.stateDir, 'a guard', { waitMs: config.lockWaitMs, name: 'ops' })
  try {
    const scope = scopeOf(analysis)
    if (scope) {
      const plan = await planPartialBackup(config, engine, schema, origin, scope)
      const watch = onProgress ? { onProgress } : {}
      const { manifest } = await takePartialBackup(config, engine, schema, origin, plan, watch)
      return { manifest, before: await countRows(tools, scope.models) }
    }
    // Known to the log from the beginning: a copy without its export is not taken for a whole backup.
    const stem = await newStem(config.backupsDir)
    onStem?.(stem)
    const { manifest } = await takeBackup(config, engine, origin, undefined, { stem })
    await exportDatabase(config, engine, schema, origin, manifest.stem, onProgress ? { onProgress } : {})
    return {
      manifest: await readManifest(config.backupsDir, manifest.stem),
      before: await countRows(tools, await allModels(tools)),
    }
  } finally {
    lock.release()
  }
}

/** undefined: everything. */
function scopeOf({ models, structure }: ScriptAnalysis): PartialScope | undefined {
  return models === 'everything' || structure ? undefined : { models }
}

export interface ScriptEnd {
  exitCode: number
  signal: NodeJS.Signals | undefined
}

/**
 * Runs the script with its own words, in the terminal and environment of the caller. With `quietStdout` what it prints
 * goes to stderr. Signals that reach the guard are passed on. Throws SCRIPT_NOT_STARTED.
 */
export async function runScript(script: string, words: string[], { quietStdout = false } = {}): Promise<ScriptEnd> {
  const tsx = () => pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
  const flags = runners[extname(script)] === 'tsx' ? ['--import', tsx()] : []
  const signals = listenForSignals()
  const child = spawn(process.execPath, [...flags, script, ...words], {
    stdio: ['inherit', quietStdout ? process.stderr.fd : 'inherit', 'inherit'],
  })
  signals.passTo((signal) => {
    // A terminal gives these to the whole group itself: twice would be one too many.
    if (!(process.stdin.isTTY && (signal === 'SIGINT' || signal === 'SIGQUIT' || signal === 'SIGWINCH')))
      child.kill(signal)
  })
  return await ended(child, script)
}

async function ended(child: ChildProcess, script: string): Promise<ScriptEnd> {
  return await new Promise((resolve, reject) => {
    child.once('error', (error) =>
      reject(
        new BootkeeperError('SCRIPT_NOT_STARTED', `${script} could not be started: ${error.message}.`, {
          cause: error,
        }),
      ),
    )
    child.once('exit', (code, signal) =>
      resolve({ exitCode: signal ? 128 + constants.signals[signal] : (code ?? 1), signal: signal ?? undefined }),
    )
  })
}

/** What became of the rows that the backup holds. `note`: why that is not known, or not all of it. */
export async function rowChanges(
  tools: GuardTools,
  { manifest, before }: SecuredRows,
): Promise<{ rows: Record<string, RowChange>; note?: string }> {
  let after: Record<string, number>
  try {
    after = await countRows(tools, Object.keys(before))
  } catch (error) {
    return { rows: {}, note: `The rows cannot be counted: ${asBootkeeperError(error).message}` }
  }
  const rows: Record<string, RowChange> = {}
  for (const [model, count] of Object.entries(before)) rows[model] = { before: count, after: after[model] ?? 0 }
  const file = exportOf(manifest)
  if (!file || totalOf(before) + totalOf(after) > comparableRows)
    return { rows, note: 'With so many rows, how many changed was not looked at.' }
  try {
    const path = join(tools.config.backupsDir, file.name)
    const { report } = await planImport(tools, {
      path,
      userName: undefined,
      mode: 'merge',
      keepExisting: false,
      strict: false,
    })
    for (const { model, created, updated, kept } of report.models)
      if (rows[model]) Object.assign(rows[model], { removed: created, changed: updated, added: kept })
    return { rows }
  } catch (error) {
    return { rows, note: `How many changed cannot be told: ${asBootkeeperError(error).message}` }
  }
}

async function countRows(
  { config, engine, schema, origin }: GuardTools,
  models: string[],
): Promise<Record<string, number>> {
  const model = await readDataModelCached(config, schema, origin.prisma)
  const asked: Origin = { ...origin, trigger: 'guard', reason: '' }
  return (await measure(config, engine, model, asked, { models })).rows
}

async function allModels({ config, schema, origin }: GuardTools): Promise<string[]> {
  return (await readDataModelCached(config, schema, origin.prisma)).models.map(({ name }) => name)
}
