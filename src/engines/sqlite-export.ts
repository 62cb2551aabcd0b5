// Exports an SQLite database: every row of every model as JSON text that SQLite itself makes, handed to the document's
// writer. Synchronous, for a child process of ours that has nothing else to do. Guarantees: everything is read as of one
// moment, whoever writes meanwhile; the rows that were written are as many as the database counted; nothing is left open.

import type { Model } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import { type EngineExportOptions, exportedModels, type NotExported, type WrittenExport } from './engine-export.ts'
import { openSliceReader } from './sqlite-export-helper.ts'
import { openSqliteReader, type SqliteReader } from './sqlite-reader.ts'
import { countRows } from './sqlite-tables.ts'

export interface SqliteExportOptions extends EngineExportOptions {
  databasePath: string
}

export function exportSqlite(options: SqliteExportOptions): WrittenExport {
  const models = exportedModels(options.model)
  const reader = openSqliteReader(options.databasePath, options.model)
  try {
    const slices = models.flatMap((model) => reader.slices(model))
    const sliceReader = openSliceReader(options, reader, slices)
    const writer = options.openWriter(options.target)
    try {
      writer.start({
        header: options.header,
        engine: 'sqlite',
        models,
        extraColumns: new Map(models.map((model) => [model.name, reader.extraColumns(model)])),
        sequences: sequences(reader, models),
        notExported: notExported(reader, options),
      })
      let position = 0
      let written = 0
      for (const { name } of models) {
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
        requireAll(reader, options, name, rows)
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

function requireAll(reader: SqliteReader, { model }: SqliteExportOptions, name: string, rows: number): void {
  const table = model.models.find((each) => each.name === name)?.table ?? name
  const counted = countRows(reader.database, table)
  if (rows === counted) return
  throw new BootkeeperError('EXPORT_FAILED', `Of the ${counted} rows of ${name}, ${rows} were read.`, {
    next: 'Run `PRAGMA integrity_check` on the database: an index may be damaged.',
  })
}
