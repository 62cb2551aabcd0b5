// Opens a file of any known format for the import: decompresses it, recognises it by its content, and gives its rows.
// Guarantees: an export of any size is read in constant memory; anything else whole, up to a limit; what is not
// recognised, damaged or wrong is an error with a code, its place, and nothing done.

import { isUtf8 } from 'node:buffer'
import { readDecompressed } from '../compression.ts'
import type { Keys } from '../encryption.ts'
import { BootkeeperError } from '../errors.ts'
import type { Source, SourceHeader, SourceRow } from '../import-source.ts'
import { formatName, looksLikeExport } from './bootkeeper-document.ts'
import { currentFormat, openLines } from './bootkeeper-source.ts'
import type { DecodeContext, Format } from './format.ts'
import { lineOfPath, lineOfSyntaxError } from './locate.ts'
import { quoted } from './quote.ts'

export interface OpenSourceOptions extends DecodeContext {
  /** The app's own formats, asked before the known ones. */
  formats?: Format[]
  /** What opens an encrypted file. */
  keys?: Keys
}

/** Of a file that has to be read whole. An older export of ten thousand titles has 5 MB. */
const mostWholeBytes = 64 * 1024 * 1024

/** Throws USAGE for a user's name where the file says itself whose it is, and what it takes to read the file. */
export async function openSource(path: string, options: OpenSourceOptions): Promise<Source> {
  const read = () => readDecompressed(path, options.keys)
  const pieces = read()
  const first = await pieces.next()
  if (first.done) throw new BootkeeperError('FORMAT_UNKNOWN', `${path} is empty.`)
  if (first.value.toString('latin1', 0, 15) === 'SQLite format 3')
    throw new BootkeeperError('FORMAT_UNKNOWN', `${path} is a SQLite database, not an export.`, {
      next: 'A copy of a backup is put back by the name of the backup: see docs/how-tos/restore-a-copy.md.',
    })
  const all = prepend(first.value, pieces)
  const beginning = first.value.toString('latin1', 0, 200)
  const source = looksLikeExport(beginning)
    ? await openLines(path, beginning, all, read)
    : await openWhole(path, all, read, options)
  if (options.userName !== undefined) await requireUser(path, source, options.userName)
  return source
}

/** Loading them takes longer than reading a small export. */
async function olderFormats() {
  return await import('./known.ts')
}

/** To read all as that user's, or that user's alone, would be a guess. An app's own format does as it likes. */
async function requireUser(path: string, { header, users = [] }: Source, userName: string): Promise<void> {
  const { knownFormats } = await olderFormats()
  const names = users.map(({ name }) => name)
  const isOwn = !knownFormats.some(({ name }) => name === header.format) && header.format !== currentFormat
  if (isOwn || (names.length === 1 && names[0] === userName)) return
  const says = names.length > 0 ? `says itself whose it is: ${shortList(names)}` : 'is not of one user'
  throw new BootkeeperError('USAGE', `${path} ${says}. --user NAME is for a file that names none.`, {
    next: 'Run the same without --user.',
  })
}

function shortList(names: string[]): string {
  const shown = names.slice(0, 3).map(quoted).join(', ')
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown
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

async function openWhole(
  path: string,
  pieces: AsyncGenerator<Buffer>,
  again: () => AsyncGenerator<Buffer>,
  options: OpenSourceOptions,
): Promise<Source> {
  const text = await readWhole(path, pieces)
  const reformatted = async () => (await import('./bootkeeper-reformatted.ts')).openReformatted(path, again)
  if (text === undefined) return await reformatted()
  const value = parseJson(path, text)
  const own = value as { format?: unknown } | null
  if (typeof own === 'object' && own?.format === formatName) return await reformatted()
  const { decodeValue, knownFormats, recogniseFormat } = await olderFormats()
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

/** Undefined: it is too large. */
async function readWhole(path: string, pieces: AsyncGenerator<Buffer>): Promise<string | undefined> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const piece of pieces) {
    parts.push(piece)
    bytes += piece.length
    if (bytes > mostWholeBytes) return undefined
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
    throw new BootkeeperError('FORMAT_UNKNOWN', `${path} is not JSON: it is broken in line ${line}.`, {
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
