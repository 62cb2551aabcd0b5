// Opens a file of any known format for the import: decompresses it, recognises it by its content, and gives its rows.
// Guarantees: the current format is read in constant memory; anything else is read whole, up to a limit; what is not
// recognised, damaged or wrong is an error with a code, its place, and nothing done.

import { isUtf8 } from 'node:buffer'
import { readDecompressed } from '../compression.ts'
import { BootkeeperError } from '../errors.ts'
import type { JsonRow, Source, SourceHeader, SourceRow } from '../import-source.ts'
import { formatName, formatVersion, looksLikeExport } from './bootkeeper-document.ts'
import { type ExportHeader, exportHeaderSchema } from './bootkeeper-header.ts'
import { readExportRows } from './bootkeeper-reader.ts'
import type { DecodeContext, Format } from './format.ts'
import { decodeValue, knownFormats, recogniseFormat } from './known.ts'
import { lineOfPath, lineOfSyntaxError } from './locate.ts'

export interface OpenSourceOptions extends DecodeContext {
  /** The app's own formats, asked before the known ones. */
  formats?: Format[]
}

/** Of a file that has to be read whole. An older export of ten thousand titles has 5 MB. */
const mostWholeBytes = 64 * 1024 * 1024

export async function openSource(path: string, options: OpenSourceOptions): Promise<Source> {
  const pieces = readDecompressed(path)
  const first = await pieces.next()
  if (first.done) throw new BootkeeperError('FORMAT_UNKNOWN', `${path} is empty.`)
  const all = prepend(first.value, pieces)
  const beginning = first.value.toString('latin1', 0, 200)
  if (looksLikeExport(beginning)) requireVersion(path, /^"version": (.{1,20}),$/m.exec(beginning)?.[1])
  if (looksLikeExport(beginning)) return await openLines(path, all)
  return await openWhole(path, all, options)
}

async function* prepend(first: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield first
    yield* rest
  } finally {
    // Closes the file where the reader stops early, also before it took the second piece.
    await rest.return(undefined)
  }
}

async function openLines(path: string, pieces: AsyncGenerator<Buffer>): Promise<Source> {
  let header: ExportHeader | undefined
  const rows = readExportRows(path, pieces, (read) => {
    header = parseHeader(path, read)
  })
  const first = await rows.next()
  if (!header) throw new BootkeeperError('EXPORT_DAMAGED', `${path} has no header.`)
  async function* batches() {
    if (!first.done) yield first.value
    yield* rows
  }
  return { header: describe(header, true), batches, leftBehind: leftBehindOf(header), notes: [] }
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
    format: `${formatName} ${formatVersion}`,
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

async function openWhole(path: string, pieces: AsyncGenerator<Buffer>, options: OpenSourceOptions): Promise<Source> {
  const text = await readWhole(path, pieces)
  const value = parseJson(path, text)
  const own = value as { format?: unknown; version?: unknown } | null
  if (typeof own === 'object' && own?.format === formatName) return openReformatted(path, value as JsonRow)
  const { format, certainty } = recogniseFormat(value, [...(options.formats ?? []), ...knownFormats])
  const decoded = await decodeValue(value, format, options).catch((error: unknown) => {
    throw withLine(error, text)
  })
  const { models, rows, leftBehind, notes, users, version, createdAt, app } = decoded
  return {
    header: {
      format: format.name,
      title: format.title,
      certainty,
      hasLines: false,
      models,
      counts: countsOf(models, rows),
      ...(version === undefined ? {} : { version }),
      ...(createdAt === undefined ? {} : { createdAt }),
      ...(app === undefined ? {} : { app }),
    },
    async *batches() {
      yield rows
    },
    leftBehind,
    notes,
    ...(users ? { users } : {}),
  }
}

function countsOf(models: SourceHeader['models'], rows: SourceRow[]): Record<string, number> {
  const counts = Object.fromEntries(Object.keys(models).map((name) => [name, 0]))
  for (const { model } of rows) counts[model] = (counts[model] ?? 0) + 1
  return counts
}

async function readWhole(path: string, pieces: AsyncGenerator<Buffer>): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const piece of pieces) {
    parts.push(piece)
    bytes += piece.length
    if (bytes > mostWholeBytes)
      throw new BootkeeperError(
        'FORMAT_UNKNOWN',
        `${path} has more than ${mostWholeBytes / 1024 / 1024} MB and does not begin as an export of this version does.`,
        { next: 'A current export that was reformatted must be brought back to one row a line.' },
      )
  }
  const all = Buffer.concat(parts)
  if (all.includes(0) && !isUtf8(all.subarray(0, 1000)))
    throw new BootkeeperError('FORMAT_UNKNOWN', `${path} is no JSON text.`)
  if (!isUtf8(all)) throw new BootkeeperError('FORMAT_UNKNOWN', `${path} is no text in UTF-8.`)
  // Editors on Windows put a byte order mark first.
  return all.toString('utf8').replace(/^\ufeff/, '')
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    const line = lineOfSyntaxError(text)
    throw new BootkeeperError('FORMAT_UNKNOWN', `${path} is not JSON: line ${line} is where it stops to be.`, {
      cause,
      next: 'If the file was cut short, take it again from where it came from.',
    })
  }
}

function withLine(error: unknown, text: string): unknown {
  const path = (error as { cause?: { path?: (string | number)[] } }).cause?.path
  if (!(error instanceof BootkeeperError) || !path) return error
  const line = lineOfPath(text, path)
  return line === undefined
    ? error
    : new BootkeeperError(error.code, `line ${line}: ${error.message}`, { cause: error, next: error.next })
}

/** A current export that lost its lines: someone ran it through a formatter. Its checksum is gone, its counts are not. */
function openReformatted(path: string, document: JsonRow): Source {
  requireVersion(path, show(document.version))
  const header = parseHeader(path, document.header)
  const data = (document.data ?? {}) as Record<string, unknown>
  const counts = (document.counts ?? {}) as Record<string, unknown>
  const models = Object.keys(header.models)
  for (const name of Object.keys(data))
    if (!models.includes(name))
      throw new BootkeeperError('IMPORT_INVALID', `${path}: data.${name} is not described in the header.`)
  for (const name of models) {
    const rows = data[name]
    if (!Array.isArray(rows) || rows.some((row) => typeof row !== 'object' || row === null || Array.isArray(row)))
      throw new BootkeeperError('IMPORT_INVALID', `${path}: data.${name} is no list of rows.`)
    if (rows.length !== counts[name])
      throw new BootkeeperError(
        'EXPORT_DAMAGED',
        `${path}: ${name} has ${rows.length} rows, its footer says ${show(counts[name])}.`,
      )
  }
  async function* batches(): AsyncGenerator<SourceRow[]> {
    for (const model of models) yield (data[model] as JsonRow[]).map((row, index) => ({ model, row, place: index + 1 }))
  }
  return {
    header: { ...describe(header, false), counts: counts as Record<string, number> },
    batches,
    leftBehind: leftBehindOf(header),
    notes: ['The file was reformatted after it was written: its counts are right, its checksum cannot be compared.'],
  }
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
