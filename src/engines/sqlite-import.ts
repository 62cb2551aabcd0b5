// Imports a file into an SQLite database: staged beside it, compared with what is there, and then written in one
// transaction. For a child process of ours that has nothing else to do. Guarantees: a dry run only reads; the real thing
// is whole or did not happen, also when it is killed; foreign keys and row counts were checked before it is committed,
// and the file was read to its sound end before the database was touched.

import { randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import Database from 'better-sqlite3'
import type { Model } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import { requireColumns } from './engine-export.ts'
import type { ImportOptions, ImportReport, ModelCounts, StagedImport } from './engine-import.ts'
import { mapSource, type SourceMap } from './import-mapping.ts'
import { newId } from './new-id.ts'
import { type CellForm, sqliteCells } from './sqlite-cells.ts'
import { Identity, looseFunction } from './sqlite-identity.ts'
import { idFunction, Merge } from './sqlite-merge.ts'
import { findInDatabase, settleMissing } from './sqlite-missing.ts'
import { quoted } from './sqlite-rows.ts'
import { Stage, type StagedModel } from './sqlite-stage.ts'
import { countRows, readTables, type SqliteTableInfo } from './sqlite-tables.ts'

export interface SqliteImportOptions extends ImportOptions {
  databasePath: string
  busyMs: number
}

// Larger ones are slower: what is sorted should fit into the processor's cache.
const cacheKilobytes = 8_000

/** Throws IMPORT_INVALID, IMPORT_OTHER_APP, and what reading the file throws. `mayWrite` is for `apply`. */
export async function stageImport(options: SqliteImportOptions, mayWrite: boolean) {
  const { databasePath, busyMs } = options
  const database = new Database(databasePath, { readonly: !mayWrite, fileMustExist: true, timeout: busyMs })
  try {
    // The usual of a WAL database is to trust the system with the last commits.
    database.pragma('synchronous = full')
    prepareForImport(database, options.now)
    const run = repeatable(database, await stageFile(database, options), options)
    const file = fileOf(databasePath)
    // From then on nobody can replace the file; a boot may have done so while the rows were read.
    const requireSameFile = () => {
      if (fileOf(databasePath) === file) return
      throw new BootkeeperError('DATABASE_BUSY', `${databasePath} was replaced while the file was read.`)
    }
    return {
      plan: () => run(false),
      apply: () => run(true, requireSameFile),
      close: () => void database.close(),
    } satisfies StagedImport
  } catch (error) {
    database.close()
    throw error
  }
}

export function prepareForImport(database: Database.Database, now: Date): void {
  database.pragma('temp_store = file')
  database.pragma(`cache_size = -${cacheKilobytes}`)
  database.pragma(`temp.cache_size = -${cacheKilobytes}`)
  database.pragma('foreign_keys = off')
  defineFunctions(database, now)
}

export type StagedFile = Awaited<ReturnType<typeof stageFile>>

/**
 * Plans, or with `apply` does it, as often as it is called: a plan is rolled back with all that it wrote beside the
 * rows, so that what follows looks at the database anew. `onceLocked` runs when nobody else can write any more.
 */
export function repeatable(database: Database.Database, staged: StagedFile, options: ImportOptions) {
  const { models } = staged.stage
  const leftOut = models.filter(({ hasLeftOut }) => hasLeftOut)
  return (apply: boolean, onceLocked?: () => void): ImportReport => {
    for (const model of models) model.hasLeftOut = leftOut.includes(model)
    database.exec(apply ? 'BEGIN IMMEDIATE' : 'BEGIN')
    try {
      onceLocked?.()
      const report = planAndApply(database, staged, options, apply)
      database.exec(apply ? 'COMMIT' : 'ROLLBACK')
      return report
    } catch (error) {
      if (database.inTransaction) database.exec('ROLLBACK')
      throw error
    }
  }
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

export async function stageFile(
  database: Database.Database,
  { model, source, onProgress }: ImportOptions,
  form: CellForm = sqliteCells,
) {
  const tables = readTables(database)
  const map = mapSource(model, source.header)
  if (map.mappings.every(({ source: { fields } }) => fields.length === 0))
    throw new BootkeeperError(
      'IMPORT_OTHER_APP',
      `The file has ${listOf(Object.keys(source.header.models))}; the schema has none of them.`,
    )
  const tableOf = (target: Model): SqliteTableInfo => {
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
  // Only the temporary tables are written to: no lock is held on the database while the file is read.
  database.exec('BEGIN')
  const stage = new Stage(database, source.header, map, ({ target }) => tableOf(target), form)
  for await (const batch of source.batches()) {
    for (const row of batch) stage.add(row)
    onProgress?.(batch.length)
  }
  stage.resolve()
  database.exec('COMMIT')
  return { stage, map, tables }
}

function planAndApply(
  database: Database.Database,
  { stage, map, tables }: StagedFile,
  options: ImportOptions,
  apply: boolean,
): ImportReport {
  const { mode, strict } = options
  const isInFile = (model: StagedModel) => Object.hasOwn(options.source.header.models, model.mapping.name)
  findInDatabase(stage, (model) => mode === 'merge' || !isInFile(model))
  const emptied = settleMissing(stage)
  // A file that says only a part of each row changes rows in place, and they keep their ids.
  const isMerge = mode === 'merge' || Object.values(options.source.header.models).some(({ isPartial }) => isPartial)
  const identity = new Identity(
    stage,
    ({ mapping: { target } }) => (isMerge ? 'all' : target.protectedField ? 'protected' : 'none'),
    isMerge
      ? ({ mapping: { target } }, { name }) => options.keepExisting || target.primaryKey.includes(name)
      : undefined,
  )
  identity.findAll()
  const merge = new Merge(stage, identity, options)
  merge.leaveOutIncomplete()
  emptied.push(...settleMissing(stage))
  const others = mode === 'replace' ? otherTables(database, stage, options) : []
  const models = [...stage.models.filter(isInFile).map((model) => merge.counts(model)), ...others]
  const report = { models, emptied, ...differences(stage, map) }
  if (strict && report.skipped.length > 0) throw incomplete(report)
  if (!apply) return report

  const before = violations(database, tables)
  merge.emptyOthers(others.map(({ model }) => tableOfModel(options, model)))
  for (const model of stage.models) if (isInFile(model)) write(() => merge.apply(model), model)
  requireCounts(database, report.models, options)
  const after = violations(database, tables)
  if (after.count > before.count)
    throw new BootkeeperError(
      'IMPORT_CONFLICT',
      `Rows of ${after.example} would refer to rows that are not there (${after.count - before.count} values more than now).`,
    )
  return report
}

/**
 * With `replace`: models that the file does not have. Their rows belong to what was, above all those of sessions: another
 * user may have that id now. A file that speaks of a part of the data only, as older formats do, leaves the rest alone.
 */
function otherTables(database: Database.Database, stage: Stage, { model, source }: ImportOptions): ModelCounts[] {
  const inFile = new Set(
    stage.models
      .filter(({ mapping }) => Object.hasOwn(source.header.models, mapping.name))
      .map((each) => each.mapping.target),
  )
  const isPart = Object.values(source.header.models).some(({ isPartial }) => isPartial)
  return model.models
    .filter((each) => !inFile.has(each) && !each.protectedField && (each.isTransient || !isPart))
    .map((each) => ({
      model: each.name,
      rows: 0,
      created: 0,
      updated: 0,
      unchanged: 0,
      skipped: 0,
      removed: countRows(database, each.table) ?? 0,
      kept: 0,
    }))
    .filter(({ removed }) => removed > 0)
}

function tableOfModel({ model }: ImportOptions, name: string): string {
  return model.models.find((each) => each.name === name)?.table ?? name
}

function write(run: () => void, { mapping: { target } }: StagedModel): void {
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

function requireCounts(database: Database.Database, counts: ModelCounts[], options: ImportOptions): void {
  for (const { model, created, updated, unchanged, kept } of counts) {
    const table = tableOfModel(options, options.source.header.models[model] ? targetName(options, model) : model)
    const wanted = created + updated + unchanged + kept
    const found = database
      .prepare(`SELECT count(*) FROM main.${quoted(table)}`)
      .pluck()
      .get() as number
    if (found !== wanted)
      throw new BootkeeperError(
        'INTERNAL',
        `${model} has ${found} rows after the import, not ${wanted}. Nothing was kept.`,
      )
  }
}

/** A model that was renamed since is found by its table. */
function targetName({ model, source }: ImportOptions, name: string): string {
  const { table } = source.header.models[name] ?? {}
  return (
    (model.models.find((each) => each.name === name) ?? model.models.find((each) => each.table === table))?.name ?? name
  )
}

/**
 * Values of foreign keys that no row answers. Each distinct value is looked up once, in the order of its index: many
 * times faster than `PRAGMA foreign_key_check`, which asks for every row.
 */
function violations(
  database: Database.Database,
  tables: Map<string, SqliteTableInfo>,
): { count: number; example: string } {
  let count = 0
  let example = ''
  for (const name of tables.keys())
    for (const { table, from, to } of foreignKeys(database, name, tables)) {
      const isSet = from.map((column) => `${quoted(column)} IS NOT NULL`).join(' AND ')
      const on = from.map((column, part) => `p.${quoted(to[part] as string)} = d.${quoted(column)}`).join(' AND ')
      const found = database
        .prepare(`SELECT count(*) FROM (SELECT DISTINCT ${from.map(quoted).join(', ')} FROM main.${quoted(name)} WHERE ${isSet}) AS d
          WHERE NOT EXISTS (SELECT 1 FROM main.${quoted(table)} AS p WHERE ${on})`)
        .pluck()
        .get() as number
      count += found
      if (found > 0) example ||= `${name} (${from.join(', ')})`
    }
  return { count, example }
}

function foreignKeys(database: Database.Database, name: string, tables: Map<string, SqliteTableInfo>) {
  const rows = database
    .prepare('SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq')
    .all(name) as { id: number; table: string; from: string; to: string | null }[]
  const keys = new Map<number, { table: string; from: string[]; to: string[] }>()
  for (const { id, table, from, to } of rows) {
    const key = keys.get(id) ?? { table, from: [], to: [] }
    key.to.push(to ?? tables.get(table)?.primaryKey[key.from.length] ?? 'rowid')
    key.from.push(from)
    keys.set(id, key)
  }
  // A foreign key to a table that is not there is the schema's affair.
  return [...keys.values()].filter(({ table }) => tables.has(table))
}

function differences(stage: Stage, map: SourceMap): Omit<ImportReport, 'models' | 'emptied'> {
  const skipped: ImportReport['skipped'] = []
  const notInSchema: ImportReport['notInSchema'] = []
  const notInFile: ImportReport['notInFile'] = []
  for (const [model, rows] of stage.unknown) notInSchema.push({ model, rows })
  for (const { name, rows, mapping, lost, hasLeftOut } of stage.models) {
    if (mapping.source.fields.length === 0) continue
    if (hasLeftOut) skipped.push(...skippedOf(stage, mapping.name, name))
    for (const [field, count] of lost) notInSchema.push({ model: mapping.name, field, rows: count })
    const fields = mapping.missing.filter((field) => !field.isAutoincrement).map((field) => field.name)
    if (fields.length > 0 && rows > 0 && !mapping.source.isPartial) notInFile.push({ model: mapping.name, fields })
  }
  for (const name of map.unknown)
    if (!stage.unknown.some(([known]) => known === name)) notInSchema.push({ model: name, rows: 0 })
  return { skipped, notInSchema, notInFile }
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
