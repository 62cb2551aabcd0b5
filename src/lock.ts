// One Bootkeeper at a time on one data directory, for as long as it boots and its app runs.
// Guarantees: the lock is the operating system's (SQLite's exclusive lock on a side file), so a killed process frees
// it at once and nothing has to be cleaned up; who holds it is kept beside it for the message.

import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { asBootkeeperError, BootkeeperError } from './errors.ts'
import { writeJsonAtomically } from './files.ts'

export interface Lock {
  release(): void
}

export interface LockOptions {
  waitMs: number
  signal?: AbortSignal
  onWait?: (holder: string) => void
  /** `lock`: a boot and its app, or a restore. `ops`: an ops command that writes a backup beside a running app. */
  name?: 'lock' | 'ops'
}

export type LockName = NonNullable<LockOptions['name']>

export interface Holder {
  pid: number
  host: string
  since: string
  doing: string
}

const pollMs = 100
const briefPollMs = 5

/** Waits up to `waitMs`, then throws LOCK_HELD (exit 75). Ends early, with the signal's reason, when aborted. */
export async function takeLock(
  stateDir: string,
  doing: string,
  { waitMs, signal, onWait, name = 'lock' }: LockOptions,
): Promise<Lock> {
  const until = Date.now() + waitMs
  // No busy time-out: it would block the thread, and a signal with it.
  const side = new Database(join(stateDir, `${name}.db`), { timeout: 0 })
  for (let told = false; ; ) {
    try {
      // Nothing is ever written to it, so it needs no journal file beside it.
      side.pragma('journal_mode = MEMORY')
      side.exec('BEGIN EXCLUSIVE')
      break
    } catch (error) {
      if ((error as { code?: string }).code !== 'SQLITE_BUSY') {
        side.close()
        throw error
      }
    }
    if (Date.now() >= until || signal?.aborted) {
      side.close()
      signal?.throwIfAborted()
      throw new BootkeeperError('LOCK_HELD', `The data directory is in use by ${await describeHolder(stateDir, name)}.`)
    }
    if (!told) onWait?.(await describeHolder(stateDir, name))
    told = true
    await sleep(Math.max(1, Math.min(pollMs, until - Date.now())))
  }
  const holder: Holder = { pid: process.pid, host: hostname(), since: new Date().toISOString(), doing }
  await writeHolder(join(stateDir, `${name}.json`), holder).catch((error: unknown) => {
    side.close()
    throw error
  })
  return { release: () => side.close() }
}

/** Who holds it, in words, without taking it; undefined: nobody. */
export async function lockHolder(stateDir: string, name: LockName): Promise<string | undefined> {
  return (await holderOf(stateDir, name)) === undefined ? undefined : await describeHolder(stateDir, name)
}

// It only serves messages: on a full disk what needs the lock has better words for what is wrong.
async function writeHolder(path: string, holder: Holder): Promise<void> {
  try {
    await writeJsonAtomically(path, holder)
  } catch (error) {
    if (asBootkeeperError(error).code !== 'DISK_FULL') throw error
    await rm(path, { force: true })
  }
}

/**
 * For a moment's work on one file, such as appending to it; `side` is the file that is locked. Throws LOCK_HELD after
 * `waitMs`. Nobody is told who has it: a holder that was killed has freed it.
 */
export async function withBriefLock<Result>(
  side: string,
  waitMs: number,
  work: () => Promise<Result>,
): Promise<Result> {
  const lock = new Database(side, { timeout: 0 })
  try {
    for (const until = Date.now() + waitMs; ; await sleep(briefPollMs)) {
      try {
        lock.pragma('journal_mode = MEMORY')
        lock.exec('BEGIN EXCLUSIVE')
        break
      } catch (error) {
        if ((error as { code?: string }).code !== 'SQLITE_BUSY') throw error
        if (Date.now() >= until) throw new BootkeeperError('LOCK_HELD', `${side} stayed locked for ${waitMs} ms.`)
      }
    }
    return await work()
  } finally {
    lock.close()
  }
}

/**
 * Who holds the lock now; undefined: nobody. `unknown`: somebody whom the file beside it does not name. Looks by a shared
 * lock for an instant, which could turn away somebody who takes the lock just then without waiting: ask only where it
 * matters.
 */
export async function holderOf(stateDir: string, name: LockName): Promise<Holder | 'unknown' | undefined> {
  const path = join(stateDir, `${name}.db`)
  if (!existsSync(path)) return undefined
  const side = new Database(path, { timeout: 0, readonly: true })
  try {
    side.prepare('SELECT count(*) FROM sqlite_master').get()
    return undefined
  } catch (error) {
    if ((error as { code?: string }).code !== 'SQLITE_BUSY') throw error
  } finally {
    side.close()
  }
  return await readHolder(stateDir, name).catch(() => 'unknown')
}

async function describeHolder(stateDir: string, name: string): Promise<string> {
  try {
    const { pid, host, since, doing } = await readHolder(stateDir, name)
    return `${doing} (process ${pid} on ${host}, since ${since})`
  } catch {
    return 'another process'
  }
}

async function readHolder(stateDir: string, name: string): Promise<Holder> {
  return JSON.parse(await readFile(join(stateDir, `${name}.json`), 'utf8')) as Holder
}
