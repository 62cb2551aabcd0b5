// A schema change on PostgreSQL, waiting in an open transaction under Migrate's advisory lock.
// Guarantees: it is committed whole or not at all; what it loses is counted on the rows themselves.

import type pg from 'pg'
import { BootkeeperError } from '../errors.ts'
import type { Loss, Rehearsal } from './engine.ts'
import { connect, ident, type Server } from './postgres-connection.ts'

// The number that `prisma migrate` locks: a migration that someone runs by hand waits for us, and we for it.
const migrateLock = 72707369

/**
 * A schema change, waiting in an open transaction. `losses` compares the structure before and after, goes back to
 * before to count the rows that would go, and applies again; `adopt` commits.
 */
export async function rehearsePostgres(
  url: string,
  server: Server,
  busyMs: number,
  signal?: AbortSignal,
): Promise<Rehearsal> {
  const client = await connect(server, busyMs)
  const abort = () => void client?.end()
  signal?.addEventListener('abort', abort, { once: true })
  let script = ''
  if (client) {
    await client.query(`SET lock_timeout = ${busyMs}`)
    await client.query('SELECT pg_advisory_lock($1)', [migrateLock]).catch((error) => {
      throw new BootkeeperError('DATABASE_BUSY', 'Another process holds the migration lock.', { cause: error })
    })
    await client.query('BEGIN')
    await client.query('SAVEPOINT before_change')
  }
  let before: Structure | undefined
  return {
    url,
    isolated: false,
    async apply(sql) {
      if (!client) return
      before = await readStructure(client)
      script = sql
      await runScript(client)
    },
    async losses() {
      if (!client || !before) return []
      const after = await readStructure(client)
      const candidates = lossCandidates(before, after)
      if (candidates.length === 0) return []
      await client.query('ROLLBACK TO SAVEPOINT before_change')
      const losses: Loss[] = []
      for (const { count, ...loss } of candidates) {
        const rows = await countOr(client, count)
        if (rows > 0 || loss.kind === 'table') losses.push({ ...loss, rows })
      }
      await runScript(client)
      return losses
    },
    async adopt() {
      await client?.query('COMMIT')
      await end()
    },
    async discard() {
      await client?.query('ROLLBACK').catch(() => {})
      await end()
    },
  }

  async function end(): Promise<void> {
    signal?.removeEventListener('abort', abort)
    await client?.end().catch(() => {})
  }

  async function runScript(client: pg.Client): Promise<void> {
    try {
      await client.query(script)
    } catch (error) {
      // A new enum value cannot be used in the transaction that adds it. Adding one loses nothing: add those first.
      if ((error as { code?: string }).code !== '55P04') throw schemaChangeFailed(error)
      const additions = script.match(/^ALTER TYPE .* ADD VALUE .*;$/gm) ?? []
      await client.query('ROLLBACK')
      for (const addition of additions) await client.query(addition.replace('ADD VALUE', 'ADD VALUE IF NOT EXISTS'))
      script = additions.reduce((rest, addition) => rest.replace(addition, ''), script)
      await client.query('BEGIN')
      await client.query('SAVEPOINT before_change')
      await client.query(script).catch((again) => {
        throw schemaChangeFailed(again)
      })
    }
  }
}

function schemaChangeFailed(error: unknown): BootkeeperError {
  return new BootkeeperError('SCHEMA_CHANGE_FAILED', `PostgreSQL refused the change: ${(error as Error).message}.`, {
    cause: error,
  })
}

async function countOr(client: pg.Client, sql: string): Promise<number> {
  await client.query('SAVEPOINT counting')
  try {
    return Number((await client.query(sql)).rows[0].n)
  } catch {
    // A value that cannot even be cast: then all of them count.
    await client.query('ROLLBACK TO SAVEPOINT counting')
    return Number((await client.query(sql.replace(/ AND .*$/s, ''))).rows[0].n)
  }
}

type Structure = Map<string, { kind: string; columns: Map<string, { type: string; number: number }> }>

async function readStructure(client: pg.Client): Promise<Structure> {
  const { rows } = await client.query(`
    SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind, a.attname AS column, a.attnum AS number,
           format_type(a.atttypid, a.atttypmod) AS type
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'`)
  const structure: Structure = new Map()
  for (const { schema, name, kind, column, number, type } of rows) {
    const key = `${ident(schema)}.${ident(name)}`
    const table = structure.get(key) ?? { kind, columns: new Map() }
    if (column) table.columns.set(column, { type, number })
    structure.set(key, table)
  }
  return structure
}

function lossCandidates(before: Structure, after: Structure): (Omit<Loss, 'rows'> & { count: string })[] {
  const found: (Omit<Loss, 'rows'> & { count: string })[] = []
  for (const [table, { kind, columns }] of before) {
    const now = after.get(table)
    const name = table.replace(/^"public"\./, '').replaceAll('"', '')
    const isTable = kind === 'r' || kind === 'p'
    if (!now)
      found.push({
        kind: isTable ? 'table' : 'view',
        table: name,
        count: `SELECT count(*) AS n FROM ${isTable ? table : '(SELECT) x'}`,
      })
    else if (isTable)
      for (const [column, { type, number }] of columns) {
        const changed = now.columns.get(column)
        const q = ident(column)
        const values = `SELECT count(*) AS n FROM ${table} WHERE ${q} IS NOT NULL`
        // A column that was dropped and made anew has another number.
        if (!changed || changed.number !== number) found.push({ kind: 'column', table: name, column, count: values })
        else if (changed.type !== type)
          found.push({
            kind: 'values',
            table: name,
            column,
            count: `${values} AND ${q}::text IS DISTINCT FROM ${q}::${changed.type}::text`,
          })
      }
  }
  return found
}
