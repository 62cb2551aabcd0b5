// Reads the rows of a large file in a second thread, while this one puts them into the database. Guarantees: only a few
// batches wait between the two, however fast the file is read; what goes wrong there is thrown here.

import type { DataModel } from './data-model.ts'
import type { Keys } from './encryption.ts'
import type { BulkBatch, BulkEnd } from './engines/bulk-rows.ts'
import { requireChecksum } from './formats/bootkeeper-check.ts'
import { checksumOf } from './formats/bootkeeper-reader.ts'
import type { SourceHeader } from './import-source.ts'
import { startThread } from './thread.ts'

export interface BulkRequest {
  path: string
  keys: Keys
  header: SourceHeader
  model: DataModel
  /** By model of the file: the columns of its table that can be written. */
  columns: Record<string, string[]>
}

/** To the thread: what to read, then a word for each batch that was taken. */
export type BulkOrder = BulkRequest | 'taken'
/** `recorded`: the checksum that the file has of itself. */
export type BulkMessage = { batch: BulkBatch } | { end: BulkEnd; recorded: string } | { error: string }

export interface BulkReader {
  /** Throws where the general way is needed, and whatever that way will meet as well. */
  read(request: BulkRequest, onBatch: (batch: BulkBatch) => void): Promise<BulkEnd>
  stop(): Promise<void>
}

/** Of a smaller file more is read before the thread has started than it could save. */
export const worthwhileBytes = 16 * 1024 * 1024

/** Early: the thread loads its modules while the file's header is read. */
export function startBulkReader(): BulkReader {
  const thread = startThread('./import-bulk-worker', import.meta.url, {})
  const broken = new Promise<never>((_, reject) => {
    thread.once('error', reject)
    thread.once('exit', (code) => reject(new Error(`the thread that reads ended with ${code}`)))
  })
  broken.catch(() => undefined)
  return {
    async read(request, onBatch) {
      const ended = new Promise<{ end: BulkEnd; recorded: string }>((resolve, reject) => {
        thread.on('message', (message: BulkMessage) => {
          try {
            if ('end' in message) resolve(message)
            else if ('error' in message) reject(new Error(message.error))
            else {
              onBatch(message.batch)
              thread.postMessage('taken' satisfies BulkOrder)
            }
          } catch (error) {
            reject(error)
          }
        })
      })
      thread.postMessage(request satisfies BulkOrder)
      // This thread waits for the other one half of the time.
      const checksum = checksumOf(request.path, request.keys)
      checksum.catch(() => undefined)
      const { end, recorded } = await Promise.race([ended, broken])
      requireChecksum(request.path, await checksum, recorded)
      return end
    },
    async stop() {
      await thread.terminate()
    },
  }
}
