// The header of the export format, version 1, as a strict schema. Apart from the document, because the child process
// that writes and verifies has no need of it: loading zod takes a tenth of a second. Whoever takes a header from a
// file for what it says parses it with this. A released version is never edited.

import { z } from 'zod'
import { scopeSchema } from '../scope.ts'
import { formatName, formatVersion } from './bootkeeper-document.ts'

const count = z.number().int().nonnegative()

const fieldSchema = z.strictObject({
  name: z.string(),
  /** A Prisma scalar, `Enum NAME`, or `-> MODEL` for a reference; `[]` behind a list, `?` behind an optional one. */
  type: z.string(),
  /** Where it differs from the name (@map). */
  column: z.string().optional(),
  /** Of a reference: the columns of its foreign key. */
  columns: z.array(z.string()).optional(),
})

const modelSchema = z.strictObject({
  table: z.string(),
  fields: z.array(fieldSchema),
  /** Members that make the row's natural key; empty where references to it are `{"#": value}`. */
  key: z.array(z.string()),
  primaryKey: z.array(z.string()),
  /** Columns that the schema does not know, under `$columns`. */
  columns: z.array(z.string()).optional(),
  joinTable: z.literal(true).optional(),
  /** The highest serial id that was ever given out: a restored database must not give it to another row. */
  sequence: z.number().int().optional(),
})

export const exportHeaderSchema = z.strictObject({
  createdAt: z.iso.datetime(),
  stem: z.string(),
  app: z.string().optional(),
  prismaVersion: z.string(),
  engine: z.enum(['sqlite', 'postgresql']),
  fingerprint: z.string(),
  scope: scopeSchema,
  reason: z.string(),
  models: z.record(z.string(), modelSchema),
  notExported: z.strictObject({
    transient: z.array(z.string()),
    tables: z.array(z.strictObject({ table: z.string(), rows: count.nullable() })),
    /** Of a part: by model, rows that referred to its rows and are not in it. */
    referring: z.record(z.string(), count).optional(),
  }),
})

/** The whole document, for readers in other languages: docs/reference/export-format.schema.json is made of it. */
export const exportDocumentSchema = z
  .strictObject({
    format: z.literal(formatName),
    version: z.literal(formatVersion),
    header: exportHeaderSchema,
    data: z.record(z.string(), z.array(z.record(z.string(), z.json()))),
    counts: z.record(z.string(), count),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
  })
  .describe('An export of Bootkeeper, version 1. See export-format.md for what the values mean.')

export type ExportHeader = z.infer<typeof exportHeaderSchema>
