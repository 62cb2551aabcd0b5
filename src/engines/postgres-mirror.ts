// A mirror of PostgreSQL's tables in an SQLite database, where an import can be planned and tried: a table for each
// model, with every column that can be written. Guarantees: what the mirror holds goes back unchanged, because it is
// PostgreSQL's own text; nothing is written to PostgreSQL.

import { pipeline } from 'node:stream/promises'
import type Database from 'better-sqlite3'
import type { Client } from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import type { DataModel, Field, Model } from '../data-model.ts'
import { type Catalogue, type PostgresColumn, type PostgresTableInfo, tableKey } from './postgres-tables.ts'
import { quoted } from './sqlite-rows.ts'

export interface Mirror {
  /** The data model with the names of the mirror's tables: two schemas may have tables of one name. */
  model: DataModel
  tables: MirrorTable[]
  columnOf(field: Field): PostgresColumn | undefined
}

export interface MirrorTable {
  model: Model
  /** In PostgreSQL, with its schema, quoted. */
  source: string
  columns: MirrorColumn[]
  /** Columns that tell the rows apart; empty where the database has no unique index of required columns. */
  key: MirrorColumn[]
  serial: MirrorColumn | undefined
}

export interface MirrorColumn extends PostgresColumn {
  isBlob: boolean
}

/** Tables that the database does not have are left out. */
export function planMirror({ tables, schemaOf }: Catalogue, { models, enums }: DataModel): Mirror {
  const taken = new Set<string>()
  const columnOf = new Map<Field, PostgresColumn>()
  const planned: MirrorTable[] = []
  const mirrored = models.map((model, index) => {
    // SQLite takes names for the same that differ in their case, and keeps those that begin with sqlite_ for itself.
    const isFree = !taken.has(model.table.toLowerCase()) && !/^sqlite_/i.test(model.table)
    const named = { ...model, table: isFree ? model.table : `${index} ${model.table}` }
    taken.add(named.table.toLowerCase())
    const info = tables.get(tableKey(schemaOf(model), model.table))
    if (info) planned.push(planTable(named, info))
    for (const field of model.fields) {
      const column = info?.columns.find(({ name }) => name === field.column)
      if (column) columnOf.set(field, column)
    }
    return named
  })
  return { model: { models: mirrored, enums }, tables: planned, columnOf: (field) => columnOf.get(field) }
}

function planTable(model: Model, { schema, name, columns, uniqueKeys }: PostgresTableInfo): MirrorTable {
  const bytes = new Set(
    model.fields.filter(({ type, isList }) => type === 'Bytes' && !isList).map((each) => each.column),
  )
  const written = columns
    .filter(({ isGenerated }) => !isGenerated)
    .map((each): MirrorColumn => ({ ...each, isBlob: each.type === 'bytea' && bytes.has(each.name) }))
  const find = (each: string) => written.find((column) => column.name === each)
  const key = uniqueKeys.find((names) => names.length > 0 && names.every((each) => find(each)?.isRequired))
  const field =
    model.primaryKey.length === 1 ? model.fields.find((each) => each.name === model.primaryKey[0]) : undefined
  const serial = field && /^int[248]$/.test(find(field.column)?.type ?? '') && find(field.column)
  return {
    model,
    source: `${quoted(schema)}.${quoted(name)}`,
    columns: written,
    key: key?.map((each) => find(each) as MirrorColumn) ?? [],
    serial: serial && serial.sequence !== null ? serial : undefined,
  }
}

/** Empty tables, in `main` or in another attached database. */
export function createTables(database: Database.Database, schema: string, tables: MirrorTable[]): void {
  for (const { model, columns, serial } of tables) {
    const name = `${schema}.${quoted(model.table)}`
    const declared = columns.map(
      (column) => `${quoted(column.name)} ${typeOf(column)}${column === serial ? serialKey : ''}`,
    )
    database.exec(`CREATE TABLE IF NOT EXISTS ${name} (${declared.join(', ')})`)
  }
}

// So that SQLite, too, remembers the highest number that was ever given out.
const serialKey = ' PRIMARY KEY AUTOINCREMENT'

function typeOf({ type, isBlob }: MirrorColumn): string {
  if (/^(int[248]|oid|bool)$/.test(type)) return 'INTEGER'
  if (isBlob) return 'BLOB'
  return type === 'citext' ? 'TEXT COLLATE NOCASE' : 'TEXT'
}

/** An index for every key by which rows are looked up. */
export function createIndexes(database: Database.Database, schema: string, { model, key }: MirrorTable): void {
  const column = (name: string) => model.fields.find((field) => field.name === name)?.column ?? name
  const natural = model.naturalKey.flatMap((part) =>
    part.kind === 'field' ? [part.name] : (model.relations.find(({ name }) => name === part.name)?.from ?? []),
  )
  const keys = [key.map(({ name }) => name), ...[model.primaryKey, natural].map((names) => names.map(column))]
  const distinct = new Map(keys.filter((names) => names.length > 0).map((names) => [names.join('\0'), names]))
  for (const [at, names] of [...distinct.values()].entries())
    database.exec(`CREATE INDEX ${schema}.${quoted(`${at} of ${model.table}`)} ON ${quoted(model.table)}
      (${names.map(quoted).join(', ')})`)
}

/** Reads the rows as they are now, in the place of those that the mirror had. */
export async function fillMirror(client: Client, database: Database.Database, tables: MirrorTable[]): Promise<void> {
  for (const table of tables) {
    database.exec(`DROP TABLE IF EXISTS main.${quoted(table.model.table)}`)
    createTables(database, 'main', [table])
    database.exec('BEGIN')
    try {
      await copyRows(client, database, table)
      if (table.serial) rememberNumber(database, table)
      createIndexes(database, 'main', table)
      database.exec('COMMIT')
    } catch (error) {
      database.exec('ROLLBACK')
      throw error
    }
  }
}

function rememberNumber(database: Database.Database, { model, serial }: MirrorTable): void {
  const { lastNumber } = serial as MirrorColumn
  if (lastNumber === null) return
  const { changes } = database
    .prepare('UPDATE main.sqlite_sequence SET seq = max(seq, ?) WHERE name = ?')
    .run(lastNumber, model.table)
  if (changes === 0)
    database.prepare('INSERT INTO main.sqlite_sequence (name, seq) VALUES (?, ?)').run(model.table, lastNumber)
}

const newline = 10

async function copyRows(client: Client, database: Database.Database, { model, source, columns, key }: MirrorTable) {
  if (columns.length === 0) return
  const order = key.length > 0 ? `ORDER BY ${key.map(({ name }) => quoted(name)).join(', ')}` : ''
  const stream = client.query(
    copyTo(`COPY (SELECT ${columns.map(readable).join(', ')} FROM ${source} ${order}) TO STDOUT`),
  )
  const insert = database.prepare(
    `INSERT INTO main.${quoted(model.table)} VALUES (${columns.map(() => '?').join(', ')})`,
  )
  const blobs = columns.map(({ isBlob }) => isBlob)
  const add = (lines: string) => {
    for (const line of lines.split('\n'))
      insert.run(line.split('\t').map((text, at) => (text === '\\N' ? null : blobs[at] ? fromHex(text) : plain(text))))
  }
  await pipeline(stream, async (chunks: AsyncIterable<Buffer>) => {
    let rest: Buffer[] = []
    for await (const chunk of chunks) {
      const end = chunk.lastIndexOf(newline)
      rest.push(end < 0 ? chunk : chunk.subarray(0, end))
      if (end < 0) continue
      add(Buffer.concat(rest).toString())
      rest = [chunk.subarray(end + 1)]
    }
  })
}

function readable({ name, type, isBlob }: MirrorColumn): string {
  if (type === 'bool') return `${quoted(name)}::int`
  return isBlob ? `encode(${quoted(name)}, 'hex')` : `${quoted(name)}::text`
}

function fromHex(text: string): Buffer {
  return Buffer.from(text, 'hex')
}

const escapes: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }

function plain(text: string): string {
  return text.includes('\\') ? text.replace(/\\(.)/g, (_, sign: string) => escapes[sign] ?? sign) : text
}
