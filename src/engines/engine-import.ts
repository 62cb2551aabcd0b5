// What an engine is asked to import, and what it answers: the same for a dry run and for the real thing.
// Guarantees: every row of the file is in exactly one of the report's counts, and every row of the database too.

import type { DataModel } from '../data-model.ts'
import type { Source } from '../import-source.ts'
import type { PartialScope } from '../scope.ts'
import type { BulkBatch, BulkEnd } from './bulk-rows.ts'

/** What of a file is imported, where that is not all of it. */
export interface ImportChoice {
  /** The rows of the models that are settings. */
  settings: boolean
  /** Rows, all that hangs on them in the file, and the rows of it that these refer to. */
  rows: PartialScope[]
}

export interface ImportOptions {
  model: DataModel
  source: Source
  /**
   * Reads the rows of the same file for the straight way, in another thread. By model of the file: the columns of its
   * table that can be written. Throws where that way does not lead to the end, whatever the reason is.
   */
  readBulk?: (columns: Record<string, string[]>, onBatch: (batch: BulkBatch) => void) => Promise<BulkEnd>
  /** `replace`: the database becomes what the file says. `merge`: the file is added, rows are told by natural key. */
  mode: 'merge' | 'replace'
  /** With `merge`: a row that is there already stays as it is. */
  keepExisting: boolean
  /**
   * The file is a backup of a part of this very database: a primary key means the same row in both. What the file does
   * not have is left alone.
   */
  ofThisDatabase?: boolean
  /** With `merge`: the rest of the file is passed over. Rows are counted as if it were not in the file. */
  only?: ImportChoice
  /** Rows that cannot be imported are an error instead of being left out. */
  strict: boolean
  /** For columns whose default is the present moment. */
  now: Date
  /** Called with the number of rows that were read since the last call. */
  onProgress?: (rows: number) => void
}

export interface ModelCounts {
  model: string
  /** Rows of the file. */
  rows: number
  created: number
  updated: number
  unchanged: number
  /** Of the file, left out: see `skipped`. */
  skipped: number
  /** Of the database, gone with `replace`. */
  removed: number
  /** Of the database, not in the file and still there: all with `merge`, protected rows with `replace`. */
  kept: number
  /** Of the updated rows: the fields that get another value, and in how many rows. In the order of the schema. */
  changes?: { field: string; rows: number }[]
  /** A few rows of each kind, where there are any and they have a name that may be shown. */
  examples?: Partial<Record<'created' | 'updated' | 'removed' | 'kept', RowName[]>>
}

/**
 * As references of an export name rows: a natural key, an array where it has several parts, else `{"#": primary key}`.
 * Values are as they are stored.
 */
export type RowName = string | number | RowName[] | { '#': RowName }

export interface ImportReport {
  models: ModelCounts[]
  /** Rows that were left out, and why. `examples` are places in the file. */
  skipped: { model: string; reason: string; rows: number; examples: number[] }[]
  /** What the file has and the schema has not, with the number of rows that have a value there. */
  notInSchema: { model: string; field?: string; rows: number }[]
  /** Fields of the schema that the file does not have: they keep their value, or get their default. */
  notInFile: { model: string; fields: string[] }[]
  /** Optional references to rows that are nowhere: left empty. */
  emptied: { model: string; field: string; rows: number }[]
}

/** A file whose rows were read and checked, and lie beside the database. */
export interface StagedImport {
  /** What would happen; reads only. Throws IMPORT_INCOMPLETE. */
  plan(): ImportReport | Promise<ImportReport>
  /** Does it, in one transaction, as the database is now. Throws IMPORT_CONFLICT, IMPORT_INCOMPLETE, DATABASE_BUSY. */
  apply(): ImportReport | Promise<ImportReport>
  close(): void | Promise<void>
}
