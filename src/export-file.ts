// An export into a file of the user's choice, compressed where asked; no backup, and not backup_latest.json.
// Guarantees: the file has its name only after it was fsynced and read back, through the decompressor, byte for byte;
// constant memory; what fails leaves no file, and one that was there stays.

import { createHash } from 'node:crypto'
import { rm, stat } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import type { Origin } from './backup.ts'
import { type Compression, endingOf, readDecompressed, requireCompressor, writeCompressed } from './compression.ts'
import type { Config } from './config.ts'
import type { Engine } from './engines/engine.ts'
import { asBootkeeperError, BootkeeperError } from './errors.ts'
import { asExportError, writeExport } from './export.ts'
import { latestPath } from './export-latest.ts'
import { partialPath, renameDurably, sha256OfFile } from './files.ts'
import { looksLikeExport } from './formats/bootkeeper.ts'
import { newStem } from './manifest.ts'
import type { SchemaSet } from './prisma/schema-files.ts'

export interface ExportedFile {
  path: string
  sizeBytes: number
  sha256: string
  counts: Record<string, number>
}

/** `to`: undefined for a new name in the data directory. Throws USAGE, TOOL_MISSING before anything is written. */
export async function exportToFile(
  config: Config,
  engine: Engine,
  schema: SchemaSet,
  origin: Origin,
  to: string | undefined,
  compression: Compression,
  onProgress?: (rows: number) => void,
): Promise<ExportedFile> {
  const stem = await newStem(config.backupsDir)
  const path = resolve(to ?? join(config.dataDir, `${stem.replace('backup_', 'export_')}.json${endingOf(compression)}`))
  await requireCompressor(compression)
  await requireFreePath(config, engine, path)
  const partial = partialPath(path)
  // Uncompressed, the export is as large as one of a backup: it waits where those are.
  const plain = compression === 'none' ? partial : partialPath(join(config.stateDir, 'export.json'))
  try {
    const { counts, sizeBytes, fileSha256 } = await writeExport(config, engine, schema, origin, stem, plain, {
      ...(onProgress ? { onProgress } : {}),
    })
    if (compression !== 'none') {
      await writeCompressed(plain, partial, compression)
      await requireSame(partial, compression, fileSha256)
    }
    const written = { path, sizeBytes, sha256: fileSha256, counts }
    const found = compression === 'none' ? written : { ...written, ...(await measure(partial)) }
    await renameDurably(partial, path)
    return found
  } catch (error) {
    throw withoutBackup(asExportError(error))
  } finally {
    await rm(plain, { force: true })
    await rm(partial, { force: true })
  }
}

/** Throws USAGE for a name whose content is somebody else's: only an export gives way to an export. */
async function requireFreePath(config: Config, engine: Engine, path: string): Promise<void> {
  const refuse = (why: string) =>
    new BootkeeperError('USAGE', `${path} ${why}.`, { next: 'Name another file, for example export.json.gz.' })
  const directory = await stat(dirname(path)).catch(() => undefined)
  if (!directory?.isDirectory()) throw refuse('cannot be written: there is no such directory')
  const isOurs = path === latestPath(config) || !relative(config.backupsDir, path).startsWith('..')
  if (isOurs || path === engine.description) throw refuse('is one of Bootkeeper’s own files')
  const found = await stat(path).catch(() => undefined)
  if (found && !(found.isFile() && (found.size === 0 || (await isExport(path)))))
    throw refuse('is there already, and is no export')
}

async function isExport(path: string): Promise<boolean> {
  try {
    for await (const piece of readDecompressed(path)) return looksLikeExport(piece.toString('latin1', 0, 200))
  } catch (error) {
    if (!['FORMAT_UNKNOWN', 'EXPORT_DAMAGED'].includes(asBootkeeperError(error).code)) throw error
  }
  return false
}

async function requireSame(path: string, compression: Compression, sha256: string): Promise<void> {
  const hash = createHash('sha256')
  try {
    for await (const piece of readDecompressed(path)) hash.update(piece)
  } catch (error) {
    if (asBootkeeperError(error).code !== 'EXPORT_DAMAGED') throw error
  }
  if (hash.digest('hex') !== sha256)
    throw new BootkeeperError('EXPORT_FAILED', `What ${compression} wrote does not read back as it was.`, {
      next: 'Check the disk, then export again, perhaps with another --compress.',
    })
}

async function measure(path: string): Promise<{ sizeBytes: number; sha256: string }> {
  const [{ size }, sha256] = await Promise.all([stat(path), sha256OfFile(path)])
  return { sizeBytes: size, sha256 }
}

/** The errors of an export speak of the backup that it belongs to; this one belongs to none. */
function withoutBackup(error: unknown): unknown {
  if (!(error instanceof BootkeeperError)) return error
  const { code, message, next, exitCode } = error
  const safe = 'The database is as it was. No file was written, and one that was there stays.'
  return new BootkeeperError(code, message, { cause: error, next, exitCode, safe })
}
