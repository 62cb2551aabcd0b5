// Operations: what the console does that takes longer than an answer. Each is a file with its steps, its result or its
// error; pages only draw it.
// Guarantees: what a page shows survives its reload, a second tab and a restart of the server; an operation that the
// end of the server cut short is marked as such by the next one, and never shown as running or done.

import { randomBytes } from 'node:crypto'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { asBootkeeperError, BootkeeperError } from '../errors.ts'
import { makeDirectory, sweepPartials, writeJsonAtomically } from '../files.ts'
import { errorFields, type Log } from '../log.ts'
import type { Failure, Operation, OperationKind, OperationOf } from './contract.ts'

const keptOperations = 50

/** For the log: what changed the data. */
const doneWords: Partial<Record<OperationKind, string>> = {
  restore: 'was restored',
  undo: 'was put back, to undo a restore',
  'put-back': 'was put back',
}

/** What an operation reports while it runs. */
export interface Reporter {
  readonly id: string
  /** The step before it is done. */
  step(name: string): Promise<void>
  rows(count: number): void
  /** The backup of what was there is made. */
  backedUp(stem: string): void
  readonly signal: AbortSignal
}

type Begun<Kind extends OperationKind> = Pick<OperationOf<Kind>, 'kind' | 'request' | 'subject'> & { steps: string[] }
type ResultOf<Kind extends OperationKind> = NonNullable<OperationOf<Kind>['result']>

export interface Operations {
  /** Returns at once; `run` goes on. */
  start<Kind extends OperationKind>(
    begun: Begun<Kind>,
    run: (reporter: Reporter) => Promise<ResultOf<Kind>>,
  ): Promise<OperationOf<Kind>>
  /** Throws REQUEST_REFUSED where there is none. */
  find(id: string): Operation
  /** Called at once and on every change, until the operation has ended or the caller stops it. */
  watch(id: string, onChange: (operation: Operation) => void): () => void
  running(kinds: OperationKind[]): Operation | undefined
  /** Of these kinds those that ended well, newest first. */
  done(kinds: OperationKind[]): Operation[]
  /** Ends what runs, and notes that. */
  close(): Promise<void>
}

export async function openOperations(directory: string, log: Log): Promise<Operations> {
  // On a full disk what is known can still be shown; what is begun says what is wrong.
  await makeDirectory(directory).catch(() => undefined)
  await sweepPartials(directory).catch(() => undefined)
  const known = await readAll(directory, log)
  const watchers = new Map<string, Set<(operation: Operation) => void>>()
  const stopping = new AbortController()
  const underWay = new Set<Promise<void>>()
  // One after the other, or an older state could be the one that stays.
  let writing: Promise<unknown> = Promise.resolve()
  const write = (operation: Operation) => {
    const written = writing.then(() => writeJsonAtomically(join(directory, `${operation.id}.json`), operation))
    writing = written.catch(() => undefined)
    return written
  }
  for (const operation of known.values())
    if (operation.state === 'running') {
      fail(operation, interrupted('The server stopped while this ran.'))
      await keep(operation)
    }

  function tell(operation: Operation): void {
    for (const onChange of watchers.get(operation.id) ?? []) onChange(operation)
  }

  /** The work is worth more than its record. */
  async function keep(operation: Operation): Promise<void> {
    tell(operation)
    await write(operation).catch((error: unknown) => {
      log.error(errorFields(asBootkeeperError(error)), `How far ${operation.subject} is could not be kept.`)
    })
  }

  async function forgetOld(): Promise<void> {
    const ended = [...known.values()].filter(({ state }) => state !== 'running')
    ended.sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1))
    for (const { id } of ended.slice(0, -keptOperations)) {
      known.delete(id)
      await rm(join(directory, `${id}.json`), { force: true })
    }
  }

  function find(id: string): Operation {
    const operation = known.get(id)
    if (!operation)
      throw new BootkeeperError('REQUEST_REFUSED', 'This page speaks of something that is no longer known.', {
        next: 'Begin again from the first page.',
      })
    return operation
  }

  return {
    find,

    async start<Kind extends OperationKind>(
      { kind, request, subject, steps }: Begun<Kind>,
      run: (reporter: Reporter) => Promise<ResultOf<Kind>>,
    ) {
      const id = `${kind}-${Date.now().toString(36)}-${randomBytes(6).toString('hex')}`
      const operation = {
        ...{ id, kind, request, subject },
        state: 'running',
        startedAt: new Date().toISOString(),
        steps: steps.map((name) => ({ name, state: 'waiting' })),
      } as unknown as Operation
      await makeDirectory(directory)
      await write(operation)
      known.set(id, operation)
      const reporter: Reporter = {
        id,
        signal: stopping.signal,
        async step(name) {
          for (const step of operation.steps) if (step.state === 'running') step.state = 'done'
          const next = operation.steps.find((step) => step.name === name)
          if (next) next.state = 'running'
          delete operation.rows
          await keep(operation)
        },
        backedUp(stem) {
          operation.before = stem
        },
        rows(count) {
          operation.rows = count
          tell(operation)
        },
      }
      const work = (async () => {
        try {
          const result = await run(reporter)
          for (const step of operation.steps) step.state = 'done'
          operation.state = 'done'
          operation.result = result as NonNullable<typeof operation.result>
          const done = doneWords[kind]
          if (done)
            log.info(
              `In the console ${subject} ${done}.${operation.before ? ` What was there until then: ${operation.before}.` : ''}`,
            )
        } catch (thrown) {
          const error = stopping.signal.aborted
            ? interrupted('The server was stopped while this ran.')
            : asBootkeeperError(thrown)
          fail(operation, error)
          log.warn(errorFields(error), `${subject}: ${error.message}`)
          if (error.code === 'INTERNAL')
            log.error({ detail: (error.cause as Error)?.stack ?? error.stack }, 'Where it happened:')
        }
        operation.endedAt = new Date().toISOString()
        delete operation.rows
        await keep(operation)
        await forgetOld().catch(() => undefined)
      })()
      underWay.add(work)
      void work.finally(() => underWay.delete(work))
      return operation as unknown as OperationOf<Kind>
    },

    watch(id, onChange) {
      const operation = find(id)
      const watching = watchers.get(id) ?? new Set()
      watchers.set(id, watching.add(onChange))
      onChange(operation)
      return () => {
        watching.delete(onChange)
        if (watching.size === 0) watchers.delete(id)
      }
    },

    done(kinds) {
      const fitting = [...known.values()].filter(({ kind, state }) => state === 'done' && kinds.includes(kind))
      return fitting.sort((a, b) => (a.startedAt > b.startedAt ? -1 : 1))
    },

    running(kinds) {
      return [...known.values()].find(({ kind, state }) => state === 'running' && kinds.includes(kind))
    },

    async close() {
      stopping.abort(interrupted('The server was stopped.'))
      await Promise.all(underWay)
    },
  }
}

export function failureOf(error: BootkeeperError & Pick<Failure, 'needs'>): Failure {
  const { code, message, safe, next, needs } = error
  return { code, message, safe, next, ...(needs ? { needs } : {}) }
}

function fail(operation: Operation, error: BootkeeperError): void {
  for (const step of operation.steps) if (step.state === 'running') step.state = 'failed'
  operation.state = 'failed'
  operation.error = failureOf(error)
  operation.endedAt ??= new Date().toISOString()
  delete operation.rows
  const writes = ['restore', 'undo', 'put-back'].includes(operation.kind)
  if (error.code === 'INTERRUPTED' && !writes)
    Object.assign(operation.error, { safe: 'Nothing was changed.', next: 'Try again.' })
}

function interrupted(message: string): BootkeeperError {
  return new BootkeeperError('INTERRUPTED', message)
}

/** One that cannot be read is left out: it is a record, and no data hangs on it. */
async function readAll(directory: string, log: Log): Promise<Map<string, Operation>> {
  const known = new Map<string, Operation>()
  const names = await readdir(directory).catch(() => [])
  for (const name of names.filter((each) => each.endsWith('.json')))
    try {
      const operation = JSON.parse(await readFile(join(directory, name), 'utf8')) as Operation
      if (`${operation.id}.json` === name) known.set(operation.id, operation)
    } catch {
      log.warn(`${name} in ${directory} cannot be read, and is left out.`)
    }
  return known
}
