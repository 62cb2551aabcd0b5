// Exports an SQLite database: every row of every model as JSON text that SQLite itself makes, handed to the document's
// writer. Synchronous, for a child process of ours that has nothing else to do. Guarantees: everything is read as of one
// moment, whoever writes meanwhile; the rows that were written are as many as the database counted; nothing is left open.

import Database from 'better-sqlite3'
import type { Model } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import type { Scope } from '../scope.ts'
import type { EngineExportOptions, NotExported, WrittenExport } from './engine-export.ts'
import { describedScope, isPlainPart, scopedExport } from './export-scope.ts'
import type { ColumnsOf } from './present-model.ts'
import type { SelectionRequest } from './row-selection.ts'
import { openSliceReader } from './sqlite-export-helper.ts'
import { openSqliteReader, type SqliteReader } from './sqlite-reader.ts'
import { countRows, readTables } from './sqlite-tables.ts'

export interface SqliteExportOptions extends EngineExportOptions {
  databasePath: string
}

export function exportSqlite(options: SqliteExportOptions): WrittenExport {
  const { scope } = options.header
  const { models: candidates, selection } = scopedExport(options.model, scope)
  const reader = openSqliteReader(options.databasePath, options.model)
  try {
    if (selection) reader.select(selection)
    const models = selection?.isWhole
      ? candidates.filter((model) => model === selection.root || reader.count(model) !== 0)
      : candidates
    const slices = models.flatMap((model) => reader.slices(model))
    const sliceReader = openSliceReader(options, reader, slices, selection !== undefined)
    const writer = options.openWriter(options.target)
    try {
      writer.start({
        header: { ...options.header, scope: describedScope(scope, models) },
        engine: 'sqlite',
        models,
        extraColumns: new Map(models.map((model) => [model.name, reader.extraColumns(model)])),
        sequences: sequences(reader, models),
        notExported: scope === 'everything' ? notExported(reader, options) : leftOut(reader, scope, models, selection),
      })
      let position = 0
      let written = 0
      for (const model of models) {
        const { name } = model
        let rows = 0
        writer.startModel(name)
        for (let slice = slices[position]; slice?.model === name; slice = slices[++position]) {
          for (const page of sliceReader.pages(position)) {
            writer.rows(page.lines, page.rows)
            rows += page.rows
          }
          options.onProgress?.(written + rows)
        }
        written += rows
        requireAll(reader, model, rows)
      }
      return writer.finish()
    } catch (error) {
      writer.abort()
      throw error
    } finally {
      sliceReader.close()
    }
  } finally {
    reader.close()
  }
}

function sequences({ database, tables }: SqliteReader, models: Model[]): Map<string, number> {
  const isKept = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").get()
  if (!isKept) return new Map()
  const rows = database.prepare('SELECT name, seq FROM sqlite_sequence').raw().all() as [string, unknown][]
  const known = new Map(rows)
  return new Map(
    models.flatMap(({ name, table }): [string, number][] => {
      const last = known.get(table)
      return tables.has(table) && Number.isSafeInteger(last) ? [[name, last as number]] : []
    }),
  )
}

function notExported(reader: SqliteReader, { model }: SqliteExportOptions): NotExported {
  const known = new Set(model.models.map(({ table }) => table))
  const unknown = [...reader.tables.keys()].filter((table) => !known.has(table) && table !== '_prisma_migrations')
  return {
    transient: model.models.filter(({ isTransient }) => isTransient).map(({ name }) => name),
    tables: unknown.map((table) => ({ table, rows: countRows(reader.database, table) })),
  }
}

function leftOut(reader: SqliteReader, scope: Scope, models: Model[], selection?: SelectionRequest): NotExported {
  const referring = isPlainPart(scope) ? { referring: reader.notIncluded(models, selection?.models ?? []) } : {}
  return { transient: [], tables: [], ...referring }
}

/** The columns of each table that there is. */
export function sqliteColumns(databasePath: string): ColumnsOf {
  const database = new Database(databasePath, { readonly: true, fileMustExist: true, timeout: 10_000 })
  try {
    const tables = readTables(database)
    return ({ table }) => tables.get(table)?.columns.map(({ name }) => name)
  } finally {
    database.close()
  }
}

/** Rows, and about how many bytes of JSON they are, by what the first of them take. */
export function measureSqlite({ databasePath, model, header }: Omit<SqliteExportOptions, 'openWriter' | 'target'>) {
  const { models, selection } = scopedExport(model, header.scope)
  const reader = openSqliteReader(databasePath, model)
  try {
    if (selection) reader.select(selection)
    const rows: Record<string, number> = {}
    let sizeBytes = 0
    for (const each of models) {
      const count = reader.count(each) ?? 0
      if (count === 0 && selection?.isWhole && each !== selection.root) continue
      rows[each.name] = count
      const [first] = reader.slices(each)
      const page = first && reader.pages(first).next()
      if (page && !page.done) sizeBytes += Math.ceil((count * page.value.lines.length) / Math.max(1, page.value.rows))
    }
    return { rows, sizeBytes }
  } finally {
    reader.close()
  }
}

function requireAll(reader: SqliteReader, model: Model, rows: number): void {
  const counted = reader.count(model)
  if (rows === counted) return
  throw new BootkeeperError('EXPORT_FAILED', `Of the ${counted} rows of ${model.name}, ${rows} were read.`, {
    next: 'Run `PRAGMA integrity_check` on the database: an index may be damaged.',
  })
}
