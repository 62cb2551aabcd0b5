// What the operation log tells, operation by operation: the line that says that one runs, and the one that says how it
// ended, as one. Guarantees: an operation whose process was killed is shown as failed as soon as nobody holds its lock.

import { holderOf, type LockName } from './lock.ts'
import { type LogEntry, type LogLine, readLog } from './operation-log.ts'

export interface OperationSeen extends LogEntry {
  /** When it began; of one that only has its end in the log, when it ended. */
  at: string
  endedAt?: string
  by: LogLine['by']
  /** The numbers of its lines. */
  lines: number[]
}

/** Oldest first; and how many lines of the log cannot be read. */
export async function readOperations(stateDir: string): Promise<{ operations: OperationSeen[]; unreadable: number }> {
  const first = mergeLines(await readLog(stateDir))
  const dead = await killedAmong(stateDir, first.operations)
  if (dead.size === 0) return first
  // One that ended just now has freed its lock after it wrote its last line.
  const now = mergeLines(await readLog(stateDir))
  return { ...now, operations: now.operations.map((each) => (dead.has(each.operation) ? asKilled(each) : each)) }
}

export function mergeLines({ lines, unreadable }: { lines: LogLine[]; unreadable: number }) {
  const operations = new Map<string, OperationSeen>()
  for (const { n, prev: _, sha256: __, ...line } of lines) {
    const begun = operations.get(line.operation)
    const ended = line.status === 'running' || line.status === 'pending' ? {} : { endedAt: line.at }
    operations.set(line.operation, {
      ...begun,
      ...line,
      ...ended,
      at: begun?.at ?? line.at,
      lines: [...(begun?.lines ?? []), n],
    })
  }
  return { operations: [...operations.values()], unreadable }
}

async function killedAmong(stateDir: string, operations: OperationSeen[]): Promise<Set<string>> {
  const running = operations.filter(({ status }) => status === 'running')
  const names = new Set(running.flatMap(({ lock }) => lock ?? []))
  const holders = new Map<LockName, Awaited<ReturnType<typeof holderOf>>>()
  for (const name of names) holders.set(name, await holderOf(stateDir, name))
  const isAlive = ({ lock, by, at }: OperationSeen) => {
    const holder = lock && holders.get(lock)
    if (!holder || holder === 'unknown') return holder === 'unknown'
    // In containers, processes of one after the other often have the same number.
    return holder.pid === by.pid && holder.host === by.host && at >= holder.since
  }
  return new Set(running.filter((each) => !isAlive(each)).map(({ operation }) => operation))
}

function asKilled(operation: OperationSeen): OperationSeen {
  if (operation.status !== 'running') return operation
  const error = { code: 'KILLED', message: 'Its process ended before it could say how it went.' }
  return { ...operation, status: 'failed', error }
}
