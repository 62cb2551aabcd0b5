// The rows of a scope in an SQLite database, by their row ids, in temporary tables of the connection that exports them.
// Guarantees: they are those of its one read transaction; the database itself is not written to.

import type Database from 'better-sqlite3'
import type { Model } from '../data-model.ts'
import { notIncludedSql, type SelectionDialect, type SelectionRequest, selectRows } from './row-selection.ts'
import { sqliteCells } from './sqlite-cells.ts'
import { quoted } from './sqlite-rows.ts'
import type { SqliteTableInfo } from './sqlite-tables.ts'

export interface SqliteSelection {
  /** The table of the keys that are selected; undefined for a model that is not selected row by row. */
  setOf(model: Model): string | undefined
  count(model: Model): number
}

export const nothingSelected: SqliteSelection = { setOf: () => undefined, count: () => 0 }

export function selectSqlite(
  database: Database.Database,
  tableOf: (model: Model) => SqliteTableInfo,
  request: SelectionRequest,
): SqliteSelection {
  const dialect = sqliteDialect(request.models, tableOf)
  for (const model of request.models) {
    const keys = dialect.keysOf(model, 't').map((_, at) => `k${at}`)
    // A single INTEGER key is the row id of the set as well.
    const columns = keys.length === 1 && tableOf(model).rowid ? ['k0 INTEGER'] : keys
    const all = [...columns, 'round', `PRIMARY KEY (${keys.join(', ')})`]
    database.exec(`CREATE TABLE ${dialect.setOf(model)} (${all.join(', ')})`)
  }
  const steps = selectRows(request, dialect)
  for (let step = steps.next(); !step.done; ) {
    const { sql, values } = step.value
    step = steps.next(database.prepare(sql).run(...values).changes)
  }
  return {
    setOf: (model) => (request.models.includes(model) ? dialect.setOf(model) : undefined),
    count: (model) =>
      database
        .prepare(`SELECT count(*) FROM ${dialect.setOf(model)}`)
        .pluck()
        .get() as number,
  }
}

/** By model: rows that refer to those of the scope and are not in it. */
export function notIncludedSqlite(
  database: Database.Database,
  tableOf: (model: Model) => SqliteTableInfo,
  all: Model[],
  models: Model[],
  selected: Model[],
): Record<string, number> {
  const dialect = sqliteDialect(selected, tableOf)
  const scope = { models, isSelected: (model: Model) => selected.includes(model) }
  const counts = all.flatMap((model): [string, number][] => {
    const sql = notIncludedSql(model, scope, dialect)
    const rows = sql === undefined ? 0 : (database.prepare(sql).pluck().get() as number)
    return rows > 0 ? [[model.name, rows]] : []
  })
  return Object.fromEntries(counts)
}

function sqliteDialect(models: Model[], tableOf: (model: Model) => SqliteTableInfo): SelectionDialect {
  return {
    tableOf: ({ table }) => quoted(table),
    placeholder: () => '?',
    parameter: (field) => sqliteCells.cellOf(field, field.type, false),
    // Prisma's older form of a time, and one that its adapter can be told to use.
    asNumber: (field) => (field.type === 'DateTime' ? (value) => Date.parse(String(value)) : undefined),
    keysOf(model, alias) {
      const { rowid, primaryKey } = tableOf(model)
      return rowid ? [`${alias}.${rowid}`] : primaryKey.map((name) => `${alias}.${quoted(name)}`)
    },
    setOf: (model) => `temp.bookkeeper_rows_${models.indexOf(model)}`,
  }
}
