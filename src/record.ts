// Writes an operation into the operation log: that it runs, and how it ended.
// Guarantees: the log never stops an operation, and its error never takes the place of the operation's own; where the
// log could not be written, that is said. A process that Ctrl-C or a supervisor stops still says that it was cancelled.

import { randomBytes } from 'node:crypto'
import type { Config } from './config.ts'
import { asBootkeeperError, type BootkeeperError } from './errors.ts'
import type { LockName } from './lock.ts'
import { appendToLog, type LogEntry } from './operation-log.ts'
import { Stopped } from './signals.ts'

/** What is known when it begins, and what comes out on the way. */
export interface Operation {
  action: LogEntry['action']
  entity: string
  ids?: string[]
  metadata?: { [name: string]: unknown }
  precededBy?: string
}

/** With `failure` it came to its end, and what it was about failed. */
export type Note = (facts: Partial<Operation> & { failure?: LogEntry['error'] }) => void

export type RecordOperation = <Result>(operation: Operation, run: (note: Note) => Promise<Result>) => Promise<Result>

export interface RecordOptions {
  /** The lock that is held while operations run. Without one, only their end is written. */
  lock?: LockName
  /** The log could not be written. */
  warn: (message: string) => void
  /** A signal ends the process after the line is written. Not where somebody listens to signals already. */
  endsOnSignal?: boolean
}

export function openRecord(config: Config, { lock, warn, endsOnSignal = false }: RecordOptions): RecordOperation {
  return async (operation, run) => {
    const begun = performance.now()
    const id = `op_${randomBytes(6).toString('hex')}`
    let { action, entity, ids = [], metadata, precededBy } = operation
    let failure: LogEntry['error']
    const write = async (status: LogEntry['status'], error?: LogEntry['error']): Promise<BootkeeperError | undefined> =>
      await appendToLog(config.stateDir, {
        operation: id,
        action,
        entity,
        ids,
        status,
        ...(lock ? { lock } : {}),
        ...(status === 'running' ? {} : { durationMs: Math.round(performance.now() - begun) }),
        ...(metadata ? { metadata } : {}),
        ...(precededBy === undefined ? {} : { precededBy }),
        ...(error ? { error } : {}),
      }).then(() => undefined, asBootkeeperError)
    const note: Note = (facts) => {
      if (facts.ids) ids = facts.ids
      if (facts.failure) failure = facts.failure
      if (facts.entity) entity = facts.entity
      if (facts.precededBy !== undefined) precededBy = facts.precededBy
      if (facts.metadata) metadata = { ...metadata, ...facts.metadata }
    }
    const say = (unwritten: BootkeeperError | undefined) => {
      if (unwritten) warn(`The operation log could not be written: ${unwritten.message}`)
    }
    const stopListening = endsOnSignal
      ? whenStopped(async (signal) => void (await write('cancelled', stopped(signal))))
      : undefined
    try {
      const unwritten = lock ? await write('running') : undefined
      let result: Awaited<ReturnType<typeof run>>
      try {
        result = await run(note)
      } catch (thrown) {
        const isStop = thrown instanceof Stopped || (thrown as Error | undefined)?.name === 'AbortError'
        const { code, message } = asBootkeeperError(thrown)
        const error = thrown instanceof Stopped ? stopped(thrown.signal) : { code, message }
        const atEnd = await write(isStop ? 'cancelled' : 'failed', error)
        // The same trouble need not be told twice.
        if (atEnd?.code !== code) say(atEnd)
        throw thrown
      }
      say((await write(failure ? 'failed' : 'completed', failure)) ?? unwritten)
      return result
    } finally {
      stopListening?.()
    }
  }
}

function stopped(signal: NodeJS.Signals): { code: string; message: string } {
  return { code: signal, message: `Stopped by ${signal}.` }
}

/** Then the process ends of the signal, as it would have done. */
function whenStopped(tell: (signal: NodeJS.Signals) => Promise<void>): () => void {
  const listen = (signal: NodeJS.Signals) => {
    stop()
    void tell(signal).finally(() => process.kill(process.pid, signal))
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const stop = () => {
    for (const signal of signals) process.off(signal, listen)
  }
  for (const signal of signals) process.on(signal, listen)
  return stop
}
