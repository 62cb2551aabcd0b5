// The last look at a SQLite file before it takes the place of the live database, in a child process.
// Guarantees: every page, row, index and reference was looked at; indexes that do not agree with their tables are made
// anew, on this file, because a row cannot be; whatever else is wrong is a problem, and then nothing was replaced.

import Database from 'better-sqlite3'
import type { ExpectedContent } from './engine.ts'
import { wrongCounts } from './sqlite-tables.ts'

export interface Validation {
  /** Why the file must not be used; none is good. */
  problems: string[]
  /** What somebody should know of a file that is good. */
  notes: string[]
}

export function validate({ path, counts, wholeReferences }: ExpectedContent & { path: string }): Validation {
  let database: Database.Database | undefined
  try {
    database = new Database(path, { fileMustExist: true })
    // Nobody else opens the file; so no -shm is made beside it.
    database.pragma('locking_mode = EXCLUSIVE')
    database.pragma('mmap_size = 1099511627776')
    const notes: string[] = []
    let problems = failures(database, 'integrity_check')
    if (problems.length > 0 && failures(database, 'quick_check').length === 0) {
      database.exec('REINDEX')
      notes.push(`Indexes did not agree with their tables and were made anew (${problems[0]})`)
      problems = failures(database, 'integrity_check')
    }
    if (problems.length > 0) return { problems, notes }
    problems = wrongCounts(database, counts ?? {})
    const broken = brokenReferences(database)
    return wholeReferences
      ? { problems: [...problems, ...broken], notes }
      : { problems, notes: [...notes, ...broken.map((text) => `${text}; so it was when the backup was made`)] }
  } catch (error) {
    return { problems: [(error as Error).message], notes: [] }
  } finally {
    database?.close()
  }
}

export function failures(database: Database.Database, check: 'integrity_check' | 'quick_check'): string[] {
  const found = database.prepare(`PRAGMA ${check}(5)`).pluck().all() as string[]
  return found.filter((text) => text !== 'ok')
}

export function brokenReferences(database: Database.Database): string[] {
  try {
    const rows = database
      .prepare('SELECT "table", parent, count(*) AS rows FROM pragma_foreign_key_check GROUP BY 1, 2')
      .all() as { table: string; parent: string; rows: number }[]
    return rows.map(
      ({ table, parent, rows }) =>
        `${rows} of ${table} ${rows === 1 ? 'refers' : 'refer'} to a ${parent} that is not there`,
    )
  } catch (error) {
    // A foreign key that names no unique column cannot be checked.
    return [`References could not be checked: ${(error as Error).message}`]
  }
}
