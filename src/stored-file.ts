// The files of backups as they are stored: compressed first, then encrypted, as the settings say. Guarantees: what is
// stored was fsynced and read back through decryption and decompression, byte for byte; where the key for that is not
// here, its stored bytes were, and the file says so; constant memory; what fails leaves no file.

import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type Compression, compress, endingOf, readDecompressed, requireCompressor } from './compression.ts'
import type { Config } from './config.ts'
import { canRead, encrypt, type Keys, type Recipients, readRecipients } from './encryption.ts'
import { asBootkeeperError, BootkeeperError } from './errors.ts'
import { fsyncFile, partialPath, sha256OfFile } from './files.ts'
import { type BackupFile, verifyFile } from './manifest.ts'
import { checksumOfKeys } from './proven-keys.ts'

export interface Encoding {
  compression: Compression
  recipients: Recipients | undefined
  /** Whether what was encrypted can be decrypted here, to read it back. */
  isReadable: boolean
  /** What reads it back. */
  keys: Keys
}

/** What the settings ask for. Throws SETTINGS_INVALID, TOOL_MISSING before anything is written. */
export async function openEncoding({ compression, age }: Pick<Config, 'compression' | 'age'>): Promise<Encoding> {
  await requireCompressor(compression)
  const recipients = await readRecipients(age)
  return { compression, recipients, isReadable: !recipients || (await canRead(recipients, age)), keys: age }
}

export function isPlain({ compression, recipients }: Encoding): boolean {
  return compression === 'none' && !recipients
}

/** What the names of such files end in: '', `.gz`, `.age`, `.zst.age`. */
export function endingOfEncoding({ compression, recipients }: Encoding): string {
  return endingOf(compression) + (recipients ? '.age' : '')
}

/** About how large a file becomes. Compressed data is seldom more than half, and never known before. */
export function storedBytes({ compression }: Encoding, plainBytes: number): number {
  return compression === 'none' ? plainBytes : plainBytes / 2
}

/**
 * Encodes the verified file `plain` into the new file `target`, a temporary name, and reads it back. `file` describes
 * `plain`; what is given describes `target`, under its name with the endings. Throws IO, DISK_FULL.
 */
export async function storeFile(
  plain: string,
  target: string,
  file: BackupFile,
  encoding: Encoding,
  signal?: AbortSignal,
): Promise<BackupFile> {
  const { compression, recipients, isReadable } = encoding
  try {
    const stored = await encodeFile(plain, target, { sha256: file.sha256, encoding }, signal)
    return {
      ...file,
      ...stored,
      name: file.name + endingOfEncoding(encoding),
      ...(compression === 'none' ? {} : { compression }),
      ...(recipients ? { encryption: 'age' as const } : {}),
      content: { sizeBytes: file.sizeBytes, sha256: file.sha256 },
      ...(isReadable ? {} : { readBack: 'bytes' as const }),
      ...(!isReadable && recipients && 'keys' in recipients ? { encryptedFor: checksumOfKeys(recipients.keys) } : {}),
    }
  } catch (error) {
    await rm(target, { force: true })
    throw error
  }
}

/** `sha256`: of `plain`. Whoever calls removes `target` where this throws. */
export async function encodeFile(
  plain: string,
  target: string,
  { sha256, encoding }: { sha256: string; encoding: Encoding },
  signal?: AbortSignal,
): Promise<{ sizeBytes: number; sha256: string }> {
  const { compression, recipients, isReadable, keys } = encoding
  const written = createHash('sha256')
  let pieces: AsyncIterable<Buffer> = createReadStream(plain, { highWaterMark: 256 * 1024 })
  if (compression !== 'none') pieces = compress(pieces, compression)
  if (recipients) pieces = encrypt(pieces, recipients)
  const hashed = async function* () {
    for await (const piece of pieces) {
      written.update(piece)
      yield piece
    }
  }
  const options = signal ? { signal } : {}
  await pipeline(hashed, createWriteStream(target, { flags: 'wx', mode: 0o600 }), options)
  await fsyncFile(target)
  const stored = { sizeBytes: (await stat(target)).size, sha256: await sha256OfFile(target, signal) }
  const reads = !isReadable || (await contentSha256(target, keys, signal)) === sha256
  if (stored.sha256 === written.digest('hex') && reads) return stored
  const by = [...(compression === 'none' ? [] : [compression]), ...(recipients ? ['age'] : [])].join(' and ')
  throw new BootkeeperError('IO', `What ${by} wrote does not read back as it was.`, {
    next: 'Check the disk, then try again, perhaps with another compression.',
  })
}

/** undefined: it does not decompress, or does not decrypt. */
async function contentSha256(path: string, keys: Keys, signal?: AbortSignal): Promise<string | undefined> {
  const hash = createHash('sha256')
  try {
    for await (const piece of readDecompressed(path, keys)) {
      signal?.throwIfAborted()
      hash.update(piece)
    }
  } catch (error) {
    if (['EXPORT_DAMAGED', 'DECRYPTION_FAILED'].includes(asBootkeeperError(error).code)) return undefined
    throw error
  }
  return hash.digest('hex')
}

/** Whether what the file holds has to be decoded to be used. */
export function isEncoded({ compression, encryption }: BackupFile): boolean {
  return compression !== undefined || encryption !== undefined
}

/**
 * Reads a file of a backup back with what is inside it. Throws BACKUP_DAMAGED, and KEY_NEEDED or DECRYPTION_FAILED where
 * its bytes are as they were written, but the key is not here.
 */
export async function verifyContent({ backupsDir, keys }: Config, file: BackupFile): Promise<void> {
  await verifyFile(backupsDir, file)
  if (!isEncoded(file)) return
  const hash = createHash('sha256')
  for await (const piece of contentOf(backupsDir, file, keys)) hash.update(piece)
  requireContent(file, hash.digest('hex'))
}

/**
 * Gives `use` the path of what is inside a file of a backup, all of it proven before: the file itself, or where it is
 * encoded a temporary one in the directory of the state, which is removed afterwards. Throws as `verifyContent`.
 */
export async function withContent<Result>(
  config: Config,
  file: BackupFile,
  use: (path: string) => Promise<Result>,
): Promise<Result> {
  const content = await decodeFile(config, file)
  try {
    return await use(content.path)
  } finally {
    await content.remove()
  }
}

/** The same for longer than a call: `remove` when it is no longer needed. */
export async function decodeFile(
  { backupsDir, stateDir, keys }: Config,
  file: BackupFile,
): Promise<{ path: string; remove(): Promise<void> }> {
  await verifyFile(backupsDir, file)
  if (!isEncoded(file)) return { path: join(backupsDir, file.name), remove: async () => {} }
  const path = partialPath(join(stateDir, file.name))
  const remove = async () => {
    // SQLite may have read it.
    for (const ending of ['', '-wal', '-shm', '-journal']) await rm(path + ending, { force: true })
  }
  const hash = createHash('sha256')
  const hashed = async function* () {
    for await (const piece of contentOf(backupsDir, file, keys)) {
      hash.update(piece)
      yield piece
    }
  }
  try {
    await pipeline(hashed, createWriteStream(path, { flags: 'wx', mode: 0o600 }))
    requireContent(file, hash.digest('hex'))
    return { path, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** Of a file whose stored bytes were compared: what does not decompress was not written as it should be. */
async function* contentOf(backupsDir: string, file: BackupFile, keys: Keys): AsyncGenerator<Buffer> {
  try {
    yield* readDecompressed(join(backupsDir, file.name), keys)
  } catch (error) {
    if (!(error instanceof BootkeeperError) || error.code !== 'EXPORT_DAMAGED') throw error
    throw new BootkeeperError('BACKUP_DAMAGED', error.message, { cause: error })
  }
}

function requireContent(file: BackupFile, sha256: string): void {
  if (sha256 === file.content?.sha256) return
  throw new BootkeeperError('BACKUP_DAMAGED', `What is inside ${file.name} does not match its checksum.`)
}
