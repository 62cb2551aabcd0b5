// Brings PostgreSQL to what the mirror became: the rows that differ are removed and written anew, by COPY, within the
// caller's transaction. Guarantees: rows that are the same are not touched; triggers do not fire and nothing cascades;
// every foreign key is back at the end, and with it checked; as many rows are there as the mirror has.

import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type Database from 'better-sqlite3'
import type { Client } from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { BootkeeperError } from '../errors.ts'
import { hex } from './postgres-cells.ts'
import { createIndexes, createTables, type MirrorColumn, type MirrorTable } from './postgres-mirror.ts'
import type { Cell } from './sqlite-cells.ts'
import { quoted } from './sqlite-rows.ts'

const before = 'before'

/** Keeps the rows of the mirror as they are, to be compared with what they become. */
export function keepBefore(database: Database.Database, tables: MirrorTable[]): void {
  // A database without a name is a temporary file that is gone with the connection.
  database.exec(`ATTACH '' AS ${before}`)
  createTables(database, before, tables)
  for (const table of tables) {
    const name = quoted(table.model.table)
    database.exec(`INSERT INTO ${before}.${name} SELECT * FROM main.${name}`)
    createIndexes(database, before, table)
  }
}

export async function replay(client: Client, database: Database.Database, tables: MirrorTable[]): Promise<void> {
  for (const table of tables) requireDistinct(database, table)
  const changes = tables.map((table) => ({
    table,
    removes: exists(database, goneRows(table, 'SELECT 1')),
    adds: exists(database, newRows(table, 'SELECT 1')),
  }))
  const touched = changes.filter(({ removes, adds }) => removes || adds)
  const namesOf = (changed: typeof changes) => changed.map(({ table }) => table.source)
  const restoreKeys = await dropForeignKeys(
    client,
    namesOf(changes.filter(({ adds }) => adds)),
    namesOf(changes.filter(({ removes }) => removes)),
  )
  const restoreTriggers = await disableTriggers(client, namesOf(touched))
  for (const { table, removes } of changes) if (removes) await removeRows(client, database, table)
  for (const { table, adds } of changes) if (adds) await addRows(client, database, table)
  // What waits for the commit would keep the tables from being altered.
  await client.query('SET CONSTRAINTS ALL IMMEDIATE')
  await restoreKeys()
  await restoreTriggers()
  for (const { table } of touched) await requireCount(client, database, table)
  for (const table of tables) await raiseSequences(client, database, table)
}

/** The mirror has no constraints: two rows of one key would be taken for one here. */
function requireDistinct(database: Database.Database, { model, key }: MirrorTable): void {
  if (key.length === 0)
    throw new BootkeeperError('IMPORT_CONFLICT', `No key tells the rows of the table "${model.table}" apart.`, {
      next: 'Start the app once, so that the database follows the schema, then import.',
    })
  const names = key.map(({ name }) => quoted(name)).join(', ')
  const twice = database
    .prepare(`SELECT ${names} FROM main.${quoted(model.table)} GROUP BY ${names} HAVING count(*) > 1 LIMIT 1`)
    .raw()
    .safeIntegers()
    .get() as Cell[] | undefined
  if (twice)
    throw new BootkeeperError(
      'IMPORT_CONFLICT',
      `${model.name} would have two rows with the same ${key.map(({ name }) => name).join(', ')}: ${twice.map(textOf).join(', ')}.`,
    )
}

function exists(database: Database.Database, sql: string): boolean {
  return database.prepare(`SELECT EXISTS (${sql})`).pluck().get() === 1
}

function goneRows(table: MirrorTable, select: string): string {
  return differing(table, select, before, 'main')
}

function newRows(table: MirrorTable, select: string): string {
  return differing(table, select, 'main', before)
}

/** The rows `t` of one side that the other side does not have with the same values. */
function differing({ model, key, columns }: MirrorTable, select: string, side: string, other: string): string {
  const name = quoted(model.table)
  const on = key.map((column) => `o.${quoted(column.name)} = t.${quoted(column.name)}`)
  const differs = columns.map((column) => `t.${quoted(column.name)} COLLATE BINARY IS NOT o.${quoted(column.name)}`)
  return `${select} FROM ${side}.${name} AS t LEFT JOIN ${other}.${name} AS o ON ${on.join(' AND ')}
    WHERE o.${quoted(key[0]!.name)} IS NULL OR ${differs.join(' OR ')}`
}

const keysAtOnce = 10_000

async function removeRows(client: Client, database: Database.Database, table: MirrorTable): Promise<void> {
  const { key, source } = table
  const names = key.map(({ name }) => `t.${quoted(name)}`)
  const rows = database
    .prepare(goneRows(table, `SELECT ${names.join(', ')}`))
    .raw()
    .safeIntegers()
    .iterate()
  const lists = key.map(({ declaredType }, at) => `$${at + 1}::text[]::${declaredType}[]`)
  const on = key.map((_, at) => `${names[at]} = k.k${at}`)
  const sql = `DELETE FROM ${source} AS t USING unnest(${lists.join(', ')}) AS k(${key.map((_, at) => `k${at}`).join(', ')})
    WHERE ${on.join(' AND ')}`
  for (const batch of batches(rows as Iterable<Cell[]>, keysAtOnce)) {
    const values = key.map((_, at) => batch.map((row) => textOf(row[at] as Cell)))
    const { rowCount } = await client.query(sql, values)
    if (rowCount !== batch.length)
      throw new BootkeeperError('INTERNAL', `Of ${batch.length} rows of ${source}, ${rowCount} were found.`)
  }
}

function* batches<Item>(items: Iterable<Item>, size: number): Iterable<Item[]> {
  let batch: Item[] = []
  for (const item of items) {
    batch.push(item)
    if (batch.length < size) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/** In the order of the mirror. Where a required column has nothing, PostgreSQL's own default fills it. */
async function addRows(client: Client, database: Database.Database, table: MirrorTable): Promise<void> {
  const { columns, source } = table
  const mayDefault = columns.filter(({ isRequired, hasDefault }) => isRequired && hasDefault)
  const isEmpty = (column: MirrorColumn) => `t.${quoted(column.name)} IS NULL`
  const patterns = database
    .prepare(`SELECT DISTINCT * FROM (${newRows(table, `SELECT ${['0', ...mayDefault.map(isEmpty)].join(', ')}`)})`)
    .raw()
    .all() as number[][]
  for (const [, ...empty] of patterns) {
    const given = columns.filter((column) => empty[mayDefault.indexOf(column)] !== 1)
    const names = given.map(({ name }) => quoted(name))
    const fits = mayDefault.map((column, at) => `(${isEmpty(column)}) = ${empty[at]}`)
    const rows = database
      .prepare(
        `SELECT ${given.map(({ name }) => `t.${quoted(name)}`).join(', ')} FROM main.${quoted(table.model.table)} AS t
          WHERE ${[`t.rowid IN (${newRows(table, 'SELECT t.rowid')})`, ...fits].join(' AND ')} ORDER BY t.rowid`,
      )
      .raw()
      .safeIntegers()
      .iterate() as Iterable<Cell[]>
    const stream = client.query(copyFrom(`COPY ${source} (${names.join(', ')}) FROM STDIN`))
    await pipeline(Readable.from(copyText(rows), { highWaterMark: 1 }), stream)
  }
}

const chunkLength = 128 * 1024

function* copyText(rows: Iterable<Cell[]>): Iterable<string> {
  let chunk = ''
  for (const row of rows) {
    chunk += `${row.map(copyCell).join('\t')}\n`
    if (chunk.length < chunkLength) continue
    yield chunk
    chunk = ''
  }
  if (chunk !== '') yield chunk
}

function copyCell(cell: Cell): string {
  return textOf(cell)?.replace(/[\\\n\r\t]/g, (sign) => copyEscapes[sign] as string) ?? '\\N'
}

const copyEscapes: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function textOf(cell: Cell): string | null {
  if (cell === null) return null
  return cell instanceof Buffer ? hex(cell) : String(cell)
}

/**
 * Those of tables that get rows, and those that point to tables that lose some. Adding a key again checks every row,
 * so a table that the schema does not know cannot be left with rows that point to nowhere.
 */
async function dropForeignKeys(client: Client, gaining: string[], losing: string[]): Promise<() => Promise<void>> {
  const { rows } = await client.query<{ table: string; name: string; definition: string; comment: string | null }>(
    `SELECT conrelid::regclass::text AS table, quote_ident(conname) AS name, pg_get_constraintdef(oid) AS definition,
      quote_literal(obj_description(oid, 'pg_constraint')) AS comment
      FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
        AND (conrelid = ANY ($1::text[]::regclass[]) OR confrelid = ANY ($2::text[]::regclass[])) ORDER BY 1, 2`,
    [gaining, losing],
  )
  for (const { table, name } of rows) await client.query(`ALTER TABLE ${table} DROP CONSTRAINT ${name}`)
  return async () => {
    for (const { table, name, definition, comment } of rows) {
      await client.query(`ALTER TABLE ${table} ADD CONSTRAINT ${name} ${definition}`)
      if (comment !== null) await client.query(`COMMENT ON CONSTRAINT ${name} ON ${table} IS ${comment}`)
    }
  }
}

async function disableTriggers(client: Client, tables: string[]): Promise<() => Promise<void>> {
  const { rows } = await client.query<{ table: string; name: string; enabled: string }>(
    `SELECT tgrelid::regclass::text AS table, quote_ident(tgname) AS name,
      CASE tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE' END AS enabled
      FROM pg_trigger WHERE tgrelid = ANY ($1::text[]::regclass[]) AND NOT tgisinternal AND tgenabled <> 'D'`,
    [tables],
  )
  for (const { table, name } of rows) await client.query(`ALTER TABLE ${table} DISABLE TRIGGER ${name}`)
  return async () => {
    for (const { table, name, enabled } of rows) await client.query(`ALTER TABLE ${table} ${enabled} TRIGGER ${name}`)
  }
}

async function requireCount(client: Client, database: Database.Database, { model, source }: MirrorTable) {
  const wanted = database
    .prepare(`SELECT count(*) FROM main.${quoted(model.table)}`)
    .pluck()
    .get() as number
  const { rows } = await client.query<{ found: string }>(`SELECT count(*) AS found FROM ${source}`)
  if (Number(rows[0]?.found) !== wanted)
    throw new BootkeeperError('INTERNAL', `${model.name} has ${rows[0]?.found} rows after the import, not ${wanted}.`)
}

/** A sequence never goes back, and what is done to it is not undone: that costs numbers at most. */
async function raiseSequences(client: Client, database: Database.Database, table: MirrorTable): Promise<void> {
  for (const column of table.columns.filter(({ sequence }) => sequence !== null)) {
    const one = (sql: string, ...values: string[]) =>
      (database
        .prepare(sql)
        .pluck()
        .safeIntegers()
        .get(...values) as bigint | null | undefined) ?? 0n
    const highest = one(`SELECT max(${quoted(column.name)}) FROM main.${quoted(table.model.table)}`)
    const isSerial = column === table.serial
    const last = isSerial ? one('SELECT seq FROM main.sqlite_sequence WHERE name = ?', table.model.table) : 0n
    const wanted = highest > last ? highest : last
    await client.query(
      `SELECT setval($1::regclass, least($2::bigint, seqmax)) FROM pg_sequence
        WHERE seqrelid = $1::regclass AND seqincrement > 0 AND seqmin <= $2::bigint
          AND $2::bigint > coalesce(pg_sequence_last_value(seqrelid), 0)`,
      [column.sequence, String(wanted)],
    )
  }
}
