// The rows of a scope in a PostgreSQL database, by their keys, in temporary tables of the session that exports them.
// Guarantees: they are those of its one transaction, which may be read only; no table of the app is written to.

import type { ClientBase } from 'pg'
import type { Field, Model } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import { quoted } from './postgres-rows.ts'
import type { Catalogue } from './postgres-tables.ts'
import { notIncludedSql, type SelectionDialect, type SelectionRequest, selectRows } from './row-selection.ts'
import type { FilterValue } from './where-filter.ts'
import { columnOf } from './where-sql.ts'

/** Before the transaction begins: one that only reads may fill temporary tables, but not make them. */
export async function makeSets(client: ClientBase, catalogue: Catalogue, models: Model[]): Promise<void> {
  const dialect = postgresDialect(catalogue, models)
  for (const model of models) {
    const keys = dialect.keysOf(model, 't')
    const names = keys.map((_, at) => `k${at}`)
    const set = dialect.setOf(model).replace('pg_temp.', '')
    await client.query(`CREATE TEMP TABLE ${set} AS SELECT ${keys.map((key, at) => `${key} AS ${names[at]}`).join(', ')},
      0 AS round FROM ${dialect.tableOf(model)} AS t WHERE false;
      ALTER TABLE ${dialect.setOf(model)} ADD PRIMARY KEY (${names.join(', ')})`)
  }
}

export async function selectPostgres(
  client: ClientBase,
  catalogue: Catalogue,
  request: SelectionRequest,
): Promise<void> {
  const steps = selectRows(request, postgresDialect(catalogue, request.models))
  for (let step = steps.next(); !step.done; ) {
    const { sql, values } = step.value
    const { rowCount } = await client.query(sql, values)
    step = steps.next(rowCount ?? 0)
  }
}

/** A condition on the table `t`: the row is one of those selected. */
export function isSelectedSql(catalogue: Catalogue, models: Model[], model: Model): string | undefined {
  if (!models.includes(model)) return undefined
  const dialect = postgresDialect(catalogue, models)
  const own = dialect.keysOf(model, 't').map((key, at) => `selected.k${at} = ${key}`)
  return `EXISTS (SELECT 1 FROM ${dialect.setOf(model)} AS selected WHERE ${own.join(' AND ')})`
}

/** By model: rows that refer to those of the scope and are not in it. */
export async function notIncludedPostgres(
  client: ClientBase,
  catalogue: Catalogue,
  all: Model[],
  models: Model[],
  selected: Model[],
): Promise<Record<string, number>> {
  const dialect = postgresDialect(catalogue, selected)
  const scope = { models, isSelected: (model: Model) => selected.includes(model) }
  const counts: Record<string, number> = {}
  for (const model of all) {
    const sql = notIncludedSql(model, scope, dialect)
    if (sql === undefined) continue
    const rows = Number((await client.query<{ rows: string }>(sql)).rows[0]?.rows)
    if (rows > 0) counts[model.name] = rows
  }
  return counts
}

function postgresDialect(catalogue: Catalogue, models: Model[]): SelectionDialect {
  return {
    tableOf: (model) => `${quoted(catalogue.schemaOf(model))}.${quoted(catalogue.table(model).name)}`,
    placeholder: (n) => `$${n}`,
    parameter: (field) => (value) => parameter(field, value),
    keysOf: (model, alias) => keyOf(model).map((name) => `${alias}.${quoted(columnOf(model, name))}`),
    setOf: (model) => `pg_temp.bookkeeper_rows_${models.indexOf(model)}`,
  }
}

/** The server reads it as the type of the column that it is compared with. */
function parameter(field: Field, value: FilterValue): unknown {
  if (field.type === 'Bytes') return Buffer.from(String(value), 'base64')
  if (field.type === 'Enum') return field.enum?.values.find(({ name }) => name === value)?.stored ?? value
  return String(value)
}

function keyOf({ name, primaryKey, uniques, fields }: Model): string[] {
  const isRequired = (key: string[]) => key.every((part) => fields.find((field) => field.name === part)?.isRequired)
  const key = primaryKey.length > 0 ? primaryKey : uniques.find(isRequired)
  if (key) return key
  throw new BootkeeperError('EXPORT_FAILED', `${name} has no key that tells its rows apart.`, {
    next: 'Back up the whole of it: leave the filter out.',
  })
}
