// The connection to a PostgreSQL server: the address taken apart, a client in UTC, the client tools.
// Guarantees: a server that is still starting is waited for; credentials never reach a command line.

import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import pg from 'pg'
import { BootkeeperError } from '../errors.ts'

export interface Server {
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

export function parseUrl(databaseUrl: string): Server {
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
export async function connect(server: Server, waitMs: number): Promise<pg.Client | undefined> {
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

/** Makes the database where the server does not have it. Needs a user that may, as Prisma does. */
export async function makeDatabase(server: Server, waitMs: number): Promise<void> {
  const own = await connect(server, waitMs)
  await own?.end()
  if (own) return
  const other = { ...server, client: { ...server.client, database: 'postgres' } }
  const client = await connect(other, waitMs)
  try {
    await client?.query(`CREATE DATABASE ${ident(server.database)}`)
  } catch (error) {
    throw new BootkeeperError(
      'DATABASE_UNREACHABLE',
      `The server has no database ${server.database}, and it could not be made: ${(error as Error).message}.`,
      { cause: error, next: `Make it as a user who may: CREATE DATABASE ${ident(server.database)}` },
    )
  } finally {
    await client?.end()
  }
}

export async function query(server: Server, waitMs: number, sql: string): Promise<Record<string, unknown>[]> {
  const client = await connect(server, waitMs)
  if (!client) return []
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

export const installClientTools =
  'Install the PostgreSQL client tools of the major version of your server in the image (Debian: postgresql-client).'

/** pg_dump refuses a server newer than itself: say so before anything starts, not in the middle. */
export async function requireTool(tool: string, server: Server, waitMs: number): Promise<void> {
  const { stdout = '', failed } = await execa(tool, ['--version'], { reject: false })
  const install = { next: installClientTools }
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

export async function run(
  tool: string,
  args: string[],
  server: Server,
  signal: AbortSignal | undefined,
): Promise<void> {
  const cancel = signal ? { cancelSignal: signal } : {}
  const result = await execa(tool, args, { reject: false, stdin: 'ignore', env: server.env, ...cancel })
  signal?.throwIfAborted()
  if (!result.failed) return
  const reason = `${result.stderr ?? ''}`.trim().split('\n').at(-1) || `${result.shortMessage}`
  const code = /no space left/i.test(reason) ? 'DISK_FULL' : 'IO'
  throw new BootkeeperError(code, `${tool} failed: ${reason}.`, { cause: result })
}

export function ident(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
