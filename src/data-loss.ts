// The gate: what a schema change would lose, in words, and the code that allows exactly that change once.
// Guarantees: another change, other row counts or a second time need another code; nothing else allows a loss.

import { createHash, randomBytes } from 'node:crypto'
import type { Loss } from './engines/engine.ts'
import { BootkeeperError } from './errors.ts'
import { formatCount } from './log.ts'

/** An empty table that goes is named, but nothing is lost with it. */
export function isDataLoss({ kind, rows }: Loss): boolean {
  return rows > 0 || kind === 'trigger' || kind === 'view'
}

export function describeLoss({ kind, table, column, rows }: Loss): string {
  const values = `${formatCount(rows)} ${rows === 1 ? 'row has' : 'rows have'} a value`
  switch (kind) {
    case 'table':
      return rows === 0
        ? `table ${table}, which is empty`
        : `table ${table} with ${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'}`
    case 'column':
      return `column ${column} of table ${table}: ${values}`
    case 'values':
      return `column ${column} of table ${table}: ${formatCount(rows)} ${rows === 1 ? 'value' : 'values'} would change or become unreadable`
    case 'rows':
      return `${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'} of table ${table}`
    case 'trigger':
      return `trigger ${column} of table ${table}`
    case 'view':
      return `view ${table}`
  }
}

/** Eight letters and digits that stand for this change with these losses, until the salt changes. */
export function lossCode(salt: string, sql: string, losses: Loss[]): string {
  const text = JSON.stringify([
    salt,
    sql,
    losses.map(({ kind, table, column, rows }) => [kind, table, column ?? '', rows]),
  ])
  // No 0/O, 1/I/L: the code is typed by people.
  const alphabet = '23456789ABCDEFGHJKMNPQRSTUVWXYZ'
  const digest = createHash('sha256').update(text).digest()
  const letters = [...digest.subarray(0, 8)].map((byte) => alphabet[byte % alphabet.length])
  return `${letters.slice(0, 4).join('')}-${letters.slice(4).join('')}`
}

export function newSalt(): string {
  return randomBytes(16).toString('hex')
}

/** Throws DATA_LOSS_REFUSED unless `given` is the code for exactly these losses. True where a loss was allowed. */
export function requireAccepted(losses: Loss[], sql: string, salt: string, given: string | undefined): boolean {
  const data = losses.filter(isDataLoss)
  if (data.length === 0) return false
  const code = lossCode(salt, sql, data)
  if (isCode(given, code)) return true
  const other = aboutOtherCode(given)
  throw new BootkeeperError(
    'DATA_LOSS_REFUSED',
    `The schema change would lose data: ${data.map(describeLoss).join('; ')}.${other}`,
    {
      next: `To allow exactly this change once, start with ACCEPT_DATA_LOSS=${code}. To keep the data, put what is missing back into the schema.`,
    },
  )
}

export function isCode(given: string | undefined, code: string): boolean {
  return given?.trim().toUpperCase() === code
}

export function aboutOtherCode(given: string | undefined): string {
  return given ? ` The code given, ${given}, is for another change, or was used already.` : ''
}
