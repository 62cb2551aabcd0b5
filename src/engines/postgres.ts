// PostgreSQL: copies by pg_dump, schema changes in one transaction under Migrate's advisory lock, putting a copy back in
// one transaction. Guarantees: a change or a restore happens whole or not at all; credentials never reach a command line.

import { randomUUID } from 'node:crypto'
import { rm, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import pg from 'pg'
import { BootkeeperError } from '../errors.ts'
import { fsyncFile, sha256OfFile } from '../files.ts'
import type { Engine, Loss, Rehearsal } from './engine.ts'

// The number that `prisma migrate` locks: a migration that someone runs by hand waits for us, and we for it.
const migrateLock = 72707369

export function openPostgres(databaseUrl: string, { busyMs }: { busyMs: number }): Engine {
  const server = parseUrl(databaseUrl)

  return {
    kind: 'postgresql',
    description: `${server.host}:${server.port}/${server.database}`,
    url: databaseUrl,
    copyExtension: 'dump',
    workDirectory: undefined,

    async signature() {
      const client = await connect(server, busyMs)
      if (!client) return 'none'
      try {
        if (server.schema) {
          const { rows } = await client.query('SELECT to_regnamespace($1) IS NULL AS missing', [ident(server.schema)])
          if (rows[0].missing) return 'none'
        }
        // Whatever is written moves the end of the log. So do checkpoints: then a copy is made once more than needed.
        const { rows } = await client.query(
          'SELECT system_identifier::text AS id, pg_current_wal_insert_lsn()::text AS lsn FROM pg_control_system()',
        )
        return `postgresql ${rows[0].id} ${server.database} ${rows[0].lsn}`
      } catch {
        // Hosted servers may not let this user ask: every boot then copies.
        return `postgresql ${randomUUID()}`
      } finally {
        await client.end()
      }
    },

    sizeBytes: () =>
      query(server, busyMs, 'SELECT pg_database_size(current_database())::float8 AS n').then(
        (rows) => (rows[0]?.n as number) ?? 0,
      ),

    async structure() {
      const rows = await query(server, busyMs, structureSql)
      return rows.length === 0 ? '' : JSON.stringify(rows.map(({ line }) => line))
    },

    async copy(partial, signal) {
      await requireTool('pg_dump', server, busyMs)
      const source = await this.signature()
      const schema = server.schema ? ['--schema', server.schema] : []
      await run('pg_dump', ['--format=custom', '--compress=1', ...schema, '--file', partial], server, signal)
      await fsyncFile(partial)
      const problems = await this.checkCopy(partial, signal)
      if (problems.length > 0) throw new BootkeeperError('IO', `The dump does not read back: ${problems[0]}.`)
      const [{ size }, sha256] = await Promise.all([stat(partial), sha256OfFile(partial, signal)])
      return { source, settled: true, sizeBytes: size, sha256, check: 'read back whole by pg_restore' }
    },

    async checkCopy(path, signal) {
      // Reads and unpacks every table, to nowhere.
      const cancel = signal ? { cancelSignal: signal } : {}
      const result = await execa('pg_restore', ['--file=/dev/null', path], {
        reject: false,
        stdin: 'ignore',
        ...cancel,
      })
      signal?.throwIfAborted()
      return result.exitCode === 0 ? [] : [result.stderr.split('\n')[0] || result.message || 'pg_restore failed']
    },

    async rehearse(_copyFile, _source, signal) {
      return await rehearsal(databaseUrl, server, busyMs, signal)
    },

    async putBack(copyFile, _why, signal) {
      await requireTool('pg_restore', server, busyMs)
      await requireTool('psql', server, busyMs)
      const script = `${copyFile}.sql.partial`
      try {
        await run('pg_restore', ['--no-owner', '--no-privileges', '--file', script, copyFile], server, signal)
        // One transaction: the old data goes only if the copy is in its place.
        const commands = ['--command', dropSchemasSql(server.schema), '--file', script]
        const options = [
          '--no-psqlrc',
          '--quiet',
          '--single-transaction',
          '--set=ON_ERROR_STOP=1',
          '--output=/dev/null',
        ]
        await run('psql', [...options, ...commands], server, signal)
      } finally {
        await rm(script, { force: true })
      }
      return { aside: undefined }
    },

    async appliedMigrations() {
      const known = await query(server, busyMs, "SELECT to_regclass('_prisma_migrations') IS NOT NULL AS known")
      if (!known[0]?.known) return []
      const rows = await query(
        server,
        busyMs,
        'SELECT migration_name AS name FROM _prisma_migrations WHERE rolled_back_at IS NULL',
      )
      return rows.map(({ name }) => name as string)
    },

    async close() {},
  }
}

/**
 * A schema change, waiting in an open transaction. `losses` compares the structure before and after, goes back to
 * before to count the rows that would go, and applies again; `adopt` commits.
 */
async function rehearsal(url: string, server: Server, busyMs: number, signal?: AbortSignal): Promise<Rehearsal> {
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

interface Server {
  host: string
  port: string
  database: string
  user: string
  schema: string | undefined
  client: pg.ClientConfig
  env: Record<string, string>
}

// Prisma's own parameters mean nothing to libpq and pg, which would refuse them.
const prismaParameters = [
  'schema',
  'connection_limit',
  'pool_timeout',
  'pgbouncer',
  'statement_cache_size',
  'socket_timeout',
  'sslaccept',
  'sslidentity',
  'sslpassword',
  'connect_timeout',
]

function parseUrl(databaseUrl: string): Server {
  let url: URL
  try {
    url = new URL(databaseUrl)
  } catch {
    throw new BootkeeperError(
      'SETTINGS_INVALID',
      'DATABASE_URL is not an address: postgresql://USER:PASSWORD@HOST:PORT/NAME is expected.',
    )
  }
  const get = (name: string) => url.searchParams.get(name) ?? undefined
  const schema = get('schema')
  const sslmode = get('sslmode')
  for (const name of prismaParameters) url.searchParams.delete(name)
  const host = get('host') ?? decodeURIComponent(url.hostname)
  const database = decodeURIComponent(url.pathname.slice(1)) || 'postgres'
  const user = decodeURIComponent(url.username)
  const password = decodeURIComponent(url.password)
  const port = url.port || '5432'
  // pg takes require for verify-full; libpq, and so pg_dump, does not.
  const ssl =
    sslmode === 'require' ? { ssl: { rejectUnauthorized: false } } : sslmode?.startsWith('verify') ? { ssl: true } : {}
  return {
    host,
    port,
    database,
    user,
    schema: schema === 'public' ? undefined : schema,
    client: {
      host,
      port: Number(port),
      database,
      user,
      password,
      // A session elsewhere than in UTC would read and write times hours off.
      options: `-c timezone=UTC${schema ? ` -c search_path=${ident(schema)}` : ''}`,
      application_name: 'bootkeeper',
      ...ssl,
    },
    env: {
      PGHOST: host,
      PGPORT: port,
      PGDATABASE: database,
      ...(user ? { PGUSER: user } : {}),
      ...(password ? { PGPASSWORD: password } : {}),
      ...(sslmode ? { PGSSLMODE: sslmode } : {}),
      PGAPPNAME: 'bootkeeper',
    },
  }
}

/** undefined: the database does not exist yet. Waits for a server that is still starting, up to `waitMs`. */
async function connect(server: Server, waitMs: number): Promise<pg.Client | undefined> {
  for (const until = Date.now() + waitMs; ; ) {
    const client = new pg.Client({ ...server.client, connectionTimeoutMillis: 5_000 })
    // A connection that breaks later shows in the query that is waiting; alone it must not end the process.
    client.on('error', () => {})
    try {
      await client.connect()
      return client
    } catch (error) {
      await client.end().catch(() => {})
      const { code, message } = error as { code?: string; message: string }
      if (code === '3D000') return undefined
      const starting =
        code === '57P03' || ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ENOENT', 'EHOSTUNREACH'].includes(code ?? '')
      if (starting && Date.now() < until) {
        await sleep(250)
        continue
      }
      throw new BootkeeperError(
        'DATABASE_UNREACHABLE',
        `PostgreSQL at ${server.host}:${server.port} could not be used: ${message || code}.`,
        { cause: error },
      )
    }
  }
}

async function query(server: Server, waitMs: number, sql: string): Promise<Record<string, unknown>[]> {
  const client = await connect(server, waitMs)
  if (!client) return []
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

/** pg_dump refuses a server newer than itself: say so before anything starts, not in the middle. */
async function requireTool(tool: string, server: Server, waitMs: number): Promise<void> {
  const { stdout = '', failed } = await execa(tool, ['--version'], { reject: false })
  const install = {
    next: 'Install the PostgreSQL client tools of the major version of your server in the image (Debian: postgresql-client).',
  }
  if (failed) throw new BootkeeperError('TOOL_MISSING', `${tool} is not installed.`, install)
  const own = Number(/\d+/.exec(`${stdout}`)?.[0])
  const rows = await query(server, waitMs, "SELECT current_setting('server_version_num')::int / 10000 AS major")
  const major = Number(rows[0]?.major ?? 0)
  if (major > own)
    throw new BootkeeperError(
      'TOOL_MISSING',
      `The server is PostgreSQL ${major}, but ${tool} is of version ${own}.`,
      install,
    )
}

async function run(tool: string, args: string[], server: Server, signal: AbortSignal | undefined): Promise<void> {
  const cancel = signal ? { cancelSignal: signal } : {}
  const result = await execa(tool, args, { reject: false, stdin: 'ignore', env: server.env, ...cancel })
  signal?.throwIfAborted()
  if (!result.failed) return
  const reason = `${result.stderr ?? ''}`.trim().split('\n').at(-1) || `${result.shortMessage}`
  const code = /no space left/i.test(reason) ? 'DISK_FULL' : 'IO'
  throw new BootkeeperError(code, `${tool} failed: ${reason}.`, { cause: result })
}

function dropSchemasSql(schema: string | undefined): string {
  const which = schema
    ? `nspname = '${schema.replaceAll("'", "''")}'`
    : "nspname !~ '^pg_' AND nspname <> 'information_schema'"
  return `DO $$ DECLARE s text; BEGIN
    FOR s IN SELECT nspname FROM pg_namespace WHERE ${which} LOOP EXECUTE format('DROP SCHEMA %I CASCADE', s); END LOOP;
    ${schema ? '' : 'CREATE SCHEMA public;'} END $$`
}

const structureSql = `
  SELECT line FROM (
    SELECT format('column %I.%I.%I %s %s %s', n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                  a.attnotnull, pg_get_expr(d.adbin, d.adrelid)) AS line
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm')
      AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    UNION ALL
    SELECT format('constraint %s %I %s', conrelid::regclass, conname, pg_get_constraintdef(k.oid))
    FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    UNION ALL
    SELECT format('index %s', indexdef) FROM pg_indexes WHERE schemaname <> 'information_schema' AND schemaname !~ '^pg_'
    UNION ALL
    SELECT format('enum %s %L', enumtypid::regtype, enumlabel) FROM pg_enum
  ) lines ORDER BY line COLLATE "C"`

function ident(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
