// Compares an SQLite database with itself after a schema change: what is no longer there, counted.
// Guarantees: every table, column, trigger and view of before is looked for, and every changed value of a column whose
// type changed; nothing is taken from anybody's warnings.

import { rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import { BootkeeperError } from '../errors.ts'
import type { Loss } from './engine.ts'

/**
 * Compares a database with itself after a schema change: what is no longer there, counted. Puts back triggers that
 * Prisma dropped with a table it rebuilt. Throws SCHEMA_CHANGE_FAILED when the result is unsound.
 */
export function compare({ before, after }: { before: string; after: string }): Loss[] {
  const database = new Database(after, { fileMustExist: true })
  try {
    database.pragma('foreign_keys = OFF')
    database.prepare('ATTACH ? AS old').run(before)
    restoreTriggers(database)
    requireSound(database)
    return findLosses(database)
  } finally {
    database.close()
    // An attached database in WAL mode leaves these beside the copy; they are empty.
    for (const ending of ['-wal', '-shm']) rmSync(before + ending, { force: true })
  }
}

interface MasterRow {
  type: string
  name: string
  tbl_name: string
  sql: string | null
}

function master(database: Database.Database, schema: 'old' | 'main'): MasterRow[] {
  return database
    .prepare(
      `SELECT type, name, tbl_name, sql FROM ${schema}.sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'`,
    )
    .all() as MasterRow[]
}

function restoreTriggers(database: Database.Database): void {
  const now = new Set(master(database, 'main').map(({ type, name }) => `${type} ${name}`))
  for (const { type, name, tbl_name, sql } of master(database, 'old')) {
    if (type !== 'trigger' || !sql || now.has(`trigger ${name}`) || !now.has(`table ${tbl_name}`)) continue
    try {
      database.exec(sql)
    } catch {
      // It names a column that is gone; then it counts as lost.
    }
  }
}

function requireSound(database: Database.Database): void {
  const problems = database.pragma('main.quick_check(5)', { simple: false }) as { quick_check: string }[]
  if (problems[0]?.quick_check !== 'ok')
    throw new BootkeeperError('SCHEMA_CHANGE_FAILED', `The changed copy is damaged: ${problems[0]?.quick_check}.`)
  const violations = (schema: string) => database.pragma(`${schema}.foreign_key_check`) as { table: string }[]
  const before = violations('old').length
  const after = violations('main')
  if (after.length > before)
    throw new BootkeeperError(
      'SCHEMA_CHANGE_FAILED',
      `After the change ${after.length - before} rows refer to rows that do not exist, the first in table ${after[0]!.table}.`,
    )
}

function findLosses(database: Database.Database): Loss[] {
  const losses: Loss[] = []
  const count = (sql: string) => (database.prepare(sql).get() as { n: number }).n
  const now = master(database, 'main')
  const has = (type: string, name: string) => now.some((row) => row.type === type && row.name === name)
  for (const { type, name, tbl_name } of master(database, 'old')) {
    const table = quote(name)
    if (type === 'trigger' && !has('trigger', name))
      losses.push({ kind: 'trigger', table: tbl_name, column: name, rows: 0 })
    if (type === 'view' && !has('view', name)) losses.push({ kind: 'view', table: name, rows: 0 })
    if (type !== 'table') continue
    const rows = count(`SELECT count(*) AS n FROM old.${table}`)
    if (!has('table', name)) {
      losses.push({ kind: 'table', table: name, rows })
      continue
    }
    const rowsNow = count(`SELECT count(*) AS n FROM main.${table}`)
    if (rowsNow < rows) losses.push({ kind: 'rows', table: name, rows: rows - rowsNow })
    const columnsNow = columns(database, 'main', name)
    const key = sharedKey(columns(database, 'old', name), columnsNow)
    for (const [column, { type: typeBefore }] of columns(database, 'old', name)) {
      const q = quote(column)
      const after = columnsNow.get(column)
      if (!after) {
        const values = count(`SELECT count(${q}) AS n FROM old.${table}`)
        if (values > 0) losses.push({ kind: 'column', table: name, column, rows: values })
      } else if (after.type !== typeBefore) {
        const changed = count(changedValues(table, q, after.type, key))
        if (changed > 0) losses.push({ kind: 'values', table: name, column, rows: changed })
      }
    }
  }
  return losses
}

/** Counts values that a change of type altered, or left in a form that the new type cannot be read from. */
function changedValues(table: string, column: string, typeNow: string, key: string[]): string {
  const on = key.length > 0 ? key.map((k) => `o.${quote(k)} = n.${quote(k)}`).join(' AND ') : 'o.rowid = n.rowid'
  const [o, n] = [`o.${column}`, `n.${column}`]
  const bothNumbers = `typeof(${o}) IN ('integer','real') AND typeof(${n}) IN ('integer','real')`
  const same = `CASE WHEN ${bothNumbers} THEN ${o} = ${n} ELSE CAST(${o} AS TEXT) = CAST(${n} AS TEXT) END`
  const unreadable = /INT|REAL|FLOA|DOUB|DECIMAL|BOOL/i.test(typeNow) ? `OR typeof(${n}) = 'text'` : ''
  return `SELECT count(*) AS n FROM old.${table} o LEFT JOIN main.${table} n ON ${on} WHERE ${o} IS NOT NULL AND (${n} IS NULL OR NOT ${same} ${unreadable})`
}

type Columns = Map<string, { type: string; key: number }>

function columns(database: Database.Database, schema: 'old' | 'main', table: string): Columns {
  const rows = database.pragma(`${schema}.table_xinfo(${quote(table)})`) as { name: string; type: string; pk: number }[]
  return new Map(rows.map(({ name, type, pk }) => [name, { type, key: pk }]))
}

function sharedKey(before: Columns, after: Columns): string[] {
  const keyOf = (columns: Columns) =>
    [...columns].filter(([, { key }]) => key > 0).map(([name, { type }]) => `${name} ${type}`)
  const names = [...before].filter(([, { key }]) => key > 0).map(([name]) => name)
  return keyOf(before).join() === keyOf(after).join() ? names : []
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
