// What a person typed into a form of settings, as what is stored.
// Guarantees: the cells are those of the import, so that a typed value and an imported one are the same; a value that
// does not fit gives one sentence that says what would; neither the sentence nor an error repeats the value.

import { randomUUID } from 'node:crypto'
import type { Field } from '../data-model.ts'
import { type ConfigChange, settingsFields } from './config-rows.ts'
import { newId } from './new-id.ts'
import { type Cell, type CellForm, ValueWithoutPlace, WrongValue } from './sqlite-cells.ts'

/** Text as it was typed, also of a number or a time; null: left empty. */
export type Typed = string | boolean | null

export interface ValueProblem {
  model: string
  field: string
  message: string
}

export interface NewCell {
  field: Field
  cell: Cell
}

/** The cells that a change writes, or why it cannot. */
export function cellsOf(
  { model, expected, values }: ConfigChange,
  form: CellForm,
  now: Date,
): { cells: NewCell[]; problems: ValueProblem[] } {
  const cells: NewCell[] = []
  const problems: ValueProblem[] = []
  const typedNames = new Set(settingsFields(model).map(({ name }) => name))
  for (const field of model.fields) {
    const typed = typedNames.has(field.name) ? values[field.name] : undefined
    const given = typed === undefined ? ownValue(field, expected === null, now) : undefined
    try {
      if (typed !== undefined) cells.push({ field, cell: typedCell(field, typed, form) })
      else if (given !== undefined) cells.push({ field, cell: form.cellOf(field, sourceTypeOf(field), false)(given) })
      else if (expected === null && isNeeded(field)) throw new NotThat('This is required.')
    } catch (error) {
      problems.push({ model: model.name, field: field.name, message: sentenceOf(error) })
    }
  }
  return { cells, problems }
}

/** What the row gets without anybody: in a new one the defaults, in any one the time of the change. */
function ownValue(field: Field, isNew: boolean, now: Date): unknown {
  if (field.isUpdatedAt) return now.toISOString()
  return isNew ? defaultValue(field, now) : undefined
}

/** In the encoding of exports. Undefined: none, or the database has it. */
export function defaultValue({ type, default: value }: Field, now: Date): unknown {
  if (value === undefined || value === null) return undefined
  if (Array.isArray(value)) return value
  if (typeof value === 'object') {
    const { name = '' } = value as { name?: string }
    if (name === 'now') return now.toISOString()
    if (name === 'uuid') return randomUUID()
    return ['cuid', 'ulid', 'nanoid'].includes(name) ? newId(name, now) : undefined
  }
  switch (type) {
    case 'Boolean':
      return value === true || value === 'true'
    case 'Int':
    case 'Float':
      return Number(value)
    default:
      return String(value)
  }
}

function isNeeded({ isRequired, isList, hasDefault, isAutoincrement }: Field): boolean {
  return isRequired && !isList && !hasDefault && !isAutoincrement
}

function sourceTypeOf({ type, isList }: Field): string {
  return isList ? `${type}[]` : type
}

class NotThat extends Error {}

function typedCell(field: Field, typed: Typed, form: CellForm): Cell {
  const isEmpty = typed === null || (typed === '' && field.type !== 'String')
  if (isEmpty || (typed === '' && field.isRequired && field.default !== '')) {
    if (field.isRequired) throw new NotThat('This is required.')
    return null
  }
  if (field.type === 'Boolean') {
    if (typeof typed !== 'boolean') throw new NotThat('Choose yes or no.')
    return form.cellOf(field, 'Boolean', false)(typed)
  }
  if (typeof typed !== 'string') throw new NotThat('Type a text.')
  // Nobody sees what is typed there, and what was there before would be gone.
  if (field.isSecret && typed !== '' && typed.trim() === '') throw new NotThat('These are blanks only.')
  const text = field.type === 'String' && field.healthPath === undefined ? typed : typed.trim()
  const problem = shapeProblem(field, text)
  if (problem) throw new NotThat(problem)
  // Numbers and times come as text, which the import reads as it reads a field that changed its type.
  const sourceType = field.type === 'Json' || field.type === 'Enum' ? field.type : 'String'
  return form.cellOf(field, sourceType, false)(field.type.endsWith('Int') ? text.replace(/^\+/, '') : text)
}

const numberText = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i
const moment = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s*(Z|[+-]\d\d:?\d\d)$/i

/** What is wrong with a text before any database sees it. */
function shapeProblem(field: Field, text: string): string | undefined {
  switch (field.type) {
    case 'String':
      if (text.includes('\0')) return 'A text cannot hold a NUL character.'
      return field.healthPath !== undefined && text !== '' && !isHttpUrl(text)
        ? 'Type an address that begins with http:// or https://.'
        : undefined
    case 'Int':
      if (!/^[+-]?\d+$/.test(text)) return 'Type a whole number.'
      return Math.abs(Number(text) + 0.5) <= 2 ** 31 ? undefined : 'Type a number from -2147483648 to 2147483647.'
    case 'BigInt':
      if (!/^[+-]?\d+$/.test(text)) return 'Type a whole number.'
      return BigInt.asIntN(64, BigInt(text)) === BigInt(text) ? undefined : 'Type a number of fewer digits.'
    case 'Float':
    case 'Decimal':
      return numberText.test(text) && Number.isFinite(Number(text)) ? undefined : 'Type a number, such as 12.5.'
    case 'DateTime':
      return timeProblem(field, text)
    case 'Json':
      return isJson(text) ? undefined : 'This is not JSON. A text needs quotation marks; members have commas between.'
    case 'Enum':
      return field.enum?.values.some(({ name }) => name === text) ? undefined : 'Choose one of the list.'
    default:
      return undefined
  }
}

function timeProblem({ nativeType }: Field, text: string): string | undefined {
  const form =
    nativeType?.name === 'Date'
      ? { fits: /^\d{4}-\d\d-\d\d$/, example: 'a date, such as 2026-11-21' }
      : nativeType?.name === 'Time' || nativeType?.name === 'Timetz'
        ? { fits: /^\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d(:?\d\d)?)?$/, example: 'a time, such as 18:30' }
        : { fits: moment, example: 'a date and time, such as 2026-11-21T18:30:00Z' }
  return form.fits.test(text) && isRealTime(text) ? undefined : `Type ${form.example}.`
}

/** JavaScript takes the 30th of February for the 2nd of March. */
function isRealTime(text: string): boolean {
  const [day] = /^\d{4}-\d\d-\d\d/.exec(text) ?? []
  // Of a time alone the database knows best.
  if (day === undefined) return true
  const date = new Date(`${day}T00:00:00Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day) && !Number.isNaN(Date.parse(text))
}

export function isHttpUrl(text: string): boolean {
  return (
    URL.canParse(text.trim()) && /^https?:$/.test(new URL(text.trim()).protocol) && /^https?:\/\//i.test(text.trim())
  )
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function sentenceOf(error: unknown): string {
  if (error instanceof NotThat) return error.message
  if (error instanceof ValueWithoutPlace) return `The field cannot hold ${error.message}.`
  // Its own words repeat the value.
  if (error instanceof WrongValue) return 'This is no value of this field.'
  throw error
}
