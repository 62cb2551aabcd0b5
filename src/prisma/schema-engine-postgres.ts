// PostgreSQL under Prisma's schema engine, through the stock pg adapter. Guarantees: catalogue columns of every type
// are readable, a script runs whole (functions, DO blocks, strings with semicolons) and atomically, a shadow database
// is a database of its own and never the main one, and the database's own words survive an error.

import { PrismaPg } from '@prisma/adapter-pg'
import type { SqlDriverAdapter, SqlMigrationAwareDriverAdapterFactory } from '@prisma/driver-adapter-utils'
import type pg from 'pg'
import {
  createSchema,
  type PostgresServer,
  parsePostgresUrl,
  poolConfig,
  quoted,
  withClient,
  withMaintenanceClient,
} from './postgres-server.ts'
import {
  type AdapterNotes,
  type EngineDatabase,
  type EngineDatabaseOptions,
  failureOf,
  inKnownKind,
  PrismaError,
} from './schema-engine-database.ts'
import { splitStatements } from './split-statements.ts'

/** The key of the advisory lock that Prisma Migrate takes. */
const migrateLock = 72707369

export function isPostgresUrl(url: string): boolean {
  return /^postgres(ql)?:\/\//.test(url)
}

export function openPostgresEngineDatabase(url: string, options: EngineDatabaseOptions = {}): EngineDatabase {
  const server = parsePostgresUrl(url, options.readOnly ?? false)
  const opened: SqlDriverAdapter[] = []
  const notes: AdapterNotes = {}
  let main: SqlDriverAdapter | undefined

  return {
    provider: 'postgresql',
    notes,
    get main() {
      return main
    },
    async canConnect() {
      await withClient(server, server.database, async () => {})
    },
    async prepare() {
      await createSchema(server)
    },
    async create() {
      await withMaintenanceClient(server, async (client) => {
        await client.query(`CREATE DATABASE ${quoted(server.database)}`)
      })
      await createSchema(server)
      return server.database
    },
    async drop() {
      const elsewhere = server.database === 'postgres' ? 'template1' : 'postgres'
      await withClient(server, elsewhere, (client) => client.query(`DROP DATABASE ${quoted(server.database)}`))
    },
    async lock(waitMs) {
      if (main === undefined) throw new Error('the engine is not connected')
      const sql = `SET lock_timeout = '${waitMs}ms'; SELECT pg_advisory_lock(${migrateLock}); RESET lock_timeout`
      await main.executeRaw({ sql, args: [], argTypes: [] }).catch((error: unknown) => {
        const { code, message } = failureOf(sql, error)
        if (code !== '55P03') throw error
        throw new PrismaError('P1002', `Another process held the lock of Prisma Migrate for ${waitMs} ms: ${message}`)
      })
    },
    adapters() {
      const { schema } = server
      const factory = new PrismaPg(poolConfig(server, server.database), schema ? { schema } : undefined)
      return {
        provider: factory.provider,
        adapterName: factory.adapterName,
        async connect() {
          main = workRound(await factory.connect(), notes)
          opened.push(main)
          return main
        },
        // The stock one keeps `connectionString`, whose path wins over its `database`: it replays on the main database.
        async connectToShadowDb() {
          const shadow = options.shadowDatabaseUrl
            ? await connectTo(parsePostgresUrl(options.shadowDatabaseUrl), notes)
            : await createShadow(server, notes)
          opened.push(shadow)
          return shadow
        },
      }
    },
    async close() {
      main = undefined
      for (const adapter of opened.splice(0)) await adapter.dispose().catch(() => {})
    },
  }
}

/**
 * Answers what the engine asks when it connects, and nothing else: enough for comparing schema files without a server.
 */
export function offlinePostgresAdapters(): SqlMigrationAwareDriverAdapterFactory {
  const refuse = (): Promise<never> => Promise.reject(new Error('no database is needed to compare schema files'))
  const info = { provider: 'postgres' as const, adapterName: '@prisma/adapter-pg' }
  const connect = async (): Promise<SqlDriverAdapter> => ({
    ...info,
    queryRaw: async () => ({
      columnNames: ['exists', 'version', 'numeric_version'],
      columnTypes: [5, 7, 0],
      rows: [[true, 'PostgreSQL 17.0', 170000]],
    }),
    executeRaw: async () => 0,
    executeScript: refuse,
    startTransaction: refuse,
    dispose: async () => {},
    getConnectionInfo: () => ({ supportsRelationJoins: true }),
  })
  return { ...info, connect, connectToShadowDb: refuse }
}

// adapter-pg is written for the client; two things break the schema engine on it.
function workRound(adapter: Awaited<ReturnType<PrismaPg['connect']>>, notes: AdapterNotes): SqlDriverAdapter {
  readCatalogueTypes(adapter.underlyingDriver() as pg.Pool)
  // The wasm engine cannot read the environment.
  const withoutLock = /^(1|true)$/i.test(process.env.PRISMA_SCHEMA_DISABLE_ADVISORY_LOCK ?? '')
  const { queryRaw, executeRaw } = adapter
  const translate = (error: unknown): unknown =>
    inKnownKind(error, (message, cause) => ({
      kind: 'postgres',
      code: cause.originalCode ?? 'N/A',
      severity: 'ERROR',
      message,
    }))
  adapter.queryRaw = async (query) => {
    try {
      return await queryRaw.call(adapter, query)
    } catch (error) {
      throw translate(error)
    }
  }
  adapter.executeRaw = async (query) => {
    if (withoutLock && query.sql.includes(`pg_advisory_lock(${migrateLock})`)) return 0
    try {
      return await executeRaw.call(adapter, query)
    } catch (error) {
      throw translate(error)
    }
  }
  // The stock one splits at every `;` and runs the parts one by one. A query without values goes by the simple
  // protocol, which takes a whole script as one implicit transaction, as the native engine does. Only a script with
  // CREATE INDEX CONCURRENTLY cannot run in one (prisma-engines#5767).
  adapter.executeScript = async (script) => {
    try {
      for (const sql of /\bCONCURRENTLY\b/i.test(script) ? splitStatements(script) : [script])
        await adapter.executeRaw({ sql, args: [], argTypes: [] })
    } catch (error) {
      notes.failedScript = failureOf(script, error)
      throw error
    }
  }
  return adapter
}

// The adapter has no column type for these: "char" is read as bpchar, name[], int2vector and oidvector as arrays that
// it does know.
const knownOid: Record<number, number> = { 18: 1042, 1003: 1009, 22: 1005, 30: 1028 }

function readCatalogueTypes(pool: pg.Pool): void {
  const query = pool.query.bind(pool) as unknown as (...args: unknown[]) => Promise<pg.QueryResult | pg.QueryResult[]>
  const withAliases = async (first: unknown, ...rest: unknown[]): Promise<unknown> => {
    const parser = (first as { types?: pg.CustomTypesConfig })?.types?.getTypeParser as
      | ((oid: number, format?: string) => unknown)
      | undefined
    const config = parser
      ? {
          ...(first as object),
          types: { getTypeParser: (oid: number, format?: string) => parser(knownOid[oid] ?? oid, format) },
        }
      : first
    const result = await query(config, ...rest)
    for (const one of Array.isArray(result) ? result : [result])
      for (const field of one?.fields ?? []) field.dataTypeID = knownOid[field.dataTypeID] ?? field.dataTypeID
    return result
  }
  pool.query = withAliases as unknown as pg.Pool['query']
}

async function connectTo(server: PostgresServer, notes: AdapterNotes): Promise<SqlDriverAdapter> {
  return workRound(await new PrismaPg(poolConfig(server, server.database)).connect(), notes)
}

async function createShadow(server: PostgresServer, notes: AdapterNotes): Promise<SqlDriverAdapter> {
  const database = `prisma_migrate_shadow_db_${crypto.randomUUID()}`
  await withClient(server, server.database, (client) => client.query(`CREATE DATABASE ${quoted(database)}`)).catch(
    (error: Error) => {
      throw new PrismaError(
        'P3014',
        `Prisma Migrate could not create the shadow database. Please make sure the database user has permission to create databases. Read more about the shadow database (and workarounds) at https://pris.ly/d/migrate-shadow\n\nOriginal error: ${error.message}`,
      )
    },
  )
  // No search path of the main url's schema: it does not exist in there.
  const plain = { ...server, config: { ...server.config, options: '-c timezone=UTC' } }
  const shadow = workRound(await new PrismaPg(poolConfig(plain, database)).connect(), notes)
  const dispose = shadow.dispose.bind(shadow)
  let disposed: Promise<void> | undefined
  shadow.dispose = () => {
    disposed ??= (async () => {
      await dispose()
      await withClient(server, server.database, (client) =>
        client.query(`DROP DATABASE IF EXISTS ${quoted(database)} WITH (FORCE)`),
      )
    })()
    return disposed
  }
  return shadow
}
