// A PostgreSQL server as the schema engine's url names it: parsed as the native engine reads it, reached with plain
// clients. Guarantees: every client is closed, and what the server or the network refuses is told with Prisma's codes.

import pg from 'pg'
import { PrismaError } from './schema-engine-database.ts'

export interface PostgresServer {
  url: URL
  schema: string | undefined
  host: string
  port: string
  database: string
  user: string
  config: pg.PoolConfig
}

// The query parameters of the native engine that pg would reject or read in another way.
const engineParameters = [
  'pgbouncer',
  'connection_limit',
  'pool_timeout',
  'statement_cache_size',
  'socket_timeout',
  'sslaccept',
  'sslidentity',
  'sslpassword',
  'single_use_connections',
  'channel_binding',
]

export function parsePostgresUrl(text: string, readOnly = false): PostgresServer {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new PrismaError('P1013', 'The provided database string is invalid. It cannot be read as a url.')
  }
  const take = (name: string): string | undefined => {
    const value = url.searchParams.get(name) ?? undefined
    url.searchParams.delete(name)
    return value
  }
  const schema = take('schema')
  const connectSeconds = Number(take('connect_timeout') ?? 5)
  const applicationName = take('application_name') ?? 'prisma-schema-engine'
  const options = [
    take('options'),
    '-c timezone=UTC',
    readOnly ? '-c default_transaction_read_only=on' : undefined,
    // The engine's unqualified statements (_prisma_migrations) follow the search path.
    schema ? `-c search_path=${quoted(schema).replace(/([ \\])/g, '\\$1')}` : undefined,
  ]
  for (const name of engineParameters) url.searchParams.delete(name)
  // pg reads prefer, require and verify-ca as verify-full; libpq and the native engine do not.
  const sslmode = url.searchParams.get('sslmode')
  if (['prefer', 'allow', 'disable', 'require'].includes(sslmode ?? '')) url.searchParams.delete('sslmode')
  return {
    url,
    schema,
    host: url.searchParams.get('host') ?? url.hostname,
    port: url.port || '5432',
    database: decodeURIComponent(url.pathname.slice(1)) || 'postgres',
    user: decodeURIComponent(url.username),
    config: {
      max: 1,
      // An idle session that the pool closes after its usual 10 s would drop the advisory lock.
      idleTimeoutMillis: 0,
      connectionTimeoutMillis: connectSeconds * 1000,
      application_name: applicationName,
      options: options.filter(Boolean).join(' '),
      ...(sslmode === 'require' && { ssl: { rejectUnauthorized: false } }),
    },
  }
}

/** The path of a connection string wins over any `database` beside it, so the string is what must be changed. */
export function poolConfig(server: PostgresServer, database: string): pg.PoolConfig {
  const url = new URL(server.url)
  url.pathname = `/${encodeURIComponent(database)}`
  return { ...server.config, connectionString: url.href }
}

export async function withClient<T>(server: PostgresServer, database: string, use: (client: pg.Client) => Promise<T>) {
  const client = new pg.Client(poolConfig(server, database))
  try {
    await client.connect()
    return await use(client)
  } catch (error) {
    throw asPrismaError(error, server)
  } finally {
    await client.end().catch(() => {})
  }
}

/** Some servers have no database `postgres`; managed ones may call it otherwise. */
export async function withMaintenanceClient<T>(
  server: PostgresServer,
  use: (client: pg.Client) => Promise<T>,
): Promise<T> {
  let missing: unknown
  for (const database of ['postgres', 'template1', 'defaultdb'])
    try {
      return await withClient(server, database, use)
    } catch (error) {
      if (!(error instanceof PrismaError) || error.code !== 'P1003') throw error
      missing = error
    }
  throw missing
}

export async function createSchema(server: PostgresServer): Promise<void> {
  const { schema } = server
  if (schema === undefined) return
  await withClient(server, server.database, async (client) => {
    // Asked first: IF NOT EXISTS needs the right to create even when there is nothing to create.
    const found = await client.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema])
    if (found.rowCount === 0) await client.query(`CREATE SCHEMA IF NOT EXISTS ${quoted(schema)}`)
  })
}

const unreachable = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'ENOENT',
  '57P03',
])

function asPrismaError(error: unknown, server: PostgresServer): unknown {
  if (error instanceof PrismaError) return error
  const { code: own, errors, message } = error as { code?: string; errors?: { code?: string }[]; message?: string }
  // One refusal per address of the host arrives as an AggregateError.
  const code = own ?? errors?.[0]?.code ?? ''
  const place = `\`${server.host}:${server.port}\``
  if (code === '3D000') {
    const text = `Database \`${server.database}\` does not exist on the database server at ${place}.`
    return new PrismaError('P1003', text, { database_name: server.database })
  }
  if (code === '42P04')
    return new PrismaError('P1009', `Database \`${server.database}\` already exists on the database server at ${place}`)
  if (code === '28P01' || code === '28000')
    return new PrismaError(
      'P1000',
      `Authentication failed against database server, the provided database credentials for \`${server.user}\` are not valid.\n\nPlease make sure to provide valid database credentials for the database server at \`${server.host}\`.`,
    )
  if (code === '42501')
    return new PrismaError('P1010', `User \`${server.user}\` was denied access on the database \`${server.database}\``)
  if (unreachable.has(code) || /timeout|terminated/i.test(message ?? ''))
    return new PrismaError(
      'P1001',
      `Can't reach database server at ${place}\n\nPlease make sure your database server is running at ${place}.`,
    )
  return error
}

export function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}
