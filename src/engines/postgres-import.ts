// Imports a file into PostgreSQL: its tables are mirrored in an SQLite database, the import happens there, as on SQLite,
// and what it changed is done again in PostgreSQL, in one transaction. Guarantees: a dry run only reads; the real thing
// is whole or did not happen, also when it is killed; nobody writes between the look at the rows and the commit; the
// mirror is a temporary file that is gone with the process.

import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import type { Client } from 'pg'
import { BootkeeperError, type ErrorCode } from '../errors.ts'
import type { ImportOptions, ImportReport, StagedImport } from './engine-import.ts'
import { postgresCells } from './postgres-cells.ts'
import { connect, parseUrl } from './postgres-connection.ts'
import { createTables, fillMirror, type Mirror, type MirrorTable, planMirror } from './postgres-mirror.ts'
import { normaliseStaged } from './postgres-normalise.ts'
import { keepBefore, replay } from './postgres-replay.ts'
import { readCatalogue } from './postgres-tables.ts'
import { prepareForImport, repeatable, stageFile } from './sqlite-import.ts'

export interface PostgresImportOptions extends ImportOptions {
  /** As Prisma has it, with `?schema=` where it is not public. */
  url: string
  busyMs: number
  /** An SQLite file to import into in the place of PostgreSQL, whose types still decide. Made where it is missing. */
  scratch?: string
}

export async function stagePostgresImport(options: PostgresImportOptions): Promise<StagedImport> {
  const { url, model, busyMs, scratch } = options
  const inSession = <Result>(use: (client: Client) => Promise<Result>) => withSession(url, busyMs, use)
  // Without a name it is a temporary file that the system forgets with its last user.
  const database = new Database(scratch ?? '')
  try {
    prepareForImport(database, options.now)
    const look = async (client: Client) => planMirror(await readCatalogue(client, url, model), model)
    const mirror = await inSession(look)
    createTables(database, 'main', mirror.tables)
    const inMirror = { ...options, model: mirror.model }
    const staged = await stageFile(database, inMirror, postgresCells(mirror.columnOf))
    const columnsOf = new Map(mirror.tables.map((table) => [table.model, table.columns]))
    await inSession((client) =>
      normaliseStaged(client, staged.stage, ({ mapping }) => columnsOf.get(mapping.target) ?? []),
    )
    const run = repeatable(database, staged, inMirror)
    const mapped = new Set(staged.map.mappings.map(({ target }) => target))
    const isNeeded = (table: MirrorTable) => options.mode === 'replace' || mapped.has(table.model)
    const into = (client: Client, found: Mirror) => fillMirror(client, database, found.tables.filter(isNeeded))

    const plan = async (client: Client): Promise<ImportReport> => {
      await client.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
      await into(client, mirror)
      await client.query('COMMIT')
      return run(false)
    }
    const apply = async (client: Client): Promise<ImportReport> => {
      const tables = mirror.tables.filter(isNeeded)
      await beginLocked(client, tables, busyMs)
      const now = await look(client)
      requireSameTables(mirror, now)
      const current = now.tables.filter((_, at) => tables.includes(mirror.tables[at] as MirrorTable))
      await fillMirror(client, database, current)
      keepBefore(database, current)
      const report = run(true)
      await replay(client, database, current)
      await commit(client, inSession)
      return report
    }
    return {
      plan: async () => (scratch ? run(false) : await inSession(plan)),
      apply: async () => (scratch ? run(true) : await inSession(apply)),
      close: () => void database.close(),
    }
  } catch (error) {
    database.close()
    throw error
  }
}

// Less than PostgreSQL's deadlock_timeout: where an app waits for us and we for it, we give way, and nobody gets an error.
const lockPatienceMs = 400

/**
 * Locks at once all that is needed to change rows, foreign keys and triggers: a lock that grew later might meet another
 * that grows.
 */
async function beginLocked(client: Client, tables: MirrorTable[], busyMs: number): Promise<void> {
  const names = tables.map(({ source }) => source).join(', ')
  for (const until = Date.now() + busyMs; ; ) {
    try {
      await client.query(`BEGIN; SET LOCAL lock_timeout = ${lockPatienceMs}`)
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
async function commit(
  client: Client,
  inSession: <Result>(use: (client: Client) => Promise<Result>) => Promise<Result>,
) {
  const { rows } = await client.query<{ id: string }>('SELECT pg_current_xact_id()::text AS id')
  try {
    await client.query('COMMIT')
  } catch (error) {
    if (!isLost(error)) throw error
    const status = await inSession((other) => statusOf(other, rows[0]!.id)).catch(() => 'not known')
    if (status === 'committed') return
    if (status === 'aborted') throw error
    throw new BootkeeperError(
      'DATABASE_UNREACHABLE',
      'The connection broke while the import was committed: it happened wholly or not at all.',
      { cause: error, next: 'Import once more: what is there already stays as it is.' },
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

async function withSession<Result>(
  url: string,
  busyMs: number,
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

/** A boot may have changed the schema while the file was read and the backup was made. */
function requireSameTables(then: Mirror, now: Mirror): void {
  const shape = ({ tables }: Mirror) =>
    JSON.stringify(
      tables.map(({ source, columns, key }) => [
        source,
        columns.map((each) => ({ ...each, lastNumber: 0 })),
        key.length,
      ]),
    )
  if (shape(then) !== shape(now))
    throw new BootkeeperError('DATABASE_BUSY', 'The tables were changed while the file was read.')
}

function translated(error: unknown): unknown {
  if (error instanceof BootkeeperError) return error
  const { code = '', message, detail } = error as { code?: string; message: string; detail?: string }
  const said = `${message}${detail ? ` (${detail.replace(/\.$/, '')})` : ''}`
  const as = (ours: ErrorCode, text: string, next?: string) =>
    new BootkeeperError(ours, `${text}: ${said}.`, { cause: error, ...(next ? { next } : {}) })
  if (/^(55P03|40)/.test(code)) return as('DATABASE_BUSY', 'The tables could not be locked')
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
