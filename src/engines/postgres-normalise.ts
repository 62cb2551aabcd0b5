// Puts the staged values of a file into the form in which PostgreSQL gives them back, by asking PostgreSQL: only it
// knows how it orders the keys of a jsonb, rounds a number or ends a time. So what is equal there is equal in the
// mirror. Guarantees: nothing is written to PostgreSQL; a row with a value that it refuses is left out, with its words.

import type { Client } from 'pg'
import { fitting } from './postgres-cells.ts'
import type { Mirror } from './postgres-mirror.ts'
import type { PostgresColumn } from './postgres-tables.ts'
import { ValueWithoutPlace } from './sqlite-cells.ts'
import type { Stage } from './sqlite-stage.ts'
import type { StagedModel } from './sqlite-staged-rows.ts'

const valuesAtOnce = 1_000
const lengthAtOnce = 2_000_000

interface StagedColumn {
  /** In the staged table. */
  name: string
  /** What errors call it. */
  member: string
  column: PostgresColumn
  isHidden: boolean
}

export async function normaliseStaged(client: Client, stage: Stage, { tables }: Mirror): Promise<void> {
  const columnsOf = new Map(tables.map(({ model, columns }) => [model.name, columns]))
  for (const model of stage.models)
    for (const each of stagedColumns(model, columnsOf.get(model.mapping.target.name) ?? []))
      if (each.isHidden || !isExactAlready(each.column)) await normaliseColumn(client, stage, model, each)
}

function stagedColumns(model: StagedModel, columns: PostgresColumn[]): StagedColumn[] {
  const { cells, raw } = model.mapping
  const find = (name: string, member: string, staged: string | undefined, isHidden: boolean): StagedColumn[] => {
    const column = columns.find((each) => each.name === name)
    return column && staged ? [{ name: staged, member, column, isHidden }] : []
  }
  return [
    ...cells.flatMap(({ field }) => find(field.column, field.name, model.cellColumns.get(field.name), false)),
    ...raw.flatMap(({ field }) => find(field.column, field.name, model.rawColumns.get(field.name), false)),
    ...[...model.hiddenColumns].flatMap(([name, staged]) => find(name, `column ${name}`, staged, true)),
  ]
}

const exactTypes = ['int2', 'int4', 'int8', 'oid', 'bool', 'text', 'varchar', 'bpchar', 'citext', 'bytea']

/** What postgres-cells.ts has made needs no second look. */
function isExactAlready({ type }: PostgresColumn): boolean {
  return exactTypes.includes(type)
}

async function normaliseColumn(client: Client, stage: Stage, model: StagedModel, staged: StagedColumn): Promise<void> {
  const { database } = stage
  const { name, member, column, isHidden } = staged
  const read = database
    .prepare(`SELECT line, ${name} FROM ${model.name} WHERE line > ? AND ${name} IS NOT NULL ORDER BY line`)
    .raw()
  const write = database.prepare(`UPDATE ${model.name} SET ${name} = ? WHERE line = ?`)
  const refuse = (line: number, reason: string) => stage.leaveOut(model, `${member} has ${reason}`, `line = ${line}`)
  for (let last = 0; ; ) {
    const rows = firstOf(read.iterate(last) as Iterable<[number, string]>)
    if (rows.length === 0) return
    last = rows.at(-1)![0]
    const fit = isHidden ? rows.filter(([line, value]) => fits(value, column, (reason) => refuse(line, reason))) : rows
    const found = await canonical(client, fit, castOf(column, isHidden), refuse)
    database.transaction(() => {
      for (const [line, value, before] of found)
        if (value === null) refuse(line, `a list whose texts do not fit ${column.declaredType}`)
        else if (value !== before) write.run(value, line)
    })()
  }
}

function firstOf(rows: Iterable<[number, string]>): [number, string][] {
  const first: [number, string][] = []
  let length = 0
  for (const row of rows) {
    first.push(row)
    length += row[1].length
    if (first.length === valuesAtOnce || length > lengthAtOnce) break
  }
  return first
}

function fits(value: string, { declaredType }: PostgresColumn, refuse: (reason: string) => void): boolean {
  try {
    fitting(value, declaredType)
    return true
  } catch (error) {
    if (!(error instanceof ValueWithoutPlace)) throw error
    refuse(error.message)
    return false
  }
}

/** Gives null for a list whose texts would be cut: a cast does so in silence. */
function castOf({ type, declaredType }: PostgresColumn, isHidden: boolean): string {
  // As a number, because its text differs from server to server.
  if (type === 'money' && !isHidden) return 'CAST(CAST(v AS numeric) AS money)::text'
  const cast = `CAST(v AS ${declaredType})`
  const [, kind] = /^(character varying|character|bit varying|bit)\(\d+\)\[\]$/.exec(declaredType) ?? []
  if (kind === undefined) return `${cast}::text`
  const unlimited = { character: 'bpchar', bit: 'bit varying' }[kind] ?? kind
  return `CASE WHEN CAST(v AS ${unlimited}[]) = CAST(v AS ${declaredType})::${unlimited}[] THEN ${cast}::text END`
}

/** One that is refused is found by halving, so that good values cost one question a thousand. */
async function canonical(
  client: Client,
  rows: [number, string][],
  cast: string,
  refuse: (line: number, reason: string) => void,
): Promise<[line: number, value: string | null, before: string][]> {
  if (rows.length === 0) return []
  try {
    const { rows: found } = await client.query<[string | null]>({
      text: `SELECT ${cast} FROM unnest($1::text[]) WITH ORDINALITY AS x(v, o) ORDER BY o`,
      values: [rows.map(([, value]) => value)],
      rowMode: 'array',
    })
    return found.map(([value], at) => [rows[at]![0], value, rows[at]![1]])
  } catch (error) {
    if (!isAboutValue(error)) throw error
    const [first] = rows
    if (rows.length === 1 && first) {
      refuse(first[0], `a value that PostgreSQL refuses: ${reasonOf(error as Error)}`)
      return []
    }
    const half = rows.length >> 1
    return [
      ...(await canonical(client, rows.slice(0, half), cast, refuse)),
      ...(await canonical(client, rows.slice(half), cast, refuse)),
    ]
  }
}

/** Data exceptions, broken checks of a domain, texts that are nested too deep. */
function isAboutValue(error: unknown): boolean {
  return /^(22|23|42|54)/.test((error as { code?: string }).code ?? '')
}

/** Without the value itself: rows with the same trouble are told as one. */
function reasonOf({ message }: Error): string {
  return message.replace(/: ".*/s, '').replace(/"[^"]*" /g, '')
}
