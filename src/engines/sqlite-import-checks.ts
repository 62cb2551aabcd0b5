// What must hold before an import is committed: as many rows as the report says, and no foreign key that leads nowhere
// which did not do so before. Guarantees: reads only.

import type Database from 'better-sqlite3'
import { BootkeeperError } from '../errors.ts'
import type { ImportOptions, ModelCounts } from './engine-import.ts'
import { quoted } from './sqlite-rows.ts'
import type { SqliteTableInfo } from './sqlite-tables.ts'

/** Throws INTERNAL. */
export function requireCounts(database: Database.Database, counts: ModelCounts[], options: ImportOptions): void {
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
export function violations(
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

export function tableOfModel({ model }: ImportOptions, name: string): string {
  return model.models.find((each) => each.name === name)?.table ?? name
}
