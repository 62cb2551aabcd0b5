// The boot: make the data safe, bring it up to the schema, launch the app.
// Guarantees: nothing is touched before a copy of it was taken, read back and verified; a boot that fails or is stopped
// leaves the database as it was before, or as it is after, and nothing between.

import { readdir, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type AppIdentity, appIdentity, bootkeeperVersion } from './app-identity.ts'
import { copyDatabase, type Origin, takeBackup } from './backup.ts'
import { generateClient } from './client.ts'
import { command } from './command-hint.ts'
import type { Config } from './config.ts'
import { type Console, openConsole } from './console/server.ts'
import type { Engine } from './engines/engine.ts'
import { openEngine } from './engines/open.ts'
import { asBootkeeperError, BootkeeperError } from './errors.ts'
import { exportIfChanged } from './export.ts'
import type { Lock } from './lock.ts'
import { errorFields, type Log } from './log.ts'
import { copyOf, failedStartReason, readManifest } from './manifest.ts'
import { prepare } from './prepare.ts'
import { prismaVersion } from './prisma/fingerprint.ts'
import { findSchema, readSchemaFiles, type SchemaSet } from './prisma/schema-files.ts'
import { lockForPrune, prune, thinOutFailing } from './prune.ts'
import { type Note, openRecord, type RecordOperation } from './record.ts'
import { currentFingerprint, followSchema } from './schema.ts'
import { asksForStop, type Signals, Stopped } from './signals.ts'
import { type BootRecord, type BootState, writeState } from './state.ts'
import { type Running, superviseApp } from './supervise.ts'
import { openTimeline, type StepResult, type Timeline } from './timeline.ts'
import { sweepWorkingCopies, withPlainCopy } from './working-copy.ts'

/** Boots, looks after the app until it ends, and gives the exit code. Throws what stopped the boot. */
export async function bootAndSupervise(config: Config, log: Log, signals: Signals): Promise<number> {
  const app = appIdentity(process.cwd())
  const engine = await openEngine(config.databaseUrl, { busyMs: config.busyWaitMs })
  log.info(
    `Bootkeeper ${bootkeeperVersion()} boots ${app ? `${app.name} ${app.version}` : process.cwd()} on ${engine.description}`,
  )
  const timeline = openTimeline(log, signals.stop)
  const record = openRecord(config, { lock: 'lock', warn: (message) => log.warn(message) })
  let ground: { lock: Lock; state: BootState } | undefined
  let console: Console | undefined
  try {
    ground = await timeline.step('prepare', () => prepare(config, engine, log, signals.stop))
    const { state } = ground
    await makeReady(config, engine, state, app, log, signals, timeline, record)
    const launched = await timeline.step('launch', () => launch(config, app, log, signals))
    state.launched = launched.kind
    await writeState(config.stateDir, state)
    console = launched.console
    if (console?.invitation) log.info(console.invitation)
    return await lookAfter(launched, config, engine, state, log, timeline, record)
  } catch (error) {
    if (ground) await recordBoot(config, ground.state, timeline, error)
    throw error
  } finally {
    await console?.close()
    await engine.close()
    if (ground) await sweepWorkingCopies(config, ground.state.unprovenChange)
    ground?.lock.release()
  }
}

/** Steps 2 to 5. */
async function makeReady(
  config: Config,
  engine: Engine,
  state: BootState,
  app: AppIdentity | undefined,
  log: Log,
  signals: Signals,
  { step, attempt }: Timeline,
  record: RecordOperation,
): Promise<void> {
  const schema = await readSchemaFiles(await findSchema(process.cwd(), config.schemaSetting))
  requireSameProvider(schema, engine)
  const prisma = await prismaVersion(process.cwd())
  const fingerprint = async () => await currentFingerprint({ config, engine, schema })
  const origin: Origin = { trigger: 'boot', reason: 'boot', app, prisma, fingerprint: state.inStep ?? '' }
  const copy = await step('copy', () => copyDatabase(config, engine, state, origin, signals.stop, record))
  await step('schema', () => followSchema({ config, engine, state, schema, log, signal: signals.stop }, copy))
  try {
    await step('client', () => generateClient(config, schema, signals.stop))
  } catch (error) {
    // A changed database under a client that does not know it would be neither before nor after.
    if (error instanceof Stopped) throw error
    throw await undoChange(config, engine, state, log, record, asBootkeeperError(error))
  }
  const exported = await attempt('export', async () =>
    exportIfChanged(config, engine, state, schema, { ...origin, fingerprint: await fingerprint() }, copy, signals.stop),
  )
  if (!(exported instanceof BootkeeperError)) return
  log.error(errorFields(exported), exported.message)
  log.warn('The app starts all the same, without a new export. Every boot tries again until one succeeds.')
}

function requireSameProvider({ provider, location }: SchemaSet, engine: Engine): void {
  if (provider === engine.kind) return
  throw new BootkeeperError(
    'SETTINGS_INVALID',
    `The schema ${location} is written for ${provider}, but DATABASE_URL names a ${engine.kind} database.`,
    { next: `Set DATABASE_URL to a ${provider} database, or provider = "${engine.kind}" in the schema.` },
  )
}

type Launched =
  | { kind: 'app'; running: Running; console: Console | undefined }
  | { kind: 'console'; console: Console; stopped: Promise<number> }

/** Step 6. */
async function launch(
  config: Config,
  app: AppIdentity | undefined,
  log: Log,
  signals: Signals,
): Promise<StepResult<Launched>> {
  const content = {
    app: app?.name ?? 'The app',
    bootkeeper: bootkeeperVersion(),
    appRuns: config.appCommand !== undefined,
  }
  if (config.appCommand) {
    const console = config.consolePort === undefined ? undefined : await openConsole(config, log, content)
    try {
      const running = await superviseApp(config.appCommand, config, log, signals)
      const { file, args } = config.appCommand
      const beside = console ? `; the console answers at ${console.url}` : ''
      return { text: `${[file, ...args].join(' ')}${beside}`, value: { kind: 'app', running, console } }
    } catch (error) {
      await console?.close()
      throw error
    }
  }
  const console = await openConsole(config, log, content)
  const stopped = new Promise<number>((resolve) => {
    signals.passTo((signal) => {
      if (!asksForStop(signal)) return
      log.info(`Stopped by ${signal}: the console closes.`)
      void console.close().then(() => resolve(0))
    })
  })
  return { text: `the console answers at ${console.url}`, value: { kind: 'console', console, stopped } }
}

/** Waits for the app to become ready, and to end. Puts the copy back when a changed schema did not get it up. */
async function lookAfter(
  launched: Launched,
  config: Config,
  engine: Engine,
  state: BootState,
  log: Log,
  timeline: Timeline,
  record: RecordOperation,
): Promise<number> {
  if (launched.kind === 'console') {
    await markReady(config, engine, state, log, timeline, record)
    return await launched.stopped
  }
  const { running } = launched
  try {
    await running.ready
  } catch (error) {
    if (error instanceof Stopped) {
      await recordBoot(config, state, timeline, error)
      return await running.ended
    }
    await running.stop()
    // What somebody does in it at this moment must not meet the copy that goes back.
    await launched.console?.close()
    throw await undoChange(config, engine, state, log, record, asBootkeeperError(error))
  }
  await markReady(config, engine, state, log, timeline, record)
  return await running.ended
}

async function markReady(
  config: Config,
  engine: Engine,
  state: BootState,
  log: Log,
  timeline: Timeline,
  record: RecordOperation,
): Promise<void> {
  const warn = (thrown: unknown) => {
    // The app is up: what is left over is no reason to stop it.
    const error = asBootkeeperError(thrown)
    log.warn(errorFields(error), error.message)
  }
  // Before the boot counts as ready: a kill after that finds nothing half written.
  const lock = await lockForPrune(config).catch(warn)
  try {
    state.attempts = 0
    delete state.unprovenChange
    // The app came up on what this copy holds.
    if (state.copy) state.pinned = state.copy.stem
    await recordBoot(config, state, timeline, undefined)
    await sweepWorkingCopies(config, undefined)
    const pruned = lock && (await prune(config, engine, record).catch(warn))
    if (pruned && pruned.removed.length > 0)
      log.debug({ removed: pruned.removed }, `Removed ${pruned.removed.length} older backups.`)
  } finally {
    lock?.release()
  }
}

/** The app cannot run, or did not come up, on a changed schema: the copy from before the change goes back. */
async function undoChange(
  config: Config,
  engine: Engine,
  state: BootState,
  log: Log,
  record: RecordOperation,
  error: BootkeeperError,
) {
  const stem = state.unprovenChange
  if (!stem) return error
  const { code, message } = error
  const aside = await record(
    { action: 'boot-restore', entity: 'database', ids: [stem], metadata: { because: { code, message } } },
    (note) => putCopyBack(config, engine, state, stem, log, record, note),
  )
  log.warn(
    `The app did not come up on the changed schema, so ${stem} was put back.${aside ? ` What it had until then is in ${aside}.` : ''}`,
  )
  const asBefore = `Start the version of the app that ran before, or read the app's output above. ${command('list')} shows every backup.`
  return new BootkeeperError(error.code, error.message, {
    cause: error,
    exitCode: error.exitCode,
    safe: `The database is as it was before the schema change (${stem}).`,
    next: error.code === 'APP_NOT_READY' ? asBefore : error.next,
  })
}

/** Gives the path of what was replaced. */
async function putCopyBack(
  config: Config,
  engine: Engine,
  state: BootState,
  stem: string,
  log: Log,
  record: RecordOperation,
  note: Note,
): Promise<string | undefined> {
  const manifest = await readManifest(config.backupsDir, stem)
  const file = copyOf(manifest)!
  const { aside, notes } = await withPlainCopy(config, file, async (path) => {
    // PostgreSQL keeps no file of what is replaced: it becomes a backup first.
    if (engine.kind === 'postgresql')
      note({ precededBy: await keepFailedState(config, engine, manifest.prisma, state, record) })
    return await engine.putBack(path, 'failed-start', { counts: file.counts })
  })
  for (const remark of notes) log.warn(`${remark}.`)
  delete state.unprovenChange
  delete state.inStep
  state.copy = { stem, source: await engine.signature() }
  state.restored = { stem, at: new Date().toISOString() }
  delete state.export
  await writeState(config.stateDir, state)
  if (aside) await keepNewestAside(aside)
  if (aside) note({ metadata: { aside } })
  return aside
}

// A loop of failing boots must not fill the disk with what it set aside.
const keptFailedStates = 3

async function keepNewestAside(aside: string): Promise<void> {
  const prefix = `${basename(aside).split('.failed-start-')[0]}.failed-start-`
  const names = (await readdir(dirname(aside))).filter((name) => name.startsWith(prefix)).sort()
  for (const name of names.slice(0, -keptFailedStates)) await rm(join(dirname(aside), name))
}

async function keepFailedState(
  config: Config,
  engine: Engine,
  prisma: string,
  state: BootState,
  record: RecordOperation,
): Promise<string> {
  const fingerprint = state.inStep ?? ''
  const trigger = 'pre-restore'
  const origin: Origin = { trigger, reason: failedStartReason, app: undefined, prisma, fingerprint }
  const { manifest } = await takeBackup(config, engine, origin)
  await thinOutFailing(config, engine, record)
  return manifest.stem
}

async function recordBoot(config: Config, state: BootState, { steps }: Timeline, failure: unknown): Promise<void> {
  const outcome = failure === undefined ? 'ready' : 'failed'
  const code =
    failure instanceof BootkeeperError ? failure.code : failure instanceof Stopped ? failure.signal : undefined
  const record: BootRecord = { at: new Date().toISOString(), outcome, steps, ...(code ? { code } : {}) }
  state.boots.push(record)
  await writeState(config.stateDir, state)
}
