// What a user types for a part of the data, as a scope: names of tables, `User:john`, `category:Gaming`.
// Guarantees: a word that the schema does not have, or that means two things, is USAGE with what there is; nothing is
// guessed.

import type { DataModel, Field, KeyPart, Model } from './data-model.ts'
import type { ImportChoice } from './engines/engine-import.ts'
import { checkedValue, parseWhere } from './engines/where-filter.ts'
import { BootkeeperError } from './errors.ts'
import type { PartialScope } from './scope.ts'

type Where = NonNullable<PartialScope['where']>

/** With the names that the schema gives to its models, and the filter checked. Throws USAGE. */
export function resolveScope(dataModel: DataModel, { models, where, whole }: PartialScope): PartialScope {
  const names = [...new Set(models.map((name) => requireModel(dataModel, name).name))]
  if (where !== undefined) parseWhere(dataModel, names[0] as string, where)
  return { models: names, ...(where ? { where } : {}), ...(whole ? { whole } : {}) }
}

/**
 * `MODEL:KEY` is one row, by its natural key or else its id; `MODEL:#ID` one by its id; `FIELD:VALUE` the rows of the one
 * model that has this field. With all that hangs on them. `MODEL:##…` is a key that begins with #. Throws USAGE.
 */
export function scopeOfWords(dataModel: DataModel, words: string, option = '--scope'): PartialScope {
  const [, name = '', value = ''] = /^([^:]+):(.+)$/s.exec(words) ?? []
  if (name === '')
    throw usage(`${option} takes MODEL:KEY or FIELD:VALUE, such as ${exampleOf(dataModel)}, not "${words}".`)
  const model = findModel(dataModel, name)
  const where = model ? rowOf(dataModel, model, value) : undefined
  if (model && where) return { models: [model.name], where, whole: true }
  const holders = dataModel.models.flatMap((each) => {
    const field = each.fields.find((one) => sameName(one.name, name) && !one.isList && one.type !== 'Json')
    return field ? [{ model: each, field }] : []
  })
  const [only, ...others] = holders
  if (!only)
    throw usage(
      `No model, table or field is called "${name}".${nearest(dataModel, name)} There are ${listOf(dataModel)}.`,
    )
  if (others.length > 0)
    throw usage(
      `${holders.map((each) => each.model.name).join(', ')} have a field "${only.field.name}": name the model, such as --tables ${only.model.name} --where '${JSON.stringify({ [only.field.name]: plainValue(only.model, only.field, value) })}'.`,
    )
  const filter = { [only.field.name]: plainValue(only.model, only.field, value) }
  return { models: [only.model.name], where: filter, whole: true }
}

/** `settings`, or words of a scope each, for what of a file is imported. Throws USAGE. */
export function choiceOfWords(dataModel: DataModel, words: string[]): ImportChoice {
  const isSettings = (word: string) => word === 'settings'
  const settings = words.some(isSettings)
  if (settings && !dataModel.models.some(({ isConfig }) => isConfig))
    throw usage('The schema marks no model as settings (/// @config).')
  return {
    settings,
    rows: words.filter((word) => !isSettings(word)).map((word) => scopeOfWords(dataModel, word, '--only')),
  }
}

/** What names a row with this text, as its natural key shows it. */
export function wordOfKey(model: string, key: string | number): string {
  return `${model}:${String(key).startsWith('#') ? '#' : ''}${key}`
}

function requireModel(dataModel: DataModel, name: string): Model {
  const model = findModel(dataModel, name)
  if (model) return model
  throw usage(`The schema has no table "${name}".${nearest(dataModel, name)} There are ${listOf(dataModel)}.`)
}

/** By the name of the model, or of its table, as it is written, or else in any case. */
function findModel({ models }: DataModel, name: string): Model | undefined {
  return (
    models.find((each) => each.name === name || each.table === name) ??
    models.find((each) => sameName(each.name, name) || sameName(each.table, name))
  )
}

function rowOf({ models }: DataModel, model: Model, text: string): Where {
  const [id, ...more] = model.primaryKey
  const idField = more.length === 0 ? model.fields.find(({ name }) => name === id) : undefined
  const byId = /^#(?!#)/.test(text) && idField
  const key = byId ? undefined : keyFilter(models, model, text.replace(/^##/, '#'))
  if (key) return key
  if (!idField)
    throw usage(
      `The rows of ${model.name} are told apart by ${namesOf(model).join(' and ')} together: --tables ${model.name} --where '${JSON.stringify(Object.fromEntries(namesOf(model).map((name) => [name, '…'])))}'.`,
    )
  return { [idField.name]: plainValue(model, idField, byId ? text.slice(1) : text) }
}

/** Undefined where the natural key has several parts, or there is none. */
function keyFilter(models: Model[], model: Model, text: string): Where | undefined {
  const [part, ...more] = model.naturalKey
  if (!part || more.length > 0) return undefined
  if (part.kind === 'field') {
    const field = model.fields.find(({ name }) => name === part.name) as Field
    return { [field.name]: plainValue(model, field, text) }
  }
  const target = targetOf(models, model, part)
  const inner = target && keyFilter(models, target, text)
  return inner && { [part.name]: inner }
}

function targetOf(models: Model[], model: Model, part: KeyPart): Model | undefined {
  const relation = model.relations.find(({ name }) => name === part.name)
  return models.find(({ name }) => name === relation?.target)
}

function plainValue(model: Model, field: Field, text: string): string | number | boolean {
  const isNumber = field.type === 'Int' || field.type === 'Float'
  const given =
    isNumber && text.trim() !== ''
      ? Number(text)
      : field.type === 'Boolean' && /^(true|false)$/.test(text)
        ? text === 'true'
        : text
  const value = checkedValue(field, given)
  if (value !== undefined) return value
  throw usage(`${model.name}.${field.name} is of the type ${field.enum?.name ?? field.type}, which "${text}" is not.`)
}

function namesOf({ naturalKey, primaryKey }: Model): string[] {
  return naturalKey.length > 0 ? naturalKey.map(({ name }) => name) : primaryKey
}

function exampleOf({ models }: DataModel): string {
  const model = models.find((each) => each.naturalKey.length === 1) ?? models[0]
  return `${model?.name ?? 'Model'}:${model?.naturalKey[0]?.name ?? '1'}`
}

const mostNames = 30

function listOf({ models }: DataModel): string {
  const names = models.map(({ name }) => name)
  return names.length > mostNames
    ? `${names.slice(0, mostNames).join(', ')} and ${names.length - mostNames} more`
    : names.join(', ')
}

/** A sentence with the names that are most like it, where any is. */
function nearest({ models }: DataModel, name: string): string {
  const words = [...new Set(models.flatMap((each) => [each.name, each.table]))]
  const near = words
    .map((word) => ({ word, distance: distanceOf(word.toLowerCase(), name.toLowerCase()) }))
    .filter(({ word, distance }) => distance <= Math.max(1, Math.floor(Math.min(word.length, name.length) / 3)))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
  return near.length > 0 ? ` Did you mean ${near.map(({ word }) => word).join(' or ')}?` : ''
}

/** Letters to add, remove or change (Levenshtein). */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1))
    row = next
  }
  return row[b.length] as number
}

function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}

function usage(message: string): BootkeeperError {
  return new BootkeeperError('USAGE', message)
}
