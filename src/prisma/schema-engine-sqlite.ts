// SQLite under Prisma's schema engine, through the stock better-sqlite3 adapter. Guarantees: a migration of many
// statements runs whole, a database without migration history is "no history yet" and not an error, a locked file is
// reported as locked, and a database that is only read keeps its bytes.

import { closeSync, existsSync, mkdirSync, openSync, readSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3'
import type { SqlDriverAdapter, SqlQuery } from '@prisma/driver-adapter-utils'
import {
  type AdapterNotes,
  causeOf,
  type EngineDatabase,
  type EngineDatabaseOptions,
  failureOf,
  inKnownKind,
  PrismaError,
} from './schema-engine-database.ts'

export function isSqliteUrl(url: string): boolean {
  return /^(file|sqlite):/.test(url)
}

/** The file behind a `file:` url, or `:memory:`. Not percent-decoded: neither does the adapter that the app uses. */
export function sqlitePath(url: string): string {
  const path = url.replace(/^(file|sqlite):(\/\/(?=\/))?/, '').replace(/\?.*$/, '')
  return path === ':memory:' ? path : resolve(path)
}

export function openSqliteEngineDatabase(url: string, options: EngineDatabaseOptions = {}): EngineDatabase {
  const path = sqlitePath(url)
  const inMemory = path === ':memory:'
  const waitMs = Number(new URLSearchParams(url.split('?')[1]).get('socket_timeout') ?? 5) * 1000
  const opened: SqlDriverAdapter[] = []
  const notes: AdapterNotes = {}
  let main: SqlDriverAdapter | undefined

  const database: EngineDatabase = {
    provider: 'sqlite',
    notes,
    get main() {
      return main
    },
    async canConnect() {
      if (inMemory) return
      if (!existsSync(path))
        throw new PrismaError('P1003', `Database \`${basename(path)}\` does not exist`, { database_name: path })
      if (!statSync(path).isFile()) throw new PrismaError('P1001', `${path} is not a file`)
      if (!looksLikeSqlite(path)) throw new PrismaError('P1001', `${path} is not a SQLite database (or is encrypted)`)
    },
    async prepare() {},
    async create() {
      if (!inMemory) {
        mkdirSync(dirname(path), { recursive: true })
        closeSync(openSync(path, 'a'))
      }
      return path
    },
    async drop() {
      for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(path + suffix, { force: suffix !== '' })
    },
    // The wasm engine's reset runs `DELETE FROM` on unquoted names and leaves the tables; dropping them would leave
    // sqlite_sequence, and Migrate then says P3005, the schema is not empty. Only a new file is empty.
    async recreate() {
      await main?.executeScript('BEGIN EXCLUSIVE; ROLLBACK;')
      await database.close()
      if (!inMemory) await database.drop()
      await database.create()
    },
    adapters() {
      const config = { url: `file:${path}`, timeout: waitMs, ...(options.readOnly && !inMemory && { readonly: true }) }
      const factory = new PrismaBetterSqlite3(config, { timestampFormat: 'unixepoch-ms' })
      return {
        provider: factory.provider,
        adapterName: factory.adapterName,
        async connect() {
          main = track(await factory.connect())
          return main
        },
        async connectToShadowDb() {
          // The factory would carry `readonly` over, which SQLite refuses for a database in memory.
          return track(
            await new PrismaBetterSqlite3({ url: ':memory:' }, { timestampFormat: 'unixepoch-ms' }).connect(),
          )
        },
      }
    },
    async close() {
      main = undefined
      for (const adapter of opened.splice(0)) await adapter.dispose().catch(() => {})
    },
  }

  function track(adapter: SqlDriverAdapter): SqlDriverAdapter {
    opened.push(adapter)
    return workRound(adapter, notes, `database is locked: another process holds ${path} (waited ${waitMs} ms)`)
  }
  return database
}

function workRound(adapter: SqlDriverAdapter, notes: AdapterNotes, lockedMessage: string): SqlDriverAdapter {
  const { queryRaw, executeRaw, executeScript } = adapter
  const translate = (error: unknown): unknown => {
    const cause = causeOf(error)
    if (cause.kind === 'SocketTimeout' || cause.originalCode?.startsWith('SQLITE_BUSY')) notes.busy = lockedMessage
    return inKnownKind(error, (message) => ({ kind: 'sqlite', extendedCode: 1, message }))
  }
  adapter.queryRaw = async (query) => {
    try {
      return await queryRaw.call(adapter, query)
    } catch (error) {
      // The native engine takes the missing table as `no history yet`; the wasm one passes it on as P1014.
      const { kind, table } = causeOf(error)
      if (kind !== 'TableDoesNotExist' || !table?.includes('_prisma_migrations')) throw translate(error)
      notes.noMigrationsTable = true
      return { columnNames: [], columnTypes: [], rows: [] }
    }
  }
  adapter.executeScript = async (script) => {
    try {
      await executeScript.call(adapter, script)
    } catch (error) {
      notes.failedScript = failureOf(script, error)
      throw translate(error)
    }
  }
  adapter.executeRaw = async (query) => {
    // Replays on the shadow database send a whole migration to a call that prepares one statement only.
    if (isScript(query)) {
      await adapter.executeScript(query.sql)
      return 0
    }
    try {
      return await executeRaw.call(adapter, query)
    } catch (error) {
      throw translate(error)
    }
  }
  return adapter
}

function isScript({ sql, args }: SqlQuery): boolean {
  return args.length === 0 && /;\s*\S/.test(sql)
}

function looksLikeSqlite(path: string): boolean {
  const header = Buffer.alloc(16)
  const descriptor = openSync(path, 'r')
  try {
    return readSync(descriptor, header, 0, 16, 0) === 0 || header.toString('latin1') === 'SQLite format 3\0'
  } finally {
    closeSync(descriptor)
  }
}
