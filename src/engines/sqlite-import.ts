// Imports a file into an SQLite database: staged beside it, compared with what is there, and then written in one
// transaction. For a child process of ours that has nothing else to do. Guarantees: a dry run only reads; the real thing
// is whole or did not happen, also when it is killed; foreign keys and row counts were checked before it is committed,
// and the file was read to its sound end before the database was touched.

import { randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import Database from 'better-sqlite3'
import type { Model } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import { NotStraight } from './bulk-rows.ts'
import { requireColumns } from './engine-export.ts'
import type { ImportOptions, ImportReport, ModelCounts, StagedImport } from './engine-import.ts'
import { type Mapping, mapSource } from './import-mapping.ts'
import { newId } from './new-id.ts'
import { SqliteBulk } from './sqlite-bulk.ts'
import { type CellForm, sqliteCells } from './sqlite-cells.ts'
import { Identity, looseFunction } from './sqlite-identity.ts'
import { requireCounts, tableOfModel, violations } from './sqlite-import-checks.ts'
import { idFunction, Merge } from './sqlite-merge.ts'
import { findInDatabase, settleMissing } from './sqlite-missing.ts'
import { mostExamples, named, RowNames } from './sqlite-names.ts'
import { quoted } from './sqlite-rows.ts'
import { Stage } from './sqlite-stage.ts'
import type { StagedModel } from './sqlite-staged-rows.ts'
import { countRows, readTables, type SqliteTableInfo } from './sqlite-tables.ts'
import { keepChosen } from './staged-choice.ts'

export interface SqliteImportOptions extends ImportOptions {
  databasePath: string
  busyMs: number
}

// Larger ones are slower: what is sorted should fit into the processor's cache.
const cacheKilobytes = 4_000

/** Throws IMPORT_INVALID, IMPORT_OTHER_APP, and what reading the file throws. `mayWrite` is for `apply`. */
export async function stageImport(options: SqliteImportOptions, mayWrite: boolean) {
  const { databasePath, busyMs } = options
  const database = new Database(databasePath, { readonly: !mayWrite, fileMustExist: true, timeout: busyMs })
  try {
    // The usual of a WAL database is to trust the system with the last commits.
    database.pragma('synchronous = full')
    prepareForImport(database, options.now)
    const file = fileOf(databasePath)
    const bulk = options.only ? undefined : await stageBulk(database, options)
    let way = bulk ?? (await stageGeneral(database, options))
    // From then on nobody can replace the file; a boot may have done so while the rows were read.
    const requireSameFile = () => {
      if (fileOf(databasePath) === file) return
      throw new BootkeeperError('DATABASE_BUSY', `${databasePath} was replaced while the file was read.`)
    }
    const settled = async (apply: boolean) => {
      const attempt = () => run(database, way, options, apply, apply ? requireSameFile : undefined)
      try {
        return attempt()
      } catch (error) {
        if (!(error instanceof NotStraight)) throw error
        // Rows have come into the tables since: they are to be told from those of the file.
        way = await stageGeneral(database, options)
        return attempt()
      }
    }
    return {
      /** Whether the tables take the rows as they stand: see sqlite-bulk.ts. */
      get isBulk() {
        return way.isBulk
      },
      plan: () => settled(false),
      apply: () => settled(true),
      close: () => void database.close(),
    } satisfies StagedImport & { isBulk: boolean }
  } catch (error) {
    database.close()
    throw error
  }
}

export function prepareForImport(database: Database.Database, now: Date): void {
  database.pragma('temp_store = file')
  database.pragma(`cache_size = -${cacheKilobytes}`)
  database.pragma(`temp.cache_size = -${cacheKilobytes}`)
  // A second thread sorts while an index is built.
  database.pragma('threads = 1')
  database.pragma('foreign_keys = off')
  defineFunctions(database, now)
}

function fileOf(path: string): string {
  const { dev, ino } = statSync(path, { bigint: true })
  return `${dev} ${ino}`
}

function defineFunctions(database: Database.Database, now: Date): void {
  database.function(looseFunction, { deterministic: true }, (value) =>
    value === null ? null : String(value).normalize('NFKC').trim().toLowerCase(),
  )
  // The line is only there so that SQLite calls it for each row.
  database.function(idFunction, (kind, _line) => (kind === 'uuid' ? randomUUID() : newId(String(kind), now)))
}

/** How the rows of a file become those of the database; they have been read. Inside a transaction. */
export interface Way {
  isBulk: boolean
  tables: Map<string, SqliteTableInfo>
  /** The models of the schema that the file has. */
  inFile: Set<Model>
  /** Without the models that the file does not have. Throws NotStraight where only the general way is left. */
  prepare(): { report: ImportReport; writes: { mapping: Mapping; run: () => void }[] }
}

/** Undefined where the straight way does not lead there: the general one does, or says what is wrong. */
async function stageBulk(database: Database.Database, options: SqliteImportOptions): Promise<Way | undefined> {
  const { map, tables, tableOf } = open(database, options)
  try {
    const bulk = await SqliteBulk.stage(database, map, tableOf, options)
    return {
      isBulk: true,
      tables,
      inFile: new Set(map.mappings.map(({ target }) => target)),
      prepare() {
        bulk.requireRoom()
        const report = { models: bulk.counts(), emptied: [], skipped: [], ...differences(bulk) }
        return { report, writes: bulk.writes }
      },
    }
  } catch {
    // Whatever it was: the general way meets it too, and knows its place in the file.
    return undefined
  }
}

/** `settle` may leave rows out, before anything is compared. */
export async function stageGeneral(
  database: Database.Database,
  options: ImportOptions,
  form: CellForm = sqliteCells,
  settle: (stage: Stage) => Promise<void> = async () => undefined,
): Promise<Way> {
  const { map, tables, tableOf } = open(database, options)
  const { source, onProgress } = options
  // Only the temporary tables are written to: no lock is held on the database while the file is read.
  database.exec('BEGIN')
  const stage = new Stage(database, source.header, map, tableOf, form)
  for await (const batch of source.batches()) {
    for (const row of batch) stage.add(row)
    onProgress?.(batch.length)
  }
  stage.resolve()
  database.exec('COMMIT')
  await settle(stage)
  if (options.only) keepChosen(stage, options.only)
  const inFile = stage.models.filter(
    ({ mapping, rows }) => Object.hasOwn(source.header.models, mapping.name) && (!options.only || rows > 0),
  )
  const leftOut = stage.models.filter(({ hasLeftOut }) => hasLeftOut)
  return {
    isBulk: false,
    tables,
    inFile: new Set(inFile.map(({ mapping }) => mapping.target)),
    prepare() {
      for (const model of stage.models) model.hasLeftOut = leftOut.includes(model)
      const { merge, identity, emptied } = meet(stage, options, (model) => inFile.includes(model))
      const names = new RowNames(database, options.model.models, stage.models)
      const models = inFile.map((model) => withExamples(merge, identity, names, model))
      const skipped = inFile.flatMap(({ mapping, name, hasLeftOut }) =>
        hasLeftOut ? skippedOf(stage, mapping.name, name) : [],
      )
      const report = { models, emptied, skipped, ...differences(stage) }
      return { report, writes: inFile.map((model) => ({ mapping: model.mapping, run: () => merge.apply(model) })) }
    },
  }
}

function open(database: Database.Database, { model, source }: ImportOptions) {
  const tables = readTables(database)
  const map = mapSource(model, source.header)
  if (map.mappings.every(({ source: { fields } }) => fields.length === 0))
    throw new BootkeeperError(
      'IMPORT_OTHER_APP',
      `The file has ${listOf(Object.keys(source.header.models))}; the schema has none of them.`,
    )
  const tableOf = ({ target }: Mapping): SqliteTableInfo => {
    const table = tables.get(target.table)
    try {
      requireColumns(
        target,
        table?.columns.map(({ name }) => name),
      )
    } catch (cause) {
      throw new BootkeeperError('IMPORT_CONFLICT', (cause as Error).message, {
        cause,
        next: 'Start the app once, so that the database follows the schema, then import.',
      })
    }
    return table as SqliteTableInfo
  }
  return { tables, map, tableOf }
}

/** Settles which row of the file is which of the database, and which cannot be imported. */
function meet(stage: Stage, options: ImportOptions, isInFile: (model: StagedModel) => boolean) {
  const { mode, source, keepExisting, ofThisDatabase = false } = options
  findInDatabase(stage, (model) => mode === 'merge' || !isInFile(model), ofThisDatabase)
  const emptied = settleMissing(stage)
  // A file that says only a part of each row changes rows in place, and they keep their ids.
  const isMerge = mode === 'merge' || Object.values(source.header.models).some(({ isPartial }) => isPartial)
  const identity = new Identity(
    stage,
    ({ mapping: { target } }) => (isMerge ? 'all' : target.protectedField ? 'protected' : 'none'),
    isMerge ? ({ mapping: { target } }, { name }) => keepExisting || target.primaryKey.includes(name) : undefined,
    ofThisDatabase,
  )
  identity.findAll()
  const merge = new Merge(stage, identity, options)
  merge.leaveOutIncomplete()
  emptied.push(...settleMissing(stage))
  return { merge, identity, emptied }
}

/**
 * Plans, or with `apply` does it, as often as it is called: a plan is rolled back with all that it wrote beside the
 * rows, so that what follows looks at the database anew. `onceLocked` runs when nobody else can write any more.
 */
export function run(
  database: Database.Database,
  way: Way,
  options: ImportOptions,
  apply: boolean,
  onceLocked?: () => void,
): ImportReport {
  database.exec(apply ? 'BEGIN IMMEDIATE' : 'BEGIN')
  try {
    onceLocked?.()
    const report = planAndApply(database, way, options, apply)
    database.exec(apply ? 'COMMIT' : 'ROLLBACK')
    return report
  } catch (error) {
    if (database.inTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function planAndApply(database: Database.Database, way: Way, options: ImportOptions, apply: boolean): ImportReport {
  const { report, writes } = way.prepare()
  if (options.strict && report.skipped.length > 0) throw incomplete(report)
  const isOfAll = options.mode === 'replace' && options.source.header.scope === undefined
  const others = isOfAll ? otherTables(database, way.inFile, options) : []
  report.models.push(...others)
  if (!apply) return report

  const before = violations(database, way.tables)
  for (const { model } of others) database.exec(`DELETE FROM main.${quoted(tableOfModel(options, model))}`)
  for (const { mapping, run } of writes) write(run, mapping)
  requireCounts(database, report.models, options)
  const after = violations(database, way.tables)
  if (after.count > before.count)
    throw new BootkeeperError(
      'IMPORT_CONFLICT',
      `Rows of ${after.example} would refer to rows that are not there (${after.count - before.count} values more than now).`,
    )
  return report
}

function withExamples(merge: Merge, identity: Identity, names: RowNames, model: StagedModel): ModelCounts {
  const counts = merge.counts(model)
  const { created, ...others } = merge.firstOf(model, counts)
  const live = (rid: number) => names.live(model.mapping.target, `WHERE l.${identity.rowid(model)} = ?`, [rid])
  return named(counts, {
    created: created.map((line) => names.staged(model, line)).filter((name) => name !== undefined),
    updated: others.updated.flatMap(live),
    removed: others.removed.flatMap(live),
    kept: others.kept.flatMap(live),
  })
}

/**
 * With `replace`: models that the file does not have. Their rows belong to what was, above all those of sessions: another
 * user may have that id now. A file that speaks of a part of the data only, as older formats do, leaves the rest alone.
 */
function otherTables(database: Database.Database, inFile: Set<Model>, { model, source }: ImportOptions): ModelCounts[] {
  const names = new RowNames(database, model.models)

  const isPart = Object.values(source.header.models).some(({ isPartial }) => isPartial)
  return model.models
    .filter((each) => !inFile.has(each) && !each.protectedField && (each.isTransient || !isPart))
    .flatMap((each) => {
      const none = { rows: 0, created: 0, updated: 0, unchanged: 0, skipped: 0, kept: 0 }
      const removed = countRows(database, each.table) ?? 0
      if (removed === 0) return []
      return named({ model: each.name, ...none, removed }, { removed: names.live(each, `LIMIT ${mostExamples}`) })
    })
}

function write(run: () => void, { target }: Mapping): void {
  try {
    run()
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    if (!code?.startsWith('SQLITE_CONSTRAINT')) throw error
    throw new BootkeeperError('IMPORT_CONFLICT', `${target.name} cannot take the rows of the file: ${message}.`, {
      cause: error,
    })
  }
}

function differences(read: {
  models: Iterable<{ mapping: Mapping; rows: number; lost: Iterable<[string, number]> }>
  unknown: [string, number][]
}): Pick<ImportReport, 'notInSchema' | 'notInFile'> {
  const notInSchema: ImportReport['notInSchema'] = []
  const notInFile: ImportReport['notInFile'] = []
  for (const [model, rows] of read.unknown) notInSchema.push({ model, rows })
  for (const { rows, mapping, lost } of read.models) {
    if (mapping.source.fields.length === 0 || rows === 0) continue
    for (const [field, count] of lost) notInSchema.push({ model: mapping.name, field, rows: count })
    const fields = mapping.missing.filter((field) => !field.isAutoincrement).map((field) => field.name)
    if (fields.length > 0 && !mapping.source.isPartial) notInFile.push({ model: mapping.name, fields })
  }
  return { notInSchema, notInFile }
}

function skippedOf(stage: Stage, model: string, table: string): ImportReport['skipped'] {
  const reasons = stage.database
    .prepare(
      `SELECT x AS reason, count(*) AS rows FROM ${table} WHERE x IS NOT NULL AND line > 0 GROUP BY x ORDER BY min(line)`,
    )
    .all() as { reason: string; rows: number }[]
  const examples = stage.database
    .prepare(`SELECT line FROM ${table} WHERE x = ? AND line > 0 ORDER BY line LIMIT 3`)
    .pluck()
  return reasons.map(({ reason, rows }) => ({ model, reason, rows, examples: examples.all(reason) as number[] }))
}

function incomplete({ skipped }: { skipped: ImportReport['skipped'] }): BootkeeperError {
  const rows = skipped.reduce((sum, each) => sum + each.rows, 0)
  const [first] = skipped
  return new BootkeeperError(
    'IMPORT_INCOMPLETE',
    `${rows} ${rows === 1 ? 'row' : 'rows'} cannot be imported; the first is of ${first?.model}: ${first?.reason}.`,
  )
}

function listOf(names: string[]): string {
  const shown = names.slice(0, 5).join(', ')
  return names.length > 5 ? `${shown} and ${names.length - 5} more models` : shown || 'no models'
}
