// A second thread that reads slices ahead on a connection of its own, so that a large export uses two cores. The main
// thread never waits for it to start: it reads every slice that the helper has not claimed. Guarantees: the helper only
// works where its snapshot is the main thread's (no commit came between), and holds no more than a window of bytes.

import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import Database from 'better-sqlite3'
import type { DataModel } from '../data-model.ts'
import { BootkeeperError, type ErrorCode } from '../errors.ts'
import type { Slice } from './sqlite-reader.ts'

/** The shared numbers: see `signals`; the claims on slices follow. */
export interface HelperTask {
  databasePath: string
  model: DataModel
  slices: Slice[]
  shared: SharedArrayBuffer
  port: MessagePort
}

export type HelperMessage =
  | { kind: 'rows'; slice: number; lines: Uint8Array; rows: number }
  | { kind: 'done'; slice: number }
  | { kind: 'failed'; code: string; message: string }

/** Places in the shared array. */
export const signals = { permission: 0, position: 1, waitingBytes: 2, messages: 3, claims: 4 } as const
export const permissions = { notYet: 0, asked: 1, granted: 2, refused: 3 } as const
export const claims = { free: 0, main: 1, helper: 2 } as const

export interface Helper {
  /** Whether the helper reads this slice; if not, the caller must. */
  has(slice: number): boolean
  take(slice: number, emit: (lines: Uint8Array, rows: number) => void): void
  close(): void
}

// Less is done before the helper has started.
const worthwhileRows = 100_000
const patienceMs = 120_000

export function openHelper(source: { databasePath: string; model: DataModel }, slices: Slice[]): Helper | undefined {
  if (slices.reduce((sum, { rows }) => sum + rows, 0) < worthwhileRows) return undefined
  const { databasePath, model } = source
  // Tells, by its data_version, whether anyone committed since it was opened.
  const witness = new Database(databasePath, { readonly: true })
  const before = dataVersion(witness)
  const shared = new SharedArrayBuffer(4 * (signals.claims + slices.length))
  const state = new Int32Array(shared)
  const { port1: port, port2 } = new MessageChannel()
  const task: HelperTask = { databasePath, model, slices, shared, port: port2 }
  const worker = new Worker(workerFile(), { workerData: task, transferList: [port2], ...workerOptions() })
  worker.unref()
  worker.on('error', () => Atomics.store(state, signals.permission, permissions.refused))

  const grant = () => {
    if (Atomics.load(state, signals.permission) !== permissions.asked) return
    const permission = dataVersion(witness) === before ? permissions.granted : permissions.refused
    Atomics.store(state, signals.permission, permission)
    Atomics.notify(state, signals.permission)
  }
  return {
    has(slice) {
      grant()
      Atomics.store(state, signals.position, slice)
      return Atomics.compareExchange(state, signals.claims + slice, claims.free, claims.main) === claims.helper
    },
    take(slice, emit) {
      for (;;) {
        const message = nextMessage(port, state)
        if (message.kind === 'failed') throw new BootkeeperError(message.code as ErrorCode, message.message)
        if (message.kind === 'done') return
        if (message.slice !== slice) throw new Error(`slice ${message.slice} came before slice ${slice}`)
        emit(message.lines, message.rows)
        Atomics.sub(state, signals.waitingBytes, message.lines.length)
        Atomics.notify(state, signals.waitingBytes)
      }
    },
    close() {
      Atomics.store(state, signals.permission, permissions.refused)
      Atomics.notify(state, signals.permission)
      Atomics.store(state, signals.waitingBytes, 0)
      Atomics.notify(state, signals.waitingBytes)
      void worker.terminate()
      port.close()
      witness.close()
    },
  }
}

function dataVersion(witness: Database.Database): unknown {
  return witness.pragma('data_version', { simple: true })
}

/** Waits without an event loop: the thread that exports is synchronous. */
function nextMessage(port: MessagePort, state: Int32Array): HelperMessage {
  for (;;) {
    const seen = Atomics.load(state, signals.messages)
    const received = receiveMessageOnPort(port) as { message: HelperMessage } | undefined
    if (received) return received.message
    if (Atomics.wait(state, signals.messages, seen, patienceMs) === 'timed-out')
      throw new BootkeeperError('EXPORT_FAILED', `The second reader gave nothing for ${patienceMs / 1000} seconds.`)
  }
}

/** The file beside this one, as source or as built. */
function workerFile(): URL {
  return new URL(`./sqlite-export-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url)
}

function workerOptions(): { execArgv?: string[] } {
  const isSource = import.meta.url.endsWith('.ts')
  const hasLoader = process.execArgv.some((argument) => argument.includes('tsx'))
  return isSource && !hasLoader ? { execArgv: ['--import', 'tsx'] } : {}
}
