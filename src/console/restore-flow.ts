// What the console's operations of a restore do: look into a file, plan its import, apply it, undo that.
// Guarantees: it is the import and the restore of the commands, under the same locks; what is applied is what was
// confirmed, or nothing; the backup of what was there is named in the result. A backup that has only a raw copy goes the
// same way, by a file that is made of the copy and is gone when the operation ends.

import { command } from '../command-hint.ts'
import type { Config } from '../config.ts'
import { asBootkeeperError, BootkeeperError } from '../errors.ts'
import { readOwnDataModel } from '../export.ts'
import { applyImport, planImport } from '../import.ts'
import { inspectFile } from '../inspect-file.ts'
import { errorFields, type Log } from '../log.ts'
import { applyRestore, planRestore } from '../restore.ts'
import { openBackupFlow } from './backup-flow.ts'
import { hashOf, openConfirmations } from './confirmations.ts'
import type { Operation, OperationKind, OperationRequest, SettingsGroup } from './contract.ts'
import { openCopyFlow } from './copy-flow.ts'
import type { Databases } from './database.ts'
import type { Operations } from './operations.ts'
import { commandFor, importRequest } from './plan-request.ts'
import { described, type ReadableFile, type SourceFile, type Sources, unpackStep } from './sources.ts'

export interface FlowTools {
  config: Config
  log: Log
  databases: Databases
  operations: Operations
  sources: Sources
  /** The app runs beside the console, and has the database open. */
  appRuns: boolean
  /** The console is the page of a boot that failed. */
  isMaintenance: boolean
  /** The settings that a file has; its secrets are left out. */
  settingsIn: (file: ReadableFile, counts: Record<string, number>) => Promise<SettingsGroup[]>
  /** The setup ends with the first restore. */
  onRestored: () => Promise<void>
}

/** What must not run beside each other in this console; other processes are kept out by the ops lock. */
export const exclusive: OperationKind[] = [
  ...(['plan', 'restore', 'undo', 'backup', 'verify', 'check-copy', 'put-back'] as const),
]

export interface Flow {
  /** Throws LOCK_HELD, PLAN_CHANGED, REQUEST_REFUSED. */
  start(request: OperationRequest): Promise<Operation>
}

export function openFlow(tools: FlowTools): Flow {
  const { config, log, databases, operations, sources, appRuns, onRestored } = tools
  const confirmations = openConfirmations()
  const backups = openBackupFlow(tools)
  const copies = openCopyFlow({ ...tools, confirmations })

  return {
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
    const file = await sources.locate(request.source)
    const begun = { kind: 'inspect' as const, request, subject: file.name, steps: stepsOf(file, [steps.read]) }
    return await operations.start(begun, async (report) => {
      const model = await readOwnDataModel(config)
      return await sources.withFile(file, report, async (data) => {
        await report.step(steps.read)
        const options = { model, onProgress: report.rows, signal: report.signal }
        const found = await inspectFile(data.config, data.path, options)
        // A file can be looked into, whatever is wrong with the schema: the plan will say that.
        const settings = await tools.settingsIn(data, found.counts).catch((error: unknown) => {
          log.warn(errorFields(asBootkeeperError(error)), `The settings in ${file.name} could not be shown.`)
          return []
        })
        return { file: described(file, found), ...(settings.length > 0 ? { settings } : {}) }
      })
    })
  }

  async function plan(request: Extract<OperationRequest, { kind: 'plan' }>) {
    const file = await sources.locate(request.source)
    const names = stepsOf(file, [steps.read, steps.compare])
    const begun = { kind: 'plan' as const, request, subject: file.name, steps: names }
    return await operations.start(begun, async (report) => {
      return await databases.withDatabase('a plan in the console', async (database) => {
        return await sources.withData(file, database, report, async (data) => {
          await report.step(steps.read)
          const tools = { ...database, config: data.config, onProgress: report.rows, signal: report.signal }
          const planned = await planImport(tools, importRequest(request, data.path, file))
          const confirmation = confirmations.issue(report.id, [request, planned.report])
          const command = commandFor(request, file, sources.typedFor(file.source))
          return {
            ...planned,
            file: described(file, planned.file),
            confirmation,
            ...(command === undefined ? {} : { command }),
          }
        })
      })
    })
  }

  async function restore(request: Extract<OperationRequest, { kind: 'restore' }>) {
    const planned = operations.find(request.plan)
    if (planned.kind !== 'plan' || planned.state !== 'done')
      throw new BootkeeperError('PLAN_CHANGED', 'There is no plan that this would confirm.')
    requireFirst(operations, request.plan)
    const file = await sources.locate(planned.request.source)
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
        const { only, ...result } = await sources.withData(file, database, report, async (data) => {
          await report.step(steps.read)
          const tools = {
            ...database,
            config: data.config,
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
          const { mode, keepExisting, only } = planned.request
          const metadata = { mode, keepExisting, ...(only ? { only } : {}) }
          const operation = { action: 'restore', entity: 'database', ids: [name], metadata }
          const { report: counts, aside } = await database.record(operation, async (note) => {
            const imported = await applyImport(tools, importRequest(planned.request, data.path, file))
            const { before, aside } = imported
            note({ ...(before ? { precededBy: before } : {}), ...(aside ? { metadata: { aside } } : {}) })
            return imported
          })
          return { report: counts, only, ...(aside ? { aside } : {}) }
        })
        sources.forgetKey(file.source)
        await onRestored()
        return { ...result, ...(only ? { only } : {}) }
      })
    })
  }

  async function undo(request: Extract<OperationRequest, { kind: 'undo' }>) {
    const { before: stem } = operations.find(request.restore)
    if (!stem) throw new BootkeeperError('BACKUP_NOT_FOUND', 'There is no backup from before this restore.')
    const file = await sources.locateCopy(stem)
    const operation = { action: 'restore', entity: 'database', ids: [stem] }
    // A file that is swapped in is not what a running app has open: there its rows go in, in one transaction.
    if (appRuns && config.databaseUrl.startsWith('file:')) {
      const begun = { kind: 'undo' as const, request, subject: stem, steps: stepsOf(file, [steps.putBack]) }
      return await operations.start(begun, async (report) => {
        return await databases.withDatabase('an undo in the console', async (database) => {
          return await sources.withData(file, database, report, async ({ path }) => {
            // What was decrypted lies beside the database now.
            sources.forgetKey(file.source)
            await report.step(steps.putBack)
            const tools = { ...database, onBackedUp: report.backedUp }
            const wanted = { path, name: stem, backup: stem, userName: undefined, mode: 'replace' } as const
            await database.record(operation, async (note) => {
              // A row that cannot go in is one that the undo would take away.
              const { before } = await applyImport(tools, { ...wanted, keepExisting: false, strict: true }).catch(
                needsTheCopy(stem),
              )
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
        const checked = await sources.withKeyOf(file, (own) => planRestore(own, engine, stem))
        sources.forgetKey(file.source)
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
}

/** Rows that the schema of today has no place for are in the copy all the same. */
function needsTheCopy(stem: string): (error: unknown) => never {
  return (error) => {
    const { code, message } = asBootkeeperError(error)
    if (code !== 'IMPORT_INCOMPLETE') throw error
    throw new BootkeeperError(code, `Not all of it can be put back while the app runs: ${message}`, {
      cause: error,
      next: `Stop the app, and run ${command('restore', stem, '--apply')}: that puts the copy back as it is.`,
    })
  }
}

const steps = {
  read: 'Read and check the file',
  compare: 'Compare it with the data',
  backUp: 'Back up what is there',
  write: 'Write it, in one transaction',
  check: 'Check the backup',
  putBack: 'Put it back',
}

function stepsOf({ copyOf }: SourceFile, names: string[]): string[] {
  return copyOf === undefined ? names : [unpackStep, ...names]
}

/** In another tab, say. */
function requireFirst(operations: Operations, plan: string): void {
  const done = operations.done(['restore']).find(({ request }) => request.kind === 'restore' && request.plan === plan)
  if (!done) return
  throw Object.assign(
    new BootkeeperError('PLAN_CHANGED', 'This plan was carried out already, perhaps in another tab.', {
      safe: 'This did nothing more.',
      next: 'Look at its result. To undo it, there is a button.',
    }),
    { running: done.id },
  )
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
