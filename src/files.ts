// The one way a file is written: to a temporary name in the same directory, fsynced, renamed, the directory fsynced.
// Guarantees: a reader sees the whole old file or the whole new one, also after a power cut; a temporary file that a
// killed process left is recognised by its name and swept by the next boot.

import { createHash, randomBytes } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { chmod, copyFile, type FileHandle, mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

// SQLite puts -wal, -shm and -journal beside a temporary database.
const partialPattern = /^\..+\.[0-9a-f]{8}\.partial(-wal|-shm|-journal)?$/

/** A fresh temporary name beside `target`, so that the rename stays within one file system. */
export function partialPath(target: string): string {
  return join(dirname(target), `.${basename(target)}.${randomBytes(4).toString('hex')}.partial`)
}

/** What a process that writes gives its file until it is finished. */
export function isPartial(name: string): boolean {
  return partialPattern.test(name)
}

/** Removes what killed processes left in `directory`. Only for the holder of the data directory's lock. */
export async function sweepPartials(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const left = names.filter(isPartial)
  for (const name of left) await rm(join(directory, name), { force: true, recursive: true })
  return left
}

/**
 * With the folders above it. Not by mkdir's own `recursive`: Node asks for ever where a file system, such as /proc, says
 * of a folder in it that something above is missing.
 */
export async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o750 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const found = await stat(path).catch(() => undefined)
    if (found?.isDirectory()) return
    const above = dirname(path)
    if (code !== 'ENOENT' || above === path || (await stat(above).catch(() => undefined))) throw error
    await makeDirectory(above)
    await mkdir(path, { mode: 0o750 })
  }
}

/** Makes the names in `directory` durable. */
export async function fsyncDirectory(directory: string): Promise<void> {
  await fsyncFile(directory)
}

export async function fsyncFile(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Puts a finished, fsynced temporary file in its place. */
export async function renameDurably(from: string, to: string): Promise<void> {
  await rename(from, to)
  await fsyncDirectory(dirname(to))
}

/** Writes `target` whole or not at all; `write` gets the open temporary file. */
export async function writeAtomically(
  target: string,
  write: (handle: FileHandle, path: string) => Promise<void>,
  mode = 0o600,
): Promise<void> {
  const partial = partialPath(target)
  try {
    const handle = await open(partial, 'wx', mode)
    try {
      await write(handle, partial)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await renameDurably(partial, target)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

export async function writeJsonAtomically(target: string, value: unknown): Promise<void> {
  await writeAtomically(target, (handle) => handle.writeFile(`${JSON.stringify(value, null, 2)}\n`))
}

/** Copies a file that nobody writes to, sharing its blocks where the file system can (reflink). */
export async function copyAtomically(from: string, target: string): Promise<void> {
  const partial = partialPath(target)
  try {
    await copyFile(from, partial, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
    await fsyncFile(partial)
    await renameDurably(partial, target)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

export async function sha256OfFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, ...(signal ? { signal } : {}) }))
    hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/**
 * Copies `from` to the new file `to`: by sharing its blocks where the file system can (reflink), else by reading and
 * writing, which a signal can stop, unlike fs.copyFile. For its owner alone, whatever `from` is. Not fsynced. Gives the
 * sha256 of what was read, undefined where nothing had to be read.
 */
export async function copyData(from: string, to: string, signal?: AbortSignal): Promise<string | undefined> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL)
    await chmod(to, 0o600)
    return undefined
  } catch (error) {
    // What file systems say that share no blocks, or not between these two.
    if (!['ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOSYS', 'ENOTTY'].includes(errnoOf(error))) throw error
    await rm(to, { force: true })
  }
  const [source, target] = [await open(from, 'r'), await open(to, 'wx', 0o600)]
  try {
    const hash = createHash('sha256')
    // While one buffer is written and hashed, the next is read.
    let [filled, spare] = [Buffer.allocUnsafe(copyChunkBytes), Buffer.allocUnsafe(copyChunkBytes)]
    let { bytesRead } = await source.read(filled, 0, copyChunkBytes, null)
    while (bytesRead > 0) {
      signal?.throwIfAborted()
      const chunk = filled.subarray(0, bytesRead)
      const both = Promise.allSettled([source.read(spare, 0, copyChunkBytes, null), writeAll(target, chunk)])
      hash.update(chunk)
      const [reading, writing] = await both
      if (reading.status === 'rejected') throw reading.reason
      if (writing.status === 'rejected') throw writing.reason
      bytesRead = reading.value.bytesRead
      ;[filled, spare] = [spare, filled]
    }
    return hash.digest('hex')
  } finally {
    await source.close()
    await target.close()
  }
}

// Two of these fit into a processor's cache: larger ones are slower.
const copyChunkBytes = 1 << 19

async function writeAll(handle: FileHandle, chunk: Buffer): Promise<void> {
  for (let done = 0; done < chunk.length; ) done += (await handle.write(chunk, done, chunk.length - done)).bytesWritten
}

function errnoOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? ''
}

/** Bytes that this user may still write on the file system of `directory`. */
export async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory)
  return bavail * bsize
}
