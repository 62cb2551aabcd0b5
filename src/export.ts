// Step 5: the data as JSON, under the backup's stem and as backup_latest.json.
// Guarantees: both names appear only after the file was read back; a failed export leaves the last good one in place.

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { bootkeeperVersion } from './app-identity.ts'
import { describeBackup, type Origin, type SafeCopy } from './backup.ts'
import { startChild } from './child.ts'
import type { Config } from './config.ts'
import type { DataModel } from './data-model.ts'
import { isEncrypting } from './encryption.ts'
import type { Engine } from './engines/engine.ts'
import type { ExportHeaderInput } from './engines/engine-export.ts'
import { asBootkeeperError, BootkeeperError } from './errors.ts'
import type { operations } from './export-child.ts'
import { findLatest, replaceLatest } from './export-latest.ts'
import { partialPath, writeAtomically } from './files.ts'
import type { VerifiedExport } from './formats/bootkeeper.ts'
import { exportHeaderSchema } from './formats/bootkeeper-header.ts'
import { formatBytes, formatCount } from './log.ts'
import { type BackupFile, commitBackup, exportOf, newStem, readManifest, totalOf } from './manifest.ts'
import { prismaVersion } from './prisma/fingerprint.ts'
import { findSchema, readSchemaFiles, type SchemaSet } from './prisma/schema-files.ts'
import type { Scope } from './scope.ts'
import { type BootState, writeState } from './state.ts'
import { isPlain, openEncoding, storeFile } from './stored-file.ts'
import type { StepResult } from './timeline.ts'

/** Why backup_latest.json is older than the newest export. */
export const keptLatestNote = 'backup_latest.json keeps the rows it has, because this export has none'

export interface WatchExport {
  signal?: AbortSignal
  /** Rows that were written so far. */
  onProgress?: (rows: number) => void
  /** The database may be of an older schema than the app: what it has of that. */
  asFarAsPresent?: boolean
}

/** `copy` is the one that this boot made; the export joins its backup. */
export async function exportIfChanged(
  config: Config,
  engine: Engine,
  state: BootState,
  schema: SchemaSet,
  origin: Origin,
  copy: SafeCopy | undefined,
  signal: AbortSignal,
): Promise<StepResult<void>> {
  const source = await engine.signature()
  const last = state.export
  const known =
    last?.source === source
      ? await readManifest(config.backupsDir, last.stem).then(exportOf, () => undefined)
      : undefined
  // Who turned encryption on does not want to wait for the next change.
  const isWanted = (known?.encryption !== undefined) === isEncrypting(config)
  if (known && isWanted && existsSync(join(config.backupsDir, known.name)) && (await findLatest(config)))
    return { skipped: true, text: `nothing was written since ${known.name}`, value: undefined }
  const { stem, file, keptLatest } = await exportDatabase(
    config,
    engine,
    schema,
    origin,
    copy?.isNew ? copy.stem : undefined,
    { signal },
  )
  state.export = { stem, source }
  await writeState(config.stateDir, state)
  const models = Object.keys(file.counts ?? {}).length
  const rows = totalOf(file.counts ?? {})
  const unproven = file.readBack ? '; what is inside was not, for want of the key' : ''
  const text = `${file.name}, ${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'} of ${models} ${models === 1 ? 'model' : 'models'}, ${formatBytes(file.sizeBytes)}, read back${unproven}`
  if (keptLatest) return { text: `${text}; ${keptLatestNote}`, value: undefined }
  return { text, value: undefined }
}

/**
 * Writes an export and lists it: in the backup `intoStem`, or in one of its own. Then copies it to backup_latest.json,
 * or says that it did not.
 */
export async function exportDatabase(
  config: Config,
  engine: Engine,
  schema: SchemaSet,
  origin: Origin,
  intoStem: string | undefined,
  watch: WatchExport = {},
): Promise<{ stem: string; file: BackupFile; keptLatest: boolean }> {
  const begunAt = Date.now()
  const stem = intoStem ?? (await newStem(config.backupsDir))
  const { partial, file } = await writeStoredExport(config, engine, schema, origin, stem, watch)
  try {
    const manifest = intoStem
      ? await readManifest(config.backupsDir, intoStem)
      : describeBackup(stem, engine, origin, [file], { begunAt })
    if (intoStem) {
      manifest.files = [...manifest.files.filter(({ role }) => role !== 'export'), file]
      manifest.durationMs = (manifest.durationMs ?? 0) + Date.now() - begunAt
    }
    await commitBackup(config.backupsDir, manifest, [{ partial, file }])
    return { stem, file, keptLatest: !(await replaceLatest(config, file)) }
  } catch (error) {
    throw asExportError(error, watch.signal)
  } finally {
    await rm(partial, { force: true })
  }
}

/** Writes an export as the settings want files of backups to be, under a temporary name, and reads it back. */
export async function writeStoredExport(
  config: Config,
  engine: Engine,
  schema: SchemaSet,
  origin: Origin,
  stem: string,
  watch: WatchExport = {},
  scope: Scope = 'everything',
): Promise<{ partial: string; file: BackupFile; header: VerifiedExport['header'] }> {
  const name = `${stem}.json`
  const partial = partialPath(join(config.backupsDir, name))
  let plain = partial
  try {
    const encoding = await openEncoding(config)
    if (!isPlain(encoding)) plain = partialPath(join(config.stateDir, name))
    const { header, ...written } = await writeExport(config, engine, schema, origin, stem, plain, watch, scope)
    const file: BackupFile = {
      role: 'export',
      name,
      sizeBytes: written.sizeBytes,
      sha256: written.fileSha256,
      counts: written.counts,
    }
    if (isPlain(encoding)) return { partial, file, header }
    return { partial, file: await storeFile(plain, partial, file, encoding, watch.signal), header }
  } catch (error) {
    await rm(partial, { force: true })
    throw asExportError(error, watch.signal)
  } finally {
    if (plain !== partial) await rm(plain, { force: true })
  }
}

/** Writes the export to the new file `target`, fsyncs it and reads it back. */
export async function writeExport(
  config: Config,
  engine: Engine,
  schema: SchemaSet,
  origin: Origin,
  stem: string,
  target: string,
  { signal, onProgress, asFarAsPresent = false }: WatchExport = {},
  scope: Scope = 'everything',
): Promise<VerifiedExport> {
  const model = await readDataModelCached(config, schema, origin.prisma, signal)
  const child = startChild<typeof operations>('./export-child', import.meta.url, onProgress)
  try {
    const written = await child.call(
      'write',
      {
        engine: engine.kind,
        database: databaseOf(engine),
        model,
        header: headerOf(origin, stem, scope),
        target,
        asFarAsPresent,
      },
      signal,
    )
    exportHeaderSchema.parse(written.header)
    return written
  } finally {
    await child.kill()
  }
}

/** What a child process is given to open the database itself. */
export function databaseOf({ kind, description, url }: Engine): string {
  return kind === 'sqlite' ? description : url
}

export function headerOf({ app, prisma, fingerprint, reason }: Origin, stem: string, scope: Scope): ExportHeaderInput {
  return {
    createdAt: new Date().toISOString(),
    stem,
    ...(app ? { app: `${app.name} ${app.version}` } : {}),
    prismaVersion: prisma,
    fingerprint,
    scope,
    reason,
  }
}

export function asExportError(error: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted) return error
  if (error instanceof BootkeeperError) {
    const { code, message, next } = error
    return code === 'IO' ? new BootkeeperError('EXPORT_FAILED', message, { cause: error, next }) : error
  }
  const known = asBootkeeperError(error)
  if (
    ['DISK_FULL', 'DATA_DIR_NOT_WRITABLE', 'FILE_NOT_READABLE', 'DATABASE_CORRUPT', 'DATABASE_BUSY'].includes(
      known.code,
    )
  )
    return known
  return new BootkeeperError('EXPORT_FAILED', `The export failed: ${(error as Error).message}.`, { cause: error })
}

/** Goes up where a data model says more than it did: one that was kept from before does not. */
const dataModelShape = 4

/** Of the app that is here; undefined where its schema cannot be read, for those who can do without. */
export async function readOwnDataModel(config: Config): Promise<DataModel | undefined> {
  try {
    const schema = await readSchemaFiles(await findSchema(process.cwd(), config.schemaSetting))
    return await readDataModelCached(config, schema, await prismaVersion(process.cwd()))
  } catch {
    return undefined
  }
}

/** Read from the schema once, then from a file beside the state: Prisma's parser takes longer than a small export. */
export async function readDataModelCached(
  config: Config,
  { files }: SchemaSet,
  prisma: string,
  signal?: AbortSignal,
): Promise<DataModel> {
  const cache = join(config.stateDir, 'data-model.json')
  const key = createHash('sha256')
    .update(JSON.stringify([bootkeeperVersion(), dataModelShape, prisma, files]))
    .digest('hex')
  const cached = await readFile(cache, 'utf8').then(parseCache, () => undefined)
  if (cached?.key === key) return cached.model
  const child = startChild<typeof operations>('./export-child', import.meta.url)
  try {
    const model = await child.call('readModel', { files }, signal)
    await writeAtomically(cache, (handle) => handle.writeFile(JSON.stringify({ key, model }))).catch((error) => {
      // Who only looks at a file need not have a data directory.
      if (error.code !== 'ENOENT') throw error
    })
    return model
  } finally {
    await child.kill()
  }
}

function parseCache(text: string): { key: string; model: DataModel } | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
