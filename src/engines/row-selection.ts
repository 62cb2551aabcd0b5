// Which rows a scope means, as SQL for either engine: the rows of a filter, and with `whole` the rows that refer to these
// and so on, then the rows that all of them refer to. The keys of the rows are collected in a temporary table a model,
// with the round that they came in, so that circles end and no row is looked at twice.
// Guarantees: a row that hangs on a selected one is selected; what a selected row refers to is selected; other rows of
// what is only referred to are not.

import type { Model } from '../data-model.ts'
import { quoted } from './sqlite-rows.ts'
import type { Condition } from './where-filter.ts'
import { columnOf, type WhereDialect, whereSql } from './where-sql.ts'

export interface SelectionDialect extends WhereDialect {
  /** What tells the rows of a model apart, as SQL. */
  keysOf(model: Model, alias: string): string[]
  /** The table of its selected keys: columns k0, k1, … and `round`, in which no key is twice. */
  setOf(model: Model): string
}

export interface SelectionRequest {
  /** Models of which rows are selected; all others are wholly in the scope or not at all. */
  models: Model[]
  root: Model
  condition: Condition
  isWhole: boolean
}

export interface Statement {
  sql: string
  values: unknown[]
}

/** Yields statements that insert, and must be given how many rows each one inserted. */
export function* selectRows(request: SelectionRequest, dialect: SelectionDialect): Generator<Statement, void, number> {
  const { models, root, condition, isWhole } = request
  const values: unknown[] = []
  const where = whereSql(condition, 't', dialect, values)
  const found = yield {
    sql: `INSERT INTO ${dialect.setOf(root)} SELECT ${dialect.keysOf(root, 't').join(', ')}, 0
      FROM ${dialect.tableOf(root)} AS t WHERE ${where}`,
    values,
  }
  if (!isWhole || found === 0) return
  const links = models.flatMap((from) =>
    from.relations.flatMap((relation) => {
      const to = models.find(({ name }) => name === relation.target)
      return to ? [{ from, relation, to }] : []
    }),
  )
  let round = 0
  let fresh = new Set([root])
  const spread = function* (isDown: boolean, isFirst: boolean): Generator<Statement, void, number> {
    const added = new Set<Model>()
    round++
    for (const link of links) {
      const [source, target] = isDown ? [link.to, link.from] : [link.from, link.to]
      if (!isFirst && !fresh.has(source)) continue
      const count = yield { sql: spreadSql(link, isDown, isFirst, round, dialect), values: [] }
      if (count > 0) added.add(target)
    }
    fresh = added
  }
  while (fresh.size > 0) yield* spread(true, false)
  yield* spread(false, true)
  while (fresh.size > 0) yield* spread(false, false)
}

interface Link {
  from: Model
  relation: Model['relations'][number]
  to: Model
}

/** From the rows of the round before, or at the `first` from all of them, to what refers to them, or they refer to. */
function spreadSql(link: Link, isDown: boolean, isFirst: boolean, round: number, dialect: SelectionDialect): string {
  const [source, target] = isDown ? [link.to, link.from] : [link.from, link.to]
  const [s, t] = isDown ? (['p', 'c'] as const) : (['c', 'p'] as const)
  const own = dialect.keysOf(source, s).map((key, at) => `s.k${at} = ${key}`)
  const newest = isFirst ? [] : [`s.round = ${round - 1}`]
  return `INSERT INTO ${dialect.setOf(target)} SELECT DISTINCT ${dialect.keysOf(target, t).join(', ')}, ${round}
    FROM ${dialect.setOf(source)} AS s JOIN ${dialect.tableOf(source)} AS ${s} ON ${own.join(' AND ')}
    JOIN ${dialect.tableOf(target)} AS ${t} ON ${joined(link)}
    WHERE ${[...newest, 'TRUE'].join(' AND ')} ON CONFLICT DO NOTHING`
}

/** `c` refers to `p`. */
function joined({ from, relation, to }: Link): string {
  const on = relation.from.map(
    (name, at) => `p.${quoted(columnOf(to, relation.to[at] as string))} = c.${quoted(columnOf(from, name))}`,
  )
  return on.join(' AND ')
}

/**
 * Counts rows of `model` that refer to rows of the scope and are not in it. `isSelected` tells models of which only the
 * selected rows are in the scope from those that are wholly in it.
 */
export function notIncludedSql(
  model: Model,
  scope: { models: Model[]; isSelected: (model: Model) => boolean },
  dialect: SelectionDialect,
): string | undefined {
  const isIn = scope.models.includes(model)
  if (isIn && !scope.isSelected(model)) return undefined
  const refers = model.relations.flatMap((relation) => {
    const to = scope.models.find(({ name }) => name === relation.target)
    if (!to) return []
    if (!scope.isSelected(to)) {
      const set = relation.from.map((name) => `c.${quoted(columnOf(model, name))} IS NOT NULL`)
      return [`(${set.join(' AND ')})`]
    }
    const own = dialect.keysOf(to, 'p').map((key, at) => `s.k${at} = ${key}`)
    return [
      `EXISTS (SELECT 1 FROM ${dialect.tableOf(to)} AS p JOIN ${dialect.setOf(to)} AS s ON ${own.join(' AND ')}
        WHERE ${joined({ from: model, relation, to })})`,
    ]
  })
  if (refers.length === 0) return undefined
  const own = dialect.keysOf(model, 'c').map((key, at) => `o.k${at} = ${key}`)
  const apart = isIn ? ` AND NOT EXISTS (SELECT 1 FROM ${dialect.setOf(model)} AS o WHERE ${own.join(' AND ')})` : ''
  return `SELECT count(*) AS rows FROM ${dialect.tableOf(model)} AS c WHERE (${refers.join(' OR ')})${apart}`
}
