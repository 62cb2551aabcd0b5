// The SELECT that makes SQLite write the JSON text of each row itself: no row ever becomes a JavaScript object.
// Guarantees: every value of every storage class goes through unchanged. SQLite is typed by value, not by column, so
// each value is asked for its type; one that does not fit the declared type is written as
// `{"$sqlite": "<storage class>", "value": …}`. Infinity is refused by a function that the connection must have.

import type { Field } from '../data-model.ts'
import {
  type FieldValue,
  type Join,
  keyColumns,
  ownAlias,
  type ReferenceValue,
  type RowPlan,
  type Value,
} from './row-plan.ts'

/** Functions that the connection must define: base64(blob), and finite(real, model, field, row) which throws. */
export const sqliteFunctions = { base64: 'bootkeeper_base64', finite: 'bootkeeper_finite' } as const

export interface SqliteTable {
  /** Columns that the schema does not know. */
  extraColumns: string[]
  /** SQL that names the row in an error. */
  rowName: string
  /** The table to join for a reference: the target itself, or a temporary one with the same columns. */
  joined(join: Join): string
  /** Whether the database lets two rows of the target match. */
  mayMatchTwice(join: Join): boolean
  /** Whether the column turns numbers into text by itself (TEXT affinity): then it holds text, blobs and nulls only. */
  holdsText(alias: string, column: string): boolean
}

/** What SQLite says when a blob meets a JSON function: the row needs the careful line. */
export const blobInJson = /JSON cannot hold BLOB values/

/**
 * The row's JSON as an expression, and the FROM that it needs. Asking every value for its type would take a quarter of
 * an export. The quick line leaves out what SQLite tells by itself: a blob in a column of text stops it, and then the
 * careful line, which gives the same text for every other row, is for that page.
 */
export function sqliteRow(plan: RowPlan, table: SqliteTable, careful: boolean): { line: string; from: string } {
  const encode = (value: Value): string =>
    value.kind === 'field' ? scalar(value, plan, table, careful) : reference(value, encode)
  const members = plan.members.map(({ name, value }) => `${text(name)},${encode(value)}`)
  const { extraColumns } = table
  if (extraColumns.length > 0) members.push(`'$columns',${hiddenColumns(extraColumns, plan, table.rowName)}`)
  const from = [`${quoted(plan.model.table)} AS ${ownAlias}`, ...plan.joins.map((join) => joinOf(join, table))].join(
    ' ',
  )
  return { line: object(members), from }
}

export function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}

export function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`
}

// A function takes 1000 arguments at most, so a very wide row is put together from several objects.
const membersAtOnce = 400

function object(members: string[]): string {
  if (members.length <= membersAtOnce) return `json_object(${members.join(',')})`
  const first = `json_object(${members.slice(0, membersAtOnce).join(',')})`
  const rest = object(members.slice(membersAtOnce))
  return `(substr(${first},-1,-1000000000) || ',' || substr(${rest},2))`
}

function joinOf(join: Join, table: SqliteTable): string {
  const on = join.on.map(({ from, to }) => `${column(to)} = ${column(from)}`).join(' AND ')
  if (!table.mayMatchTwice(join)) return `LEFT JOIN ${table.joined(join)} AS ${join.alias} ON ${on}`
  const inner = join.on.map(({ from, to }) => `x.${quoted(to.field.column)} = ${column(from)}`).join(' AND ')
  const target = quoted(join.target.table)
  return `LEFT JOIN ${target} AS ${join.alias} ON ${join.alias}.rowid = (SELECT min(x.rowid) FROM ${target} x WHERE ${inner})`
}

function column({ alias, field }: FieldValue): string {
  return `${alias}.${quoted(field.column)}`
}

function reference(value: ReferenceValue, encode: (value: Value) => string): string {
  const raw = value.raw.map(encode)
  const serial = `json_object('#',${raw.length === 1 ? raw[0] : `json_array(${raw.join(',')})`})`
  const absent = value.raw.map((part) => `${column(part)} IS NULL`).join(' AND ')
  if (value.key.length === 0) return `CASE WHEN ${absent} THEN NULL ELSE ${serial} END`
  const key = value.key.map(encode)
  const found = keyColumns(value).map((part) => `${column(part)} IS NOT NULL`)
  const named = key.length === 1 ? key[0] : `json_array(${key.join(',')})`
  return `CASE WHEN ${found.join(' AND ')} THEN ${named} WHEN ${absent} THEN NULL ELSE ${serial} END`
}

// Beyond these a reader that parses numbers as doubles would round.
const safe = 'BETWEEN -9007199254740991 AND 9007199254740991'
const largest = Number.MAX_VALUE

function scalar(value: FieldValue, plan: RowPlan, table: SqliteTable, careful: boolean): string {
  const { rowName } = table
  const x = column(value)
  const isText = !careful && table.holdsText(value.alias, value.field.column)
  const odd = oddValue(x, plan.model.name, value.field.name, rowName)
  const typed = (cases: string) => `CASE typeof(${x}) ${cases} WHEN 'null' THEN NULL ELSE ${odd} END`
  const finite = finiteOf(x, plan.model.name, value.field.name, rowName)
  switch (value.field.type) {
    case 'String':
      return isText ? x : typed(`WHEN 'text' THEN ${x}`)
    case 'Int':
      // Text and blobs are beyond every number. A real in a column of integers has a fraction, and is seen by that.
      return `CASE WHEN ${x} ${safe} THEN ${x} ELSE ${odd} END`
    case 'BigInt':
      return typed(`WHEN 'integer' THEN CAST(${x} AS TEXT)`)
    case 'Float':
      return `CASE WHEN ${x} BETWEEN -${largest} AND ${largest} THEN ${x} ELSE ${odd} END`
    case 'Decimal':
      return typed(`WHEN 'real' THEN json_quote(${finite}) || '' WHEN 'integer' THEN CAST(${x} AS TEXT)`)
    case 'Boolean':
      return typed(`WHEN 'integer' THEN CASE ${x} WHEN 1 THEN json('true') WHEN 0 THEN json('false') ELSE ${odd} END`)
    case 'DateTime':
      return careful
        ? typed(`WHEN 'text' THEN ${x} WHEN 'integer' THEN ${safely(x, odd)} WHEN 'real' THEN ${safely(x, odd)}`)
        : `CASE WHEN ${x} >= '' THEN ${x} ELSE ${safely(x, odd)} END`
    case 'Json':
      return typed(
        `WHEN 'text' THEN ${x} WHEN 'integer' THEN CAST(${x} AS TEXT) WHEN 'real' THEN json_quote(${finite}) || ''`,
      )
    case 'Bytes':
      return typed(`WHEN 'blob' THEN ${sqliteFunctions.base64}(${x})`)
    case 'Enum':
      return enumValue(x, value.field, odd, isText, typed)
  }
}

function enumValue(
  x: string,
  { enum: type }: Field,
  odd: string,
  isText: boolean,
  typed: (cases: string) => string,
): string {
  const renamed = (type?.values ?? []).filter(({ name, stored }) => name !== stored)
  // A value that the schema does not know is text like any other; a reader sees that the enum lacks it.
  if (renamed.length === 0) return isText ? x : typed(`WHEN 'text' THEN ${x}`)
  const known = (type?.values ?? []).map(({ name, stored }) => `WHEN ${text(stored)} THEN ${text(name)}`)
  return `CASE ${x} ${known.join(' ')} ELSE ${odd} END`
}

function safely(x: string, odd: string): string {
  return `CASE WHEN ${x} ${safe} THEN ${x} ELSE ${odd} END`
}

/** Null, or the value with its storage class beside it. */
function oddValue(x: string, model: string, field: string, rowName: string): string {
  const wrapped = (type: string, value: string) =>
    `WHEN '${type}' THEN json_object('$sqlite','${type}','value',${value})`
  return `CASE typeof(${x}) ${wrapped('text', x)} ${wrapped('integer', `CAST(${x} AS TEXT)`)} ${wrapped(
    'real',
    finiteOf(x, model, field, rowName),
  )} ${wrapped('blob', `${sqliteFunctions.base64}(${x})`)} ELSE NULL END`
}

function finiteOf(x: string, model: string, field: string, rowName: string): string {
  return `${sqliteFunctions.finite}(${x},${text(model)},${text(field)},${rowName})`
}

/** Null where all of them are null; those that are null are left out. */
function hiddenColumns(columns: string[], plan: RowPlan, rowName: string): string {
  const present = columns.map((name) => `${ownAlias}.${quoted(name)} IS NOT NULL`).join(' OR ')
  const members = columns.map((name) => {
    const x = `${ownAlias}.${quoted(name)}`
    const odd = oddValue(x, plan.model.name, name, rowName)
    const blob = `json_object('$base64',${sqliteFunctions.base64}(${x}))`
    return `${text(name)},CASE typeof(${x}) WHEN 'text' THEN ${x} WHEN 'blob' THEN ${blob} ELSE ${odd} END`
  })
  return `CASE WHEN ${present} THEN json(json_patch('{}',${object(members)})) ELSE NULL END`
}
