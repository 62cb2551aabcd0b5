// The document of the export format, version 1: one valid JSON document that is also line-oriented, one row a line.
// Here are the marks that divide it; bootkeeper-header.ts has its header, bootkeeper-writer.ts writes it, bootkeeper-verify.ts reads
// it back, docs/reference/export-format.md describes it. A released version is never edited.

import type { Field, Model } from '../data-model.ts'
import type { ExportHeader } from './bootkeeper-header.ts'

export const formatName = 'bootkeeper'
export const formatVersion = 1

/** A row that is longer is not exported, so that whoever reads one can hold it. */
export const longestRowBytes = 128 * 1024 * 1024

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

export function describeModel(model: Model, extraColumns: string[]): ExportHeader['models'][string] {
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
function membersOf(model: Model): ExportHeader['models'][string]['fields'] {
  const members: ExportHeader['models'][string]['fields'] = []
  const columnOf = (name: string) => model.fields.find((field) => field.name === name)?.column ?? name
  const written = new Set<string>()
  for (const field of model.fields) {
    const relations = model.relations.filter(({ from }) => from.includes(field.name))
    const renamed = field.column === field.name ? {} : { column: field.column }
    if (relations.length === 0) members.push({ name: field.name, type: typeOf(field), ...renamed })
    for (const { name, target, isRequired, from } of relations) {
      const type = `-> ${target}${isRequired ? '' : '?'}`
      if (!written.has(name)) members.push({ name, type, columns: from.map(columnOf) })
      written.add(name)
    }
  }
  return members
}

function typeOf(field: Field): string {
  const scalar = field.enum ? `Enum ${field.enum.name}` : field.type
  return `${scalar}${field.isList ? '[]' : ''}${field.isRequired || field.isList ? '' : '?'}`
}
