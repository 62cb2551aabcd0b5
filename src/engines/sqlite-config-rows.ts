// Rows of settings in an SQLite database. For a child process of ours.
// Guarantees: see config-rows.ts; one transaction that takes the write lock before it looks.

import Database from 'better-sqlite3'
import type { Model } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import type { JsonRow } from '../import-source.ts'
import { type ConfigChange, type SaveOutcome, sameSettings } from './config-rows.ts'
import { cellsOf, type NewCell } from './config-values.ts'
import { requireColumns } from './engine-export.ts'
import { planRow } from './row-plan.ts'
import { sqliteCells } from './sqlite-cells.ts'
import { defineRowFunctions } from './sqlite-reader.ts'
import { quoted, sqliteRow } from './sqlite-rows.ts'
import { readTables } from './sqlite-tables.ts'

interface Place {
  /** The path. */
  database: string
  busyMs: number
}

export function readRows({ models, ...place }: Place & { models: Model[] }): (JsonRow | null)[] {
  return withDatabase(place, true, (database) => {
    requireTables(database, models)
    return models.map((model) => readRow(database, model))
  })
}

export function saveRows({ changes, now, ...place }: Place & { changes: ConfigChange[]; now: Date }): SaveOutcome {
  return withDatabase(place, false, (database) => {
    // As durable as what is said to be saved.
    database.pragma('synchronous = full')
    database.exec('BEGIN IMMEDIATE')
    try {
      requireTables(
        database,
        changes.map(({ model }) => model),
      )
      const outcome = saveAll(database, changes, now)
      database.exec(outcome.kind === 'saved' ? 'COMMIT' : 'ROLLBACK')
      return outcome
    } catch (error) {
      if (database.inTransaction) database.exec('ROLLBACK')
      const { code = '', message } = error as { code?: string; message: string }
      if (!code.startsWith('SQLITE_CONSTRAINT')) throw error
      throw new BootkeeperError('SETTINGS_REFUSED', `The database does not take it: ${message}.`, { cause: error })
    }
  })
}

function saveAll(database: Database.Database, changes: ConfigChange[], now: Date): SaveOutcome {
  if (changes.some(({ model, expected }) => !sameSettings(model, expected, readRow(database, model))))
    return { kind: 'changed' }
  const prepared = changes.map((change) => ({ change, ...cellsOf(change, sqliteCells, now) }))
  const problems = prepared.flatMap((each) => each.problems)
  if (problems.length > 0) return { kind: 'refused', problems }
  for (const { change, cells } of prepared) write(database, change, cells)
  return { kind: 'saved' }
}

function write(database: Database.Database, { model, expected }: ConfigChange, cells: NewCell[]): void {
  const table = quoted(model.table)
  const columns = cells.map(({ field }) => quoted(field.column))
  const values = cells.map(({ cell }) => cell)
  if (expected !== null) {
    const sets = columns.map((column) => `${column} = ?`).join(', ')
    const { changes } = database
      .prepare(`UPDATE ${table} SET ${sets} WHERE rowid = (SELECT rowid FROM ${table} AS t ${orderOf(model)} LIMIT 1)`)
      .run(values)
    if (changes !== 1) throw new BootkeeperError('INTERNAL', `${changes} rows of ${model.name} were changed.`)
    return
  }
  const holes = columns.map(() => '?').join(', ')
  database
    .prepare(
      columns.length === 0
        ? `INSERT INTO ${table} DEFAULT VALUES`
        : `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${holes})`,
    )
    .run(values)
}

/** As an export has it. */
function readRow(database: Database.Database, model: Model): JsonRow | null {
  const plan = planRow({ ...model, relations: [] }, [])
  const { line, from } = sqliteRow(
    plan,
    {
      extraColumns: [],
      rowName: "'of the settings'",
      joined: ({ target }) => quoted(target.table),
      mayMatchTwice: () => false,
      holdsText: () => false,
    },
    true,
  )
  const text = database
    .prepare(`SELECT ${line} FROM ${from} ${orderOf(model)} LIMIT 1`)
    .pluck()
    .get()
  return text === undefined ? null : (JSON.parse(text as string) as JsonRow)
}

function orderOf({ primaryKey, uniques, fields }: Model): string {
  const names = primaryKey.length > 0 ? primaryKey : (uniques[0] ?? [])
  const columns = names.map((name) => `t.${quoted(fields.find((field) => field.name === name)?.column ?? name)}`)
  return `ORDER BY ${[...columns, 't.rowid'].join(', ')}`
}

function requireTables(database: Database.Database, models: Model[]): void {
  const tables = readTables(database)
  for (const model of models)
    requireColumns(
      model,
      tables.get(model.table)?.columns.map(({ name }) => name),
    )
}

function withDatabase<Result>(
  { database: path, busyMs }: Place,
  readonly: boolean,
  use: (database: Database.Database) => Result,
): Result {
  const database = new Database(path, { readonly, fileMustExist: true, timeout: busyMs })
  try {
    defineRowFunctions(database)
    return use(database)
  } finally {
    database.close()
  }
}
