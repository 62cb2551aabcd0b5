// The second thread of a large export: claims slices that lie ahead of the main thread and sends their rows over. See
// sqlite-export-helper.ts for what the two promise each other.

import { workerData } from 'node:worker_threads'
import { asBootkeeperError } from '../errors.ts'
import { claims, type HelperMessage, type HelperTask, permissions, signals } from './sqlite-export-helper.ts'
import { openSqliteReader } from './sqlite-reader.ts'

const { databasePath, model, slices, shared, port } = workerData as HelperTask
const state = new Int32Array(shared)
const mostWaitingBytes = 12 * 1024 * 1024

work()

function work(): void {
  try {
    const reader = openSqliteReader(databasePath, model)
    if (isPermitted()) {
      for (let slice = claimNext(); slice !== undefined; slice = claimNext()) {
        const number = slice
        reader.read(slices[number] as (typeof slices)[number], (lines, rows) => {
          waitForRoom()
          Atomics.add(state, signals.waitingBytes, lines.length)
          send({ kind: 'rows', slice: number, lines, rows })
        })
        send({ kind: 'done', slice: number })
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

/**
 * The first free slice beyond the next one. The next one is for the main thread itself: it would come to it before it
 * is done, and wait, and nothing would be read side by side.
 */
function claimNext(): number | undefined {
  for (let slice = Atomics.load(state, signals.position) + 2; slice < slices.length; slice++)
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
  const own = message.kind === 'rows' ? message.lines.buffer : undefined
  port.postMessage(message, own instanceof ArrayBuffer && own.byteLength > 0 ? [own] : [])
  Atomics.add(state, signals.messages, 1)
  Atomics.notify(state, signals.messages)
}
