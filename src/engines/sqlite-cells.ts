// The values of an export as what SQLite stores: the reverse of sqlite-rows.ts. Guarantees: a value of an SQLite export
// comes back with the storage class and the bytes that it had; one of another engine in the form that Prisma's adapter
// writes; one that fits neither is an error that says what was expected.

import type { Field } from '../data-model.ts'

export type Cell = string | number | bigint | Buffer | null

/** What is wrong with one value. The caller knows the row and the field. */
export class WrongValue extends Error {}

/** A value that is sound but that the schema has no place for: the row is left out and reported. */
export class ValueWithoutPlace extends Error {}

export type ToCell = (value: unknown) => Cell

/** How the values of a file become cells: of SQLite itself, or of a database that is mirrored in it. */
export interface CellForm {
  /** `sourceType` as the header has it, `verbatim` for the export of an SQLite database. */
  cellOf(field: Field, sourceType: string, verbatim: boolean): ToCell
  /** A column that the schema does not know. */
  hiddenCell(value: unknown): Cell
  /** Whether a null in a required column becomes the default that the database has for it. */
  readonly fillsDefaults: boolean
}

/** `sourceType` as the header has it, `verbatim` for the export of an SQLite database. */
export function cellOf(field: Field, sourceType: string, verbatim: boolean): ToCell {
  const convert = converterOf(field, sourceType, verbatim)
  return (value) => {
    if (value === null || value === undefined) return null
    if (typeof value !== 'object') return convert(value)
    const { $sqlite, $postgres, value: inner } = value as { $sqlite?: unknown; $postgres?: unknown; value?: unknown }
    if (typeof $sqlite === 'string') return storedValue($sqlite, inner)
    if (typeof $postgres === 'string') throw new ValueWithoutPlace('a PostgreSQL value that SQLite cannot hold')
    return convert(value)
  }
}

/** A column that the schema does not know: see `$columns` in the format. */
export function hiddenCell(value: unknown): Cell {
  if (value === null || value === undefined) return null
  if (typeof value === 'string') return value
  const { $sqlite, $base64, value: inner } = value as { $sqlite?: unknown; $base64?: unknown; value?: unknown }
  if (typeof $base64 === 'string') return bytes($base64)
  if (typeof $sqlite === 'string') return storedValue($sqlite, inner)
  throw new WrongValue(`should be a string, not ${shown(value)}`)
}

export const sqliteCells: CellForm = { cellOf, hiddenCell, fillsDefaults: false }

function storedValue(type: string, value: unknown): Cell {
  if (type === 'text' && typeof value === 'string') return value
  if (type === 'integer' && typeof value === 'string') return wholeNumber(value)
  if (type === 'real' && typeof value === 'number') return value
  if (type === 'blob' && typeof value === 'string') return bytes(value)
  throw new WrongValue(`has a $sqlite of the type ${shown(type)} with the value ${shown(value)}`)
}

function converterOf(field: Field, sourceType: string, verbatim: boolean): ToCell {
  const given = sourceType.replace(/\?$/, '')
  if (field.isList || given.endsWith('[]')) return () => failed('no list', 'a list')
  // A field that changed its type since: by its text, where that says the same.
  const from = given.replace(/^Enum .*/, 'Enum')
  const same = from === field.type
  switch (field.type) {
    case 'String':
      return (value) => (typeof value === 'string' ? value : same ? failed('a string', value) : plainText(value))
    case 'Int':
      return (value) =>
        typeof value === 'number' ? finite(value) : same ? failed('a number', value) : wholeNumber(String(value))
    case 'BigInt':
      return (value) =>
        typeof value === 'string' || !same ? wholeNumber(String(value)) : failed('a string of digits', value)
    case 'Float':
      return (value) => (typeof value === 'number' ? finite(value) : same ? failed('a number', value) : number(value))
    case 'Decimal':
      return (value) => (typeof value === 'string' || !same ? number(value) : failed('a string with a number', value))
    case 'Boolean':
      return (value) => (typeof value === 'boolean' ? Number(value) : truth(value, same))
    case 'DateTime':
      return (value) => (verbatim && same ? storedTime(value) : time(value))
    case 'Json':
      return (value) => (typeof value === 'string' ? (same ? value : JSON.stringify(value)) : failed('a string', value))
    case 'Bytes':
      return (value) => (typeof value === 'string' ? bytes(value) : failed('base64', value))
    case 'Enum':
      return enumCell(field)
  }
}

function enumCell({ enum: type }: Field): ToCell {
  const stored = new Map((type?.values ?? []).map((value) => [value.name, value.stored]))
  return (value) => {
    if (typeof value !== 'string') return failed('a string', value)
    const found = stored.get(value)
    if (found === undefined) throw new ValueWithoutPlace(`a value that the enum ${type?.name} does not have`)
    return found
  }
}

const digits = /^-?\d{1,19}$/

export function wholeNumber(text: string): number | bigint {
  if (!digits.test(text)) return failed('a whole number', text)
  const small = Number(text)
  if (Number.isSafeInteger(small)) return small
  const large = BigInt(text)
  return BigInt.asIntN(64, large) === large ? large : failed('a number of 64 bits', text)
}

function number(value: unknown): number | bigint {
  if (typeof value === 'number') return finite(value)
  if (typeof value !== 'string') return failed('a number', value)
  // A Decimal is stored as an integer where it is one: its digits are kept.
  if (digits.test(value)) return wholeNumber(value)
  return value.trim() === '' ? failed('a number', value) : finite(Number(value), value)
}

function finite(value: number, given: unknown = value): number {
  return Number.isFinite(value) ? value : failed('a number', given)
}

function truth(value: unknown, same: boolean): number {
  if (!same && (value === 'true' || value === 1)) return 1
  if (!same && (value === 'false' || value === 0)) return 0
  return failed('true or false', value)
}

function plainText(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return failed('a string', value)
}

function storedTime(value: unknown): Cell {
  return typeof value === 'string' || typeof value === 'number' ? value : failed('a time', value)
}

/** As Prisma's adapter for SQLite writes it; more digits than milliseconds are kept. */
function time(value: unknown): string {
  const text = typeof value === 'number' ? '' : value
  const milliseconds = typeof value === 'number' ? value : Date.parse(String(value))
  if (typeof text !== 'string' || Number.isNaN(milliseconds) || Math.abs(milliseconds) > 8.64e15)
    return failed('a time in ISO 8601', value)
  const finer = /\.\d{3}(\d+)/.exec(text)?.[1] ?? ''
  return new Date(milliseconds).toISOString().replace('Z', `${finer}+00:00`)
}

export function bytes(text: string): Buffer {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return failed('base64', text)
  return Buffer.from(text, 'base64')
}

export function failed(expected: string, value: unknown): never {
  throw new WrongValue(`should be ${expected}, not ${shown(value)}`)
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'an object'
  const text = String(JSON.stringify(value))
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
