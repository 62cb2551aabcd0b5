// Verify: reads backups back, from their manifests to the rows inside their files, and says what is wrong with which file.
// Guarantees: every byte of every file is compared with the checksum that its manifest has of it, and the manifest with
// its own; what keeps a file from being read is told apart from damage and is no mark against the backup; the result is
// kept in the manifest, unless the folder is read-only.

import { access, constants } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { startChild } from './child.ts'
import type { Config } from './config.ts'
import type { Engine } from './engines/engine.ts'
import { openEngine } from './engines/open.ts'
import { asBootkeeperError, BootkeeperError, type ErrorCode } from './errors.ts'
import type { operations } from './export-child.ts'
import { findLatest, isLatestName } from './export-latest.ts'
import { inspectFile } from './inspect-file.ts'
import { type BackupFile, listStems, type Manifest, readManifest, updateManifest, verifyFile } from './manifest.ts'
import { noteOpened } from './proven-keys.ts'
import { withContent } from './stored-file.ts'

export interface Verdict {
  /** The stem, or the path of a file that is no backup. */
  id: string
  ok: boolean
  /** What is wrong, with the file. */
  problem?: string
  /** Of a problem: what kind. Anything but damage says that it could not be looked at. */
  code?: ErrorCode
  /** Of a problem that is not damage: what to run. */
  next?: string
  /** What somebody should know of a backup that is good. */
  notes: string[]
}

export type OnProgress = (rows: number) => void

/** What is said of the data; anything else is about the reading. */
const damage: ErrorCode[] = ['BACKUP_DAMAGED', 'EXPORT_DAMAGED', 'FORMAT_UNKNOWN', 'IMPORT_INVALID']

/** All that can be verified: every manifest, also one that cannot be read, and backup_latest.json. Oldest first. */
export async function listVerifiable(config: Config): Promise<string[]> {
  const latest = await findLatest(config)
  return [...(await listStems(config.backupsDir)), ...(latest === undefined ? [] : [latest])]
}

/** Never throws for damage. Throws BACKUP_NOT_FOUND. */
export async function verifyBackup(
  config: Config,
  stem: string,
  onProgress?: OnProgress,
  signal?: AbortSignal,
): Promise<Verdict> {
  const notes: string[] = []
  const verdict = await judge(stem, async () => {
    const manifest = await readManifest(config.backupsDir, stem)
    for (const file of manifest.files) await verifyFile(config.backupsDir, file, signal)
    for (const file of manifest.files) notes.push(...(await verifyContent(config, manifest, file, onProgress, signal)))
    notes.push(...(await noteKeys(config, manifest)))
  })
  const { ok, code, problem } = verdict
  if (ok || isDamage(code)) notes.push(...(await noteOn(config, stem, { lastCheck: asCheck(problem) })))
  return { ...verdict, notes }
}

/** An export that is no backup. Bootkeeper’s own backup_latest.json must be byte for byte as it was written. */
export async function verifyExportFile(config: Config, path: string, onProgress?: OnProgress): Promise<Verdict> {
  const verdict = await judge(path, async () => {
    if (dirname(path) === config.dataDir && isLatestName(basename(path)) && path.endsWith('.json'))
      await verifyAsWritten(path)
    else await inspectFile(config, path, { onProgress })
  })
  return { ...verdict, notes: [] }
}

export function isDamage(code: ErrorCode | undefined): boolean {
  return code !== undefined && damage.includes(code)
}

/** Without a problem, all was well. */
export function asCheck(problem: string | undefined): { at: string; problem?: string } {
  return { at: new Date().toISOString(), ...(problem === undefined ? {} : { problem }) }
}

/**
 * Keeps a result in the manifest as it is at this moment: a boot may have put an export into it meanwhile. Gives what to
 * say where it could not be kept, which is no failure: the result is true all the same.
 */
export async function noteOn(
  { backupsDir }: Config,
  stem: string,
  result: Pick<Manifest, 'lastCheck' | 'lastDrill'>,
): Promise<string[]> {
  try {
    await updateManifest(backupsDir, { ...(await readManifest(backupsDir, stem)), ...result })
    return []
  } catch (error) {
    const { code, message } = asBootkeeperError(error)
    // A manifest that is damaged keeps nothing, and was told.
    if (code === 'BACKUP_DAMAGED') return []
    return [`The result could not be kept in the manifest: ${message}`]
  }
}

/** Gives what to say where it could not be kept. */
export async function noteKeys({ stateDir }: Config, manifest: Manifest): Promise<string[]> {
  return await noteOpened(stateDir, manifest).then(
    () => [],
    (error: unknown) => [`That the key opens it could not be kept: ${asBootkeeperError(error).message}`],
  )
}

async function judge(id: string, look: () => Promise<void>): Promise<Omit<Verdict, 'notes'>> {
  try {
    await look()
    return { id, ok: true }
  } catch (error) {
    const { code, message, next } = asBootkeeperError(error)
    if (code === 'BACKUP_NOT_FOUND' || code === 'INTERNAL') throw error
    return { id, ok: false, problem: message.replace(`${id}: `, ''), code, ...(isDamage(code) ? {} : { next }) }
  }
}

/** What is inside a file whose bytes are those that were written: so what is found here was already wrong then. */
async function verifyContent(
  config: Config,
  manifest: Manifest,
  file: BackupFile,
  onProgress: OnProgress | undefined,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  if (file.role === 'copy') return await withContent(config, file, (path) => verifyCopy(manifest, file, path, signal))
  const path = join(config.backupsDir, file.name)
  if (file.role === 'export') await verifyExportCounts(config, file, path, onProgress, signal)
  return []
}

async function verifyCopy(
  manifest: Manifest,
  file: BackupFile,
  path: string,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const engine = await openReader(manifest)
  try {
    const [problem] = await engine.checkCopy(path, signal, { counts: file.counts })
    if (problem) throw new BootkeeperError('BACKUP_DAMAGED', `${path} is damaged: ${problem}.`)
    return []
  } catch (error) {
    // SQLite wants to write beside a database of the journal mode WAL.
    const { code = '' } = error as { code?: string }
    if (!['SQLITE_CANTOPEN', 'SQLITE_IOERR_LOCK'].includes(code) || (await isWritable(path))) throw error
    return [`${file.name} has its checksum, but SQLite cannot open it in a folder that is read-only.`]
  } finally {
    await engine.close()
  }
}

async function isWritable(path: string): Promise<boolean> {
  return await access(dirname(path), constants.W_OK).then(
    () => true,
    () => false,
  )
}

/** An engine of the kind that made the copy. It reads files only: the address is nobody’s. */
async function openReader({ engine }: Manifest): Promise<Engine> {
  return await openEngine(engine === 'sqlite' ? 'file:none' : 'postgresql://none/none', { busyMs: 0 })
}

async function verifyExportCounts(
  config: Config,
  file: BackupFile,
  path: string,
  onProgress: OnProgress | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { counts } = await inspectFile(config, path, { onProgress, signal })
  for (const [model, rows] of Object.entries(file.counts ?? {}))
    if (counts[model] !== rows)
      throw new BootkeeperError(
        'BACKUP_DAMAGED',
        `${path} has ${counts[model] ?? 'no'} rows of ${model}, its manifest says ${rows}.`,
      )
}

async function verifyAsWritten(path: string): Promise<void> {
  const child = startChild<typeof operations>('./export-child', import.meta.url)
  try {
    await child.call('verify', { path })
  } finally {
    await child.kill()
  }
}
