// One of our own modules in a child process: for SQLite work that blocks, that must be killable at any moment, or that
// must not share a process with a file copy (a closed file descriptor cancels SQLite's POSIX locks).
// Guarantees: an error keeps its code on the way back; a killed child rejects what was asked of it; a child whose
// parent died ends by itself.

import { type ChildProcess, fork } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { BootkeeperError, type ErrorCode } from './errors.ts'

// biome-ignore lint/suspicious/noExplicitAny: each module gives its own argument and result types
type Operations = Record<string, (args: any) => unknown>

export interface Child<Ops extends Operations> {
  call<Name extends keyof Ops & string>(
    name: Name,
    args: Parameters<Ops[Name]>[0],
    signal?: AbortSignal,
  ): Promise<Awaited<ReturnType<Ops[Name]>>>
  /** SIGKILL, and waits until it is gone. SQLite is made for that: nothing it holds survives. */
  kill(): Promise<void>
}

interface Reply {
  /** 0: no answer, but `progress` of what is under way. */
  id: number
  progress?: number
  result?: unknown
  error?: { message: string; code?: string; bootkeeper?: boolean; next?: string; path?: string; syscall?: string }
}

/** `module` is relative to `base` (an import.meta.url), without its ending: .ts in a checkout, .js when built. */
export function startChild<Ops extends Operations>(
  module: string,
  base: string,
  onProgress?: (done: number) => void,
): Child<Ops> {
  const isSource = base.endsWith('.ts')
  const file = fileURLToPath(new URL(`${module}${isSource ? '.ts' : '.js'}`, base))
  const tsx = () => pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
  const child: ChildProcess = fork(file, [], {
    execArgv: isSource ? ['--import', tsx()] : [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    serialization: 'advanced',
  })
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  let nextId = 1
  const gone = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      const error = new BootkeeperError('INTERNAL', `A helper process ended with ${signal ?? `exit code ${code}`}.`)
      for (const { reject } of waiting.values()) reject(error)
      waiting.clear()
      resolve()
    })
    child.once('error', () => resolve())
  })
  child.on('message', ({ id, result, error, progress }: Reply) => {
    if (progress !== undefined) {
      onProgress?.(progress)
      return
    }
    const call = waiting.get(id)
    waiting.delete(id)
    if (error) call?.reject(revive(error))
    else call?.resolve(result as never)
  })
  const kill = async () => {
    child.kill('SIGKILL')
    await gone
  }
  return {
    call(name, args, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        if (child.exitCode !== null || child.signalCode !== null)
          return reject(new BootkeeperError('INTERNAL', 'A helper process is gone.'))
        const onAbort = () => void kill().then(() => reject(signal?.reason))
        const settled = () => signal?.removeEventListener('abort', onAbort)
        signal?.addEventListener('abort', onAbort, { once: true })
        const id = nextId++
        waiting.set(id, {
          resolve(value) {
            settled()
            resolve(value)
          },
          reject(error) {
            settled()
            reject(signal?.aborted ? signal.reason : error)
          },
        })
        child.send({ id, name, args })
      })
    },
    kill,
  }
}

// Oftener than anybody looks: thousands of messages take their time on both sides.
const progressEveryMs = 100
let reportedAt = 0

/** The child's side: how far it is, in whatever it counts. The last of it need not arrive. */
export function reportProgress(done: number): void {
  const now = Date.now()
  if (now - reportedAt < progressEveryMs) return
  reportedAt = now
  // A parent that is gone wants no progress; the disconnect ends this process.
  process.send?.({ id: 0, progress: done } satisfies Reply, undefined, undefined, () => undefined)
}

/** The child's side: answers each call with what the operation of that name gives. */
export function serveOperations(operations: Operations): void {
  process.on('message', async ({ id, name, args }: { id: number; name: string; args: unknown }) => {
    try {
      process.send?.({ id, result: await operations[name]!(args) } satisfies Reply)
    } catch (thrown) {
      const { message, code, next, path, syscall } = thrown as BootkeeperError & NodeJS.ErrnoException
      const bootkeeper = thrown instanceof BootkeeperError
      process.send?.({ id, error: { message, code, next, path, syscall, bootkeeper } } as Reply)
    }
  })
  // The parent decides: a Ctrl-C in a terminal reaches the whole group, and must not race with it.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
  process.on('disconnect', () => process.exit())
}

function revive({ message, code, bootkeeper, next, path, syscall }: NonNullable<Reply['error']>): Error {
  if (bootkeeper) return new BootkeeperError(code as ErrorCode, message, next === undefined ? {} : { next })
  return Object.assign(new Error(message), { code, path, syscall })
}
