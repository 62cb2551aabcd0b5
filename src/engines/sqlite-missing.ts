// References that no row of the file answers: looks for their rows in the database, and settles what becomes of the
// rows whose reference leads nowhere. Guarantees: a row is never left out without a reason that is reported, and a
// reference that may be empty costs its row nothing but the reference.

import type { Field } from '../data-model.ts'
import { fieldOf, type Mapping } from './import-mapping.ts'
import type { Cell, CellForm } from './sqlite-cells.ts'
import { quoted } from './sqlite-rows.ts'
import type { Stage } from './sqlite-stage.ts'
import type { StagedModel } from './sqlite-staged-rows.ts'

/** Adds a row with a negative line for each row of the database that the file names. */
export function findInDatabase(
  stage: Stage,
  mayLookInto: (model: StagedModel) => boolean,
  ofThisDatabase = false,
): void {
  const ghosts = new Map<string, number>()
  for (const model of stage.models)
    for (const index of model.openReferences) {
      const target = stage.models[model.mapping.references[index]!.to] as StagedModel
      const open = stage.database
        .prepare(`SELECT DISTINCT r${index} FROM ${model.name} WHERE typeof(r${index}) = 'text'`)
        .pluck()
      const set = stage.database.prepare(`UPDATE ${model.name} SET r${index} = ? WHERE r${index} = ?`)
      const found: [number, string][] = []
      // The statement that reads must end before its table is written to.
      for (const key of open.all() as string[]) {
        const [value] = JSON.parse(key) as [unknown]
        const line =
          lineByRaw(stage, target, model.mapping, index, value) ??
          (mayLookInto(target)
            ? ghost(
                stage,
                ghosts,
                target,
                liveRow(stage, target, value) ??
                  (ofThisDatabase ? liveRowByRaw(stage, target, model.mapping, index, value) : undefined),
              )
            : undefined)
        if (line !== undefined) found.push([line, key])
      }
      if (found.length > 0)
        stage.database.exec(`CREATE INDEX IF NOT EXISTS temp.o${model.mapping.index}_${index}
          ON ${model.name.replace('temp.', '')} (r${index})`)
      for (const each of found) set.run(...each)
    }
}

/** `{"#": raw}` may also name a row that has a natural key, or by other fields than its primary key. */
function lineByRaw(stage: Stage, target: StagedModel, from: Mapping, index: number, value: unknown) {
  const raw = rawOf(value)
  const { relation } = from.references[index]!
  const fields = relation.to.map((name) => fieldOf(target.mapping.target, name))
  const columns = fields.map((field) => target.cellColumns.get(field.name))
  if (!raw || raw.length !== fields.length || columns.includes(undefined)) return undefined
  stage.database.exec(`CREATE INDEX IF NOT EXISTS temp.i${target.mapping.index}_${columns.join('_')}
    ON ${target.name.replace('temp.', '')} (${columns.join(', ')})`)
  const where = columns.map((column) => `${column} = ?`).join(' AND ')
  return stage.database
    .prepare(`SELECT line FROM ${target.name} WHERE ${where} AND line > 0`)
    .pluck()
    .get(...fields.map((field, part) => plainCell(stage.form, field, raw[part]))) as number | undefined
}

function rawOf(value: unknown): unknown[] | undefined {
  const raw = typeof value === 'object' && value !== null ? (value as { '#'?: unknown })['#'] : undefined
  return raw === undefined ? undefined : Array.isArray(raw) ? raw : [raw]
}

/** Undefined where the value cannot be one of this field. */
function plainCell({ cellOf }: CellForm, field: Field, value: unknown): Cell {
  try {
    return cellOf(field, field.type, true)(value)
  } catch {
    return null
  }
}

/** One line for a row of the database, also where several models refer to it: a second one would be no row. */
function ghost(
  stage: Stage,
  ghosts: Map<string, number>,
  target: StagedModel,
  row: Record<string, unknown> | undefined,
): number | undefined {
  if (!row) return undefined
  const { primaryKey, fields } = target.mapping.target
  const keyNames = primaryKey.length > 0 ? primaryKey : fields.map(({ name }) => name)
  const keyCells = keyNames.map((name) => String(row[fieldOf(target.mapping.target, name).column]))
  const key = JSON.stringify([target.name, ...keyCells])
  const known = ghosts.get(key)
  if (known !== undefined) return known
  const cells = [...target.cellColumns, ...target.rawColumns]
  const line = (stage.database.prepare(`SELECT min(0, ifnull(min(line), 0)) - 1 FROM ${target.name}`).pluck().get() ??
    -1) as number
  stage.database
    .prepare(
      `INSERT INTO ${target.name} (line, ${cells.map(([, column]) => column).join(', ')}) VALUES (?, ${cells.map(() => '?').join(', ')})`,
    )
    .run(line, ...cells.map(([field]) => row[fieldOf(target.mapping.target, field).column] as Cell))
  ghosts.set(key, line)
  return line
}

/** The row of the database with this raw key, where the file is of the same database. */
function liveRowByRaw(
  stage: Stage,
  { mapping: { target } }: StagedModel,
  from: Mapping,
  index: number,
  value: unknown,
) {
  const raw = rawOf(value)
  const fields = from.references[index]!.relation.to.map((name) => fieldOf(target, name))
  if (!raw || raw.length !== fields.length) return undefined
  const where = fields.map((field) => `${quoted(field.column)} = ?`).join(' AND ')
  return stage.database
    .prepare(`SELECT * FROM main.${quoted(target.table)} WHERE ${where}`)
    .safeIntegers()
    .get(...fields.map((field, part) => plainCell(stage.form, field, raw[part]))) as Record<string, unknown> | undefined
}

/** The row of the database that a natural key of the file means. A raw id means nothing in another database. */
function liveRow(stage: Stage, model: StagedModel, value: unknown): Record<string, unknown> | undefined {
  if (rawOf(value)) return undefined
  const { source, target, references } = model.mapping
  const parts = source.key.length === 1 ? [value] : Array.isArray(value) ? value : []
  if (parts.length !== source.key.length || parts.length === 0) return undefined
  const conditions: [string, Cell][] = []
  for (const [at, member] of source.key.entries()) {
    const field = target.fields.find(({ name }) => name === member)
    const relation =
      references.find((each) => each.member === member)?.relation ??
      target.relations.find(({ name }) => name === member)
    if (relation) {
      const to = stage.models.find(({ mapping }) => mapping.target.name === relation.target)
      const named = to && liveRow(stage, to, parts[at])
      if (!to || !named) return undefined
      for (const [part, from] of relation.from.entries())
        conditions.push([
          fieldOf(target, from).column,
          named[fieldOf(to.mapping.target, relation.to[part]!).column] as Cell,
        ])
    } else if (field) conditions.push([field.column, plainCell(stage.form, field, parts[at])])
    else return undefined
  }
  const where = conditions.map(([column]) => `${quoted(column)} = ?`).join(' AND ')
  return stage.database
    .prepare(`SELECT * FROM main.${quoted(target.table)} WHERE ${where}`)
    .safeIntegers()
    .get(...conditions.map(([, cell]) => cell)) as Record<string, unknown> | undefined
}

/** Empties references that may be empty and leaves out the rows of those that may not, until nothing changes. */
export function settleMissing(stage: Stage): { model: string; field: string; rows: number }[] {
  const emptied = new Map<string, { model: string; field: string; rows: number }>()
  for (let isFirst = true, changed = 1; changed > 0; isFirst = false) {
    changed = 0
    for (const model of stage.models)
      for (const [index, { relation, to, member }] of model.mapping.references.entries()) {
        const target = stage.models[to] as StagedModel
        const isText = isFirst && model.openReferences.includes(index) ? `typeof(r${index}) = 'text'` : 'false'
        const isLeftOut = target.hasLeftOut ? leftOut(model, target, index) : 'false'
        if (isText === 'false' && isLeftOut === 'false') continue
        const mayBeEmpty = !relation.isRequired
        const where = `${isText} OR ${isLeftOut}`
        const changes = mayBeEmpty
          ? stage.database.prepare(`UPDATE ${model.name} SET r${index} = NULL WHERE x IS NULL AND (${where})`).run()
              .changes
          : stage.leaveOut(model, `its ${member} is neither in the file nor in the database`, where)
        changed += changes
        if (mayBeEmpty && changes > 0) {
          const name = `${model.mapping.name}.${member}`
          const before = emptied.get(name)?.rows ?? 0
          emptied.set(name, { model: model.mapping.name, field: member, rows: before + changes })
        }
      }
  }
  return [...emptied.values()]
}

function leftOut(model: StagedModel, target: StagedModel, index: number): string {
  return `EXISTS (SELECT 1 FROM ${target.name} t WHERE t.line = ${model.name}.r${index} AND t.x IS NOT NULL)`
}
