// An export into a file of the user's choice, compressed and encrypted where asked; no backup, and not
// backup_latest.json. Guarantees: the file has its name only after it was fsynced and read back, decrypted and
// decompressed, byte for byte (encrypted for keys that are not here: its stored bytes); constant memory; what fails leaves no file, and one that was there stays.

import { rm, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import type { Origin } from './backup.ts'
import { readDecompressed } from './compression.ts'
import type { Config } from './config.ts'
import type { Keys } from './encryption.ts'
import type { Engine } from './engines/engine.ts'
import { asBootkeeperError, BootkeeperError } from './errors.ts'
import { asExportError, writeExport } from './export.ts'
import { isLatestName } from './export-latest.ts'
import { partialPath, renameDurably } from './files.ts'
import { looksLikeExport } from './formats/bootkeeper.ts'
import { newStem } from './manifest.ts'
import type { SchemaSet } from './prisma/schema-files.ts'
import { type Encoding, encodeFile, endingOfEncoding, isPlain } from './stored-file.ts'

export interface ExportedFile {
  path: string
  sizeBytes: number
  sha256: string
  counts: Record<string, number>
}

/** `to`: undefined for a new name in the data directory. Throws USAGE before anything is written. */
export async function exportToFile(
  config: Config,
  engine: Engine,
  schema: SchemaSet,
  origin: Origin,
  to: string | undefined,
  encoding: Encoding,
  onProgress?: (rows: number) => void,
): Promise<ExportedFile> {
  const stem = await newStem(config.backupsDir)
  const path = resolve(
    to ?? join(config.dataDir, `${stem.replace('backup_', 'export_')}.json${endingOfEncoding(encoding)}`),
  )
  await requireFreePath(config, engine, path)
  const partial = partialPath(path)
  // Plain, the export is as large as one of a backup: it waits where those are.
  const plain = isPlain(encoding) ? partial : partialPath(join(config.stateDir, 'export.json'))
  try {
    const { counts, sizeBytes, fileSha256 } = await writeExport(config, engine, schema, origin, stem, plain, {
      ...(onProgress ? { onProgress } : {}),
    })
    const written = { sizeBytes, sha256: fileSha256 }
    const stored = isPlain(encoding) ? written : await encodeFile(plain, partial, { sha256: fileSha256, encoding })
    await renameDurably(partial, path)
    return { path, counts, ...stored }
  } catch (error) {
    throw withoutBackup(asExportError(error))
  } finally {
    await rm(plain, { force: true })
    await rm(partial, { force: true })
  }
}

/** Throws USAGE for a name whose content is somebody else's: only an export gives way to an export. */
async function requireFreePath(config: Config, engine: Engine, path: string): Promise<void> {
  const refuse = (why: string) => new BootkeeperError('USAGE', `${path} ${why}.`)
  const directory = await stat(dirname(path)).catch(() => undefined)
  if (!directory?.isDirectory()) throw refuse('cannot be written: there is no such directory')
  const isLatest = dirname(path) === config.dataDir && isLatestName(basename(path))
  const isOurs = isLatest || !relative(config.backupsDir, path).startsWith('..')
  if (isOurs || path === engine.description) throw refuse('is one of Bootkeeper’s own files')
  const found = await stat(path).catch(() => undefined)
  if (found && !(found.isFile() && (found.size === 0 || (await isExport(path, config.keys)))))
    throw refuse('is there already, and is no export')
}

async function isExport(path: string, keys: Keys): Promise<boolean> {
  try {
    for await (const piece of readDecompressed(path, keys)) return looksLikeExport(piece.toString('latin1', 0, 200))
  } catch (error) {
    if (!['EXPORT_DAMAGED', 'DECRYPTION_FAILED', 'KEY_NEEDED'].includes(asBootkeeperError(error).code)) throw error
  }
  return false
}

/** The errors of an export speak of the backup that it belongs to; this one belongs to none. */
function withoutBackup(error: unknown): unknown {
  if (!(error instanceof BootkeeperError)) return error
  const { code, message, next, exitCode } = error
  const safe = 'The database is as it was. No file was written, and one that was there stays.'
  return new BootkeeperError(code, message, { cause: error, next, exitCode, safe })
}
