// Which rows of a staged file are imported, where it is not all of them: the settings, or some rows with all that hangs
// on them. The lines of the rows are collected in a temporary table a model, with the round that they came in; what was
// not collected leaves the stage, as if the file had never had it.
// Guarantees: what hangs on a chosen row in the file is chosen; what a chosen row refers to is chosen; other rows of what
// is only referred to are not; a choice that names nothing of the file is NOT_IN_FILE.

import { BootkeeperError } from '../errors.ts'
import type { ImportChoice, RowName } from './engine-import.ts'
import { findInDatabase } from './sqlite-missing.ts'
import { RowNames } from './sqlite-names.ts'
import type { Stage } from './sqlite-stage.ts'
import type { StagedModel } from './sqlite-staged-rows.ts'

type Where = NonNullable<ImportChoice['rows'][number]['where']>

/** The rows were staged, and the references among them resolved. */
export function keepChosen(stage: Stage, { settings, rows }: ImportChoice): void {
  // An id may name a row of the file, too. The database is not looked into: what is only there is no part of the file.
  findInDatabase(stage, () => false)
  stage.database.exec('BEGIN')
  for (const model of stage.models)
    stage.database.exec(`CREATE TABLE ${setOf(model)} (line INTEGER PRIMARY KEY, round INTEGER NOT NULL)`)
  if (settings) chooseSettings(stage)
  const roots = new Set(rows.map((part) => choose(stage, part.models[0] as string, part.where ?? {})))
  spread(stage, roots)
  for (const model of stage.models) {
    stage.database.exec(`DELETE FROM ${model.name} WHERE line NOT IN (SELECT line FROM ${setOf(model)})`)
    model.rows = count(stage, model)
    stage.database.exec(`DROP TABLE ${setOf(model)}`)
  }
  stage.database.exec('COMMIT')
}

function chooseSettings(stage: Stage): void {
  const models = stage.models.filter(({ mapping }) => mapping.target.isConfig)
  const found = models.reduce((sum, model) => sum + pick(stage, model, 'TRUE', []), 0)
  if (found === 0) throw new BootkeeperError('NOT_IN_FILE', 'The file has no settings.')
}

/** Gives the model whose rows were chosen. */
function choose(stage: Stage, name: string, where: Where): StagedModel {
  const model = stage.models.find(({ mapping }) => mapping.target.name === name)
  const values: unknown[] = []
  const condition = model && conditionOf(stage, model, 't', where, values)
  if (model && condition !== undefined && pick(stage, model, condition, values) > 0) return model
  throw new BootkeeperError(
    'NOT_IN_FILE',
    `The file has no ${name} ${JSON.stringify(innermost(where))}. ${model ? listNames(stage, model) : 'It has none at all.'}`,
  )
}

function pick(stage: Stage, model: StagedModel, condition: string, values: unknown[]): number {
  const { database } = stage
  const sql = `INSERT INTO ${setOf(model)} SELECT line, 0 FROM ${model.name} AS t WHERE ${condition}`
  const found = database.prepare(`SELECT count(*) FROM ${model.name} AS t WHERE ${condition}`).pluck()
  database.prepare(`${sql} ON CONFLICT DO NOTHING`).run(...values)
  return found.get(...values) as number
}

/** What words of a scope can ask: one member equal to a value, or that of the row that a reference leads to. */
function conditionOf(
  stage: Stage,
  { mapping, cellColumns }: StagedModel,
  alias: string,
  where: Where,
  values: unknown[],
): string | undefined {
  const [[name, value] = []] = Object.entries(where)
  if (name === undefined) return undefined
  const { target, references } = mapping
  const field = target.fields.find((each) => each.name === name)
  const cell = cellColumns.get(name)
  if (field && cell) {
    values.push(stage.form.cellOf(field, field.type, false)(value))
    return `${alias}.${cell} = ?`
  }
  // A foreign key is staged as the line of its row.
  const index = references.findIndex(({ relation }) => relation.name === name || relation.from.includes(name))
  const reference = references[index]
  if (!reference) return undefined
  const to = stage.models[reference.to] as StagedModel
  const key = reference.relation.to[reference.relation.from.indexOf(name)]
  const inner = (key === undefined ? value : { [key]: value }) as Where
  const condition = conditionOf(stage, to, `${alias}t`, inner, values)
  return condition && `${alias}.r${index} IN (SELECT ${alias}t.line FROM ${to.name} AS ${alias}t WHERE ${condition})`
}

interface Link {
  from: StagedModel
  index: number
  to: StagedModel
}

/** First all that hangs on what was chosen, then, of all that, what it refers to. */
function spread(stage: Stage, roots: Set<StagedModel>): void {
  const links = stage.models.flatMap((from): Link[] =>
    from.mapping.target.isTransient && !roots.has(from)
      ? []
      : from.mapping.references.map(({ to }, index) => ({ from, index, to: stage.models[to] as StagedModel })),
  )
  let round = 0
  let fresh = roots
  const step = (isDown: boolean, isFirst: boolean) => {
    const added = new Set<StagedModel>()
    round++
    for (const link of links) {
      const [source, target] = isDown ? [link.to, link.from] : [link.from, link.to]
      if (!isFirst && !fresh.has(source)) continue
      const newest = isFirst ? '' : ` WHERE round = ${round - 1}`
      const chosen = `SELECT line FROM ${setOf(source)}${newest}`
      const rows = isDown
        ? `SELECT line, ${round} FROM ${link.from.name} WHERE r${link.index} IN (${chosen})`
        : `SELECT DISTINCT r${link.index}, ${round} FROM ${link.from.name}
            WHERE line IN (${chosen}) AND typeof(r${link.index}) NOT IN ('null', 'text')`
      const { changes } = stage.database.prepare(`INSERT INTO ${setOf(target)} ${rows} ON CONFLICT DO NOTHING`).run()
      if (changes > 0) added.add(target)
    }
    fresh = added
  }
  while (fresh.size > 0) step(true, false)
  step(false, true)
  while (fresh.size > 0) step(false, false)
}

const mostNames = 20

function listNames(stage: Stage, model: StagedModel): string {
  if (model.rows === 0) return 'It has none at all.'
  const names = new RowNames(stage.database, [], stage.models)
  const lines = stage.database.prepare(`SELECT line FROM ${model.name} ORDER BY line LIMIT ${mostNames}`).pluck().all()
  const shown = (lines as number[]).flatMap((line) => names.staged(model, line) ?? []).map(showName)
  if (shown.length === 0) return ''
  const more = model.rows - lines.length
  return `It has ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}.`
}

function showName(name: RowName): string {
  const text = JSON.stringify(name)
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

function innermost(where: unknown): unknown {
  return typeof where === 'object' && where !== null ? innermost(Object.values(where)[0]) : where
}

function count({ database }: Stage, model: StagedModel): number {
  return database.prepare(`SELECT count(*) FROM ${model.name}`).pluck().get() as number
}

function setOf({ mapping }: StagedModel): string {
  return `temp.chosen_${mapping.index}`
}
