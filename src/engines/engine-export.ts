// What an engine and the export's document agree on: the engine makes the text of the rows, the writer makes the
// document around it. The writer is passed in, so that no engine knows a format and no format knows an engine.

import type { DataModel, Model } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import type { Scope } from '../scope.ts'

/** What the caller knows of an export. */
export interface ExportHeaderInput {
  createdAt: string
  stem: string
  app?: string
  prismaVersion: string
  fingerprint: string
  scope: Scope
  reason: string
}

/** What the engine found in the database and does not export. */
export interface NotExported {
  /** Models that the schema marks `/// @transient`. */
  transient: string[]
  /** Tables that the schema does not know, or hides with @@ignore. Rows are null where they cannot be counted. */
  tables: { table: string; rows: number | null }[]
  /** Of a part: by model, rows that refer to its rows and are not in it. */
  referring?: Record<string, number>
}

export interface ExportStart {
  header: ExportHeaderInput
  engine: 'sqlite' | 'postgresql'
  models: Model[]
  /** By model: columns that the schema does not know, exported under `$columns`. */
  extraColumns: Map<string, string[]>
  /** By model: the highest serial id that was ever given out, where the database remembers it. */
  sequences?: Map<string, number>
  notExported: NotExported
}

export interface ExportCounts {
  [model: string]: number
}

export interface WrittenExport {
  counts: ExportCounts
  /** Of every byte before the checksum's own line. */
  sha256: string
  sizeBytes: number
  fileSha256: string
}

/**
 * Duties of the implementer: `finish` returns only when the bytes are on disk (fsync); text that is not UTF-8 throws
 * VALUE_NOT_EXPORTABLE, naming model and row; `abort` closes whatever is open and never throws.
 */
export interface ExportWriter {
  start(start: ExportStart): void
  startModel(name: string): void
  /** `lines` are `count` rows as JSON, one a line, with `,\n` between them and nothing after the last. */
  rows(lines: Uint8Array, count: number): void
  finish(): WrittenExport
  abort(): void
}

export type OpenExportWriter = (target: string) => ExportWriter

export interface EngineExportOptions {
  model: DataModel
  header: ExportHeaderInput
  /** A temporary path, given by the caller, who renames it. */
  target: string
  openWriter: OpenExportWriter
  /** Called with the rows that were written so far. */
  onProgress?: (rows: number) => void
}

export function exportedModels(model: DataModel): Model[] {
  return model.models.filter(({ isTransient }) => !isTransient)
}

/** The catalogue of the database must have what the schema has: an export between the two would not be complete. */
export function requireColumns(model: Model, columns: string[] | undefined): void {
  const next = 'Bring the database up to the schema first (start once), then export.'
  if (!columns)
    throw new BootkeeperError('EXPORT_FAILED', `The database has no table "${model.table}" (model ${model.name}).`, {
      next,
    })
  const missing = model.fields.find(({ column }) => !columns.includes(column))
  if (missing)
    throw new BootkeeperError(
      'EXPORT_FAILED',
      `The table "${model.table}" has no column "${missing.column}" (field ${model.name}.${missing.name}).`,
      { next },
    )
}

export function refusedValue(value: string, model: string, row: string, field: string): BootkeeperError {
  return new BootkeeperError(
    'VALUE_NOT_EXPORTABLE',
    `${model}.${field} of the row ${row} holds ${value}, which JSON cannot carry.`,
  )
}
