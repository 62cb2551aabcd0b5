// The current export format as a source of an import, line by line. Guarantees: memory does not grow with the file; one
// that is not as it was written throws, at the latest at its end.

import { BootkeeperError } from '../errors.ts'
import type { Source, SourceHeader } from '../import-source.ts'
import { formatName, formatVersion } from './bootkeeper-document.ts'
import { type ExportHeader, exportHeaderSchema } from './bootkeeper-header.ts'
import { readExportFile, readExportRows } from './bootkeeper-reader.ts'

export const currentFormat = `${formatName} ${formatVersion}`

/** `beginning` are its first lines. */
export async function openLines(path: string, beginning: string, pieces: AsyncGenerator<Buffer>): Promise<Source> {
  requireVersion(path, /^"version": (.{1,20}),$/m.exec(beginning)?.[1])
  let header: ExportHeader | undefined
  const rows = readExportRows(path, pieces, {
    onHeader: (read) => {
      header = parseHeader(path, read)
    },
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
  return { header: describe(header, true), batches, leftBehind: leftBehindOf(header), notes: notesOf(header) }
}

export function parseHeader(path: string, header: unknown): ExportHeader {
  const { success, data, error } = exportHeaderSchema.safeParse(header)
  if (success) return data
  const [issue] = error.issues
  throw new BootkeeperError(
    'IMPORT_INVALID',
    `${path}: line 4, header.${issue?.path.join('.')}: ${issue?.message ?? 'not what it should be'}.`,
  )
}

export function describe(header: ExportHeader, hasLines: boolean): SourceHeader {
  const { createdAt, app, engine, fingerprint, models, scope } = header
  return {
    format: currentFormat,
    title: `Bootkeeper export, version ${formatVersion}`,
    certainty: 'certain',
    version: String(formatVersion),
    createdAt,
    ...(app === undefined ? {} : { app }),
    engine,
    fingerprint,
    ...(scope === 'everything' ? {} : { scope }),
    hasLines,
    models: models as SourceHeader['models'],
  }
}

export function leftBehindOf({ notExported }: ExportHeader): Source['leftBehind'] {
  return notExported.tables
    .filter(({ rows }) => rows !== 0)
    .map(({ table, rows }) => ({ what: `table ${table}, which the export left out`, count: rows ?? 0 }))
}

/** What a part leaves out, though it hangs on its rows: a restore does not bring it back. */
export function notesOf({ notExported: { referring = {} } }: ExportHeader): string[] {
  const models = Object.entries(referring).map(([model, rows]) => `${model} (${rows})`)
  return models.length > 0 ? [`Rows that referred to these ones are not in the file: ${models.join(', ')}.`] : []
}

export function requireVersion(path: string, version: string | undefined): void {
  if (version === String(formatVersion)) return
  throw new BootkeeperError('FORMAT_UNKNOWN', `${path} has version ${version ?? 'unknown'} of the export format.`, {
    next: `This Bootkeeper reads version ${formatVersion}. Take the version of Bootkeeper that made the file, or a newer one.`,
  })
}

export function show(value: unknown): string {
  return value === undefined ? 'nothing' : String(JSON.stringify(value)).slice(0, 40)
}
