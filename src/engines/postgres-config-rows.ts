// Rows of settings in a PostgreSQL database.
// Guarantees: see config-rows.ts; one transaction under a lock that keeps other writers of these tables out; values are
// parameters, and a value that PostgreSQL refuses is told at its field, in PostgreSQL's words without the value.

import type { Client } from 'pg'
import type { Field, Model } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import type { JsonRow } from '../import-source.ts'
import { type ConfigChange, type SaveOutcome, sameSettings } from './config-rows.ts'
import { cellsOf, type NewCell, type ValueProblem } from './config-values.ts'
import { hex, postgresCells } from './postgres-cells.ts'
import { inSession } from './postgres-import-session.ts'
import { postgresRows, quoted } from './postgres-rows.ts'
import { type Catalogue, type PostgresColumn, readCatalogue } from './postgres-tables.ts'
import { planRow } from './row-plan.ts'
import type { Cell } from './sqlite-cells.ts'

interface Place {
  /** The address. */
  database: string
  busyMs: number
}

export async function readRows({ database, busyMs, models }: Place & { models: Model[] }): Promise<(JsonRow | null)[]> {
  return await inSession({ url: database, busyMs }, async (client) => {
    await client.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
    const catalogue = await readCatalogue(client, database, { models, enums: [] })
    const rows: (JsonRow | null)[] = []
    for (const model of models) rows.push(await readRow(client, catalogue, model))
    await client.query('COMMIT')
    return rows
  })
}

export async function saveRows({
  database,
  busyMs,
  changes,
  now,
}: Place & { changes: ConfigChange[]; now: Date }): Promise<SaveOutcome> {
  return await inSession({ url: database, busyMs }, async (client) => {
    const models = changes.map(({ model }) => model)
    const catalogue = await readCatalogue(client, database, { models, enums: [] })
    const names = models.map((model) => tableName(catalogue, model)).join(', ')
    await client.query(`BEGIN; LOCK TABLE ${names} IN SHARE ROW EXCLUSIVE MODE`)
    // Should the app have them off, what is said to be saved is on the disk all the same.
    await client.query(
      `SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'`,
    )
    const outcome = await saveAll(client, catalogue, changes, now)
    await client.query(outcome.kind === 'saved' ? 'COMMIT' : 'ROLLBACK')
    return outcome
  })
}

async function saveAll(client: Client, catalogue: Catalogue, changes: ConfigChange[], now: Date): Promise<SaveOutcome> {
  for (const { model, expected } of changes)
    if (!sameSettings(model, expected, await readRow(client, catalogue, model))) return { kind: 'changed' }
  const problems: ValueProblem[] = []
  const prepared: { change: ConfigChange; cells: NewCell[] }[] = []
  for (const change of changes) {
    const columnOf = columnsOf(catalogue, change.model)
    const found = cellsOf(change, postgresCells(columnOf), now)
    problems.push(...found.problems)
    for (const { field, cell } of found.cells) {
      const message = await refusal(client, columnOf(field)!, cell)
      if (message) problems.push({ model: change.model.name, field: field.name, message })
    }
    prepared.push({ change, cells: found.cells })
  }
  if (problems.length > 0) return { kind: 'refused', problems }
  for (const { change, cells } of prepared) await write(client, catalogue, change, cells)
  return { kind: 'saved' }
}

/** Why PostgreSQL does not take a value; undefined where it does. */
async function refusal(client: Client, { declaredType }: PostgresColumn, cell: Cell): Promise<string | undefined> {
  await client.query('SAVEPOINT typed')
  try {
    await client.query(`SELECT CAST($1::text AS ${declaredType})`, [textOf(cell)])
    return undefined
  } catch (error) {
    const { code = '', message } = error as { code?: string; message: string }
    if (!/^(22|23|54)/.test(code)) throw error
    await client.query('ROLLBACK TO SAVEPOINT typed')
    return `PostgreSQL does not take it: ${message.replace(/: ".*/s, '')}.`
  }
}

async function write(
  client: Client,
  catalogue: Catalogue,
  { model, expected }: ConfigChange,
  cells: NewCell[],
): Promise<void> {
  const table = tableName(catalogue, model)
  const columnOf = columnsOf(catalogue, model)
  const columns = cells.map(({ field }) => quoted(field.column))
  const values = cells.map(({ field }, at) => `CAST($${at + 1}::text AS ${columnOf(field)!.declaredType})`)
  const sets = columns.map((column, at) => `${column} = ${values[at]}`).join(', ')
  const sql =
    expected !== null
      ? `UPDATE ${table} SET ${sets} WHERE ctid = (SELECT t.ctid FROM ${table} AS t ORDER BY ${orderOf(model)} LIMIT 1)`
      : columns.length === 0
        ? `INSERT INTO ${table} DEFAULT VALUES`
        : `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${values.join(', ')})`
  try {
    const { rowCount } = await client.query(
      sql,
      cells.map(({ cell }) => textOf(cell)),
    )
    if (rowCount !== 1) throw new BootkeeperError('INTERNAL', `${rowCount} rows of ${model.name} were written.`)
  } catch (error) {
    const { code = '', message } = error as { code?: string; message: string }
    if (!/^2[23]...$/.test(code)) throw error
    throw new BootkeeperError('SETTINGS_REFUSED', `The database does not take it: ${message}.`, { cause: error })
  }
}

/** As an export has it. */
async function readRow(client: Client, catalogue: Catalogue, model: Model): Promise<JsonRow | null> {
  const sql = postgresRows(planRow({ ...model, relations: [] }, []), {
    nameOf: (each) => tableName(catalogue, each),
    extraColumns: [],
    mayMatchTwice: () => false,
  })
  const { rows } = await client.query<[string]>({ text: `${sql} LIMIT 1`, rowMode: 'array' })
  const [line] = rows[0] ?? []
  // Each line of an export has a comma behind it.
  return line === undefined ? null : (JSON.parse(line.slice(0, -1)) as JsonRow)
}

function tableName(catalogue: Catalogue, model: Model): string {
  return `${quoted(catalogue.schemaOf(model))}.${quoted(catalogue.table(model).name)}`
}

function columnsOf(catalogue: Catalogue, model: Model): (field: Field) => PostgresColumn | undefined {
  const { columns } = catalogue.table(model)
  return (field) => columns.find(({ name }) => name === field.column)
}

function orderOf({ primaryKey, uniques, fields }: Model): string {
  const names = primaryKey.length > 0 ? primaryKey : (uniques[0] ?? [])
  const columns = names.map((name) => `t.${quoted(fields.find((field) => field.name === name)?.column ?? name)}`)
  return [...columns, 't.ctid'].join(', ')
}

function textOf(cell: Cell): string | null {
  if (cell === null) return null
  return cell instanceof Buffer ? hex(cell) : String(cell)
}
