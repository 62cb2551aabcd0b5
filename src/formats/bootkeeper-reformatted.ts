// A current export from which somebody's formatter took the lines away: read as any JSON document. Guarantees: memory
// does not grow with the file; a row is counted before it counts: a file whose rows are not those that its footer says
// throws before the first of them.

import { BootkeeperError } from '../errors.ts'
import type { JsonRow, Source, SourceRow } from '../import-source.ts'
import { formatName } from './bootkeeper-document.ts'
import { describe, leftBehindOf, notesOf, parseHeader, requireVersion, show } from './bootkeeper-source.ts'
import { type FoundValue, readValues } from './json-stream.ts'
import { isObject } from './library-shape.ts'

/**
 * Members may be in any order, so the file is read twice: for what it says of itself, with its rows counted, and for the
 * rows. Its checksum is gone, its counts are not. `read` begins to read the file.
 */
export async function openReformatted(path: string, read: () => AsyncIterable<Buffer>): Promise<Source> {
  const { members, rows } = await survey(path, read())
  if (members.get('format') !== formatName)
    throw new BootkeeperError('FORMAT_UNKNOWN', `${path} is too large for an older format, and is no export.`)
  requireVersion(path, show(members.get('version')))
  const header = parseHeader(path, members.get('header'))
  const given = members.get('counts')
  const counts = (isObject(given) ? given : {}) as Record<string, number>
  const models = Object.keys(header.models)
  for (const name of rows.keys())
    if (!models.includes(name))
      throw new BootkeeperError('IMPORT_INVALID', `${path}: data.${name} is not described in the header.`)
  for (const name of models) {
    const found = rows.get(name) ?? 0
    if (found !== counts[name])
      throw new BootkeeperError(
        'EXPORT_DAMAGED',
        `${path}: ${name} has ${found} rows, its footer says ${show(counts[name])}.`,
      )
  }
  async function* batches(): AsyncGenerator<SourceRow[]> {
    for await (const found of readValues(path, read(), [rowPlaces])) yield found.map((each) => rowOf(path, each))
  }
  return {
    header: { ...describe(header, false), counts },
    batches,
    leftBehind: leftBehindOf(header),
    notes: [
      ...notesOf(header),
      'The file was reformatted after it was written: its counts are right, its checksum cannot be compared.',
    ],
  }
}

const rowPlaces = '$.data.*.*'

async function survey(path: string, pieces: AsyncIterable<Buffer>) {
  const members = new Map<string, unknown>()
  const rows = new Map<string, number>()
  for await (const found of readValues(path, pieces, ['$.format', '$.version', '$.header', '$.counts', rowPlaces]))
    for (const each of found) {
      if (each.path.length === 1) members.set(String(each.path[0]), each.value)
      else {
        const { model } = rowOf(path, each)
        rows.set(model, (rows.get(model) ?? 0) + 1)
      }
    }
  return { members, rows }
}

function rowOf(file: string, { path: [, model, index], value }: FoundValue): SourceRow {
  if (typeof index !== 'number' || !isObject(value))
    throw new BootkeeperError('IMPORT_INVALID', `${file}: data.${model} is no list of rows.`)
  return { model: String(model), row: value as JsonRow, place: index + 1 }
}
