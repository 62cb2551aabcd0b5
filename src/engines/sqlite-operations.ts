// What is done to SQLite files, each as one synchronous function, run in a child process (sqlite-child.ts).
// Guarantees: the live database is never changed but by `swapIn`, which renames a finished file over it while it holds
// its exclusive lock; every function may be killed at any moment.

import {
  accessSync,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { basename, dirname } from 'node:path'
import Database from 'better-sqlite3'
import { BootkeeperError } from '../errors.ts'
import { partialPath } from '../files.ts'
import { shortProblems } from './sqlite-problems.ts'
import { countRows, wrongCounts } from './sqlite-tables.ts'

let held: { database: Database.Database; wal: string; walHeader: string } | undefined

/**
 * Begins a read transaction on the live database, so that its file stands still while the PARENT copies it and its
 * -wal. (A copy in this process would cancel SQLite's locks when it closes the file.) Rolls a hot journal back first.
 */
export function hold({ path, busyMs }: { path: string; busyMs: number }): {
  source: string
  settled: boolean
  hasWal: boolean
} {
  const database = openLive(path, busyMs)
  try {
    database.exec('BEGIN')
    database.prepare('SELECT count(*) FROM sqlite_master').get()
  } catch (error) {
    database.close()
    throw asCorrupt(error, path)
  }
  const wal = `${path}-wal`
  held = { database, wal, walHeader: walHeader(wal) }
  return { source: signatureOf(path), settled: isSettled(path), hasWal: held.walHeader !== '' }
}

/**
 * Ends the read transaction. Says whether a copy of the -wal made meanwhile belongs to the copy of the database.
 * A log is only started over while we hold our transaction if all of it was already in the database file when we began;
 * then the file alone, which nobody could change, is the whole database, and the copied log must go.
 */
export function release({ copiedWal }: { copiedWal: string }): { keepWal: boolean } {
  if (!held) throw new Error('release without hold')
  const keepWal =
    held.walHeader !== '' && walHeader(held.wal) === held.walHeader && walHeader(copiedWal) === held.walHeader
  held.database.close()
  held = undefined
  return { keepWal }
}

/** Writes the -wal of a copy into the copy, so that it is one file, and makes it durable. */
export function foldWal({ path }: { path: string }): void {
  const database = new Database(path)
  try {
    database.pragma('locking_mode = EXCLUSIVE')
    database.pragma('wal_checkpoint(TRUNCATE)')
  } finally {
    database.close()
  }
  fsyncPath(path)
}

/**
 * quick_check: every page, every row and every b-tree; then the rows per table, where they are known. Gives the problems
 * found; never throws for a damaged file. Throws where the file cannot be looked at.
 */
export function check({ path, counts }: { path: string; counts?: Record<string, number> | undefined }): string[] {
  let database: Database.Database | undefined
  try {
    database = new Database(path, { fileMustExist: true })
    // Nobody else opens a copy; so no -shm is made beside it.
    database.pragma('locking_mode = EXCLUSIVE')
    database.pragma('query_only = ON')
    database.pragma('mmap_size = 1099511627776')
    const rows = database.pragma('quick_check(5)') as { quick_check: string }[]
    const problems = rows.map((row) => row.quick_check).filter((text) => text !== 'ok')
    return problems.length > 0 ? [shortProblems(problems)] : wrongCounts(database, counts ?? {})
  } catch (error) {
    if (/^SQLITE_(CANTOPEN|READONLY|BUSY|LOCKED|NOMEM|IOERR_LOCK)/.test((error as { code?: string }).code ?? ''))
      throw error
    return [(error as Error).message]
  } finally {
    database?.close()
  }
}

/** Rows per table, without SQLite's own tables and Prisma's. A table that cannot be read is left out. */
export function countTables({ path }: { path: string }): Record<string, number> {
  const database = new Database(path, { fileMustExist: true })
  try {
    database.pragma('locking_mode = EXCLUSIVE')
    // Just written, so it is in memory: ten times faster than reading its pages.
    database.pragma('mmap_size = 1099511627776')
    database.pragma('query_only = ON')
    const tables = database
      .prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> '_prisma_migrations' ORDER BY name",
      )
      .pluck()
      .all() as string[]
    return Object.fromEntries(
      tables.flatMap((table) => {
        const rows = countRows(database, table)
        return rows === null ? [] : [[table, rows]]
      }),
    )
  } finally {
    database.close()
  }
}

/** quick_check on the live database, which others may have open. */
export function checkLive({ path, busyMs }: { path: string; busyMs: number }): string[] {
  let database: Database.Database | undefined
  try {
    database = openLive(path, busyMs)
    const rows = database.pragma('quick_check(5)') as { quick_check: string }[]
    return rows.map((row) => row.quick_check).filter((text) => text !== 'ok')
  } catch (error) {
    return [(error as Error).message]
  } finally {
    database?.close()
  }
}

/** Runs a schema change on a database of our own. */
export function runScript({ path, sql }: { path: string; sql: string }): void {
  const database = new Database(path)
  try {
    database.pragma('locking_mode = EXCLUSIVE')
    database.exec(sql)
  } catch (error) {
    const { code = '', message } = error as { code?: string; message: string }
    // A full disk is a full disk; what SQLite says of the rows is about the change.
    if (!/^SQLITE_(ERROR|CONSTRAINT|MISMATCH)/.test(code)) throw error
    throw new BootkeeperError('SCHEMA_CHANGE_FAILED', `SQLite refused the change: ${message}.`, { cause: error })
  } finally {
    database.close()
  }
}

/**
 * Puts a finished database in the place of the live one.
 * 1. Takes the live one's exclusive lock: nobody else has it open. 2. Compares its signature with `source` (where
 * given): nobody wrote to it. 3. Empties its -wal into it, so that the old log cannot be taken for the new file's.
 * 4. Gives the new file the owner and mode of the old one, links the old one aside where asked, renames, fsyncs. What is
 * aside is for its owner alone.
 * The lock is not released: the parent kills this process, because closing would delete a -wal that by then may be the
 * new file's. If any step fails the live database stays; a kill leaves the old one or the new one.
 */
export function swapIn(args: {
  live: string
  finished: string
  source: string | undefined
  aside: string | undefined
  busyMs: number
}): { aside: string | undefined } {
  const { live, finished, source, aside, busyMs } = args
  if (!existsSync(live)) {
    if (source !== undefined && source !== 'none') throw changedMeanwhile(live)
    for (const ending of ['-wal', '-shm', '-journal']) setAside(live + ending, aside && aside + ending)
    renameSync(finished, live)
    fsyncPath(dirname(live))
    return { aside: undefined }
  }
  const damaged = !lockAlone(live, busyMs, () => {
    if (source !== undefined && signatureOf(live) !== source) throw changedMeanwhile(live)
  })
  if (damaged && !aside) throw new BootkeeperError('DATABASE_CORRUPT', `${live} is damaged.`)
  const { mode, uid, gid } = statSync(live)
  chmodSync(finished, mode & 0o7777)
  const own = statSync(finished)
  if (own.uid !== uid || own.gid !== gid) chownSync(finished, uid, gid)
  fsyncPath(finished)
  const linked = aside && !damaged ? partialPath(aside) : aside
  if (linked) linkSync(live, linked)
  if (damaged) for (const ending of ['-wal', '-journal', '-shm']) setAside(live + ending, aside + ending)
  renameSync(finished, live)
  fsyncPath(dirname(live))
  // Only now: until the rename it was the live one as well.
  if (linked) chmodSync(linked, 0o600)
  if (aside && linked !== aside) {
    renameSync(linked!, aside)
    fsyncPath(dirname(aside))
  }
  return { aside }
}

/** Every table, index, trigger and view with its SQL; '' where there is no database. */
export function structureOf({ path, busyMs }: { path: string; busyMs: number }): string {
  // A -wal alone is the rest of a database that was deleted.
  if (!statSync(path, { throwIfNoEntry: false })?.size) return ''
  const database = openLive(path, busyMs, !wouldLeaveLog(path))
  try {
    const rows = database.prepare('SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name').raw().all()
    return JSON.stringify(rows)
  } finally {
    database.close()
  }
}

/**
 * A reader makes an empty log where there is none, and only a connection that may write takes it away again when it
 * closes. To do that ourselves could take it from somebody who opened the database meanwhile.
 */
export function wouldLeaveLog(path: string): boolean {
  // What is in a log would be written into the database by a connection that may write.
  if (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size) return false
  const file = openSync(path, 'r')
  try {
    const header = Buffer.alloc(20)
    readSync(file, header, 0, header.length, 0)
    accessSync(path, constants.W_OK)
    return header[18] === 2
  } catch {
    return false
  } finally {
    closeSync(file)
  }
}

/** Inode, size and times of the database and its log: any write by anybody changes one of them. */
export function signatureOf(path: string): string {
  const statOf = (file: string) => {
    const stat = statSync(file, { bigint: true, throwIfNoEntry: false })
    return stat && stat.size > 0n ? stat : undefined
  }
  const database = statOf(path)
  const wal = statOf(`${path}-wal`)
  const journal = statOf(`${path}-journal`)
  // An empty file is what SQLite makes on opening: no database yet.
  if (!database && !wal) return 'none'
  const parts = [
    database ? `${database.ino}:${database.size}:${database.mtimeNs}:${database.ctimeNs}` : '',
    // Not its ctime: SQLite, run by root, gives the log the owner of the database each time it opens it.
    wal ? `${wal.ino}:${wal.size}:${wal.mtimeNs}:${walHeader(`${path}-wal`)}` : '',
    // A leftover journal counts as a change.
    journal ? `${journal.ino}:${journal.size}:${journal.mtimeNs}` : '',
  ]
  return `sqlite ${parts.join(' ')}`
}

// Kernels before 6.13 stamp writes by the clock's tick, up to 10 ms: two writes in one tick look the same.
function isSettled(path: string): boolean {
  const newest = Math.max(...[path, `${path}-wal`].map(lastChange))
  return Date.now() - newest > 50
}

// An empty log is what opening makes.
function lastChange(file: string): number {
  const stat = statSync(file, { throwIfNoEntry: false })
  return stat && stat.size > 0 ? stat.ctimeMs : 0
}

function openLive(path: string, busyMs: number, readonly = true): Database.Database {
  // Read-only, so that closing does not checkpoint and the file stays as it was found.
  try {
    const database = new Database(path, { readonly, fileMustExist: true, timeout: busyMs })
    try {
      database.prepare('SELECT count(*) FROM sqlite_master').get()
      return database
    } catch (error) {
      database.close()
      throw error
    }
  } catch (error) {
    const { code } = error as { code?: string }
    // A hot journal, or a -wal without -shm in a read-only place, needs a writer.
    if (!code || !/^SQLITE_(READONLY|CANTOPEN)/.test(code)) throw asCorrupt(error, path)
    return new Database(path, { fileMustExist: true, timeout: busyMs })
  }
}

/** False where the file is too damaged to be locked. Throws DATABASE_BUSY where another process has it open. */
function lockAlone(live: string, busyMs: number, whileLocked: () => void): boolean {
  const database = new Database(live, { fileMustExist: true, timeout: busyMs })
  try {
    // Before the first read: then also a WAL database is locked as a file, and opened by nobody else.
    database.pragma('locking_mode = EXCLUSIVE')
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    const { code = '' } = error as { code?: string }
    database.close()
    if (code.startsWith('SQLITE_BUSY'))
      throw new BootkeeperError('DATABASE_BUSY', `Another process has ${live} open.`, { cause: error })
    if (/^SQLITE_(CORRUPT|NOTADB|IOERR)/.test(code)) return false
    throw error
  }
  whileLocked()
  database.exec('COMMIT')
  try {
    database.pragma('wal_checkpoint(TRUNCATE)')
  } catch {
    return false
  }
  keepOpen.push(database)
  return true
}

const keepOpen: Database.Database[] = []

function changedMeanwhile(live: string): BootkeeperError {
  return new BootkeeperError('DATABASE_BUSY', `Another process wrote to ${live} during the boot.`)
}

function setAside(file: string, aside: string | undefined): void {
  if (!existsSync(file)) return
  if (aside) {
    renameSync(file, aside)
    chmodSync(aside, 0o600)
  } else rmSync(file)
}

/** The 32 bytes that change whenever SQLite starts its log over; '' for no log. */
function walHeader(path: string): string {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch {
    return ''
  }
  try {
    const header = Buffer.alloc(32)
    return readSync(fd, header, 0, 32, 0) === 32 ? header.toString('hex') : ''
  } finally {
    closeSync(fd)
  }
}

function fsyncPath(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function asCorrupt(error: unknown, path: string): unknown {
  const { code = '', message } = error as { code?: string; message: string }
  if (!/^SQLITE_(CORRUPT|NOTADB)/.test(code)) return error
  return new BootkeeperError('DATABASE_CORRUPT', `${basename(path)} is damaged: ${message}.`, { cause: error })
}
