// Reads the rows of an SQLite database as JSON text, in chunks, within one read transaction: what it gives is the state
// of one moment, in the order of the row ids, so that two exports of the same data are the same bytes.
// Memory stays flat: a chunk is as many rows as fit into a few megabytes, judged before they are read.

import Database from 'better-sqlite3'
import type { DataModel, Model } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import { refusedValue, requireColumns } from './engine-export.ts'
import { type Join, planRow } from './row-plan.ts'
import type { SelectionRequest } from './row-selection.ts'
import { keyPages, type Page, type PageSource, rowidPages } from './sqlite-pages.ts'
import { quoted, sqliteFunctions, sqliteRow } from './sqlite-rows.ts'
import { nothingSelected, notIncludedSqlite, type SqliteSelection, selectSqlite } from './sqlite-selection.ts'
import { countRows, isUnique, readTables, type SqliteTableInfo } from './sqlite-tables.ts'

/** A part of a table: rows whose row id lies between the two, or the whole table where it has no row ids. */
export interface Slice {
  model: string
  rows: number
  from?: bigint
  to?: bigint
}

export interface SqliteReader {
  readonly tables: Map<string, SqliteTableInfo>
  readonly database: Database.Database
  extraColumns(model: Model): string[]
  /** From now on only the rows that are asked for are given of these models. */
  select(request: SelectionRequest): void
  /** How many rows there are to give. */
  count(model: Model): number | null
  /** By model: rows that refer to rows of these models, those that are given, and are not given themselves. */
  notIncluded(models: Model[], selected: Model[]): Record<string, number>
  /** The table in parts of about equal size, in order. */
  slices(model: Model): Slice[]
  /** The slice's rows in order. Nothing is read before it is asked for, and nothing is open between two pages. */
  pages(slice: Slice): Iterator<Page>
  close(): void
}

const rowsPerSlice = 2_500
const cacheKilobytes = 16_000
const mostKeyBytes = 24 * 1024 * 1024

export function openSqliteReader(databasePath: string, dataModel: DataModel): SqliteReader {
  const database = new Database(databasePath, { readonly: true, fileMustExist: true, timeout: 10_000 })
  try {
    database.pragma(`cache_size = -${cacheKilobytes}`)
    database.pragma('temp_store = memory')
    defineRowFunctions(database)
    // The first read after BEGIN is the moment that everything is read as of.
    database.exec('BEGIN; SELECT count(*) FROM sqlite_master')
    requireUtf8(database)
    const tables = readTables(database)
    return new Reader(database, dataModel, tables)
  } catch (error) {
    database.close()
    throw error
  }
}

/** Text is handed over as the bytes that SQLite holds. */
function requireUtf8(database: Database.Database): void {
  const encoding = database.pragma('encoding', { simple: true })
  if (encoding === 'UTF-8') return
  throw new BootkeeperError(
    'EXPORT_FAILED',
    `The database holds its text as ${encoding}; only UTF-8 can be exported.`,
    {
      next: 'Make a UTF-8 database of it: `sqlite3 old.db .dump | sqlite3 new.db`, then use that one.',
    },
  )
}

/** What sqlite-rows.ts needs of a connection. */
export function defineRowFunctions(database: Database.Database): void {
  const options = { deterministic: true, directOnly: true }
  database.function(sqliteFunctions.base64, options, (blob) => (blob as Buffer).toString('base64'))
  database.function(sqliteFunctions.finite, options, (value, model, field, row) => {
    if (Number.isFinite(value)) return value
    throw refusedValue(String(value), String(model), String(row), String(field))
  })
}

class Reader implements SqliteReader {
  private readonly models: Map<string, Model>
  private selection: SqliteSelection = nothingSelected
  private keyBytes = 0
  private readonly keyTables = new Map<string, string>()
  private readonly prepared = new Map<string, SqliteReader['pages']>()

  constructor(
    readonly database: Database.Database,
    private readonly dataModel: DataModel,
    readonly tables: Map<string, SqliteTableInfo>,
  ) {
    this.models = new Map(dataModel.models.map((model) => [model.name, model]))
  }

  close(): void {
    this.database.close()
  }

  extraColumns(model: Model): string[] {
    const known = new Set(model.fields.map(({ column }) => column))
    return this.table(model)
      .columns.filter(({ name, isGenerated }) => !isGenerated && !known.has(name))
      .map(({ name }) => name)
  }

  select(request: SelectionRequest): void {
    this.selection = selectSqlite(this.database, (model) => this.table(model), request)
  }

  count(model: Model): number | null {
    return this.selection.setOf(model) ? this.selection.count(model) : countRows(this.database, model.table)
  }

  notIncluded(models: Model[], selected: Model[]): Record<string, number> {
    const known = this.dataModel.models.filter(({ table }) => this.tables.has(table))
    return notIncludedSqlite(this.database, (model) => this.table(model), known, models, selected)
  }

  slices(model: Model): Slice[] {
    const table = this.table(model)
    const set = this.selection.setOf(model)
    if (!table.rowid) return [{ model: model.name, rows: this.count(model) ?? 0 }]
    const name = set ?? quoted(model.table)
    const rowid = set ? 'k0' : table.rowid
    const bounds = this.database
      .prepare(
        // Each on its own: min and max in one SELECT read the whole table.
        `SELECT (SELECT count(*) FROM ${name}) AS rows, (SELECT min(${rowid}) FROM ${name}) AS first,
          (SELECT max(${rowid}) FROM ${name}) AS last`,
      )
      .safeIntegers()
      .get() as { rows: bigint; first: bigint | null; last: bigint | null }
    const { rows, first, last } = bounds
    if (first === null || last === null) return []
    const parts = (rows + BigInt(rowsPerSlice) - 1n) / BigInt(rowsPerSlice)
    const width = (last - first) / parts + 1n
    const slices: Slice[] = []
    for (let from = first; from <= last; from += width)
      slices.push({
        model: model.name,
        rows: Number(rows / parts),
        from,
        to: from + width - 1n > last ? last : from + width - 1n,
      })
    return slices
  }

  pages(slice: Slice): Iterator<Page> {
    const known = this.prepared.get(slice.model)
    if (known) return known(slice)
    const pages = this.prepare(slice.model)
    this.prepared.set(slice.model, pages)
    return pages(slice)
  }

  private table(model: Model): SqliteTableInfo {
    const table = this.tables.get(model.table)
    requireColumns(
      model,
      table?.columns.map(({ name }) => name),
    )
    return table as SqliteTableInfo
  }

  private prepare(modelName: string): SqliteReader['pages'] {
    const model = this.models.get(modelName) as Model
    const table = this.table(model)
    const { line, from } = this.rowOf(model, table, false)
    const carefulLine = this.rowOf(model, table, true).line
    const set = this.selection.setOf(model)
    const rowidColumn = table.rowid ? [set ? 'selected.k0' : `t.${table.rowid}`] : undefined
    const keys = rowidColumn ?? table.primaryKey.map((name) => `t.${quoted(name)}`)
    if (keys.length === 0)
      throw new BootkeeperError('EXPORT_FAILED', `The columns of the table "${model.table}" hide its row ids.`)
    const source: PageSource = {
      model: modelName,
      line,
      carefulLine,
      // SQLite keeps the order of a CROSS JOIN: from the rows that are wanted to the table.
      from: set ? `${set} AS selected CROSS JOIN ${from}` : from,
      ownTable: `${set ? `${set} AS selected CROSS JOIN ` : ''}${quoted(model.table)} AS t`,
      where: set
        ? (rowidColumn ? [`t.${table.rowid}`] : keys).map((key, at) => `${key} = selected.k${at}`).join(' AND ')
        : 'true',
      keys,
      bytes: this.longColumns(model).map((name) => `ifnull(octet_length(t.${quoted(name)}),0)`),
    }
    if (!rowidColumn) {
      const pages = keyPages(this.database, source)
      return () => pages()
    }
    const pages = rowidPages(this.database, source)
    return ({ from: first, to: last }) => pages(first ?? 0n, last ?? 0n)
  }

  /** What can be long. Asking every column of every row would cost a tenth of the whole export. */
  private longColumns(model: Model): string[] {
    const fields = model.fields.filter(({ type }) => type === 'String' || type === 'Json' || type === 'Bytes')
    return [...fields.map(({ column }) => column), ...this.extraColumns(model)]
  }

  private rowOf(model: Model, table: SqliteTableInfo, careful: boolean): { line: string; from: string } {
    const rowKey = model.primaryKey.length > 0 ? model.primaryKey : undefined
    const columns = rowKey?.map((name) => model.fields.find((field) => field.name === name)?.column ?? name)
    const rowName = columns ? columns.map((name) => `quote(t.${quoted(name)})`).join(" || ',' || ") : `t.${table.rowid}`
    const plan = planRow(model, this.dataModel.models)
    const tableOf = (alias: string) => {
      const join = plan.joins.find((each) => each.alias === alias)
      return join ? this.table(join.target) : table
    }
    const how = {
      holdsText: (alias: string, name: string) =>
        tableOf(alias).columns.some((column) => column.name === name && column.isText),
      extraColumns: this.extraColumns(model),
      rowName,
      joined: (join: Join) => this.keyTable(join) ?? quoted(join.target.table),
      mayMatchTwice: (join: Join) =>
        !isUnique(
          this.database,
          this.table(join.target),
          join.on.map(({ to }) => to.field.column),
        ),
    }
    return sqliteRow(plan, how, careful)
  }

  /**
   * The target's keys alone, in memory. References point everywhere, and looking each up in a large table reads a page
   * for every one of them; its keys fit into the processor's cache.
   */
  private keyTable(join: Join): string | undefined {
    const target = this.table(join.target)
    const id = join.on[0]?.to.field.column
    if (join.on.length !== 1 || id === undefined || id !== target.rowidAlias) return undefined
    const columns = [...new Set(join.reads.map((field) => field.column))].filter((name) => name !== id)
    const cacheName = JSON.stringify([target.name, id, columns])
    const known = this.keyTables.get(cacheName)
    if (known) return known
    const lengths = columns.map((name) => `ifnull(octet_length(${quoted(name)}),0)`).join('+') || '0'
    const bytes = this.database
      .prepare(`SELECT ifnull(sum(24 + ${lengths}),0) FROM ${quoted(target.name)}`)
      .pluck()
      .get() as number
    if (this.keyBytes + bytes > mostKeyBytes) return undefined
    this.keyBytes += bytes
    const name = `temp.bootkeeper_keys_${this.keyTables.size}`
    // Without an ORDER BY: with it SQLite reads the whole rows, where an index has all that is wanted.
    this.database.exec(`CREATE TABLE ${name} (${[`${quoted(id)} INTEGER PRIMARY KEY`, ...columns.map(quoted)].join(',')});
      INSERT INTO ${name} SELECT ${[id, ...columns].map(quoted).join(',')} FROM ${quoted(target.name)}`)
    this.keyTables.set(cacheName, name)
    return name
  }
}
