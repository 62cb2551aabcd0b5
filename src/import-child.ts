// The child process in which a file is read, staged and imported: long loops that would block the supervisor.
// Guarantees: killed at any moment, it leaves the database as it was before or as the import makes it.

import { pathToFileURL } from 'node:url'
import { reportProgress, serveOperations } from './child.ts'
import type { DataModel } from './data-model.ts'
import type { ImportReport, StagedImport } from './engines/engine-import.ts'
import { type ImportTarget, openImport } from './engines/open-import.ts'
import { BootkeeperError } from './errors.ts'
import type { Format, ResolveTitle } from './formats/format.ts'
import { openSource } from './formats/source.ts'
import type { Source, SourceHeader } from './import-source.ts'

export interface FileRequest {
  path: string
  /** Whose a file is that does not say. */
  userName?: string
  /** A module with the app's own `formats` and `resolveTitle`. */
  extensions?: string
}

export interface ImportCall extends FileRequest {
  into: ImportTarget
  busyMs: number
  /** For temporary tables, which can be as large as the file. */
  temporaryDirectory: string
  model: DataModel
  mode: 'merge' | 'replace'
  keepExisting: boolean
  strict: boolean
  mayWrite: boolean
}

/** What the file is, apart from its rows. */
export type FileDescription = Omit<SourceHeader, 'models'> &
  Pick<Source, 'leftBehind' | 'notes' | 'users'> & { counts: Record<string, number> }

export const operations = {
  /** Reads the whole file and checks it. Throws FORMAT_UNKNOWN, EXPORT_DAMAGED, IMPORT_INVALID, USER_NEEDED. */
  async inspect(request: FileRequest): Promise<FileDescription> {
    const source = await open(request)
    const counts = Object.fromEntries(Object.keys(source.header.models).map((name) => [name, 0]))
    for await (const batch of source.batches()) for (const { model } of batch) counts[model] = (counts[model] ?? 0) + 1
    return describe(source, counts)
  },

  /** Reads the file, checks it, and says what its import would do. With `mayWrite`, `apply` may follow. */
  async plan(call: ImportCall): Promise<{ file: FileDescription; report: ImportReport }> {
    // Read by SQLite whenever it makes a temporary file, which it unlinks at once: a kill leaves nothing there.
    process.env.SQLITE_TMPDIR = call.temporaryDirectory
    const source = await open(call)
    let rows = 0
    const onProgress = (read: number) => {
      rows += read
      reportProgress(rows)
    }
    staged = await openImport(call.into, { ...call, source, now: new Date(), onProgress }, call.mayWrite)
    const report = await staged.plan()
    const counts = Object.fromEntries([
      ...report.models.map(({ model, rows }) => [model, rows]),
      ...report.notInSchema.flatMap(({ model, field, rows }) => (field === undefined ? [[model, rows]] : [])),
    ]) as Record<string, number>
    return { file: describe(source, counts), report }
  },

  /** Does what was planned, on the database as it is now. */
  async apply(): Promise<ImportReport> {
    if (!staged) throw new Error('apply without plan')
    const report = await staged.apply()
    await staged.close()
    return report
  },
}

let staged: StagedImport | undefined

function describe({ header, leftBehind, notes, users }: Source, counts: Record<string, number>): FileDescription {
  const { models: _, ...rest } = header
  return { ...rest, counts, leftBehind, notes, ...(users ? { users } : {}) }
}

async function open({ path, userName, extensions }: FileRequest): Promise<Source> {
  return await openSource(path, { ...(userName === undefined ? {} : { userName }), ...(await load(extensions)) })
}

async function load(extensions: string | undefined): Promise<{ formats?: Format[]; resolveTitle?: ResolveTitle }> {
  if (extensions === undefined) return {}
  try {
    const { formats, resolveTitle } = (await import(pathToFileURL(extensions).href)) as {
      formats?: Format[]
      resolveTitle?: ResolveTitle
    }
    return { ...(formats ? { formats } : {}), ...(resolveTitle ? { resolveTitle } : {}) }
  } catch (cause) {
    throw new BootkeeperError('SETTINGS_INVALID', `IMPORT_FORMATS: ${extensions}: ${(cause as Error).message}.`, {
      cause,
    })
  }
}

serveOperations(operations)
