// What an import's file is, whatever format it has: a description of its models and a stream of rows in the encoding of
// the current export format (docs/reference/export-format.md). Types only, so that formats, which read files, and
// engines, which write databases, need not know each other.

import type { PartialScope } from './scope.ts'

/** A model as the file has it. The same as in the header of the current format, and what older formats need beside. */
export interface SourceModel {
  /** Its table, where the file tells: a model that was renamed is found by it. */
  table?: string
  fields: SourceField[]
  /** Members that make the natural key by which references in this file name its rows. */
  key: string[]
  primaryKey: string[]
  /** Columns that the schema did not know, under `$columns`. */
  columns?: string[]
  joinTable?: true
  /** The highest serial id that was ever given out. */
  sequence?: number
  /** Rows say only what they know: an absent member leaves what the database has. Else absent means null. */
  isPartial?: true
  /**
   * Members that tell rows without a complete natural key apart, compared without case, Unicode form and outer spaces.
   * Without it all members are compared, exactly.
   */
  looseKey?: string[]
  /**
   * By member: a text that stands in where the file had none, made of a prefix and another member. It is for new rows;
   * a row that is there already keeps what it has.
   */
  standIns?: Record<string, { prefix: string; of: string }>
}

/** `type` is a Prisma scalar, `Enum NAME`, or `-> MODEL` for a reference; `[]` behind a list, `?` behind an optional. */
export interface SourceField {
  name: string
  type: string
  /** Where @map gives the column another name. */
  column?: string
  /** Of a reference: the columns of its foreign key. */
  columns?: string[]
}

export type JsonRow = Record<string, unknown>

export interface SourceRow {
  model: string
  row: JsonRow
  /** Where it stands, for errors: the line, or in a file without lines its number within the model. From 1. */
  place: number
}

/** What is said of a file before its rows are read. */
export interface SourceHeader {
  /** The format's name, such as `bootkeeper 1` or `multi-user`. */
  format: string
  title: string
  certainty: Certainty
  /** The version that the file itself names. */
  version?: string
  /** ISO 8601 in UTC. */
  createdAt?: string
  app?: string
  engine?: 'sqlite' | 'postgresql'
  fingerprint?: string
  /** Of a file that holds a part of the data: which one. */
  scope?: PartialScope
  /** Whether `place` is a line of the file. */
  hasLines: boolean
  models: Record<string, SourceModel>
  /** Rows that each model is said to have, where the file tells. */
  counts?: Record<string, number>
}

/** `certain`: it names itself or has what no other format has. `likely`: its shape fits, and no other's does. */
export type Certainty = 'certain' | 'likely'

/** A file that was opened and recognised. Its rows can be read again from the beginning, one reader after the other. */
export interface Source {
  header: SourceHeader
  /** In the order of the file. It throws where the file is damaged, at the latest at its end. */
  batches(): AsyncIterable<SourceRow[]>
  /** Known after the last batch, for an older format at once. */
  leftBehind: { what: string; count: number }[]
  notes: string[]
  /** Of an older format: per user the number of entries of each list. */
  users?: { name: string; entries: Record<string, number> }[]
}
