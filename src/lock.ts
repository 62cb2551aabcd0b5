// One Bootkeeper at a time on one data directory, for as long as it boots and its app runs.
// Guarantees: the lock is the operating system's (SQLite's exclusive lock on a side file), so a killed process frees
// it at once and nothing has to be cleaned up; who holds it is kept beside it for the message.

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { BootkeeperError } from './errors.ts'
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

interface Holder {
  pid: number
  host: string
  since: string
  doing: string
}

const pollMs = 100

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
  await writeJsonAtomically(join(stateDir, `${name}.json`), holder)
  return { release: () => side.close() }
}

/** Who holds it, without taking it; undefined: nobody. */
export async function lockHolder(stateDir: string, name: 'lock' | 'ops'): Promise<string | undefined> {
  const path = join(stateDir, `${name}.db`)
  if (!existsSync(path)) return undefined
  const side = new Database(path, { readonly: true, timeout: 0 })
  try {
    side.prepare('SELECT 1 FROM sqlite_master').get()
    return undefined
  } catch (error) {
    if ((error as { code?: string }).code !== 'SQLITE_BUSY') throw error
    return await describeHolder(stateDir, name)
  } finally {
    side.close()
  }
}

async function describeHolder(stateDir: string, name: string): Promise<string> {
  try {
    const { pid, host, since, doing } = JSON.parse(await readFile(join(stateDir, `${name}.json`), 'utf8')) as Holder
    return `${doing} (process ${pid} on ${host}, since ${since})`
  } catch {
    return 'another process'
  }
}
