// A second thread that reads slices ahead on a connection of its own, so that a large export uses two cores. The main
// thread never waits for it to start, and while the next rows are still being read it reads later ones itself.
// Guarantees: the helper only works where its snapshot is the main thread's (no commit came between), and neither of
// the two holds more than a window of bytes.

import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import Database from 'better-sqlite3'
import type { DataModel } from '../data-model.ts'
import { BootkeeperError, type ErrorCode } from '../errors.ts'
import { startThread } from '../thread.ts'
import type { Page } from './sqlite-pages.ts'
import type { Slice, SqliteReader } from './sqlite-reader.ts'

export interface HelperTask {
  databasePath: string
  model: DataModel
  slices: Slice[]
  /** Numbers that both threads see: `signals` says where each is; the claims on the slices follow. */
  shared: SharedArrayBuffer
  port: MessagePort
}

export type HelperMessage =
  | { kind: 'page'; slice: number; page: Page }
  | { kind: 'done'; slice: number }
  | { kind: 'failed'; code: string; message: string }

/** Places in the shared array. */
export const signals = { permission: 0, position: 1, waitingBytes: 2, messages: 3, claims: 4 } as const
export const permissions = { notYet: 0, asked: 1, granted: 2, refused: 3 } as const
export const claims = { free: 0, main: 1, helper: 2 } as const

/** Reads slices by their numbers, each once, from the first to the last. */
export interface SliceReader {
  pages(slice: number): Iterable<Page>
  close(): void
}

// Less is done before the helper has started.
const worthwhileRows = 100_000
const patienceMs = 120_000
const mostHeldBytes = 8 * 1024 * 1024

/** `isSelected`: rows were selected, in temporary tables that a second connection does not see. */
export function openSliceReader(
  source: { databasePath: string; model: DataModel },
  reader: SqliteReader,
  slices: Slice[],
  isSelected: boolean,
): SliceReader {
  const sliceAt = (number: number) => slices[number] as Slice
  if (isSelected || slices.reduce((sum, { rows }) => sum + rows, 0) < worthwhileRows)
    return { pages: (number) => ({ [Symbol.iterator]: () => reader.pages(sliceAt(number)) }), close() {} }

  const helper = startHelper(source, slices)
  const ahead = new ReadAhead(() => {
    const number = helper.claimFree()
    return number === undefined ? undefined : { number, pages: reader.pages(sliceAt(number)) }
  })
  return {
    *pages(number) {
      helper.moveTo(number)
      if (ahead.has(number)) yield* ahead.take(number)
      else if (helper.claim(number)) yield* { [Symbol.iterator]: () => reader.pages(sliceAt(number)) }
      else yield* helper.take(number, () => ahead.readOne())
    },
    close: helper.close,
  }
}

/** What the main thread reads while it waits: slices that are not written yet, as far as there is room for them. */
class ReadAhead {
  private readonly held = new Map<number, { read: Page[]; rest: Iterator<Page> }>()
  private heldBytes = 0
  private current: number | undefined

  constructor(private readonly claimNext: () => { number: number; pages: Iterator<Page> } | undefined) {}

  has(number: number): boolean {
    return this.held.has(number)
  }

  /** False where there is nothing to read, or no room. */
  readOne(): boolean {
    if (this.heldBytes >= mostHeldBytes) return false
    if (this.current === undefined) {
      const next = this.claimNext()
      if (!next) return false
      this.current = next.number
      this.held.set(next.number, { read: [], rest: next.pages })
    }
    const slice = this.held.get(this.current) as { read: Page[]; rest: Iterator<Page> }
    const { done, value } = slice.rest.next()
    if (done) this.current = undefined
    else {
      slice.read.push(value)
      this.heldBytes += value.lines.length
    }
    return true
  }

  *take(number: number): Generator<Page> {
    const { read, rest } = this.held.get(number) as { read: Page[]; rest: Iterator<Page> }
    this.held.delete(number)
    if (this.current === number) this.current = undefined
    for (const page of read) {
      this.heldBytes -= page.lines.length
      yield page
    }
    yield* { [Symbol.iterator]: () => rest }
  }
}

function startHelper({ databasePath, model }: { databasePath: string; model: DataModel }, slices: Slice[]) {
  // Tells, by its data_version, whether anyone committed since it was opened.
  const witness = new Database(databasePath, { readonly: true })
  const before = dataVersion(witness)
  const shared = new SharedArrayBuffer(4 * (signals.claims + slices.length))
  const state = new Int32Array(shared)
  const { port1: port, port2 } = new MessageChannel()
  const task: HelperTask = { databasePath, model, slices, shared, port: port2 }
  const worker = startThread('./sqlite-export-worker', import.meta.url, { workerData: task, transferList: [port2] })
  worker.unref()
  worker.on('error', () => Atomics.store(state, signals.permission, permissions.refused))

  const set = (place: number, value: number) => {
    Atomics.store(state, place, value)
    Atomics.notify(state, place)
  }
  const grant = () => {
    if (Atomics.load(state, signals.permission) !== permissions.asked) return
    set(signals.permission, dataVersion(witness) === before ? permissions.granted : permissions.refused)
  }
  const claim = (slice: number) =>
    Atomics.compareExchange(state, signals.claims + slice, claims.free, claims.main) === claims.free

  return {
    moveTo(slice: number): void {
      grant()
      Atomics.store(state, signals.position, slice)
    },
    claim,
    claimFree(): number | undefined {
      for (let slice = Atomics.load(state, signals.position) + 1; slice < slices.length; slice++)
        if (claim(slice)) return slice
      return undefined
    },
    /** The pages of a slice that the helper claimed. `meanwhile` does a piece of other work, if there is any. */
    *take(slice: number, meanwhile: () => boolean): Generator<Page> {
      for (;;) {
        const seen = Atomics.load(state, signals.messages)
        const message = (receiveMessageOnPort(port) as { message: HelperMessage } | undefined)?.message
        if (!message) {
          if (!meanwhile()) waitForMessage(state, seen)
          continue
        }
        if (message.kind === 'failed') throw new BootkeeperError(message.code as ErrorCode, message.message)
        if (message.kind === 'done') return
        if (message.slice !== slice) throw new Error(`slice ${message.slice} came before slice ${slice}`)
        yield message.page
        Atomics.sub(state, signals.waitingBytes, message.page.lines.length)
        Atomics.notify(state, signals.waitingBytes)
      }
    },
    close(): void {
      set(signals.permission, permissions.refused)
      set(signals.waitingBytes, 0)
      void worker.terminate()
      port.close()
      witness.close()
    },
  }
}

function dataVersion(witness: Database.Database): unknown {
  return witness.pragma('data_version', { simple: true })
}

/** Without an event loop: the thread that exports is synchronous. */
function waitForMessage(state: Int32Array, seen: number): void {
  if (Atomics.wait(state, signals.messages, seen, patienceMs) === 'timed-out')
    throw new BootkeeperError('EXPORT_FAILED', `The second reader gave nothing for ${patienceMs / 1000} seconds.`)
}
