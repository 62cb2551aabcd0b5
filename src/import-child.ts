// The child process in which a file is read, staged and imported: long loops that would block the supervisor.
// Guarantees: killed at any moment, it leaves the database as it was before or as the import makes it.

import { stat } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { reportProgress, serveOperations } from './child.ts'
import { readDecompressed } from './compression.ts'
import type { DataModel, Model } from './data-model.ts'
import { isOtherKey, type Keys } from './encryption.ts'
import type { ImportChoice, ImportOptions, ImportReport, StagedImport } from './engines/engine-import.ts'
import { mapSource } from './engines/import-mapping.ts'
import { type ImportTarget, openImport } from './engines/open-import.ts'
import { BootkeeperError } from './errors.ts'
import type { Format, ResolveTitle } from './formats/format.ts'
import { openSource } from './formats/source.ts'
import { type BulkReader, startBulkReader, worthwhileBytes } from './import-bulk.ts'
import { People, partsOf, type User } from './import-people.ts'
import type { JsonRow, Source, SourceHeader } from './import-source.ts'
import type { Scope } from './scope.ts'

export interface FileRequest {
  path: string
  /** Whose a file is that does not say. */
  userName?: string
  /** What opens the file, should it be encrypted. */
  keys: Keys
  /** A module with the app's own `formats` and `resolveTitle`. */
  extensions?: string
}

export interface InspectRequest extends FileRequest {
  /** Of the app, which says whose data it is. */
  model?: DataModel
}

export interface ImportCall extends FileRequest {
  into: ImportTarget
  busyMs: number
  /** For temporary tables, which can be as large as the file. */
  temporaryDirectory: string
  model: DataModel
  mode: 'merge' | 'replace'
  keepExisting: boolean
  /** See ImportOptions. */
  ofThisDatabase?: boolean
  /** See ImportOptions. */
  only?: ImportChoice
  strict: boolean
  mayWrite: boolean
}

/** What the file is, apart from its rows. */
export type FileDescription = Omit<SourceHeader, 'models'> &
  Pick<Source, 'leftBehind' | 'notes'> & {
    counts: Record<string, number>
    /** Of an older format all; of a current one the first of them, where the schema at hand names their model. */
    users?: User[]
    /** Besides those. */
    moreUsers?: number
    /** What of it can be imported alone. Unknown without a schema at hand. */
    parts?: { settings: boolean; users: boolean }
  }

export const operations = {
  /** Reads the whole file and checks it. Throws FORMAT_UNKNOWN, EXPORT_DAMAGED, IMPORT_INVALID. */
  async inspect({ model, ...request }: InspectRequest): Promise<FileDescription> {
    const source = await openOfAnyone(request)
    const people = model && !source.users ? new People(model, source.header) : undefined
    const counts = Object.fromEntries(Object.keys(source.header.models).map((name) => [name, 0]))
    let rows = 0
    for await (const batch of source.batches()) {
      for (const { model } of batch) counts[model] = (counts[model] ?? 0) + 1
      people?.add(batch)
      rows += batch.length
      reportProgress(rows)
    }
    if (people?.isIncomplete) for await (const batch of source.batches()) people.addLate(batch)
    const file = { ...describe(source, counts), ...people?.found }
    return model ? { ...file, ...partsOf(model, source.header, file) } : file
  },

  /** Whether these keys open the encrypted file. Throws DECRYPTION_FAILED for one that no key would open. */
  async opens({ path, keys }: FileRequest): Promise<boolean> {
    const pieces = readDecompressed(path, keys)
    try {
      await pieces.next()
      return true
    } catch (error) {
      const { code } = error as BootkeeperError
      if (isOtherKey(error) || code === 'KEY_NEEDED') return false
      // What is inside is damaged: whoever reads it says so.
      if (code === 'EXPORT_DAMAGED') return true
      throw error
    } finally {
      await pieces.return(undefined)
    }
  },

  /** The first row of each of these models, by the names of the schema. Reads no further than it has to. */
  async firstRows({ models, ...request }: FileRequest & { models: Model[] }): Promise<Record<string, JsonRow>> {
    const source = await openOfAnyone(request)
    const { mappings } = mapSource(
      { models: models.map((each) => ({ ...each, relations: [] })), enums: [] },
      source.header,
    )
    const found: Record<string, JsonRow> = {}
    for await (const batch of source.batches()) {
      for (const { model, row } of batch) {
        const mapping = mappings.find(({ name }) => name === model)
        if (!mapping || Object.hasOwn(found, mapping.target.name)) continue
        found[mapping.target.name] = Object.fromEntries(
          mapping.cells.flatMap(({ member, field }) =>
            member !== undefined && Object.hasOwn(row, member) ? [[field.name, row[member]]] : [],
          ),
        )
      }
      if (Object.keys(found).length === mappings.length) break
    }
    return found
  },

  /** What the file says that it is, before its rows are read. */
  async scopeOf(request: FileRequest): Promise<Scope> {
    const { header } = await openOfAnyone(request)
    return header.scope ?? 'everything'
  },

  /** Reads the file, checks it, and says what its import would do. With `mayWrite`, `apply` may follow. */
  async plan(call: ImportCall): Promise<{ file: FileDescription; report: ImportReport }> {
    // Read by SQLite whenever it makes a temporary file, which it unlinks at once: a kill leaves nothing there.
    process.env.SQLITE_TMPDIR = call.temporaryDirectory
    const { path, keys, model, into } = call
    const isWorthwhile = !call.only && into.engine === 'sqlite' && (await sizeOf(path)) >= worthwhileBytes
    const reader = isWorthwhile ? startBulkReader() : undefined
    try {
      const source = await open(call)
      const { header } = source
      requireMode(call, header)
      const readBulk: ImportOptions['readBulk'] = (columns, onBatch) =>
        (reader as BulkReader).read({ path, keys, header, model, columns }, onBatch)
      let rows = 0
      const onProgress = (read: number) => {
        rows += read
        reportProgress(rows)
      }
      const options = { ...call, source, now: new Date(), onProgress, ...(reader ? { readBulk } : {}) }
      staged = await openImport(into, options, call.mayWrite)
      return answer(source, await staged.plan())
    } finally {
      await reader?.stop()
    }
  },

  /** Does what was planned, on the database as it is now. */
  async apply(): Promise<ImportReport> {
    if (!staged) throw new Error('apply without plan')
    const report = await staged.apply()
    await staged.close()
    return report
  },
}

/** Tables can be made what the file says where their ids mean the same, so that what refers to them stays right. */
function requireMode({ path, mode, ofThisDatabase }: ImportCall, { scope }: SourceHeader): void {
  if (mode === 'merge' || scope === undefined || (ofThisDatabase && scope.where === undefined)) return
  const what = scope.where === undefined ? 'tables of another database' : 'some rows of a table'
  throw new BootkeeperError('USAGE', `${path} holds ${what}, which can be added to what is there, not replace it.`, {
    next: 'Run the same without --mode replace.',
  })
}

let staged: StagedImport | undefined

type Described = Omit<Source, 'users'> & Pick<FileDescription, 'users'>

function answer(source: Source, report: ImportReport): { file: FileDescription; report: ImportReport } {
  const counts = Object.fromEntries([
    ...report.models.map(({ model, rows }) => [model, rows]),
    ...report.notInSchema.flatMap(({ model, field, rows }) => (field === undefined ? [[model, rows]] : [])),
  ]) as Record<string, number>
  return { file: describe(source, counts), report }
}

/** Of a file that cannot be read, opening it says what is wrong. */
async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  )
}

function describe({ header, leftBehind, notes, users }: Described, counts: Record<string, number>): FileDescription {
  const { models: _, ...rest } = header
  return { ...rest, counts, leftBehind, notes, ...(users ? { users } : {}) }
}

/** In the notes of a file that does not say whose it is, where nobody was named. */
const unknownUser = '?'

/** The same as `open`, but of a file without a user it asks for none. */
async function openOfAnyone(request: FileRequest): Promise<Described> {
  try {
    return await open(request)
  } catch (error) {
    if (!(error instanceof BootkeeperError) || error.code !== 'USER_NEEDED') throw error
    const { users = [], ...source } = await open({ ...request, userName: unknownUser })
    return { ...source, users: users.map((user) => (user.name === unknownUser ? { ...user, name: null } : user)) }
  }
}

async function open({ path, keys, userName, extensions }: FileRequest): Promise<Source> {
  return await openSource(path, { keys, ...(userName === undefined ? {} : { userName }), ...(await load(extensions)) })
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
