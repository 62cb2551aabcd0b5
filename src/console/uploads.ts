// Files that people bring to the console, streamed to the disk.
// Guarantees: no file is held in memory; one over the limit is refused before its body is read, or as soon as it is
// over; a file has its name only after the last byte came and was fsynced; names are the server's, the files are for
// their owner alone and lie outside of what is served; what was cut off is removed, at the latest by the next boot.

import { randomBytes } from 'node:crypto'
import { type FileHandle, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { z } from 'zod'
import { BootkeeperError } from '../errors.ts'
import { freeBytes, makeDirectory, partialPath, renameDurably, sweepPartials, writeJsonAtomically } from '../files.ts'
import { formatBytes } from '../log.ts'
import type { Upload } from './contract.ts'

const keptMs = 24 * 3_600_000
const silentMs = 60_000
const mostAtOnce = 2
/** For the database, which must not meet a full disk because of an upload. */
const spareBytes = 100_000_000

const uploadSchema = z.object({ id: z.string(), name: z.string(), sizeBytes: z.number() })

export interface Uploads {
  /** Throws UPLOAD_TOO_LARGE, UPLOAD_CUT_OFF, DISK_FULL, REQUEST_REFUSED. */
  receive(request: IncomingMessage): Promise<Upload>
  /** Throws REQUEST_REFUSED where there is none. */
  find(id: string): Promise<Upload & { path: string }>
  remove(id: string): Promise<void>
}

export async function openUploads(directory: string, limitBytes: number): Promise<Uploads> {
  // A full disk is said when something is brought.
  await makeDirectory(directory).catch(() => undefined)
  await sweepPartials(directory).catch(() => undefined)
  await removeOld(directory)
  let underWay = 0
  const pathOf = (id: string) => join(directory, `${id}.upload`)
  const notePathOf = (id: string) => join(directory, `${id}.json`)

  return {
    async receive(request) {
      const length = request.headers['content-length']
      const announced = length === undefined ? undefined : Number(length)
      if (announced !== undefined && announced > limitBytes) throw tooLarge(limitBytes)
      if (request.headers['content-type'] !== 'application/octet-stream')
        throw new BootkeeperError('REQUEST_REFUSED', 'An upload has to be the bytes of the file, and nothing else.')
      await makeDirectory(directory)
      await removeOld(directory)
      await requireSpace(directory, announced ?? 0)
      if (underWay >= mostAtOnce)
        throw new BootkeeperError('LOCK_HELD', 'Two files are being uploaded already.', {
          safe: 'Nothing was touched.',
          next: 'Wait until one of them has arrived.',
        })
      underWay += 1
      const id = `${new Date().toISOString().slice(0, 19).replace(/[T:]/g, '-')}-${randomBytes(6).toString('hex')}`
      const partial = partialPath(pathOf(id))
      try {
        const file = await open(partial, 'wx', 0o600)
        let sizeBytes: number
        try {
          sizeBytes = await takeAll(request, file, limitBytes)
          await file.sync()
        } finally {
          await file.close()
        }
        const upload = { id, name: nameOf(request), sizeBytes }
        await writeJsonAtomically(notePathOf(id), upload)
        await renameDurably(partial, pathOf(id))
        return upload
      } catch (error) {
        await rm(partial, { force: true })
        await rm(notePathOf(id), { force: true })
        throw error
      } finally {
        underWay -= 1
      }
    },

    async find(id) {
      try {
        const upload = uploadSchema.parse(JSON.parse(await readFile(notePathOf(id), 'utf8')))
        await stat(pathOf(id))
        return { ...upload, path: pathOf(id) }
      } catch (cause) {
        throw new BootkeeperError('REQUEST_REFUSED', 'This file is no longer here: uploads are kept for a day.', {
          cause,
          next: 'Choose the file again.',
        })
      }
    },

    async remove(id) {
      await rm(notePathOf(id), { force: true })
      await rm(pathOf(id), { force: true })
    },
  }
}

async function takeAll(request: IncomingMessage, file: FileHandle, limitBytes: number): Promise<number> {
  let sizeBytes = 0
  request.setTimeout(silentMs, () => request.destroy())
  try {
    // The request stays open on a way out: the answer goes back on the same connection.
    for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      sizeBytes += part.length
      if (sizeBytes > limitBytes) throw tooLarge(limitBytes)
      await file.writeFile(part)
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ECONNRESET' && code !== 'ERR_STREAM_PREMATURE_CLOSE' && !request.destroyed) throw error
    if (error instanceof BootkeeperError || code === 'ENOSPC') throw error
    throw cutOff(sizeBytes, error)
  } finally {
    request.setTimeout(0)
  }
  if (!request.complete) throw cutOff(sizeBytes, undefined)
  return sizeBytes
}

function cutOff(sizeBytes: number, cause: unknown): BootkeeperError {
  return new BootkeeperError('UPLOAD_CUT_OFF', `The connection ended after ${formatBytes(sizeBytes)} of the file.`, {
    cause,
  })
}

function tooLarge(limitBytes: number): BootkeeperError {
  return new BootkeeperError(
    'UPLOAD_TOO_LARGE',
    `The file is larger than ${formatBytes(limitBytes)}, the most that is taken.`,
  )
}

async function requireSpace(directory: string, sizeBytes: number): Promise<void> {
  const free = await freeBytes(directory)
  const needed = sizeBytes + spareBytes
  if (free >= needed) return
  throw new BootkeeperError(
    'DISK_FULL',
    `The file needs ${formatBytes(needed)} with what must stay free, but the disk has ${formatBytes(free)}.`,
    { next: 'Free some space, then choose the file again.' },
  )
}

/** For people only; nothing on the disk has it. */
function nameOf({ headers }: IncomingMessage): string {
  const given = headers['x-file-name']
  try {
    const name = decodeURIComponent(typeof given === 'string' ? given : '')
    return name.replace(/[\p{Cc}\p{Cf}/\\]/gu, '').slice(0, 200) || 'the file'
  } catch {
    return 'the file'
  }
}

async function removeOld(directory: string): Promise<void> {
  for (const name of await readdir(directory).catch(() => [])) {
    const path = join(directory, name)
    const found = await stat(path).catch(() => undefined)
    if (found && Date.now() - found.mtimeMs > keptMs) await rm(path, { force: true })
  }
}
