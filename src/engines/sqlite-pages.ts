// Pages through a table in the order of its row ids, or of its primary key where it has none, and lets SQLite join the
// lines of a page into one blob: no row becomes a JavaScript string. The page is small enough for memory, whatever the
// rows hold.

import type Database from 'better-sqlite3'
import { BootkeeperError } from '../errors.ts'
import { blobInJson } from './sqlite-rows.ts'

export interface PageSource {
  model: string
  /** The expression of the line, what it reads from, and the plain table for what needs no joins. */
  line: string
  /** The same, for rows that hold a blob where text belongs. */
  carefulLine: string
  from: string
  ownTable: string
  /** What holds for each row that is wanted. */
  where: string
  /** The row id, or the columns of the primary key. */
  keys: string[]
  /** Expressions for the bytes of each column that can be long. */
  bytes: string[]
}

/** Rows as ExportWriter.rows wants them. */
export interface Page {
  lines: Uint8Array
  rows: number
}

// More rows a page are no faster: at 500 the cost of a call is gone.
const rowsPerPage = 500
const bytesPerPage = 4 * 1024 * 1024

interface PageRow {
  rows: bigint
  last?: bigint
  lines: Buffer
}

/** Pages within a range of row ids, both ends included. */
export function rowidPages(database: Database.Database, source: PageSource) {
  const key = source.keys[0]
  const within = `${source.where} AND ${key} BETWEEN ? AND ?`
  const widest = widestRow(database, source, within)
  // A bound LIMIT would make SQLite prepare the statement again for every page.
  const pages = new Map<string, Database.Statement>()
  const pageOf = (limit: number, line: string) => {
    const name = `${limit} ${line === source.line}`
    const known = pages.get(name)
    if (known) return known
    const page = database
      .prepare(`SELECT count(*) AS rows, max(key) AS last, ${joined} AS lines FROM (
        SELECT ${line} AS line, ${key} AS key FROM ${source.from} WHERE ${within} ORDER BY ${key} LIMIT ${limit})`)
      .safeIntegers()
    pages.set(name, page)
    return page
  }
  return function* (from: bigint, to: bigint): Generator<Page> {
    let limit = limitFor(widest(from, to))
    for (let start = from; start <= to; ) {
      const read = (most: number, line: string) => pageOf(most, line).get(start, to) as PageRow
      const { rows, last, lines } = attempt(source, limit, read)
      if (rows === 0n || last === undefined) return
      yield { lines, rows: Number(rows) }
      limit = Math.min(limit, limitFor(lines.length / Number(rows)))
      start = last + 1n
    }
  }
}

/** Pages of a whole table that has a primary key only. */
export function keyPages(database: Database.Database, source: PageSource) {
  const order = source.keys.join(',')
  const compare = (operator: string) =>
    `${source.where} AND (${order}) ${operator} (${source.keys.map(() => '?').join(',')})`
  const last = (where: string) =>
    database
      .prepare(`SELECT ${order} FROM ${source.ownTable} WHERE ${where} ORDER BY ${order} LIMIT 1 OFFSET ?+0`)
      .raw()
      .safeIntegers()
  const page = (where: string) =>
    database
      .prepare(`SELECT count(*) AS rows, ${joined} AS lines FROM (
        SELECT ${source.carefulLine} AS line FROM ${source.from} WHERE ${where} ORDER BY ${order})`)
      .safeIntegers()
  const statements = {
    first: { last: last(source.where), upTo: page(compare('<=')), rest: page(source.where) },
    next: { last: last(compare('>')), upTo: page(`${compare('>')} AND ${compare('<=')}`), rest: page(compare('>')) },
  }
  const widest = widestRow(database, source, source.where)
  return function* (): Generator<Page> {
    const limit = limitFor(widest())
    for (let start: unknown[] | undefined = []; start; ) {
      const { last, upTo, rest } = start.length === 0 ? statements.first : statements.next
      const end = last.get(...start, limit - 1) as unknown[] | undefined
      const { rows, lines } = (end ? upTo.get(...start, ...end) : rest.get(...start)) as PageRow
      if (rows > 0n) yield { lines, rows: Number(rows) }
      start = end
    }
  }
}

const joined = `CAST(group_concat(line, ',' || char(10)) AS BLOB)`

function widestRow(database: Database.Database, source: PageSource, where: string): (...bounds: bigint[]) => unknown {
  if (source.bytes.length === 0) return () => 0
  const sql = `SELECT max(${source.bytes.join('+')}) FROM ${source.ownTable} WHERE ${where}`
  const statement = database.prepare(sql).pluck()
  return (...bounds) => statement.get(...bounds)
}

/** One of a few sizes, each half of the one before: every size is a statement. */
function limitFor(rowBytes: unknown): number {
  let limit = rowsPerPage
  while (limit > 1 && limit * Number(rowBytes ?? 0) > bytesPerPage) limit = Math.floor(limit / 2)
  return limit
}

/**
 * Keys that references resolve to can be longer than the row itself, so a page may still prove too long; and a blob may
 * be where the quick line takes text for granted.
 */
function attempt(
  source: PageSource,
  limit: number,
  read: (limit: number, line: string) => PageRow,
  line = source.line,
): PageRow {
  try {
    return read(limit, line)
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    if (blobInJson.test(message) && line !== source.carefulLine) return attempt(source, limit, read, source.carefulLine)
    if (code !== 'SQLITE_TOOBIG') throw error
    if (limit > 1) return attempt(source, Math.floor(limit / 2), read, line)
    throw new BootkeeperError('VALUE_NOT_EXPORTABLE', `${source.model} has a row of more than 1 GB.`, { cause: error })
  }
}
