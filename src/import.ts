// Import: puts the rows of a file of any known format into the database, and the restore of an export, which is an
// import that replaces. Guarantees: the file is read to its sound end first; the database is backed up before anything
// is written; it is then as the plan says, or as it was; one that is damaged or missing is made anew beside it, and
// what was there is set aside, never deleted.

import { access, constants, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { type Origin, takeBackup } from './backup.ts'
import { command } from './command-hint.ts'
import type { Config } from './config.ts'
import type { Engine } from './engines/engine.ts'
import type { ImportReport } from './engines/engine-import.ts'
import type { ImportTarget } from './engines/open-import.ts'
import { asBootkeeperError, BootkeeperError } from './errors.ts'
import { readDataModelCached } from './export.ts'
import { partialPath } from './files.ts'
import type { FileDescription } from './import-child.ts'
import { fileRequest, inChild } from './inspect-file.ts'
import { takeLock } from './lock.ts'
import { type Manifest, readManifest, stemOf, verifyFile } from './manifest.ts'
import { makeEmptyDatabase } from './prisma/new-database.ts'
import type { SchemaSet } from './prisma/schema-files.ts'
import { choiceOfWords } from './scope-words.ts'
import { readState, writeState } from './state.ts'

export interface ImportRequest {
  path: string
  /** What people call the file, where that is not its path. */
  name?: string
  userName: string | undefined
  /** The backup out of whose copy the file was read. */
  backup?: string
  /** What of the file, where it is not all: words of `--only`. It is added to what is there, as a part is. */
  only?: string[]
  /** `restore`: an export of everything replaces, one of a part is added to what is there. */
  mode: 'merge' | 'replace' | 'restore'
  keepExisting: boolean
  strict: boolean
}

export interface ImportPlan {
  file: FileDescription
  report: ImportReport
  /** `new`: there is no database, or none that can be read, and one is made. */
  into: 'present' | 'new'
  /** The file belongs to a backup, which is one of this other database. */
  otherDatabase?: string
}

export interface ImportResult extends ImportPlan {
  /** The backup of the database as it was before. Where nothing had to change, or there was nothing, none was taken. */
  before?: string
  /** Where the file that was there is now, if it was no readable database. */
  aside?: string
}

export interface ImportTools {
  config: Config
  engine: Engine
  schema: SchemaSet
  origin: Omit<Origin, 'trigger' | 'reason'>
  /** Rows that were read so far. */
  onProgress?: (rows: number) => void
  /** Gets the plan that is about to be applied, before anything is written; what it throws is thrown on. */
  onPlanned?: (plan: Omit<ImportPlan, 'into'>) => void
  /** Gets the backup of what was there, before it is replaced. */
  onBackedUp?: (stem: string) => void
  /** Ends the work at once, with the database as it was or as the import makes it. */
  signal?: AbortSignal
}

interface SettledRequest extends ImportRequest {
  mode: 'merge' | 'replace'
  /** A backup of a part of this database, in its own folder of backups. */
  ofThisDatabase: boolean
  /** Known to hold a part: of another file that is found when it is read. */
  isPart: boolean
  otherDatabase?: string
}

async function settle({ config, engine }: ImportTools, request: ImportRequest): Promise<SettledRequest> {
  const { path, mode, only } = request
  if (only && mode === 'replace')
    throw new BootkeeperError('USAGE', 'What is chosen of a file can be added to what is there, not replace it.', {
      next: 'Run the same without --mode replace.',
    })
  const manifest = await manifestOf(config, path)
  const isBackupOfPart = manifest !== undefined && manifest.scope !== 'everything'
  const isPart = only !== undefined || isBackupOfPart
  const isOther = manifest && (manifest.engine !== engine.kind || manifest.database !== engine.description)
  const known = {
    ofThisDatabase: isBackupOfPart && !isOther,
    isPart,
    ...(isOther ? { otherDatabase: manifest.database } : {}),
  }
  if (mode !== 'restore') return { ...request, mode, ...known }
  const scope =
    manifest?.scope ?? (await inChild((child) => child.call('scopeOf', fileRequest(config, path, request.userName))))
  const isAll = only === undefined && scope === 'everything'
  return { ...request, mode: isAll ? 'replace' : 'merge', ...known, isPart: !isAll }
}

/** Of the backup that the file belongs to; undefined for any other file. */
async function manifestOf({ backupsDir }: Config, path: string): Promise<Manifest | undefined> {
  if (dirname(resolve(path)) !== resolve(backupsDir)) return undefined
  const name = basename(path)
  const manifest = await readManifest(backupsDir, name.split('.')[0] as string).catch(() => undefined)
  return manifest?.files.some((file) => file.name === name) ? manifest : undefined
}

/** Says what the import would do; changes nothing. */
export async function planImport(tools: ImportTools, asked: ImportRequest): Promise<ImportPlan> {
  const { config, engine } = tools
  const request = await settle(tools, asked)
  if ((await presence(engine, request)) === 'present')
    try {
      return await staged(tools, request, live(engine), false, async (plan) => ({
        ...plan,
        into: 'present',
        ...otherOf(request),
      }))
    } catch (error) {
      requireReplaceable(error, request)
    }
  const scratch = partialPath(join(config.stateDir, 'import.db'))
  try {
    const empty = await makeEmpty(tools, scratch)
    return await staged(tools, request, empty, false, async (plan) => ({ ...plan, into: 'new', ...otherOf(request) }))
  } finally {
    await removeDatabase(scratch)
  }
}

function otherOf({ otherDatabase }: SettledRequest): Pick<ImportPlan, 'otherDatabase'> {
  return otherDatabase === undefined ? {} : { otherDatabase }
}

/** The caller holds the ops lock. Throws LOCK_HELD where a new database is needed while an app runs on the old one. */
export async function applyImport(tools: ImportTools, asked: ImportRequest): Promise<ImportResult> {
  const { config, engine, origin } = tools
  const request = await settle(tools, asked)
  if ((await presence(engine, request)) === 'new') return await importIntoNew(tools, request)
  const reason = `before the import of ${request.name ?? request.path}`
  try {
    return await staged(tools, request, live(engine), true, async ({ file, report: planned }, apply) => {
      tools.onPlanned?.({ file, report: planned })
      // To replace may give rows other ids, which no count tells.
      if (request.mode === 'merge' && changesNothing(planned))
        return { file, report: planned, into: 'present', ...otherOf(request) }
      // Taken only now: what is wrong with the file has been found.
      const { manifest } = await takeBackup(config, engine, { ...origin, trigger: 'pre-restore', reason }, tools.signal)
      tools.onBackedUp?.(manifest.stem)
      const report = await apply().catch((error: unknown) => {
        throw withBackup(error, manifest.stem)
      })
      await noteRestored(config, request)
      return { file, report, into: 'present', before: manifest.stem, ...otherOf(request) }
    })
  } catch (error) {
    requireReplaceable(error, request)
    return await importIntoNew(tools, request)
  }
}

/** By the counts: with `replace` rows may get other ids all the same. */
export function changesNothing({ models }: ImportReport): boolean {
  return models.every(({ created, updated, removed }) => created + updated + removed === 0)
}

/** The database is now what that backup says, which matters where the next one to put back is looked for. */
async function noteRestored({ backupsDir, stateDir }: Config, request: SettledRequest): Promise<void> {
  const { path, mode, isPart, backup } = request
  if (mode !== 'replace' || isPart) return
  const stem = backup ?? (dirname(path) === resolve(backupsDir) ? stemOf(basename(path)) : undefined)
  if (stem === undefined) return
  const state = await readState(stateDir)
  await writeState(stateDir, { ...state, restored: { stem, at: new Date().toISOString() } })
}

/** Throws all but the damage of a database that is to be replaced: what would be added to it needs it, that does not. */
function requireReplaceable(error: unknown, { mode, isPart }: SettledRequest): void {
  const { code, message } = asBootkeeperError(error)
  if (code !== 'DATABASE_CORRUPT') throw error
  if (mode === 'replace' && !isPart) return
  throw new BootkeeperError('DATABASE_CORRUPT', message, {
    cause: error,
    next: `Restore the newest good backup first: ${command('list')} shows them. Or replace all of it: ${command('import', 'FILE', '--mode', 'replace', '--apply')}`,
  })
}

function withBackup(error: unknown, stem: string): unknown {
  if (!(error instanceof BootkeeperError)) return error
  const { code, message, next, safe } = error
  return new BootkeeperError(code, message, {
    cause: error,
    next,
    safe: `${safe} Its backup from just before: ${stem}.`,
  })
}

/** A path as it stands, or the export of the backup of that name. Throws BACKUP_NOT_FOUND. */
export async function exportPath(config: Config, fileOrStem: string): Promise<string> {
  const found = await stat(fileOrStem).catch((error: NodeJS.ErrnoException) => {
    // Of a folder that lets nobody in, it is not known what is not there.
    if (error.code === 'EACCES') throw error
  })
  if (found?.isDirectory())
    throw new BootkeeperError('BACKUP_NOT_FOUND', `${fileOrStem} is a directory, not a file.`, { next: 'Name a file.' })
  if (found) {
    // Said before a child process is started, and before a database is looked for.
    await access(fileOrStem, constants.R_OK)
    return resolve(fileOrStem)
  }
  if (/[/\\]/.test(fileOrStem))
    throw new BootkeeperError('BACKUP_NOT_FOUND', `There is no file ${fileOrStem}.`, { next: 'Check the path.' })
  const stem = stemOf(fileOrStem)
  const manifest = await readManifest(config.backupsDir, stem).catch((error: unknown) => {
    if (stem.startsWith('backup_') || asBootkeeperError(error).code !== 'BACKUP_NOT_FOUND') throw error
    throw new BootkeeperError(
      'BACKUP_NOT_FOUND',
      `There is no file ${fileOrStem} here, and no backup of that name in ${config.backupsDir}.`,
      { next: `Check the path, or run ${command('list')}.` },
    )
  })
  const file = manifest.files.find(({ role }) => role === 'export')
  if (!file)
    throw new BootkeeperError('BACKUP_NOT_FOUND', `${manifest.stem} has a copy, but no export.`, {
      next: `${command('list')} shows which backups have an export.`,
    })
  await verifyFile(config.backupsDir, file)
  return join(config.backupsDir, file.name)
}

/**
 * What a file and the database differ in, or two files: what the second one would change in the first. Compared as a
 * merge does it, which gives rows of the file the ids that they have in the database: other ids are no difference.
 */
export async function diffFiles(tools: ImportTools, path: string, other: string | undefined): Promise<ImportPlan> {
  const request = {
    userName: undefined,
    mode: 'merge' as const,
    keepExisting: false,
    strict: false,
    ofThisDatabase: false,
    isPart: false,
  }
  if (other === undefined) return asDifference(await planImport(tools, { ...request, path }))
  const scratch = partialPath(join(tools.config.stateDir, 'diff.db'))
  try {
    const empty = await makeEmpty(tools, scratch)
    await staged(tools, { ...request, path }, empty, true, async (_, apply) => await apply())
    return await staged(tools, { ...request, path: other }, empty, false, async (plan) => ({
      ...asDifference(plan),
      into: 'new',
    }))
  } finally {
    await removeDatabase(scratch)
  }
}

/** What a merge would keep is only on the other side. What no export holds, such as sessions, is no difference. */
function asDifference<Plan extends Omit<ImportPlan, 'into'>>(plan: Plan): Plan {
  // Of some rows of a table nobody can say which of the others were meant.
  if (plan.file.scope?.where !== undefined) return plan
  const models = plan.report.models
    .filter(({ model }) => Object.hasOwn(plan.file.counts, model))
    .map(({ examples: { kept, ...others } = {}, ...counts }) => {
      const examples = { ...others, ...(kept ? { removed: kept } : {}) }
      return { ...counts, removed: counts.kept, kept: 0, ...(Object.keys(examples).length > 0 ? { examples } : {}) }
    })
  return { ...plan, report: { ...plan.report, models } }
}

async function importIntoNew(tools: ImportTools, request: SettledRequest): Promise<ImportResult> {
  const { config, engine } = tools
  const scratch = partialPath(join(config.stateDir, 'import.db'))
  // A file that is swapped in is not what a running app has open.
  const lock = await takeLock(config.stateDir, 'an import', { waitMs: 2_000 })
  try {
    const empty = await makeEmpty(tools, scratch)
    const done = await staged(tools, request, empty, true, async ({ file, report }, apply) => {
      tools.onPlanned?.({ file, report })
      return { file, report: await apply() }
    })
    const { aside } = await engine.putBack(scratch, 'before-restore', { wholeReferences: true })
    const state = await readState(config.stateDir)
    for (const name of ['inStep', 'export', 'copy', 'unprovenChange'] as const) delete state[name]
    await writeState(config.stateDir, state)
    await noteRestored(config, request)
    return { ...done, into: 'new', ...(aside ? { aside } : {}), ...otherOf(request) }
  } finally {
    lock.release()
    await removeDatabase(scratch)
  }
}

/** Reads the file in a child process, which holds its rows and the plan for as long as `use` runs. */
async function staged<Result>(
  { config, schema, origin, onProgress, signal }: ImportTools,
  { path, userName, isPart: _, name: __, otherDatabase: ___, backup: ____, only, ...how }: SettledRequest,
  into: ImportTarget,
  mayWrite: boolean,
  use: (plan: Omit<ImportPlan, 'into'>, apply: () => Promise<ImportReport>) => Promise<Result>,
): Promise<Result> {
  const model = await readDataModelCached(config, schema, origin.prisma)
  return await inChild(async (child) => {
    const call = {
      ...fileRequest(config, path, userName),
      ...how,
      ...(only ? { only: choiceOfWords(model, only) } : {}),
      model,
      into,
      mayWrite,
      busyMs: config.busyWaitMs,
      temporaryDirectory: config.stateDir,
    }
    const plan = await child.call('plan', call, signal)
    return await use(plan, () => child.call('apply', undefined, signal))
  }, onProgress)
}

/**
 * `new`: no database, or one that cannot be opened. Damage further in is found when it is read or backed up. A server
 * has no file that could be replaced: there the app makes the tables, by starting once.
 */
async function presence(engine: Engine, request: SettledRequest): Promise<'present' | 'new'> {
  if (!engine.isFile) return 'present'
  try {
    if (!['', '[]'].includes(await engine.structure())) return 'present'
  } catch (error) {
    requireReplaceable(error, request)
    return 'new'
  }
  if (!request.isPart) return 'new'
  throw new BootkeeperError(
    'DATABASE_MISSING',
    `There is no database ${engine.description}, and what is imported is only a part of one.`,
    { next: `Restore a whole backup first: ${command('list')} shows them.` },
  )
}

function live({ kind, description, url }: Engine): ImportTarget {
  return { engine: kind, database: kind === 'sqlite' ? description : url }
}

/** A database of the schema without rows. On a server there is no room for one: its types are looked up there. */
async function makeEmpty({ engine, schema, config }: ImportTools, scratch: string): Promise<ImportTarget> {
  if (!engine.isFile) return { ...live(engine), scratch }
  await makeEmptyDatabase(schema, scratch, config)
  return { engine: engine.kind, database: scratch }
}

async function removeDatabase(path: string): Promise<void> {
  for (const ending of ['', '-wal', '-shm', '-journal']) await rm(path + ending, { force: true })
}
