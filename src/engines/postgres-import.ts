// Imports a file into PostgreSQL: its tables are mirrored in an SQLite database, the import happens there, as on SQLite,
// and what it changed is done again in PostgreSQL, in one transaction. Guarantees: a dry run only reads; the real thing
// is whole or did not happen, also when it is killed; nobody writes between the look at the rows and the commit; the
// mirror is a temporary file that is gone with the process.

import Database from 'better-sqlite3'
import type { Client } from 'pg'
import { asBootkeeperError, BootkeeperError } from '../errors.ts'
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
      await client.query('BEGIN')
      await client.query(
        "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'",
      )
      // At once what the changes of foreign keys and triggers need: a lock that grows may meet another that grows.
      if (tables.length > 0)
        await client.query(`LOCK TABLE ${tables.map(({ source }) => source).join(', ')} IN ACCESS EXCLUSIVE MODE`)
      const now = await look(client)
      requireSameTables(mirror, now)
      const current = now.tables.filter((_, at) => tables.includes(mirror.tables[at] as MirrorTable))
      await fillMirror(client, database, current)
      keepBefore(database, current)
      const report = run(true)
      await replay(client, database, current)
      await client.query('COMMIT')
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
  const { code, message, detail } = error as { code?: string; message: string; detail?: string }
  if (error instanceof BootkeeperError || code === undefined || !/^[0-9A-Z]{5}$/.test(code)) return error
  const said = `${message}${detail ? ` (${detail.replace(/\.$/, '')})` : ''}`
  const as = (ours: 'IMPORT_CONFLICT' | 'DATABASE_BUSY' | 'DISK_FULL' | 'DATABASE_UNREACHABLE', text: string) =>
    new BootkeeperError(ours, text, { cause: error })
  if (/^(55P03|40)/.test(code)) return as('DATABASE_BUSY', `PostgreSQL did not let the tables be locked: ${said}.`)
  if (/^53100/.test(code)) return as('DISK_FULL', `The disk of PostgreSQL is full: ${said}.`)
  if (/^(22|23)/.test(code)) return as('IMPORT_CONFLICT', `PostgreSQL does not take the rows of the file: ${said}.`)
  if (/^(42501|57|08|28)/.test(code)) return as('DATABASE_UNREACHABLE', `PostgreSQL stopped the import: ${said}.`)
  return asBootkeeperError(error)
}
