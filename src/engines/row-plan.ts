// How a row of a model becomes an object, before any SQL: which members it has, in which order, and which other tables
// must be looked into for the natural keys that references are written as. Both engines build their SELECT from this.
// Guarantees: no scalar is lost (a foreign key is recoverable from its reference), and the same model always gives the
// same members in the same order.

import type { Field, KeyPart, Model, Relation } from '../data-model.ts'

export interface RowPlan {
  model: Model
  members: Member[]
  /** In the order in which they must be joined. */
  joins: Join[]
}

export interface Member {
  name: string
  value: Value
}

export type Value = FieldValue | ReferenceValue

/** A column of the table under `alias`. */
export interface FieldValue {
  kind: 'field'
  alias: string
  field: Field
}

export interface ReferenceValue {
  kind: 'reference'
  /** The foreign key itself. */
  raw: FieldValue[]
  /** The target's natural key; empty where the target has none and `{"#": raw}` is all there is. */
  key: Value[]
}

export interface Join {
  alias: string
  target: Model
  /** Pairs that must be equal: a column that is there already, and one of the target. */
  on: { from: FieldValue; to: FieldValue }[]
  /** Columns of the target that are read, beside those of `on`. */
  reads: Field[]
}

export const ownAlias = 't'

// SQLite joins 64 tables at most. References beyond that are written as `{"#": value}`, which a reader accepts anywhere.
const mostJoins = 60

export function planRow(model: Model, models: Model[]): RowPlan {
  const joins: Join[] = []
  const members: Member[] = []
  const written = new Set<string>()
  for (const field of model.fields) {
    const relations = model.relations.filter(({ from }) => from.includes(field.name))
    if (relations.length === 0) members.push({ name: field.name, value: { kind: 'field', alias: ownAlias, field } })
    for (const relation of relations) {
      if (written.has(relation.name)) continue
      written.add(relation.name)
      members.push({ name: relation.name, value: referenceOf(model, ownAlias, relation, models, joins) })
    }
  }
  return { model, members, joins }
}

/** The columns that must not be null for the reference's key to be complete. */
export function keyColumns(reference: ReferenceValue): FieldValue[] {
  return reference.key.flatMap((part) => (part.kind === 'field' ? [part] : part.raw))
}

function referenceOf(model: Model, alias: string, relation: Relation, models: Model[], joins: Join[]): ReferenceValue {
  const raw = relation.from.map((name): FieldValue => ({ kind: 'field', alias, field: fieldOf(model, name) }))
  const target = modelOf(models, relation.target)
  if (target.naturalKey.length === 0 || joins.length >= mostJoins) return { kind: 'reference', raw, key: [] }
  const join: Join = { alias: `r${joins.length + 1}`, target, on: [], reads: [] }
  join.on = relation.to.map((name, index) => ({
    from: raw[index] as FieldValue,
    to: { kind: 'field', alias: join.alias, field: fieldOf(target, name) },
  }))
  joins.push(join)
  join.reads = target.naturalKey.flatMap((part) => columnsOf(target, part))
  return {
    kind: 'reference',
    raw,
    key: target.naturalKey.map((part) => partOf(target, join.alias, part, models, joins)),
  }
}

function partOf(model: Model, alias: string, part: KeyPart, models: Model[], joins: Join[]): Value {
  if (part.kind === 'field') return { kind: 'field', alias, field: fieldOf(model, part.name) }
  return referenceOf(model, alias, relationOf(model, part.name), models, joins)
}

function columnsOf(model: Model, part: KeyPart): Field[] {
  const names = part.kind === 'field' ? [part.name] : relationOf(model, part.name).from
  return names.map((name) => fieldOf(model, name))
}

function modelOf(models: Model[], name: string): Model {
  const model = models.find((each) => each.name === name)
  if (!model) throw new Error(`the schema has no model ${name}`)
  return model
}

function fieldOf(model: Model, name: string): Field {
  const field = model.fields.find((each) => each.name === name)
  if (!field) throw new Error(`${model.name} has no field ${name}`)
  return field
}

function relationOf(model: Model, name: string): Relation {
  const relation = model.relations.find((each) => each.name === name)
  if (!relation) throw new Error(`${model.name} has no relation ${name}`)
  return relation
}
