// The straight way of an import: into tables that are empty. Its rows are laid into temporary tables of the same definition, and move over from there page by page, without being looked at again. Guarantees: the
// result is that of the general way; where it might not be, NotStraight is thrown and nothing was done.

import type Database from 'better-sqlite3'
import type { Source } from '../import-source.ts'
import {
  type BulkBatch,
  type BulkEnd,
  type BulkPlan,
  BulkRows,
  columnNames,
  NotStraight,
  planBulk,
} from './bulk-rows.ts'
import type { ImportOptions, ModelCounts } from './engine-import.ts'
import type { Mapping, SourceMap } from './import-mapping.ts'
import { raiseSequence, suspend } from './sqlite-bulk-load.ts'
import { mostExamples, named, RowNames } from './sqlite-names.ts'
import { RowWriter } from './sqlite-row-writer.ts'
import { quoted } from './sqlite-rows.ts'
import type { SqliteTableInfo } from './sqlite-tables.ts'

/** In an sqlite_master's statement SQLite has brought the beginning into this form. */
const definition = /^CREATE TABLE (?:"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[^\s("`[]+)\s*\(/i

export class SqliteBulk {
  private end: BulkEnd | undefined

  private constructor(
    private readonly database: Database.Database,
    private readonly plans: BulkPlan[],
    private readonly options: ImportOptions,
  ) {}

  /** Reads the whole file. Throws NotStraight, and what reading throws. */
  static async stage(
    database: Database.Database,
    map: SourceMap,
    tableOf: (mapping: Mapping) => SqliteTableInfo,
    options: ImportOptions,
  ): Promise<SqliteBulk> {
    const writable = (mapping: Mapping) => writableColumns(tableOf(mapping))
    const plans = planBulk(map, options.source.header, writable)
    const bulk = new SqliteBulk(database, plans, options)
    bulk.requireRoom()
    const definitions = plans.map((plan) => bulk.definitionOf(plan))
    // Only the temporary tables are touched from here on: no lock is held on the database while the file is read.
    database.exec('BEGIN')
    try {
      const writers = plans.map((plan, at) => {
        const table = stagingTable(plan)
        database.exec(definitions[at]!.replace(definition, `CREATE TABLE ${table} (`))
        return new RowWriter(database, table, columnNames(plan).map(quoted))
      })
      const onBatch = ({ model, rows, cells }: BulkBatch) => {
        store(() => (writers[model] as RowWriter).addAll(cells))
        options.onProgress?.(rows)
      }
      const columns = Object.fromEntries(plans.map(({ mapping }) => [mapping.name, writable(mapping)]))
      bulk.end = options.readBulk
        ? await options.readBulk(columns, onBatch)
        : await readBulkHere(options.source, plans, map.unknown, onBatch)
      database.exec('COMMIT')
      return bulk
    } catch (error) {
      database.exec('ROLLBACK')
      throw error
    }
  }

  /** Throws NotStraight where a table has rows: those of the file would have to be told from them. */
  requireRoom(): void {
    for (const { mapping } of this.plans)
      if (this.database.prepare(`SELECT 1 FROM main.${quoted(mapping.target.table)} LIMIT 1`).get())
        throw new NotStraight()
  }

  private definitionOf({ mapping }: BulkPlan): string {
    const sql = this.database
      .prepare(`SELECT sql FROM main.sqlite_master WHERE type = 'table' AND name = ?`)
      .pluck()
      .get(mapping.target.table) as string
    if (!definition.test(sql)) throw new NotStraight()
    return sql
  }

  get models(): { mapping: Mapping; rows: number; lost: Iterable<[string, number]> }[] {
    return this.plans.map(({ mapping }, at) => ({ mapping, ...this.ended.models[at]! }))
  }

  get unknown(): [string, number][] {
    return this.ended.unknown
  }

  private get ended(): BulkEnd {
    if (!this.end) throw new Error('the file was not read to its end')
    return this.end
  }

  counts(): ModelCounts[] {
    const staged = new Map(this.plans.map((plan) => [plan.mapping.target, stagingTable(plan)]))
    const names = new RowNames(this.database, this.options.model.models, [], (model) => staged.get(model) as string)
    const others = { updated: 0, unchanged: 0, skipped: 0, removed: 0, kept: 0 }
    return this.models.map(({ mapping, rows }) => {
      const created = names.live(mapping.target, `LIMIT ${mostExamples}`)
      return named({ model: mapping.name, rows, created: rows, ...others }, { created })
    })
  }

  /** One for each model, for inside the transaction. */
  get writes(): { mapping: Mapping; run: () => void }[] {
    return this.plans.map((plan) => ({ mapping: plan.mapping, run: () => this.write(plan) }))
  }

  private write(plan: BulkPlan): void {
    const { mapping } = plan
    const table = `main.${quoted(mapping.target.table)}`
    const restore = suspend(this.database, mapping.target.table, true)
    this.database.exec(this.move(plan, table))
    if (this.options.mode === 'replace') raiseSequence(this.database, mapping)
    restore()
  }

  /** Only without a list of columns does SQLite move whole rows instead of values. */
  private move(plan: BulkPlan, table: string): string {
    const isGenerated = this.database
      .prepare('SELECT 1 FROM pragma_table_xinfo(?) WHERE hidden > 1')
      .get(plan.mapping.target.table)
    const columns = columnNames(plan).map(quoted).join(', ')
    return isGenerated
      ? `INSERT INTO ${table} (${columns}) SELECT ${columns} FROM ${stagingTable(plan)}`
      : `INSERT INTO ${table} SELECT * FROM ${stagingTable(plan)}`
  }
}

function stagingTable({ mapping }: BulkPlan): string {
  return `temp.b${mapping.index}`
}

export function writableColumns({ columns }: SqliteTableInfo): string[] {
  return columns.filter(({ isGenerated }) => !isGenerated).map(({ name }) => name)
}

/** Two rows with one key, or a value that the table refuses: the general way says which. */
function store(run: () => void): void {
  try {
    run()
  } catch (error) {
    if ((error as { code?: string }).code?.startsWith('SQLITE_CONSTRAINT')) throw new NotStraight()
    throw error
  }
}

async function readBulkHere(
  source: Source,
  plans: BulkPlan[],
  unknown: string[],
  onBatch: (batch: BulkBatch) => void,
): Promise<BulkEnd> {
  const rows = new BulkRows(plans, unknown)
  for await (const batch of source.batches())
    for (const row of batch) {
      const full = rows.add(row)
      if (full) onBatch(full)
    }
  for (const batch of rows.rest()) onBatch(batch)
  return rows.end()
}
