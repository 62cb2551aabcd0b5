// What an SQLite database says about its own tables: columns, row ids, unique keys. Prisma's data model does not have
// all of it, and the database may be older or newer than the schema.

import type Database from 'better-sqlite3'
import { quoted } from './sqlite-rows.ts'

export interface SqliteTableInfo {
  name: string
  columns: { name: string; type: string; isGenerated: boolean; isText: boolean }[]
  /** A name for the row id that no column hides; undefined in a WITHOUT ROWID table. */
  rowid?: string
  /** Columns of the primary key, in its order. */
  primaryKey: string[]
  /** The column that is the row id itself (INTEGER PRIMARY KEY). */
  rowidAlias?: string
}

/** Every table but SQLite's own, by name. Views, and the tables that hold a virtual table's content, are left out. */
export function readTables(database: Database.Database): Map<string, SqliteTableInfo> {
  const rows = database
    .prepare(`SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')
      AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name`)
    .all() as { name: string; wr: number }[]
  return new Map(rows.map(({ name, wr }) => [name, tableInfo(database, name, wr === 1)]))
}

function tableInfo(database: Database.Database, name: string, withoutRowid: boolean): SqliteTableInfo {
  const columns = database.prepare(`PRAGMA table_xinfo(${quoted(name)})`).all() as {
    name: string
    type: string
    pk: number
    hidden: number
  }[]
  const keys = columns.filter(({ pk }) => pk > 0).sort((a, b) => a.pk - b.pk)
  const taken = new Set(columns.map((column) => column.name.toLowerCase()))
  const rowid = withoutRowid ? undefined : ['rowid', '_rowid_', 'oid'].find((each) => !taken.has(each))
  const alias = keys.length === 1 && keys[0]?.type.toUpperCase() === 'INTEGER' ? keys[0].name : undefined
  return {
    name,
    columns: columns
      .filter(({ hidden }) => hidden !== 1)
      // SQLite's own rule for the affinity TEXT: https://sqlite.org/datatype3.html#determination_of_column_affinity
      .map((each) => ({
        name: each.name,
        type: each.type,
        isGenerated: each.hidden > 0,
        isText: !/INT/i.test(each.type) && /CHAR|CLOB|TEXT/i.test(each.type),
      })),
    ...(rowid ? { rowid } : {}),
    primaryKey: keys.map((key) => key.name),
    ...(alias && !withoutRowid ? { rowidAlias: alias } : {}),
  }
}

/** Whether the database itself forbids two rows with the same values in these columns. */
export function isUnique(database: Database.Database, table: SqliteTableInfo, columns: string[]): boolean {
  const covers = (key: string[]) => key.length > 0 && key.every((name) => columns.includes(name))
  if (covers(table.primaryKey)) return true
  const indexes = database.prepare(`PRAGMA index_list(${quoted(table.name)})`).all() as {
    name: string
    unique: number
    partial: number
  }[]
  return indexes
    .filter(({ unique, partial }) => unique === 1 && partial === 0)
    .some(({ name }) => {
      const parts = database.prepare(`PRAGMA index_info(${quoted(name)})`).all() as { name: string | null }[]
      return covers(parts.map((part) => part.name ?? ''))
    })
}

/** Rows in a table; null where SQLite cannot read it (a virtual table whose module is not there). */
export function countRows(database: Database.Database, table: string): number | null {
  try {
    return database
      .prepare(`SELECT count(*) FROM ${quoted(table)}`)
      .pluck()
      .get() as number
  } catch {
    return null
  }
}

/** Tables that have other numbers of rows than they should, in words. */
export function wrongCounts(database: Database.Database, counts: Record<string, number>): string[] {
  return Object.entries(counts).flatMap(([table, expected]) => {
    const rows = countRows(database, table)
    return rows === expected
      ? []
      : [`table ${table} has ${rows ?? 'no'} ${rows === 1 ? 'row' : 'rows'}, its manifest says ${expected}`]
  })
}
