// The current export format as a source of an import: by its lines, or, where somebody's formatter took these away, as
// any JSON document. Guarantees: memory does not grow with the file; a row is counted before it counts: a file whose
// rows are not those that its footer says throws, at the latest at its end.

import { BootkeeperError } from '../errors.ts'
import type { JsonRow, Source, SourceHeader, SourceRow } from '../import-source.ts'
import { formatName, formatVersion } from './bootkeeper-document.ts'
import { type ExportHeader, exportHeaderSchema } from './bootkeeper-header.ts'
import { readExportFile, readExportRows } from './bootkeeper-reader.ts'
import { type FoundValue, readValues } from './json-stream.ts'
import { isObject } from './library-shape.ts'

export const currentFormat = `${formatName} ${formatVersion}`

/** `beginning` are its first lines. */
export async function openLines(path: string, beginning: string, pieces: AsyncGenerator<Buffer>): Promise<Source> {
  requireVersion(path, /^"version": (.{1,20}),$/m.exec(beginning)?.[1])
  let header: ExportHeader | undefined
  const rows = readExportRows(path, pieces, (read) => {
    header = parseHeader(path, read)
  })
  const first = await rows.next()
  if (!header) throw new BootkeeperError('EXPORT_DAMAGED', `${path} has no header.`)
  async function* begun() {
    if (!first.done) yield first.value
    yield* rows
  }
  let isBegun = false
  function batches() {
    if (isBegun) return readExportFile(path)
    isBegun = true
    return begun()
  }
  return { header: describe(header, true), batches, leftBehind: leftBehindOf(header), notes: [] }
}

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
    notes: ['The file was reformatted after it was written: its counts are right, its checksum cannot be compared.'],
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

function parseHeader(path: string, header: unknown): ExportHeader {
  const { success, data, error } = exportHeaderSchema.safeParse(header)
  if (success) return data
  const [issue] = error.issues
  throw new BootkeeperError(
    'IMPORT_INVALID',
    `${path}: line 4, header.${issue?.path.join('.')}: ${issue?.message ?? 'not what it should be'}.`,
  )
}

function describe(header: ExportHeader, hasLines: boolean): SourceHeader {
  const { createdAt, app, engine, fingerprint, models } = header
  return {
    format: currentFormat,
    title: `Bootkeeper export, version ${formatVersion}`,
    certainty: 'certain',
    version: String(formatVersion),
    createdAt,
    ...(app === undefined ? {} : { app }),
    engine,
    fingerprint,
    hasLines,
    models: models as SourceHeader['models'],
  }
}

function leftBehindOf({ notExported }: ExportHeader): Source['leftBehind'] {
  return notExported.tables
    .filter(({ rows }) => rows !== 0)
    .map(({ table, rows }) => ({ what: `table ${table}, which the export left out`, count: rows ?? 0 }))
}

function requireVersion(path: string, version: string | undefined): void {
  if (version === String(formatVersion)) return
  throw new BootkeeperError('FORMAT_UNKNOWN', `${path} has version ${version ?? 'unknown'} of the export format.`, {
    next: `This Bootkeeper reads version ${formatVersion}. Take the version of Bootkeeper that made the file, or a newer one.`,
  })
}

function show(value: unknown): string {
  return value === undefined ? 'nothing' : String(JSON.stringify(value)).slice(0, 40)
}
