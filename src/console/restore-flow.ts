// What the console's operations of a restore do: look into a file, plan its import, apply it, undo that.
// Guarantees: it is the import and the restore of the commands, under the same locks; what is applied is what was
// confirmed, or nothing; the backup of what was there is named in the result. A backup that has only a raw copy goes the
// same way, by a file that is made of the copy and is gone when the operation ends.

import { command } from '../command-hint.ts'
import type { Config } from '../config.ts'
import { asBootkeeperError, BootkeeperError } from '../errors.ts'
import { withExportOfCopy } from '../export-copy.ts'
import { applyImport, exportPath, type ImportRequest, inspectFile, planImport } from '../import.ts'
import { errorFields, type Log } from '../log.ts'
import { copyOf, exportOf, readManifest } from '../manifest.ts'
import { applyRestore, planRestore } from '../restore.ts'
import { openBackupFlow } from './backup-flow.ts'
import { hashOf, openConfirmations } from './confirmations.ts'
import type { Operation, OperationKind, OperationOf, OperationRequest, SettingsGroup, Source } from './contract.ts'
import { openCopyFlow } from './copy-flow.ts'
import type { Database, Databases } from './database.ts'
import type { Operations, Reporter } from './operations.ts'
import type { Uploads } from './uploads.ts'

export interface FlowTools {
  config: Config
  log: Log
  databases: Databases
  operations: Operations
  uploads: Uploads
  /** The app runs beside the console, and has the database open. */
  appRuns: boolean
  /** The console is the page of a boot that failed. */
  isMaintenance: boolean
  /** The settings that a file has; its secrets are left out. */
  settingsIn: (path: string, counts: Record<string, number>) => Promise<SettingsGroup[]>
  /** The setup ends with the first restore. */
  onRestored: () => Promise<void>
}

/** What must not run beside each other in this console; other processes are kept out by the ops lock. */
export const exclusive: OperationKind[] = [
  ...(['plan', 'restore', 'undo', 'backup', 'verify', 'check-copy', 'put-back'] as const),
]

export interface NamedFile {
  path: string
  /** What people call it. */
  name: string
}

export interface Flow {
  /** Throws LOCK_HELD, PLAN_CHANGED, REQUEST_REFUSED. */
  start(request: OperationRequest): Promise<Operation>
  /** Gives `use` the file, or what was read out of a raw copy. Throws REQUEST_REFUSED, BACKUP_NOT_FOUND. */
  withFile<Result>(source: Source, use: (file: NamedFile) => Promise<Result>): Promise<Result>
}

export function openFlow(tools: FlowTools): Flow {
  const { config, log, databases, operations, uploads, appRuns, onRestored } = tools
  const confirmations = openConfirmations()
  const backups = openBackupFlow(tools)
  const copies = openCopyFlow({ ...tools, confirmations })

  return {
    async withFile(source, use) {
      const file = await locate(source)
      if ('path' in file) return await use(file)
      return await databases.withDatabase('a look into a copy', (database) =>
        withExportOfCopy(toolsOf(database), file.copyOf, {}, (path) => use({ path, name: file.name })),
      )
    },

    async start(request) {
      if (exclusive.includes(request.kind)) requireFree(operations)
      switch (request.kind) {
        case 'inspect':
          return await inspect(request)
        case 'plan':
          return await plan(request)
        case 'restore':
          return await restore(request)
        case 'undo':
          return await undo(request)
        case 'backup':
          return await backups.backUp(request)
        case 'verify':
          return await backups.verify(request)
        case 'check-copy':
          return await copies.check(request)
        case 'put-back':
          return await copies.putBack(request)
      }
    },
  }

  async function inspect(request: Extract<OperationRequest, { kind: 'inspect' }>) {
    const file = await locate(request.source)
    return await operations.start(
      { kind: 'inspect', request, subject: file.name, steps: stepsOf(file, [steps.read]) },
      async (report) => {
        const look = async (path: string) => {
          await report.step(steps.read)
          const found = await inspectFile(config, path, undefined, report.rows, report.signal)
          // A file can be looked into, whatever is wrong with the schema: the plan will say that.
          const settings = await tools.settingsIn(path, found.counts).catch((error: unknown) => {
            log.warn(errorFields(asBootkeeperError(error)), `The settings in ${file.name} could not be shown.`)
            return []
          })
          return { file: found, ...(settings.length > 0 ? { settings } : {}) }
        }
        if ('path' in file) return await look(file.path).catch(speakOf(file.path, file.name))
        return await databases.withDatabase('a look into a copy', (database) => withPath(file, database, report, look))
      },
    )
  }

  async function plan(request: Extract<OperationRequest, { kind: 'plan' }>) {
    const file = await locate(request.source)
    const begun = {
      kind: 'plan' as const,
      request,
      subject: file.name,
      steps: stepsOf(file, [steps.read, steps.compare]),
    }
    return await operations.start(begun, async (report) => {
      return await databases.withDatabase('a plan in the console', async (database) => {
        return await withPath(file, database, report, async (path) => {
          await report.step(steps.read)
          const tools = { ...toolsOf(database), onProgress: report.rows, signal: report.signal }
          const planned = await planImport(tools, importRequest(request, path, file.name))
          const confirmation = confirmations.issue(report.id, [request, planned.report])
          return { ...planned, confirmation, command: commandFor(request, file) }
        })
      })
    })
  }

  async function restore(request: Extract<OperationRequest, { kind: 'restore' }>) {
    const planned = operations.find(request.plan)
    if (planned.kind !== 'plan' || planned.state !== 'done')
      throw new BootkeeperError('PLAN_CHANGED', 'There is no plan that this would confirm.')
    const file = await locate(planned.request.source)
    const confirmed = confirmations.redeem(request.plan, request.code)
    const { name } = file
    const begun = {
      kind: 'restore' as const,
      request: { ...request, code: '' },
      subject: name,
      steps: stepsOf(file, [steps.read, steps.backUp, steps.write]),
    }
    return await operations.start(begun, async (report) => {
      return await databases.withDatabase('a restore in the console', async (database) => {
        return await withPath(file, database, report, async (path) => {
          await report.step(steps.read)
          const tools = {
            ...toolsOf(database),
            onProgress: report.rows,
            signal: report.signal,
            onPlanned({ report: now }: { report: unknown }) {
              if (hashOf([planned.request, now]) !== confirmed)
                throw new BootkeeperError('PLAN_CHANGED', 'The data has changed since the plan was shown.')
              void report.step(steps.backUp)
            },
            onBackedUp(stem: string) {
              report.backedUp(stem)
              void report.step(steps.write)
            },
          }
          const { mode, keepExisting } = planned.request
          const operation = { action: 'restore', entity: 'database', ids: [name], metadata: { mode, keepExisting } }
          const { report: counts, aside } = await database.record(operation, async (note) => {
            const imported = await applyImport(tools, importRequest(planned.request, path, name))
            const { before, aside } = imported
            note({ ...(before ? { precededBy: before } : {}), ...(aside ? { metadata: { aside } } : {}) })
            return imported
          })
          await onRestored()
          return { report: counts, ...(aside ? { aside } : {}) }
        })
      })
    })
  }

  async function undo(request: Extract<OperationRequest, { kind: 'undo' }>) {
    const done = operations.find(request.restore)
    const stem = done.before
    if (!stem) throw new BootkeeperError('BACKUP_NOT_FOUND', 'There is no backup from before this restore.')
    const operation = { action: 'restore', entity: 'database', ids: [stem] }
    // A file that is swapped in is not what a running app has open: there its rows go in, in one transaction.
    if (appRuns && config.databaseUrl.startsWith('file:')) {
      const file = { copyOf: stem, name: stem }
      const begun = { kind: 'undo' as const, request, subject: stem, steps: stepsOf(file, [steps.putBack]) }
      return await operations.start(begun, async (report) => {
        return await databases.withDatabase('an undo in the console', async (database) => {
          return await withPath(file, database, report, async (path) => {
            await report.step(steps.putBack)
            const tools = { ...toolsOf(database), onBackedUp: report.backedUp }
            const wanted = { path, name: stem, userName: undefined, mode: 'replace' } as const
            await database.record(operation, async (note) => {
              const { before } = await applyImport(tools, { ...wanted, keepExisting: false, strict: false })
              if (before) note({ precededBy: before })
            })
            return { restored: stem }
          })
        })
      })
    }
    const begun = { kind: 'undo' as const, request, subject: stem, steps: [steps.check, steps.putBack] }
    return await operations.start(begun, async (report) => {
      await report.step(steps.check)
      return await databases.withGroundAlone('an undo in the console', async ({ engine, origin, record }) => {
        const checked = await planRestore(config, engine, stem)
        try {
          await report.step(steps.putBack)
          return await record(operation, async (note) => {
            const { before } = await applyRestore(config, engine, checked, origin)
            if (before) {
              report.backedUp(before)
              note({ precededBy: before })
            }
            return { restored: stem }
          })
        } finally {
          await checked.discard()
        }
      })
    })
  }

  /** A file, or, of a backup that has no export, the copy that one is made of. */
  async function locate(source: Source): Promise<Located> {
    if ('upload' in source) return await uploads.find(source.upload)
    const manifest = await readManifest(config.backupsDir, source.backup)
    if (!exportOf(manifest) && copyOf(manifest)) return { copyOf: manifest.stem, name: manifest.stem }
    return { path: await exportPath(config, source.backup), name: source.backup }
  }

  async function withPath<Result>(
    file: Located,
    database: Database,
    report: Reporter,
    use: (path: string) => Promise<Result>,
  ): Promise<Result> {
    const named = (path: string) => use(path).catch(speakOf(path, file.name))
    if ('path' in file) return await named(file.path)
    await report.step(steps.unpack)
    const watch = { signal: report.signal, onProgress: report.rows }
    return await withExportOfCopy(toolsOf(database), file.copyOf, watch, named)
  }
}

type Located = NamedFile | { name: string; copyOf: string }

const steps = {
  unpack: 'Check the copy and read its data out of it',
  read: 'Read and check the file',
  compare: 'Compare it with the data',
  backUp: 'Back up what is there',
  write: 'Write it, in one transaction',
  check: 'Check the backup',
  putBack: 'Put it back',
}

function stepsOf(file: Located, names: string[]): string[] {
  return 'path' in file ? names : [steps.unpack, ...names]
}

function toolsOf({ config, engine, schema, origin }: Database) {
  return { config, engine, schema, origin }
}

function requireFree(operations: Operations): void {
  const running = operations.running(exclusive)
  if (!running) return
  const { steps, id, subject, kind, startedAt } = running
  const at = steps.findIndex(({ state }) => state === 'running') + 1
  throw Object.assign(
    new BootkeeperError(
      'LOCK_HELD',
      `${nouns[kind]} of ${subject} runs already, since ${startedAt.slice(11, 16)} UTC, in step ${Math.max(1, at)} of ${steps.length}.`,
      { safe: 'This did nothing.', next: 'Wait for its end, or look on.' },
    ),
    { running: id },
  )
}

const nouns: Record<OperationKind, string> = {
  inspect: 'The check',
  plan: 'The plan',
  restore: 'The restore',
  undo: 'The undo',
  backup: 'The making',
  verify: 'The check',
  'check-copy': 'The check',
  'put-back': 'The restore',
}

function importRequest(
  { mode, keepExisting, userName }: OperationOf<'plan'>['request'],
  path: string,
  name: string,
): ImportRequest {
  return { path, name, userName, mode, keepExisting: mode === 'merge' && keepExisting, strict: false }
}

function commandFor({ mode, keepExisting, userName }: OperationOf<'plan'>['request'], file: Located): string {
  if ('copyOf' in file) return command('restore', file.copyOf, '--apply')
  const words = [file.name, '--mode', mode]
  if (mode === 'merge' && keepExisting) words.push('--keep-existing')
  if (userName !== undefined) words.push('--user', userName)
  return command('import', ...words, '--apply')
}

const nextInPage: Partial<Record<string, string>> = {
  FORMAT_UNKNOWN: 'Choose another file. If this one was cut short, take it again from where it came from.',
  EXPORT_DAMAGED: 'Take the file again from where it came from, or choose another one.',
  IMPORT_INVALID: 'Correct the named place in the file, or choose another one.',
  USER_NEEDED: 'Say whose the file is.',
  USAGE: 'Leave the name empty.',
}

/** An error about an upload names it as the person does, not by where the server keeps it. */
function speakOf(path: string, name: string): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof BootkeeperError)) throw error
    const { code, message, safe, next, exitCode } = error
    throw new BootkeeperError(code, message.replaceAll(path, `“${name}”`), {
      cause: error,
      exitCode,
      safe,
      next: nextInPage[code] ?? next,
    })
  }
}
