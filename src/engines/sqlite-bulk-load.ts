// What makes loading a table fast and faithful: triggers and indexes out of the way, serial ids that are not given out
// twice. Guarantees: inside the caller's transaction; what was taken away is there again when the way back was called.

import type Database from 'better-sqlite3'
import { type Mapping, serialKey } from './import-mapping.ts'
import { quoted } from './sqlite-rows.ts'

/** With fewer rows, indexes are kept while they come in. */
export const bulkRows = 5_000

/** Takes the table's triggers away, and with `isBulk` its indexes. Gives the way back. */
export function suspend(database: Database.Database, table: string, isBulk: boolean): () => void {
  const parts = database
    .prepare(
      `SELECT type, name, sql FROM main.sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL AND type IN ('trigger', 'index')`,
    )
    .all(table) as { type: 'trigger' | 'index'; name: string; sql: string }[]
  const taken = parts.filter(({ type }) => type === 'trigger' || isBulk)
  for (const { type, name } of taken) database.exec(`DROP ${type} main.${quoted(name)}`)
  return () => {
    for (const { sql } of taken) database.exec(sql)
  }
}

/** Ids that the file's database gave out and took back are not given to other rows: for its heir, which replaces all. */
export function raiseSequence(database: Database.Database, { source, target }: Mapping): void {
  const has = database.prepare("SELECT 1 FROM main.sqlite_master WHERE name = 'sqlite_sequence'").get()
  if (source.sequence === undefined || !has) return
  const { changes } = database
    .prepare('UPDATE main.sqlite_sequence SET seq = max(seq, ?) WHERE name = ?')
    .run(source.sequence, target.table)
  if (changes === 0 && serialKey(target)?.isAutoincrement)
    database.prepare('INSERT INTO main.sqlite_sequence (name, seq) VALUES (?, ?)').run(target.table, source.sequence)
}
