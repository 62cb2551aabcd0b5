// Puts the rows of a file into temporary tables beside an SQLite database, where SQL can compare them with what is
// there: one table a model, each reference as the line of the row that it names. Nothing of the database is changed.
// Guarantees: memory does not grow with the file (temporary tables live in SQLITE_TMPDIR); every value was checked.
//
// A table s<n> has `line`, the row's place; `x`, why it is left out; `k`, its key as references name it; `f`, the
// serial id that it gets; c<n> the scalars, q<n> raw foreign keys, r<n> references, h<n> columns that the schema does
// not know. Rows with a negative line stand for rows that are only in the database.

import type Database from 'better-sqlite3'
import { BootkeeperError } from '../errors.ts'
import type { SourceHeader, SourceRow } from '../import-source.ts'
import type { Mapping, SourceMap } from './import-mapping.ts'
import { Keys, sameKey, whereIs } from './reference-keys.ts'
import { type CellForm, sqliteCells } from './sqlite-cells.ts'
import { type StagedModel, StagedRows } from './sqlite-staged-rows.ts'
import type { SqliteTableInfo } from './sqlite-tables.ts'

export class Stage {
  readonly models: StagedModel[]
  private readonly byName: Map<string, StagedRows>
  private readonly unknownRows = new Map<string, number>()

  constructor(
    readonly database: Database.Database,
    private readonly header: SourceHeader,
    { mappings, unknown }: SourceMap,
    tableOf: (mapping: Mapping) => SqliteTableInfo,
    readonly form: CellForm = sqliteCells,
  ) {
    const referred = new Set(mappings.flatMap(({ references }) => references.map(({ to }) => to)))
    const keys = new Map<number, Keys<number>>()
    for (const index of referred) keys.set(index, new Keys())
    const staged = mappings.map(
      (mapping) => new StagedRows(database, header, mapping, tableOf(mapping), keys.get(mapping.index), keys, form),
    )
    this.models = staged.map(({ model }) => model)
    this.byName = new Map(staged.map((each) => [each.model.mapping.name, each]))
    for (const name of unknown) this.unknownRows.set(name, 0)
  }

  add({ model, row, place }: SourceRow): void {
    const staged = this.byName.get(model)
    if (staged) {
      staged.add(row, place)
      return
    }
    const count = this.unknownRows.get(model)
    if (count === undefined)
      throw new BootkeeperError('IMPORT_INVALID', `${this.where(place, model)}: the header does not describe ${model}.`)
    this.unknownRows.set(model, count + 1)
  }

  /** Models of the file that the schema does not have, with their rows. */
  get unknown(): [string, number][] {
    return [...this.unknownRows]
  }

  where(place: number, model: string): string {
    return whereIs(this.header, place, model)
  }

  /** Sets `x` where `where` holds. Gives the number of rows. */
  leaveOut(model: StagedModel, reason: string, where: string): number {
    const sql = `UPDATE ${model.name} SET x = ? WHERE x IS NULL AND (${where})`
    const { changes } = this.database.prepare(sql).run(reason)
    if (changes > 0) model.hasLeftOut = true
    return changes
  }

  /** References that come before the rows they name, now that all rows are there. */
  resolve(): void {
    for (const staged of this.byName.values()) staged.flush()
    for (const { model } of this.byName.values())
      for (const index of model.openReferences) {
        const to = this.models[model.mapping.references[index]!.to] as StagedModel
        this.indexKeys(to)
        this.database.exec(`UPDATE ${model.name} SET r${index} =
          coalesce((SELECT t.line FROM ${to.name} t WHERE t.k = ${model.name}.r${index}), r${index})
          WHERE typeof(r${index}) = 'text'`)
      }
  }

  private indexKeys(model: StagedModel): void {
    const name = model.name.replace('temp.', '')
    try {
      this.database.exec(`CREATE UNIQUE INDEX IF NOT EXISTS temp.k_${name} ON ${name} (k) WHERE k IS NOT NULL`)
    } catch (cause) {
      const twice = this.database
        .prepare(
          `SELECT k, min(line) AS first, max(line) AS last FROM ${model.name} WHERE k IS NOT NULL GROUP BY k HAVING count(*) > 1 LIMIT 1`,
        )
        .get() as { k: string; first: number; last: number } | undefined
      if (!twice) throw cause
      throw sameKey(this.header, model.mapping, twice.k, twice.first, twice.last)
    }
  }
}
