// A look at the live SQLite database for the doctor, in a child process.
// Guarantees: nothing is written to it: its rows, pages and mode stay as they are, and no log is left beside a database
// that had none.

import { statSync } from 'node:fs'
import Database from 'better-sqlite3'
import { BootkeeperError } from '../errors.ts'
import { formatBytes } from '../log.ts'
import type { Examination } from './engine.ts'
import { wouldLeaveLog } from './sqlite-operations.ts'
import { shortProblems } from './sqlite-problems.ts'
import { brokenReferences, failures } from './sqlite-validate.ts'

/** A log that is never folded into its database is slow to read, and shows a reader that never ends. */
const largeWalBytes = 64_000_000

/** Throws DATABASE_CORRUPT where it cannot be opened at all. */
export function examine({ path, busyMs, full }: { path: string; busyMs: number; full: boolean }): Examination {
  const database = openToRead(path, busyMs)
  try {
    const problems = failures(database, full ? 'integrity_check' : 'quick_check')
    const warnings = full && problems.length === 0 ? brokenReferences(database) : []
    const wal = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0
    if (wal > largeWalBytes)
      warnings.push(
        `the write-ahead log has ${formatBytes(wal)}: a connection that never ends its reading keeps it large`,
      )
    const mode = database.pragma('journal_mode', { simple: true })
    const version = database.prepare('SELECT sqlite_version()').pluck().get()
    return {
      facts: [
        `SQLite ${version}`,
        formatBytes(statSync(path).size),
        `journal mode ${mode}${mode === 'wal' ? ` (log ${formatBytes(wal)})` : ''}`,
        `${full ? 'integrity_check' : 'quick_check'} ${problems.length === 0 ? 'ok' : 'failed'}`,
      ],
      problems: problems.length > 0 ? [shortProblems(problems)] : [],
      warnings,
    }
  } catch (error) {
    throw asCorrupt(error, path)
  } finally {
    database.close()
  }
}

function openToRead(path: string, busyMs: number): Database.Database {
  if (statSync(`${path}-journal`, { throwIfNoEntry: false })?.size)
    throw new BootkeeperError(
      'DATABASE_BUSY',
      `${path} has a journal: a process writes to it, or was killed while it did, and the next one to open it takes that back.`,
      { next: 'Run this again. If it says the same, start the app.' },
    )
  try {
    const database = new Database(path, { readonly: !wouldLeaveLog(path), fileMustExist: true, timeout: busyMs })
    database.pragma('query_only = ON')
    return database
  } catch (error) {
    throw asCorrupt(error, path)
  }
}

function asCorrupt(error: unknown, path: string): unknown {
  const { code = '', message } = error as { code?: string; message: string }
  if (!/^SQLITE_(CORRUPT|NOTADB)/.test(code)) return error
  return new BootkeeperError('DATABASE_CORRUPT', `${path} is damaged: ${message}.`, { cause: error })
}
