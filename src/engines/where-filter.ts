// A filter in the words of Prisma's `where`, as JSON, checked against the data model. Guarantees: what the schema does
// not have, or what cannot be asked of a field, is USAGE with the field and what it takes; what is accepted means the
// same as it does to Prisma's client.

import type { DataModel, Field, Model, Relation } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import type { PartialScope } from '../scope.ts'

export type Comparison = '=' | '<>' | '<' | '<=' | '>' | '>='

export type Condition =
  | { kind: 'all' | 'any'; parts: Condition[] }
  | { kind: 'not'; part: Condition }
  | { kind: 'compare'; field: Field; operator: Comparison; value: FilterValue }
  | { kind: 'in'; field: Field; values: FilterValue[]; isNot: boolean }
  | { kind: 'null'; field: Field; isNot: boolean }
  /** A pattern of LIKE, as Prisma makes it: `%` and `_` within the text keep their meaning. */
  | { kind: 'like'; field: Field; pattern: string }
  /** Through a foreign key of this model. `isNot`: also where there is none. */
  | { kind: 'related'; model: Model; relation: Relation; target: Model; part: Condition; isNot: boolean }

/** In the encoding of the export format. */
export type FilterValue = string | number | boolean

/** Throws USAGE. */
export function parseWhere(dataModel: DataModel, modelName: string, where: unknown): Condition {
  const model = dataModel.models.find(({ name }) => name === modelName)
  if (!model) throw new Error(`the schema has no model ${modelName}`)
  return new Parser(dataModel.models).object(model, where)
}

/** Of the first model of a scope; undefined where all of its rows are meant. */
export function conditionOf(dataModel: DataModel, { models, where }: PartialScope): Condition | undefined {
  return where === undefined ? undefined : parseWhere(dataModel, models[0] as string, where)
}

const comparisons: Record<string, Comparison> = { equals: '=', lt: '<', lte: '<=', gt: '>', gte: '>=' }
const textPatterns: Record<string, (text: string) => string> = {
  contains: (text) => `%${text}%`,
  startsWith: (text) => `${text}%`,
  endsWith: (text) => `%${text}`,
}

function operatorsOf({ type, nativeType }: Field): string[] {
  const exact = ['equals', 'not', 'in', 'notIn']
  const ordered = ['lt', 'lte', 'gt', 'gte']
  if (type === 'Boolean') return ['equals', 'not']
  if (type === 'Enum' || type === 'Bytes') return exact
  if (type === 'String' && nativeType?.name !== 'Uuid') return [...exact, ...ordered, ...Object.keys(textPatterns)]
  return [...exact, ...ordered]
}

/** SQLite takes 32 766 values in one statement. */
const mostValues = 10_000
const deepest = 20
/** And an expression of a thousand parts. */
const widest = 500

class Parser {
  private depth = 0
  private values = 0

  constructor(private readonly models: Model[]) {}

  object(model: Model, where: unknown): Condition {
    if (!isObject(where))
      throw usage(`A filter of ${model.name} is an object, such as {"FIELD": VALUE}, not ${shown(where)}.`)
    if (++this.depth > deepest) throw usage(`The filter is nested deeper than ${deepest} levels.`)
    const parts = Object.entries(where).map(([name, value]) => this.member(model, name, value))
    this.depth--
    return all(parts)
  }

  private member(model: Model, name: string, value: unknown): Condition {
    if (name === 'AND') return all(this.list(model, name, value))
    if (name === 'NOT') return all(this.list(model, name, value).map(negated))
    if (name === 'OR') {
      if (!Array.isArray(value)) throw usage(`OR takes a list of filters of ${model.name}, not ${shown(value)}.`)
      return { kind: 'any', parts: this.list(model, name, value) }
    }
    const field = model.fields.find((each) => each.name === name)
    if (field) return this.field(model, field, value)
    const relation = model.relations.find((each) => each.name === name)
    if (relation) return this.relation(model, relation, value)
    const known = [...model.fields, ...model.relations].map((each) => each.name)
    throw usage(
      `${model.name} has no field "${name}" that can be asked for. It has ${known.join(', ')}; and AND, OR, NOT.`,
    )
  }

  private list(model: Model, name: string, value: unknown): Condition[] {
    const items = Array.isArray(value) ? value : [value]
    if (!items.every(isObject))
      throw usage(`${name} takes filters of ${model.name}, which are objects, not ${shown(value)}.`)
    // What Prisma makes of an empty one depends on what is around it.
    if (items.length === 0 || items.some((each) => Object.keys(each).length === 0))
      throw usage(`${name} has nothing in it that a row of ${model.name} could be asked for.`)
    if (items.length > widest) throw usage(`${name} takes at most ${widest} filters.`)
    return items.map((each) => this.object(model, each))
  }

  private relation(model: Model, relation: Relation, value: unknown): Condition {
    const fields = relation.from.map((name) => model.fields.find((each) => each.name === name) as Field)
    const absent = (isNot: boolean): Condition => all(fields.map((field) => ({ kind: 'null', field, isNot })))
    const target = this.models.find(({ name }) => name === relation.target) as Model
    const place = `${model.name}.${relation.name}`
    if (value === null) {
      if (relation.isRequired) throw usage(`${place} is required, so it is never null.`)
      return absent(false)
    }
    if (!isObject(value))
      throw usage(`${place} takes a filter of ${target.name}, which is an object, not ${shown(value)}.`)
    const isQuantified = Object.keys(value).some((key) => key === 'is' || key === 'isNot')
    const related = (filter: unknown, isNot: boolean): Condition => {
      if (filter === null && relation.isRequired) throw usage(`${place} is required, so it is never null.`)
      if (filter === null) return absent(isNot)
      return { kind: 'related', model, relation, target, part: this.object(target, filter), isNot }
    }
    if (!isQuantified) return related(value, false)
    return all(
      Object.entries(value).map(([key, filter]) => {
        if (key !== 'is' && key !== 'isNot') throw usage(`${place} takes is and isNot, or a filter of ${target.name}.`)
        return related(filter, key === 'isNot')
      }),
    )
  }

  private field(model: Model, field: Field, value: unknown): Condition {
    const place = `${model.name}.${field.name}`
    if (field.isList || field.type === 'Json')
      throw usage(`${place} is ${field.isList ? 'a list' : 'Json'}, which a filter cannot ask for here.`)
    if (!isObject(value)) return this.equals(place, field, value, '=')
    const accepted = operatorsOf(field)
    return all(
      Object.entries(value).map(([operator, given]): Condition => {
        if (!accepted.includes(operator))
          throw usage(`${place} takes no "${operator}". A ${typeName(field)} takes ${accepted.join(', ')}.`)
        return this.operation(place, field, operator, given)
      }),
    )
  }

  private operation(place: string, field: Field, operator: string, given: unknown): Condition {
    if (operator === 'not')
      return isObject(given) ? this.inner(place, field, given) : this.equals(place, field, given, '<>')
    if (operator === 'equals') return this.equals(place, field, given, '=')
    if (operator === 'in' || operator === 'notIn') {
      if (!Array.isArray(given)) throw usage(`${place}: ${operator} takes a list, not ${shown(given)}.`)
      const values = given.map((each) => this.value(place, field, each))
      return { kind: 'in', field, values, isNot: operator === 'notIn' }
    }
    const value = this.value(place, field, given)
    const pattern = textPatterns[operator]
    if (pattern) return { kind: 'like', field, pattern: pattern(value as string) }
    return { kind: 'compare', field, operator: comparisons[operator] as Comparison, value }
  }

  /** Each of them is turned round on its own, as Prisma does it. */
  private inner(place: string, field: Field, given: Record<string, unknown>): Condition {
    const accepted = operatorsOf(field).filter((operator) => operator !== 'not')
    const parts = Object.entries(given).map(([operator, value]): Condition => {
      if (!accepted.includes(operator)) throw usage(`${place} takes no "${operator}" within not.`)
      return { kind: 'not', part: this.operation(place, field, operator, value) }
    })
    return all(parts)
  }

  private equals(place: string, field: Field, value: unknown, operator: '=' | '<>'): Condition {
    if (value !== null) return { kind: 'compare', field, operator, value: this.value(place, field, value) }
    if (field.isRequired) throw usage(`${place} is required, so it is never null.`)
    return { kind: 'null', field, isNot: operator === '<>' }
  }

  private value(place: string, field: Field, value: unknown): FilterValue {
    if (++this.values > mostValues) throw usage(`The filter names more than ${mostValues} values.`)
    const checked = checkedValue(field, value)
    if (checked === undefined) throw usage(`${place} takes ${accepted(field)}, not ${shown(value)}.`)
    return checked
  }
}

function all(parts: Condition[]): Condition {
  return parts.length === 1 ? (parts[0] as Condition) : { kind: 'all', parts }
}

function negated(part: Condition): Condition {
  return { kind: 'not', part }
}

const isoTime = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/
const digits = /^-?\d{1,19}$/

/** In the encoding of the export format; undefined where the field takes no such value. */
export function checkedValue(field: Field, value: unknown): FilterValue | undefined {
  switch (field.type) {
    case 'String':
      return typeof value === 'string' ? value : undefined
    case 'Int':
      return typeof value === 'number' && (value | 0) === value ? value : undefined
    case 'BigInt': {
      const text = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value
      return typeof text === 'string' && digits.test(text) && BigInt.asIntN(64, BigInt(text)) === BigInt(text)
        ? text
        : undefined
    }
    case 'Float':
      return typeof value === 'number' && Number.isFinite(value) ? value : undefined
    case 'Decimal': {
      const text = typeof value === 'number' ? String(value) : value
      return typeof text === 'string' && /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text) ? text : undefined
    }
    case 'Boolean':
      return typeof value === 'boolean' ? value : undefined
    case 'DateTime': {
      const time = typeof value === 'string' && isoTime.test(value) ? Date.parse(value) : Number.NaN
      return Number.isNaN(time) ? undefined : new Date(time).toISOString()
    }
    case 'Bytes':
      return typeof value === 'string' && value.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(value)
        ? value
        : undefined
    case 'Enum':
      return field.enum?.values.some(({ name }) => name === value) ? (value as string) : undefined
    case 'Json':
      return undefined
  }
}

function accepted(field: Field): string {
  const words: Record<Field['type'], string> = {
    String: 'a string',
    Int: 'a whole number of 32 bits',
    BigInt: 'a whole number of 64 bits, a large one as a string of digits',
    Float: 'a number',
    Decimal: 'a number, or a string with one',
    Boolean: 'true or false',
    DateTime: 'a time in ISO 8601 with its zone, such as "2026-01-31T12:00:00Z", or a day',
    Bytes: 'a string in base64',
    Enum: `one of ${field.enum?.values.map(({ name }) => `"${name}"`).join(', ')}`,
    Json: 'nothing',
  }
  return words[field.type]
}

function typeName(field: Field): string {
  return field.enum ? `value of ${field.enum.name}` : field.type
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shown(value: unknown): string {
  const text = String(JSON.stringify(value))
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

function usage(message: string): BootkeeperError {
  return new BootkeeperError('USAGE', message)
}
