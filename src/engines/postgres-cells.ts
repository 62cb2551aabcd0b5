// The values of an export as what a mirror of PostgreSQL holds: whole numbers and booleans as integers, bytes as blobs,
// everything else as PostgreSQL's own text. Guarantees: a value of the wrong kind is an error that says what was
// expected; one that the column cannot hold leaves its row out, with the reason, and is never cut to fit.

import type { Field } from '../data-model.ts'
import type { PostgresColumn } from './postgres-tables.ts'
import {
  bytes,
  type Cell,
  type CellForm,
  cellOf as cellOfSqlite,
  failed,
  type ToCell,
  ValueWithoutPlace,
  WrongValue,
} from './sqlite-cells.ts'

/** `columnOf` gives nothing for a column that the database does not have, which stops the import elsewhere. */
export function postgresCells(columnOf: (field: Field) => PostgresColumn | undefined): CellForm {
  return {
    fillsDefaults: true,
    hiddenCell,
    cellOf(field, sourceType) {
      const column = columnOf(field)
      const scalar = scalarOf({ ...field, isList: false }, sourceType.replace(/\[\]\??$/, ''), column)
      const isFromList = /\[\]\??$/.test(sourceType)
      return (value) => {
        if (value === null || value === undefined) return null
        if (typeof value === 'object' && !Array.isArray(value)) return special(value, field, scalar)
        if (field.isList) return Array.isArray(value) ? listOf(value, scalar) : failed('a list', value)
        return isFromList || Array.isArray(value) ? failed('no list', value) : scalar(value)
      }
    },
  }
}

function special(value: object, field: Field, scalar: ToCell): Cell {
  const { $sqlite, $postgres, value: inner } = value as { $sqlite?: unknown; $postgres?: unknown; value?: unknown }
  if (typeof $postgres === 'string') {
    if (field.isList) return withoutNul($postgres)
    throw new ValueWithoutPlace('a list, where there is none any more')
  }
  if (typeof $sqlite !== 'string') return scalar(value)
  if (field.type === 'String' && !field.isList && ['text', 'integer', 'real'].includes($sqlite))
    return scalar(String(inner))
  throw new ValueWithoutPlace('an SQLite value that PostgreSQL cannot hold')
}

/** Any type: PostgreSQL says later whether it takes the text. */
function hiddenCell(value: unknown): Cell {
  if (value === null || value === undefined) return null
  if (typeof value === 'string') return value
  const { $sqlite, $base64, value: inner } = value as { $sqlite?: unknown; $base64?: unknown; value?: unknown }
  if (typeof $base64 === 'string') return hex(bytes($base64))
  if ($sqlite === 'blob' && typeof inner === 'string') return hex(bytes(inner))
  if (typeof $sqlite === 'string' && (typeof inner === 'string' || typeof inner === 'number')) return String(inner)
  throw new WrongValue('should be a string')
}

function scalarOf(field: Field, sourceType: string, column: PostgresColumn | undefined): ToCell {
  const convert = cellOfSqlite(field, sourceType, true)
  const isSame = sourceType.replace(/\?$/, '') === field.type
  switch (field.type) {
    case 'String':
      return (value) => fitting(withoutNul(convert(value) as string), column?.declaredType ?? '')
    case 'Int':
    case 'BigInt':
      return (value) => inRange(convert(value), column?.type ?? '')
    case 'Float':
      return (value) => numberText(convert(value) as number)
    case 'Decimal':
      return (value) => decimal(value, isSame)
    case 'DateTime':
      return (value) => moment(value, column?.type ?? '')
    case 'Json':
      return (value) => withoutNul(convert(value) as string)
    default:
      return convert
  }
}

function withoutNul(text: string): string {
  if (text.includes('\0')) throw new ValueWithoutPlace('a text with a NUL character, which PostgreSQL cannot hold')
  return text
}

/** As a column of limited length takes it: spaces too many go, anything else does not. */
export function fitting(text: string, declaredType: string): string {
  if (declaredType === 'uuid') return text.toLowerCase()
  const [, kind, most] = /^(character varying|character|bit varying|bit)\((\d+)\)/.exec(declaredType) ?? []
  if (kind === undefined) return text
  const limit = Number(most)
  const length = text.length > limit ? [...text].length : text.length
  const kept = length > limit && kind.startsWith('character') ? shortened(text, limit) : text
  if (kept === undefined || (kind === 'bit varying' && length > limit) || (kind === 'bit' && length !== limit))
    throw new ValueWithoutPlace(`a text that does not fit ${declaredType}`)
  // PostgreSQL gives them without the spaces that it fills them up with.
  return kind === 'character' ? kept.replace(/ +$/, '') : kept
}

function shortened(text: string, limit: number): string | undefined {
  const characters = [...text]
  return characters.slice(limit).every((each) => each === ' ') ? characters.slice(0, limit).join('') : undefined
}

const ranges: Record<string, [bigint, bigint]> = {
  int2: [-32_768n, 32_767n],
  int4: [-2_147_483_648n, 2_147_483_647n],
  oid: [0n, 4_294_967_295n],
}

function inRange(cell: Cell, type: string): Cell {
  if (typeof cell === 'number' && !Number.isInteger(cell)) throw new ValueWithoutPlace('a number with a fraction')
  const range = ranges[type.replace(/^_/, '')]
  const value = BigInt(cell as number | bigint)
  if (range && (value < range[0] || value > range[1]))
    throw new ValueWithoutPlace('a number that its column cannot hold')
  return cell
}

function numberText(value: number | bigint): string {
  return Object.is(value, -0) ? '-0' : String(value)
}

const decimalText = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^(NaN|-?Infinity)$/

function decimal(value: unknown, isSame: boolean): string {
  const text = typeof value === 'number' && !isSame ? String(value) : value
  return typeof text === 'string' && decimalText.test(text) ? text : failed('a string with a number', value)
}

const isoTime = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d+))?)?\s*(?:Z|([+-])(\d\d):?(\d\d)?)?$/i

/** As PostgreSQL writes it. What is in another form goes to PostgreSQL as it is. */
function moment(value: unknown, type: string): string {
  if (typeof value === 'number') {
    if (!Number.isInteger(value) || Math.abs(value) > 8.64e15) throw new ValueWithoutPlace('a time out of range')
    return moment(new Date(value).toISOString(), type)
  }
  if (typeof value !== 'string') return failed('a time', value)
  const found = isoTime.exec(value)
  if (!found) return withoutNul(value)
  const [, day, minute, second = '00', fraction = '', sign, hours = '0', minutes = '0'] = found
  const offset = sign === undefined ? 0 : (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes))
  const utc = offset === 0 ? `${day} ${minute}:${second}` : shifted(`${day}T${minute}:${second}Z`, offset)
  if (utc === undefined) return value
  const finer = fraction.replace(/0+$/, '')
  const full = finer === '' ? utc : `${utc}.${finer}`
  switch (type.replace(/^_/, '')) {
    case 'date':
      return full.slice(0, 10)
    case 'time':
      return full.slice(11)
    case 'timetz':
      return `${full.slice(11)}+00`
    case 'timestamptz':
      return `${full}+00`
    default:
      return full
  }
}

function shifted(text: string, offsetMinutes: number): string | undefined {
  const time = Date.parse(text) - offsetMinutes * 60_000
  const utc = Number.isNaN(time) ? '' : new Date(time).toISOString()
  // Beyond the year 9999 it has another form.
  return /^\d{4}-/.test(utc) ? utc.slice(0, 19).replace('T', ' ') : undefined
}

export function hex(value: Buffer): string {
  return `\\x${value.toString('hex')}`
}

/** As PostgreSQL reads an array. */
function listOf(values: unknown[], scalar: ToCell): string {
  const element = (value: unknown) => {
    if (value === null || value === undefined) return 'NULL'
    const cell = scalar(value)
    return typeof cell === 'number' || typeof cell === 'bigint' ? String(cell) : `"${escaped(cell)}"`
  }
  return `{${values.map(element).join(',')}}`
}

function escaped(cell: Cell): string {
  return (cell instanceof Buffer ? hex(cell) : String(cell)).replace(/["\\]/g, '\\$&')
}
