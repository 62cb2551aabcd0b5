// What the console's operations do: look into a file, plan its import, apply it, undo that, take a backup.
// Guarantees: it is the import and the restore of the commands, under the same locks; what is applied is what was
// confirmed, or nothing; the backup of what was there is named in the result.

import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { appIdentity } from '../app-identity.ts'
import { type Origin, takeBackup } from '../backup.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engines/engine.ts'
import { openEngine } from '../engines/open.ts'
import { BootkeeperError } from '../errors.ts'
import { exportDatabase, readOwnDataModel, writeExport } from '../export.ts'
import { partialPath } from '../files.ts'
import { applyImport, exportPath, planImport } from '../import.ts'
import { inspectFile } from '../inspect-file.ts'
import { takeLock } from '../lock.ts'
import type { Log } from '../log.ts'
import { exportOf, newStem, readManifest } from '../manifest.ts'
import { prismaVersion } from '../prisma/fingerprint.ts'
import { findSchema, readSchemaFiles, type SchemaSet } from '../prisma/schema-files.ts'
import { openRecord, type RecordOperation } from '../record.ts'
import { applyRestore, planRestore } from '../restore.ts'
import { readState } from '../state.ts'
import { hashOf, openConfirmations } from './confirmations.ts'
import type { Operation, OperationKind, OperationRequest, Source } from './contract.ts'
import { damagedNext, openFileKeys } from './file-keys.ts'
import type { Operations, Reporter } from './operations.ts'
import { commandFor, importRequest } from './plan-request.ts'
import type { Uploads } from './uploads.ts'

export interface FlowTools {
  config: Config
  log: Log
  operations: Operations
  uploads: Uploads
  /** The app runs beside the console, and has the database open. */
  appRuns: boolean
  /** The setup ends with the first restore. */
  onRestored: () => Promise<void>
}

/** What must not run beside each other in this console; other processes are kept out by the ops lock. */
const exclusive: OperationKind[] = ['plan', 'restore', 'undo', 'backup']

export interface Flow {
  /** Throws LOCK_HELD, PLAN_CHANGED, REQUEST_REFUSED. */
  start(request: OperationRequest): Promise<Operation>
  /** Takes a passphrase or a key for an encrypted file: see FileKeys. */
  unlock(source: Source, secret: string, address: string): Promise<void>
  forgetKeys(): void
}

export function openFlow({ config, log, operations, uploads, appRuns, onRestored }: FlowTools): Flow {
  const confirmations = openConfirmations()
  const keys = openFileKeys(config)

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
          return await backUp(request)
      }
    },
    async unlock(source, secret, address) {
      const file = 'upload' in source ? await locate(source) : await storedFile(source.backup)
      await keys.unlock(source, file, secret, address)
    },
    forgetKeys: () => keys.forgetAll(),
  }

  async function inspect(request: Extract<OperationRequest, { kind: 'inspect' }>) {
    const { source } = request
    const { path, name } = await locate(source)
    return await operations.start(
      { kind: 'inspect', request, subject: name, steps: ['Read and check the file'] },
      async (report) => {
        await report.step('Read and check the file')
        const model = await readOwnDataModel(config)
        const options = { model, onProgress: report.rows, signal: report.signal }
        const file = await inspectFile(keys.configFor(source), path, options)
          .catch(speakOf(path, name))
          .catch(keys.explain(source, { path, name }))
        return { file }
      },
    )
  }

  async function plan(request: Extract<OperationRequest, { kind: 'plan' }>) {
    const { source } = request
    const { path, name } = await locate(source)
    const wanted = importRequest(request, path, name)
    const steps = ['Read and check the file', 'Compare it with the data']
    return await operations.start({ kind: 'plan', request, subject: name, steps }, async (report) => {
      await report.step(steps[0]!)
      return await withDatabase('a plan in the console', async ({ engine, schema, origin }) => {
        const watch = { onProgress: report.rows, signal: report.signal }
        const planned = await planImport({ config: keys.configFor(source), engine, schema, origin, ...watch }, wanted)
          .catch(speakOf(path, name))
          .catch(keys.explain(source, { path, name }))
        const confirmation = confirmations.issue(report.id, [request, planned.report])
        return { ...planned, confirmation, command: commandFor(request, name) }
      })
    })
  }

  async function restore(request: Extract<OperationRequest, { kind: 'restore' }>) {
    const planned = operations.find(request.plan)
    if (planned.kind !== 'plan' || planned.state !== 'done')
      throw new BootkeeperError('PLAN_CHANGED', 'There is no plan that this would confirm.')
    const { source } = planned.request
    const { path, name } = await locate(source)
    const confirmed = confirmations.redeem(request.plan, request.code)
    const steps = ['Read and check the file', 'Back up what is there', 'Write it, in one transaction']
    const begun = { kind: 'restore' as const, request: { ...request, code: '' }, subject: name, steps }
    return await operations.start(begun, async (report) => {
      await report.step(steps[0]!)
      return await withDatabase('a restore in the console', async ({ engine, schema, origin, record }) => {
        const tools = {
          ...{ config: keys.configFor(source), engine, schema, origin },
          ...{ onProgress: report.rows, signal: report.signal },
          onPlanned({ report: now }: { report: unknown }) {
            if (hashOf([planned.request, now]) !== confirmed)
              throw new BootkeeperError('PLAN_CHANGED', 'The data has changed since the plan was shown.')
            void report.step(steps[1]!)
          },
          onBackedUp(stem: string) {
            report.backedUp(stem)
            void report.step(steps[2]!)
          },
        }
        const { mode, keepExisting, only } = planned.request
        const metadata = { mode, keepExisting, ...(only ? { only } : {}) }
        const operation = { action: 'restore', entity: 'database', ids: [name], metadata }
        const done = await record(operation, async (note) => {
          const imported = await applyImport(tools, importRequest(planned.request, path, name))
          const { before, aside } = imported
          note({ ...(before ? { precededBy: before } : {}), ...(aside ? { metadata: { aside } } : {}) })
          return imported
        })
          .catch(speakOf(path, name))
          .catch(keys.explain(source, { path, name }))
        keys.forget(source)
        const { report: counts, aside } = done
        await onRestored()
        return { report: counts, ...(only ? { only } : {}), ...(aside ? { aside } : {}) }
      })
    })
  }

  async function undo(request: Extract<OperationRequest, { kind: 'undo' }>) {
    const done = operations.find(request.restore)
    const stem = done.before
    if (!stem) throw new BootkeeperError('BACKUP_NOT_FOUND', 'There is no backup from before this restore.')
    const steps = ['Check the backup', 'Put it back']
    const source = { backup: stem }
    return await operations.start({ kind: 'undo', request, subject: stem, steps }, async (report) => {
      await report.step(steps[0]!)
      return await withDatabase('an undo in the console', async (database) => {
        const { engine, origin, record } = database
        const checked = await planRestore(keys.configFor(source), engine, stem).catch(
          async (error: unknown) => await keys.explain(source, await storedFile(stem))(error),
        )
        // What was decrypted lies beside the database now.
        keys.forget(source)
        try {
          await report.step(steps[1]!)
          return await record({ action: 'restore', entity: 'database', ids: [stem] }, async (note) => {
            // A file that is swapped in is not what a running app has open: there its rows go in, in one transaction.
            if (appRuns && engine.isFile) return await undoBeside(database, stem, checked.copyPath, report)
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

  async function undoBeside({ engine, schema, origin }: Database, stem: string, copyPath: string, report: Reporter) {
    const copy = await openEngine(`file:${copyPath}`, { busyMs: config.busyWaitMs })
    const path = partialPath(join(config.stateDir, `undo-${randomBytes(4).toString('hex')}.json`))
    try {
      await writeExport(config, copy, schema, { ...origin, trigger: 'manual', reason: `undo to ${stem}` }, stem, path)
      const wanted = {
        path,
        name: stem,
        userName: undefined,
        mode: 'replace',
        keepExisting: false,
        strict: false,
      } as const
      await applyImport({ config, engine, schema, origin, onBackedUp: report.backedUp }, wanted)
      return { restored: stem }
    } finally {
      await copy.close()
      await rm(path, { force: true })
    }
  }

  async function backUp(request: Extract<OperationRequest, { kind: 'backup' }>) {
    const steps = ['Copy the database and check the copy', 'Write the data as JSON and read it back']
    return await operations.start({ kind: 'backup', request, subject: 'a backup', steps }, async (report) => {
      await report.step(steps[0]!)
      return await withDatabase('a backup in the console', async ({ engine, schema, origin, record }) => {
        const why = { ...origin, trigger: 'manual' as const, reason: 'asked for in the console' }
        const stem = await newStem(config.backupsDir)
        const { trigger, reason } = why
        const operation = { action: 'backup', entity: 'backup', ids: [stem], metadata: { trigger, reason } }
        await record(operation, async () => {
          await takeBackup(config, engine, why, report.signal, { stem })
          await report.step(steps[1]!)
          const watch = { signal: report.signal, onProgress: report.rows }
          await exportDatabase(config, engine, schema, why, stem, watch)
        })
        const { files } = await readManifest(config.backupsDir, stem)
        return { stem, files: files.map(({ name, sizeBytes }) => ({ name, sizeBytes })) }
      })
    })
  }

  async function locate(source: Source): Promise<{ path: string; name: string }> {
    if ('upload' in source) return await uploads.find(source.upload)
    return { path: await exportPath(config, source.backup), name: source.backup }
  }

  /** Of a backup that is put back without an export, its copy: both are encrypted for the same keys. */
  async function storedFile(stem: string): Promise<{ path: string; name: string }> {
    const manifest = await readManifest(config.backupsDir, stem)
    const file = exportOf(manifest) ?? manifest.files[0]!
    return { path: join(config.backupsDir, file.name), name: stem }
  }

  interface Database {
    engine: Engine
    schema: SchemaSet
    origin: Omit<Origin, 'trigger' | 'reason'>
    record: RecordOperation
  }

  /** A connection of its own, under the ops lock, as a command has it. */
  async function withDatabase<Result>(doing: string, run: (database: Database) => Promise<Result>): Promise<Result> {
    const lock = await takeLock(config.stateDir, doing, { waitMs: 2_000, name: 'ops' })
    try {
      const engine = await openEngine(config.databaseUrl, { busyMs: config.busyWaitMs })
      try {
        const schema = await readSchemaFiles(await findSchema(process.cwd(), config.schemaSetting))
        const { inStep } = await readState(config.stateDir)
        const prisma = await prismaVersion(process.cwd())
        return await run({
          engine,
          schema,
          origin: { app: appIdentity(process.cwd()), prisma, fingerprint: inStep ?? '' },
          record: openRecord(config, { lock: 'ops', warn: (message) => log.warn(message) }),
        })
      } finally {
        await engine.close()
      }
    } finally {
      lock.release()
    }
  }
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
}

const nextInPage: Partial<Record<string, string>> = {
  FORMAT_UNKNOWN: 'Choose another file. If this one was cut short, take it again from where it came from.',
  EXPORT_DAMAGED: damagedNext,
  DECRYPTION_FAILED: damagedNext,
  IMPORT_INVALID: 'Correct the named place in the file, or choose another one.',
  USER_NEEDED: 'Say whose the file is.',
  NOT_IN_FILE: 'Choose among those, or all of the file.',
  USAGE: 'Look into the file again, and choose anew.',
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
