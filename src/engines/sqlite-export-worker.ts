// The second thread of a large export: claims slices that lie ahead of the main thread and sends their rows over. See
// sqlite-export-helper.ts for what the two promise each other.

import { workerData } from 'node:worker_threads'
import { asBootkeeperError } from '../errors.ts'
import { claims, type HelperMessage, type HelperTask, permissions, signals } from './sqlite-export-helper.ts'
import { openSqliteReader, type Slice } from './sqlite-reader.ts'

const { databasePath, model, slices, shared, port } = workerData as HelperTask
const state = new Int32Array(shared)
const mostWaitingBytes = 12 * 1024 * 1024

work()

function work(): void {
  try {
    const reader = openSqliteReader(databasePath, model)
    if (isPermitted()) {
      for (let slice = claimNext(); slice !== undefined; slice = claimNext()) {
        const pages = reader.pages(slices[slice] as Slice)
        for (let next = pages.next(); !next.done; next = pages.next()) {
          waitForRoom()
          Atomics.add(state, signals.waitingBytes, next.value.lines.length)
          send({ kind: 'page', slice, page: next.value })
        }
        send({ kind: 'done', slice })
      }
    }
    reader.close()
  } catch (error) {
    const { code, message } = asBootkeeperError(error)
    send({ kind: 'failed', code, message })
  }
}

function isPermitted(): boolean {
  Atomics.store(state, signals.permission, permissions.asked)
  Atomics.wait(state, signals.permission, permissions.asked)
  return Atomics.load(state, signals.permission) === permissions.granted
}

/** The first free slice beyond the one that is being written. */
function claimNext(): number | undefined {
  for (let slice = Atomics.load(state, signals.position) + 1; slice < slices.length; slice++)
    if (Atomics.compareExchange(state, signals.claims + slice, claims.free, claims.helper) === claims.free) return slice
  return undefined
}

function waitForRoom(): void {
  for (;;) {
    const waiting = Atomics.load(state, signals.waitingBytes)
    if (waiting <= mostWaitingBytes) return
    Atomics.wait(state, signals.waitingBytes, waiting)
  }
}

function send(message: HelperMessage): void {
  // The bytes are handed over, not copied.
  const own = message.kind === 'page' ? message.page.lines.buffer : undefined
  port.postMessage(message, own instanceof ArrayBuffer && own.byteLength > 0 ? [own] : [])
  Atomics.add(state, signals.messages, 1)
  Atomics.notify(state, signals.messages)
}
