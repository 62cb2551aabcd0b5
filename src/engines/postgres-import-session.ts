// The sessions of an import into PostgreSQL: how they begin, wait for locks, commit and fail. Guarantees: whatever the
// server says becomes an error with a code; nobody else is thrown out of a deadlock because of us; that it is committed is
// said only when it is.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { BootkeeperError, type ErrorCode } from '../errors.ts'
import { connect, parseUrl } from './postgres-connection.ts'

export interface Session {
  url: string
  /** How long a server that is starting, and a table that is locked, are waited for. */
  busyMs: number
}

/** Gives the use of a connection that shows every value in full and in one form, whatever the database has set. */
export async function inSession<Result>(
  { url, busyMs }: Session,
  use: (client: Client) => Promise<Result>,
): Promise<Result> {
  const server = parseUrl(url)
  const client = await connect(server, busyMs)
  if (!client)
    throw new BootkeeperError('IMPORT_CONFLICT', `There is no database ${server.database} at ${server.host}.`, {
      next: 'Start the app once, so that the database follows the schema, then import.',
    })
  try {
    await client.query(`SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex';
      SET extra_float_digits = 1; SET client_encoding = 'UTF8'; SET standard_conforming_strings = on;
      SET row_security = off; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
      SET lock_timeout = ${Math.max(1, busyMs)}`)
    return await use(client)
  } catch (error) {
    throw translated(error)
  } finally {
    // Ends an open transaction, too.
    await client.end().catch(() => undefined)
  }
}

// Less than PostgreSQL's deadlock_timeout: where an app waits for us and we for it, we give way, and nobody gets an error.
const lockPatienceMs = 400

/**
 * Locks at once all that is needed to change rows, foreign keys and triggers: a lock that grew later might meet another
 * that grows.
 */
export async function beginLocked(client: Client, tables: { source: string }[], busyMs: number): Promise<void> {
  const names = tables.map(({ source }) => source).join(', ')
  for (const until = Date.now() + busyMs; ; ) {
    try {
      await client.query(`BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = ${lockPatienceMs}`)
      if (tables.length > 0) await client.query(`LOCK TABLE ${names} IN ACCESS EXCLUSIVE MODE`)
      break
    } catch (error) {
      const { code } = error as { code?: string }
      if ((code !== '55P03' && code !== '40P01') || Date.now() > until) throw error
      await client.query('ROLLBACK')
      await sleep(20 + 100 * Math.random())
    }
  }
  await client.query(`SET LOCAL lock_timeout = ${Math.max(1, busyMs)};
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'`)
}

/** A connection that breaks while it commits leaves open whether it did. The server knows. */
export async function commit(
  client: Client,
  session: Session,
  { what, again }: { what: string; again: string },
): Promise<void> {
  const { rows } = await client.query<{ id: string }>('SELECT pg_current_xact_id()::text AS id')
  try {
    const { command } = await client.query('COMMIT')
    if (command !== 'COMMIT') throw new BootkeeperError('INTERNAL', `${what} was rolled back by the server.`)
  } catch (error) {
    if (!isLost(error)) throw error
    const status = await inSession(session, (other) => statusOf(other, rows[0]!.id)).catch(() => 'not known')
    if (status === 'committed') return
    if (status === 'aborted') throw error
    throw new BootkeeperError(
      'DATABASE_UNREACHABLE',
      `${what} was being committed when the connection broke: it happened wholly or not at all.`,
      {
        cause: error,
        safe: 'It happened wholly, or not at all.',
        next: again,
      },
    )
  }
}

async function statusOf(client: Client, id: string): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    const { rows } = await client.query<{ status: string }>('SELECT pg_xact_status($1::xid8) AS status', [id])
    const status = rows[0]?.status ?? 'not known'
    if (status !== 'in progress' || attempt === 50) return status
    await sleep(100)
  }
}

function translated(error: unknown): unknown {
  if (error instanceof BootkeeperError) return error
  const { code = '', message, detail } = error as { code?: string; message: string; detail?: string }
  const said = `${message}${detail ? ` (${detail.replace(/\.$/, '')})` : ''}`
  const as = (ours: ErrorCode, text: string, next?: string) =>
    new BootkeeperError(ours, `${text}: ${said}.`, { cause: error, ...(next ? { next } : {}) })
  if (/^(55P03|40)/.test(code)) return as('DATABASE_BUSY', 'The tables could not be locked')
  if (/^(42P01|42703)$/.test(code)) return as('DATABASE_BUSY', 'The tables were changed while the file was read')
  if (code === '53100') return as('DISK_FULL', 'The disk of PostgreSQL is full')
  if (/^2[23]...$/.test(code)) return as('IMPORT_CONFLICT', 'PostgreSQL does not take the rows of the file')
  if (code === '42501')
    return as(
      'DATABASE_UNREACHABLE',
      'The user may not do that',
      'Let DATABASE_URL name the user that owns the tables.',
    )
  if (isLost(error)) return as('DATABASE_UNREACHABLE', 'The connection to PostgreSQL broke')
  return error
}

/** The server is gone, ends the session, or the network does. */
function isLost(error: unknown): boolean {
  const { code = '', message = '' } = error as { code?: string; message?: string }
  return /^(08...|57P0.|E[A-Z]+)$/.test(code) || /^Connection terminated|not queryable/.test(message)
}
