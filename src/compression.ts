// Reads a file as the bytes that were compressed into it: gzip by Node itself, zstd by Node where it can (22.15 and
// later) and else by the program `zstd`, bzip2 by the program `bzip2`. Guarantees: told by content, never by the name;
// constant memory; data that is damaged or cut short throws, at the latest at its end.

import { spawn } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import * as zlib from 'node:zlib'
import { BootkeeperError } from './errors.ts'

export type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2'

const magic: [Compression, number[]][] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
]
const ageMagic = 'age-encryption.org/'
// Larger ones only wait for the garbage collection.
const pieceBytes = 256 * 1024

/** Throws FORMAT_UNKNOWN for a file that is encrypted with age: there is no key for it here. */
export async function detectCompression(path: string): Promise<Compression> {
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
export async function* readDecompressed(path: string, compression: Compression): AsyncGenerator<Buffer> {
  const file = createReadStream(path, { highWaterMark: pieceBytes })
  if (compression === 'none') {
    yield* file
    return
  }
  const { output, finished } = decompressor(compression, file)
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

function decompressor(compression: Exclude<Compression, 'none'>, file: Readable) {
  const inNode = nodeDecompressor(compression)
  if (inNode) return { output: inNode, finished: pipeline(file, inNode) }
  const program = spawn(compression, ['-dc'], { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  program.stderr.on('data', (data) => {
    said = `${said}${data}`.slice(0, 500)
  })
  const exited = new Promise<void>((resolve, reject) => {
    program.once('error', () =>
      reject(
        new BootkeeperError('TOOL_MISSING', `The program ${compression} is needed to read this file.`, {
          next: `Install it (apt-get install ${compression}), or decompress the file first.`,
        }),
      ),
    )
    program.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(said.trim() || `exit code ${code}`))))
  })
  // The program may end before it has read everything; its exit code tells.
  const fed = pipeline(file, program.stdin).catch(() => undefined)
  return { output: program.stdout, finished: Promise.all([exited, fed]).then(() => undefined) }
}

function nodeDecompressor(compression: Compression): Transform | undefined {
  if (compression === 'gzip') return zlib.createGunzip({ chunkSize: pieceBytes })
  const { createZstdDecompress } = zlib as { createZstdDecompress?: (options: { chunkSize: number }) => Transform }
  return compression === 'zstd' ? createZstdDecompress?.({ chunkSize: pieceBytes }) : undefined
}

function damaged(path: string, compression: Compression, error: unknown): BootkeeperError {
  if (error instanceof BootkeeperError) return error
  const reason = (error as Error).message.split('\n')[0]!.slice(0, 200)
  return new BootkeeperError('EXPORT_DAMAGED', `${path}: its ${compression} data is damaged: ${reason}.`, {
    cause: error,
  })
}
