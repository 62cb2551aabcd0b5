// Reads a file as the bytes that were compressed into it, and compresses one: gzip by Node itself, zstd by Node where it
// can (22.15 and later) and else by the program `zstd`, bzip2 by the program `bzip2`. Guarantees: read by content, never
// by the name; constant memory; data that is damaged or cut short throws, at the latest at its end; so does a program
// that did not end well.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import * as zlib from 'node:zlib'
import { BootkeeperError } from './errors.ts'
import { fsyncFile } from './files.ts'

export type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2'
export type Compressed = Exclude<Compression, 'none'>

const endings: Record<Compressed, string> = { gzip: '.gz', zstd: '.zst', bzip2: '.bz2' }
export const compressions = Object.keys(endings) as Compressed[]

const magic: [Compression, number[]][] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
]
const ageMagic = 'age-encryption.org/'
// Larger ones only wait for the garbage collection.
const pieceBytes = 256 * 1024

/** Throws FORMAT_UNKNOWN for a file that is encrypted with age: there is no key for it here. */
async function detectCompression(path: string): Promise<Compression> {
  const handle = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(64), 0, 64, 0)
    const head = buffer.subarray(0, bytesRead)
    if (head.includes(ageMagic) || head.includes('-----BEGIN AGE'))
      throw new BootkeeperError('FORMAT_UNKNOWN', `${path} is encrypted with age.`, {
        next: `Decrypt it first: age --decrypt --output decrypted.json ${path}`,
      })
    if (head.subarray(0, 15).toString('latin1') === 'SQLite format 3')
      throw new BootkeeperError('FORMAT_UNKNOWN', `${path} is a SQLite database, not an export.`, {
        next: 'A copy of a backup is put back by the name of the backup: see docs/how-tos/restore-a-copy.md.',
      })
    return magic.find(([, bytes]) => bytes.every((byte, at) => head[at] === byte))?.[0] ?? 'none'
  } finally {
    await handle.close()
  }
}

/** The decompressed content in pieces of a quarter of a megabyte. A piece is the caller's to keep. */
export async function* readDecompressed(path: string): AsyncGenerator<Buffer> {
  const compression = await detectCompression(path)
  const file = createReadStream(path, { highWaterMark: pieceBytes })
  if (compression === 'none') {
    yield* file
    return
  }
  const { output, finished } = passThrough(compression, 'decompress', file)
  // Ends before the loop does when the consumer stops early; the error, if any, is thrown after it.
  const ended = finished.then(
    () => undefined,
    (error: unknown) => ({ error }),
  )
  try {
    for await (const piece of output) yield piece as Buffer
  } catch (error) {
    throw damaged(path, compression, error)
  } finally {
    output.destroy()
    file.destroy()
  }
  const failure = await ended
  if (failure) throw damaged(path, compression, failure.error)
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
  if (compression === 'none' || inNode(compression, 'compress')) return
  // Of nothing: it ends at once.
  const program = spawn(compression, ['-c'], { stdio: 'ignore' })
  await once(program, 'exit').catch(() => {
    throw toolMissing(compression, 'write', 'or take --compress gzip, which needs no program')
  })
}

/** Compresses `from` into the new file `to`, and makes it durable. Whoever calls removes `to` where this throws. */
export async function writeCompressed(from: string, to: string, compression: Compressed): Promise<void> {
  const file = createReadStream(from, { highWaterMark: pieceBytes })
  const { output, finished } = passThrough(compression, 'compress', file)
  const [written, ended] = await Promise.allSettled([
    pipeline(output, createWriteStream(to, { flags: 'wx', mode: 0o600 })),
    finished,
  ])
  // A full disk makes the program fail as well: the cause comes first.
  if (written.status === 'rejected') throw written.reason
  if (ended.status === 'rejected') throw compressorFailed(compression, ended.reason)
  await fsyncFile(to)
}

function compressorFailed(compression: Compressed, error: unknown): unknown {
  if (error instanceof BootkeeperError) return error
  const reason = (error as Error).message.split('\n')[0]!.slice(0, 200)
  return new BootkeeperError('EXPORT_FAILED', `${compression} did not get through: ${reason}.`, { cause: error })
}

type Direction = 'compress' | 'decompress'

function passThrough(compression: Compressed, direction: Direction, file: Readable) {
  const transform = inNode(compression, direction)
  if (transform) return { output: transform, finished: pipeline(file, transform) }
  const program = spawn(compression, [direction === 'compress' ? '-c' : '-dc'], { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  program.stderr.on('data', (data) => {
    said = `${said}${data}`.slice(0, 500)
  })
  const exited = new Promise<void>((resolve, reject) => {
    program.once('error', () =>
      reject(
        direction === 'compress'
          ? toolMissing(compression, 'write', 'or take --compress gzip, which needs no program')
          : toolMissing(compression, 'read', 'or decompress the file first'),
      ),
    )
    program.once('exit', (code, signal) =>
      code === 0 ? resolve() : reject(new Error(said.trim() || (signal ? `ended by ${signal}` : `exit code ${code}`))),
    )
  })
  // The program may end before it has read everything; its exit code tells.
  const fed = pipeline(file, program.stdin).catch(() => undefined)
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

function damaged(path: string, compression: Compression, error: unknown): BootkeeperError {
  if (error instanceof BootkeeperError) return error
  const reason = (error as Error).message.split('\n')[0]!.slice(0, 200)
  return new BootkeeperError('EXPORT_DAMAGED', `${path}: its ${compression} data is damaged: ${reason}.`, {
    cause: error,
  })
}
