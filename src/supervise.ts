// Step 6: the app as a child that is looked after until it ends.
// Guarantees: every signal reaches the app; an app that does not end in the grace time is killed with its whole process
// group; its exit code is passed on, 128 + n where signal n ended it.

import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AppCommand, Config } from './config.ts'
import { BootkeeperError } from './errors.ts'
import { formatMs, type Log } from './log.ts'
import { asksForStop, type Signals, Stopped } from './signals.ts'

export interface Running {
  /** Settles when the app answers at READY_URL, or has stayed up long enough. Rejects with APP_NOT_READY. */
  ready: Promise<void>
  /** The exit code to leave with. */
  ended: Promise<number>
  /** Ends it as a stop signal would: grace time, then kill. */
  stop(): Promise<void>
}

/** Throws APP_NOT_STARTED when there is no such program. */
export async function superviseApp(command: AppCommand, config: Config, log: Log, signals: Signals): Promise<Running> {
  const child = spawn(command.file, command.args, {
    stdio: 'inherit',
    // A process group of its own, so that what the app started can be killed with it.
    detached: true,
  })
  await started(child, command)
  let killTimer: NodeJS.Timeout | undefined
  let stopRequested = false
  let hasEnded = false
  const send = (signal: NodeJS.Signals) => {
    try {
      process.kill(command.shell ? -child.pid! : child.pid!, signal)
    } catch {
      // It ended in the same moment.
    }
  }
  const killGroup = () => {
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // Nobody is left in it.
    }
  }
  const take = (signal: NodeJS.Signals) => {
    if (hasEnded) return
    send(signal)
    if (!asksForStop(signal)) return
    stopRequested = true
    killTimer ??= setTimeout(() => {
      log.warn(`The app did not end within ${formatMs(config.stopGraceMs)} after ${signal}: killed.`)
      killGroup()
    }, config.stopGraceMs)
  }
  signals.passTo(take)

  const ended = new Promise<number>((resolve) => {
    child.once('exit', (code, signal) => {
      hasEnded = true
      clearTimeout(killTimer)
      sayEnd(log, code, signal, stopRequested)
      // What outlives the app would write to the database that the next boot copies.
      killGroup()
      resolve(signal ? 128 + constants.signals[signal] : (code ?? 1))
    })
  })
  const ready = becomesReady(config, ended, () => stopRequested)
  // An app may fail before anybody waits for it; who waits later still gets the rejection.
  ready.catch(() => {})
  return {
    ended,
    ready,
    async stop() {
      take('SIGTERM')
      await ended
    },
  }
}

function sayEnd(log: Log, code: number | null, signal: NodeJS.Signals | null, wasAsked: boolean): void {
  const how = signal ? `by ${signal}` : `with exit code ${code ?? 1}`
  // What the kernel sends where a container is at its limit.
  const hint = signal === 'SIGKILL' ? ' Nobody here sent that: mostly the memory of the container ran out.' : ''
  if (wasAsked || code === 0) log.info(`The app ended ${how}.`)
  else log.warn(`The app ended ${how}.${hint}`)
}

async function started(child: ChildProcess, command: AppCommand): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'ENOENT' ? 'there is no such program' : error.message
      // As shells have it: 127 not found, 126 not executable.
      const exitCode = error.code === 'EACCES' ? 126 : 127
      reject(
        new BootkeeperError('APP_NOT_STARTED', `${command.file} could not be started: ${reason}.`, {
          cause: error,
          exitCode,
        }),
      )
    })
  })
}

async function becomesReady(config: Config, ended: Promise<number>, stopRequested: () => boolean): Promise<void> {
  let exitCode: number | undefined
  void ended.then((code) => {
    exitCode = code
  })
  const waitMs = config.readyUrl ? config.readyTimeoutMs : config.readyAfterMs
  for (const until = Date.now() + waitMs; Date.now() < until; ) {
    if (exitCode !== undefined) break
    if (config.readyUrl && (await answers(config.readyUrl))) return
    await Promise.race([ended, sleep(Math.min(200, Math.max(1, until - Date.now())), undefined, { ref: false })])
  }
  if (stopRequested()) throw new Stopped('SIGTERM')
  // An app that did its work and left is an app that came up.
  if (exitCode === 0) return
  if (exitCode !== undefined)
    throw new BootkeeperError('APP_NOT_READY', `The app ended with exit code ${exitCode} before it was ready.`, {
      exitCode,
    })
  if (config.readyUrl)
    throw new BootkeeperError(
      'APP_NOT_READY',
      `The app did not answer at ${config.readyUrl} within ${formatMs(config.readyTimeoutMs)}.`,
    )
}

/** Whether a GET is answered with 2xx or 3xx. */
export async function answers(url: string, timeoutMs = 2_000): Promise<boolean> {
  try {
    const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) })
    await response.body?.cancel()
    return response.status >= 200 && response.status < 400
  } catch {
    return false
  }
}
