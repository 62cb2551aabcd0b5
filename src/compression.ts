// Reads a file as the bytes that were compressed, or compressed and encrypted, into it, and compresses: gzip by Node
// itself, zstd by Node where it can (22.15 and later) and else by the program `zstd`, bzip2 by the program `bzip2`.
// Guarantees: read by content, never by the name; constant memory; data that is damaged or cut short throws, at the
// latest at its end; so does a program that did not end well.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import * as zlib from 'node:zlib'
import { decrypt, isEncrypted, type Keys, type Lock, lockOf, magicBytes } from './encryption.ts'
import { BootkeeperError } from './errors.ts'

export type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2'
export type Compressed = Exclude<Compression, 'none'>

const endings: Record<Compressed, string> = { gzip: '.gz', zstd: '.zst', bzip2: '.bz2' }
export const compressions = Object.keys(endings) as Compressed[]

const magic: [Compression, number[]][] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
]
/** The first lines of an age file, in base64, too. */
const lockBytes = 512
const longestMagic = Math.max(...magic.map(([, bytes]) => bytes.length))
// Larger ones only wait for the garbage collection.
const pieceBytes = 256 * 1024

/**
 * What is inside a file, decrypted and decompressed, in pieces of up to a quarter of a megabyte. A piece is the caller's
 * to keep. Throws KEY_NEEDED, DECRYPTION_FAILED, and EXPORT_DAMAGED for compressed data that is damaged: maybe only at
 * the end, so that nothing may be done before it that cannot be undone.
 */
export async function* readDecompressed(path: string, keys: Keys = {}): AsyncGenerator<Buffer> {
  const file = createReadStream(path, { highWaterMark: pieceBytes })
  try {
    const stored = await begin(file, magicBytes)
    const content = isEncrypted(stored.head)
      ? await begin(decrypt(path, stored.pieces, stored.head, keys), longestMagic)
      : stored
    const compression = compressionOf(content.head)
    if (compression === 'none') yield* content.pieces
    else yield* through(content.pieces, compression, 'decompress', (error) => damaged(path, compression, error))
  } finally {
    file.destroy()
  }
}

/** What the file is locked with; undefined for one that is not encrypted. */
export async function lockOfFile(path: string): Promise<Lock | undefined> {
  const file = createReadStream(path, { highWaterMark: lockBytes })
  try {
    return lockOf((await begin(file, lockBytes)).head)
  } finally {
    file.destroy()
  }
}

/** How `path` is encoded, as far as can be seen without a key. */
export async function isEncryptedFile(path: string): Promise<boolean> {
  const file = createReadStream(path, { highWaterMark: magicBytes })
  try {
    return isEncrypted((await begin(file, magicBytes)).head)
  } finally {
    file.destroy()
  }
}

/** The first bytes, where there are as many, and all of it with them. */
async function begin(
  source: AsyncIterable<Buffer>,
  bytes: number,
): Promise<{ head: Buffer; pieces: AsyncGenerator<Buffer> }> {
  const iterator = source[Symbol.asyncIterator]()
  let head: Buffer = Buffer.alloc(0)
  while (head.length < bytes) {
    const { done, value } = await iterator.next()
    if (done) break
    head = head.length === 0 ? value : Buffer.concat([head, value])
  }
  const rest = async function* () {
    try {
      if (head.length > 0) yield head
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value
    } finally {
      await iterator.return?.()
    }
  }
  return { head, pieces: rest() }
}

function compressionOf(head: Buffer): Compression {
  return magic.find(([, bytes]) => bytes.every((byte, at) => head[at] === byte))?.[0] ?? 'none'
}

/** `none` where the name of a file asks for no compression. */
export function compressionOfName(name: string): Compression {
  return compressions.find((each) => name.endsWith(endings[each])) ?? 'none'
}

export function endingOf(compression: Compression): string {
  return compression === 'none' ? '' : endings[compression]
}

/** Throws TOOL_MISSING where this compression needs a program that is not there. */
export async function requireCompressor(compression: Compression): Promise<void> {
  if (!needsProgram(compression)) return
  // Of nothing: it ends at once.
  const program = spawn(compression, ['-c'], { stdio: 'ignore' })
  await once(program, 'exit').catch(() => {
    throw toolMissing(compression, 'write', 'or take another compression: gzip needs no program')
  })
}

/** Whether this Node cannot do it by itself. */
export function needsProgram(compression: Compression): compression is Compressed {
  return compression !== 'none' && inNode(compression, 'compress') === undefined
}

/** Throws IO where the compressor does not get through. */
export async function* compress(pieces: AsyncIterable<Buffer>, compression: Compressed): AsyncGenerator<Buffer> {
  yield* through(pieces, compression, 'compress', (error) => compressorFailed(compression, error))
}

function compressorFailed(compression: Compressed, error: unknown): unknown {
  if (isFileError(error)) return error
  const reason = (error as Error).message.split('\n')[0]!.slice(0, 200)
  return new BootkeeperError('IO', `${compression} did not get through: ${reason}.`, { cause: error })
}

type Direction = 'compress' | 'decompress'

/** `failed` makes the error of the compressor; one of the source passes as it is. */
async function* through(
  pieces: AsyncIterable<Buffer>,
  compression: Compressed,
  direction: Direction,
  failed: (error: unknown) => unknown,
): AsyncGenerator<Buffer> {
  let ofSource: { error: unknown } | undefined
  const watched = async function* () {
    const iterator = pieces[Symbol.asyncIterator]()
    try {
      for (;;) {
        // Not what is thrown at the yield: that is how a compressor that failed ends this.
        const next = await iterator.next().catch((error: unknown) => {
          ofSource = { error }
          throw error
        })
        if (next.done) return
        yield next.value
      }
    } finally {
      await iterator.return?.()
    }
  }
  const source = Readable.from(watched())
  const { output, finished } = passThrough(compression, direction, source)
  // Ends before the loop does when the consumer stops early; the error, if any, is thrown after it.
  const ended = finished.then(
    () => undefined,
    (error: unknown) => ({ error }),
  )
  try {
    for await (const piece of output) yield piece as Buffer
    const failure = await ended
    if (failure) throw failure.error
  } catch (error) {
    throw ofSource ? ofSource.error : error instanceof BootkeeperError ? error : failed(error)
  } finally {
    output.destroy()
    source.destroy()
  }
  // A program that ended well without its input to the end, or with another end than was written, proves nothing.
  if (ofSource) throw ofSource.error
}

function passThrough(compression: Compressed, direction: Direction, source: Readable) {
  const transform = inNode(compression, direction)
  if (transform) return { output: transform, finished: pipeline(source, transform) }
  const program = spawn(compression, [direction === 'compress' ? '-c' : '-dc'], { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  program.stderr.on('data', (data) => {
    said = `${said}${data}`.slice(0, 500)
  })
  const exited = new Promise<void>((resolve, reject) => {
    program.once('error', () =>
      reject(
        direction === 'compress'
          ? toolMissing(compression, 'write', 'or take another compression: gzip needs no program')
          : toolMissing(compression, 'read', 'or decompress the file first'),
      ),
    )
    program.once('exit', (code, signal) =>
      code === 0 ? resolve() : reject(new Error(said.trim() || (signal ? `ended by ${signal}` : `exit code ${code}`))),
    )
  })
  // The program may end before it has read everything; its exit code tells.
  const fed = pipeline(source, program.stdin).catch(() => undefined)
  return { output: program.stdout, finished: Promise.all([exited, fed]).then(() => undefined) }
}

function toolMissing(compression: Compressed, purpose: 'read' | 'write', otherwise: string): BootkeeperError {
  return new BootkeeperError('TOOL_MISSING', `The program ${compression} is needed to ${purpose} this file.`, {
    next: `Install it (apt-get install ${compression}), ${otherwise}.`,
  })
}

function inNode(compression: Compressed, direction: Direction): Transform | undefined {
  const options = { chunkSize: pieceBytes }
  // Level 6 takes three times as long for a file that is a seventh smaller.
  if (compression === 'gzip')
    return direction === 'compress' ? zlib.createGzip({ ...options, level: 1 }) : zlib.createGunzip(options)
  if (compression === 'bzip2') return undefined
  type MakeZstd = (options: { chunkSize: number }) => Transform
  const { createZstdCompress, createZstdDecompress } = zlib as {
    createZstdCompress?: MakeZstd
    createZstdDecompress?: MakeZstd
  }
  return direction === 'compress' ? createZstdCompress?.(options) : createZstdDecompress?.(options)
}

function damaged(path: string, compression: Compression, error: unknown): unknown {
  if (isFileError(error)) return error
  const reason = (error as Error).message.split('\n')[0]!.slice(0, 200)
  return new BootkeeperError('EXPORT_DAMAGED', `${path}: its ${compression} data is damaged: ${reason}.`, {
    cause: error,
  })
}

/** Of the file system, with its own code; zlib has codes as well. */
function isFileError(error: unknown): boolean {
  return error instanceof BootkeeperError || (error as NodeJS.ErrnoException).syscall !== undefined
}
