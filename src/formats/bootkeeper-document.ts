// The document of the export format, version 1: one valid JSON document that is also line-oriented, one row a line.
// Here are the header’s schema and the marks that divide it; bootkeeper-writer.ts writes it, bootkeeper-verify.ts reads
// it back, docs/reference/export-format.md describes it. A released version is never edited.

import { z } from 'zod'
import type { Field, Model } from '../data-model.ts'

export const formatName = 'bootkeeper'
export const formatVersion = 1

const count = z.number().int().nonnegative()

const fieldSchema = z.strictObject({
  name: z.string(),
  /** A Prisma scalar, `Enum NAME`, or `-> MODEL` for a reference; `[]` behind a list, `?` behind an optional one. */
  type: z.string(),
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
})

export const exportHeaderSchema = z.strictObject({
  createdAt: z.iso.datetime(),
  stem: z.string(),
  app: z.string().optional(),
  prismaVersion: z.string(),
  engine: z.enum(['sqlite', 'postgresql']),
  fingerprint: z.string(),
  scope: z.literal('everything'),
  reason: z.string(),
  models: z.record(z.string(), modelSchema),
  notExported: z.strictObject({
    transient: z.array(z.string()),
    tables: z.array(z.strictObject({ table: z.string(), rows: count.nullable() })),
  }),
})

export type ExportHeader = z.infer<typeof exportHeaderSchema>

export const countsSchema = z.record(z.string(), count)

/** The lines that divide the document. Rows begin with `{"`, so none of these can be taken for a row. */
export const marks = {
  open: '{',
  format: `"format": ${JSON.stringify(formatName)},`,
  version: `"version": ${formatVersion},`,
  header: (json: string) => `"header": ${json},`,
  data: '"data": {',
  model: (name: string) => `${JSON.stringify(name)}: [`,
  modelEnd: ']',
  dataEnd: '},',
  counts: (json: string) => `"counts": ${json},`,
  sha256: (hex: string) => `"sha256": "${hex}"`,
  close: '}',
} as const

/** The same check for a file of unknown origin: does it begin as an export does? */
export function looksLikeExport(beginning: string): boolean {
  return beginning.startsWith(`${marks.open}\n${marks.format}\n`)
}

export function describeModel(model: Model, extraColumns: string[]): z.infer<typeof modelSchema> {
  return {
    table: model.table,
    fields: membersOf(model),
    key: model.naturalKey.map(({ name }) => name),
    primaryKey: model.primaryKey,
    ...(extraColumns.length > 0 ? { columns: extraColumns } : {}),
    ...(model.isJoinTable ? { joinTable: true as const } : {}),
  }
}

/** In the order in which the rows have them: a reference where the first field of its foreign key would be. */
function membersOf(model: Model): { name: string; type: string }[] {
  const members: { name: string; type: string }[] = []
  const written = new Set<string>()
  for (const field of model.fields) {
    const relations = model.relations.filter(({ from }) => from.includes(field.name))
    if (relations.length === 0) members.push({ name: field.name, type: typeOf(field) })
    for (const { name, target, isRequired } of relations) {
      if (!written.has(name)) members.push({ name, type: `-> ${target}${isRequired ? '' : '?'}` })
      written.add(name)
    }
  }
  return members
}

function typeOf(field: Field): string {
  const scalar = field.enum ? `Enum ${field.enum.name}` : field.type
  return `${scalar}${field.isList ? '[]' : ''}${field.isRequired || field.isList ? '' : '?'}`
}
