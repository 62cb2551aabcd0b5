// The SELECT that makes PostgreSQL write the JSON text of each row itself, one line a row, each with a comma behind it.
// Guarantees: every value goes through unchanged in the same encoding as on SQLite; what has no such form (an array of
// several dimensions) travels as PostgreSQL's own text, `{"$postgres": …}`. NaN and infinity in a Float are the
// caller's to refuse, by `findNotFinite`. The session must be in UTC.

import type { Field } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import {
  type FieldValue,
  type Join,
  keyColumns,
  ownAlias,
  type ReferenceValue,
  type RowPlan,
  type Value,
} from './row-plan.ts'

export interface PostgresTable {
  /** The table with its schema, quoted. */
  nameOf(model: RowPlan['model']): string
  /** Columns that the schema does not know, with their type names. */
  extraColumns: { name: string; type: string }[]
  mayMatchTwice(join: Join): boolean
  /** What holds for the rows that are wanted, where it is not all of them. */
  where?: string | undefined
}

export function postgresRows(plan: RowPlan, table: PostgresTable): string {
  const members = plan.members.map(({ name, value }) => `${encode(value)} AS ${alias(name)}`)
  if (table.extraColumns.length > 0) members.push(`${hiddenColumns(table.extraColumns)} AS "$columns"`)
  const joins = plan.joins.map((join) => joinOf(join, table))
  const from = [`${table.nameOf(plan.model)} AS ${ownAlias}`, ...joins].join(' ')
  return `SELECT row_to_json(r)::text || ',' FROM (SELECT ${members.join(', ')} FROM ${from} WHERE ${table.where ?? 'true'} ORDER BY ${orderOf(plan)}) AS r`
}

/** Finds the first row with a Float that JSON cannot carry; undefined where the model has no Float. */
export function findNotFinite(plan: RowPlan, table: PostgresTable): string | undefined {
  const { model } = plan
  const floats = model.fields.filter(({ type }) => type === 'Float')
  if (floats.length === 0) return undefined
  const bad = `('NaN', 'Infinity', '-Infinity')`
  const key = model.primaryKey.map((name) => model.fields.find((field) => field.name === name)?.column ?? name)
  const row = key.length > 0 ? `concat_ws(',', ${key.map((name) => `t.${quoted(name)}`).join(', ')})` : 't.ctid::text'
  return floats
    .map((field) => {
      const x = `t.${quoted(field.column)}`
      const found = field.isList
        ? `(SELECT v::text FROM unnest(${x}) v WHERE v::text IN ${bad} LIMIT 1)`
        : `(CASE WHEN ${x}::text IN ${bad} THEN ${x}::text END)`
      return `(SELECT ${literal(field.name)} AS field, ${row} AS row, ${found} AS value FROM ${table.nameOf(model)} t WHERE ${found} IS NOT NULL AND ${table.where ?? 'true'} LIMIT 1)`
    })
    .join(' UNION ALL ')
}

export function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}

function literal(value: string): string {
  return value.includes('\\')
    ? `E'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
    : `'${value.replaceAll("'", "''")}'`
}

const longestName = 63

/** PostgreSQL cuts longer names without an error that would reach us. */
function alias(name: string): string {
  if (Buffer.byteLength(name) <= longestName) return quoted(name)
  throw new BootkeeperError(
    'EXPORT_FAILED',
    `The field name ${name} is longer than PostgreSQL's ${longestName} bytes.`,
    {
      next: 'Give the field a shorter name in the schema; @map keeps the column.',
    },
  )
}

function orderOf({ model }: RowPlan): string {
  const names = model.primaryKey.length > 0 ? model.primaryKey : (model.uniques[0] ?? [])
  const columns = names.map((name) => `t.${quoted(model.fields.find((field) => field.name === name)?.column ?? name)}`)
  return [...columns, 't.ctid'].join(', ')
}

function joinOf(join: Join, table: PostgresTable): string {
  const target = table.nameOf(join.target)
  if (!table.mayMatchTwice(join)) {
    const on = join.on.map(({ from, to }) => `${column(to)} = ${column(from)}`).join(' AND ')
    return `LEFT JOIN ${target} AS ${join.alias} ON ${on}`
  }
  const on = join.on.map(({ from, to }) => `x.${quoted(to.field.column)} = ${column(from)}`).join(' AND ')
  return `LEFT JOIN LATERAL (SELECT * FROM ${target} x WHERE ${on} ORDER BY x.ctid LIMIT 1) AS ${join.alias} ON true`
}

function column({ alias: table, field }: FieldValue): string {
  return `${table}.${quoted(field.column)}`
}

function encode(value: Value): string {
  return value.kind === 'field' ? encodeField(column(value), value.field) : reference(value)
}

function reference(value: ReferenceValue): string {
  const raw = value.raw.map(encode)
  const serial = `json_build_object('#', ${raw.length === 1 ? raw[0] : `json_build_array(${raw.join(', ')})`})`
  const absent = value.raw.map((part) => `${column(part)} IS NULL`).join(' AND ')
  if (value.key.length === 0) return `CASE WHEN ${absent} THEN NULL ELSE ${serial} END`
  const key = value.key.map(encode)
  const found = keyColumns(value).map((part) => `${column(part)} IS NOT NULL`)
  const named = key.length === 1 ? `to_json(${key[0]})` : `json_build_array(${key.join(', ')})`
  return `CASE WHEN ${found.join(' AND ')} THEN ${named} WHEN ${absent} THEN NULL ELSE ${serial} END`
}

function encodeField(x: string, field: Field): string {
  if (!field.isList) return scalar(x, field)
  // to_json(ARRAY(…)) keeps order and nulls, and gives [] for an empty list.
  return `CASE WHEN ${x} IS NULL THEN NULL
    WHEN array_ndims(${x}) > 1 OR array_lower(${x}, 1) <> 1 THEN json_build_object('$postgres', ${x}::text)
    ELSE to_json(ARRAY(SELECT ${scalar('e.v', field)} FROM unnest(${x}) WITH ORDINALITY AS e(v, o) ORDER BY e.o)) END`
}

function scalar(x: string, field: Field): string {
  switch (field.type) {
    case 'String':
      return `${x}::text`
    case 'Int':
      return field.nativeType?.name === 'Oid' ? `${x}::bigint` : x
    case 'BigInt':
      return `${x}::text`
    case 'Decimal':
      return field.nativeType?.name === 'Money' ? `${x}::numeric::text` : `trim_scale(${x})::text`
    case 'DateTime':
      return dateTime(x, field.nativeType?.name)
    case 'Json':
      return `${x}::text`
    case 'Bytes':
      return base64(x)
    case 'Enum':
      return enumValue(x, field)
    default:
      return x
  }
}

function dateTime(x: string, nativeType: string | undefined): string {
  if (nativeType === 'Date' || nativeType === 'Time' || nativeType === 'Timetz') return `${x}::text`
  const moment = nativeType === 'Timestamptz' ? `(${x} AT TIME ZONE 'UTC')` : x
  const format = (fraction: string) => `'YYYY-MM-DD"T"HH24:MI:SS.${fraction}"Z"'`
  // Outside these years, and for infinity, only PostgreSQL's own text says what is meant.
  return `CASE WHEN ${moment} BETWEEN '0001-01-01' AND '9999-12-31 23:59:59.999999'
    THEN to_char(${moment}, CASE WHEN date_trunc('milliseconds', ${moment}) = ${moment} THEN ${format('MS')} ELSE ${format('US')} END)
    ELSE ${moment}::text END`
}

function enumValue(x: string, { enum: type }: Field): string {
  const mapped = (type?.values ?? []).filter(({ name, stored }) => name !== stored)
  if (mapped.length === 0) return `${x}::text`
  const cases = mapped.map(({ name, stored }) => `WHEN ${literal(stored)} THEN ${literal(name)}`)
  return `CASE ${x}::text ${cases.join(' ')} ELSE ${x}::text END`
}

/** PostgreSQL breaks base64 into lines. */
function base64(x: string): string {
  return `translate(encode(${x}, 'base64'), E'\\n', '')`
}

function hiddenColumns(columns: { name: string; type: string }[]): string {
  const present = columns.map(({ name }) => `t.${quoted(name)} IS NOT NULL`).join(' OR ')
  const members = columns.map(({ name, type }) => {
    const x = `t.${quoted(name)}`
    const value =
      type === 'bytea'
        ? `CASE WHEN ${x} IS NULL THEN NULL ELSE json_build_object('$base64', ${base64(x)}) END`
        : `${x}::text`
    return `${value} AS ${alias(name)}`
  })
  return `CASE WHEN ${present} THEN (SELECT json_strip_nulls(row_to_json(c)) FROM (SELECT ${members.join(', ')}) AS c) END`
}
