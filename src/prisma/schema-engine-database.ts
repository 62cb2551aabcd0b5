// What Prisma's schema engine needs of a database beside SQL: reach it, create it, drop it, hand out adapters for it.
// One implementation per engine (schema-engine-sqlite.ts, schema-engine-postgres.ts); the faults of the stock driver
// adapters are worked round there. Guarantees: failures carry Prisma's own error codes, so that the CLI reacts to them
// as it does to its native engine.

import type { SqlDriverAdapter, SqlMigrationAwareDriverAdapterFactory } from '@prisma/driver-adapter-utils'

/** An error as Prisma's native engine words it: P1001 makes the CLI give up, P1003 makes it create the database. */
export class PrismaError extends Error {
  readonly code: string
  readonly meta: Record<string, unknown>

  constructor(code: string, message: string, meta: Record<string, unknown> = {}) {
    super(message)
    this.code = code
    this.meta = meta
  }
}

/** What an adapter saw and the wasm engine cannot tell; collected anew for each request. */
export interface AdapterNotes {
  /** The script of the last statement batch that failed, with the database's own words. */
  failedScript?: { script: string; code: string; message: string }
  /** Another process kept the database locked. */
  busy?: string
  noMigrationsTable?: boolean
}

export interface EngineDatabase {
  readonly provider: 'sqlite' | 'postgresql'
  readonly notes: AdapterNotes
  /** The adapter that the engine works on, once it connected. */
  readonly main: SqlDriverAdapter | undefined
  /** Throws PrismaError: P1003 when the server is there and the database is not. Never writes. */
  canConnect(): Promise<void>
  /** Creates what the native engine creates by connecting: the PostgreSQL schema that the url names. */
  prepare(): Promise<void>
  /** Returns the name of the new database. */
  create(): Promise<string>
  drop(): Promise<void>
  /** Empties the database where the wasm engine cannot; absent where it can. */
  recreate?(): Promise<void>
  /** Takes the lock of Prisma Migrate for the rest of this session. */
  lock?(waitMs: number): Promise<void>
  adapters(): SqlMigrationAwareDriverAdapterFactory
  /** Disposes of every adapter that was handed out. */
  close(): Promise<void>
}

export interface EngineDatabaseOptions {
  shadowDatabaseUrl?: string | undefined
  /** The database itself refuses writes: the second safety net under a dry run. */
  readOnly?: boolean
}

// The adapters know more kinds of error than the wasm engine of the same version, and one that it does not know ends as
// `unknown variant`, the database's message lost.
const kindsOfTheWasmEngine = new Set([
  'GenericJs',
  'UnsupportedNativeDataType',
  'InvalidIsolationLevel',
  'LengthMismatch',
  'UniqueConstraintViolation',
  'NullConstraintViolation',
  'ForeignKeyConstraintViolation',
  'DatabaseNotReachable',
  'DatabaseDoesNotExist',
  'DatabaseAlreadyExists',
  'DatabaseAccessDenied',
  'ConnectionClosed',
  'TlsConnectionError',
  'AuthenticationFailed',
  'TransactionWriteConflict',
  'TableDoesNotExist',
  'ColumnNotFound',
  'TooManyConnections',
  'ValueOutOfRange',
  'MissingFullTextSearchIndex',
  'TransactionAlreadyClosed',
  'postgres',
  'sqlite',
])

/** The payload of a DriverAdapterError, as far as it is read here. */
export interface AdapterErrorCause {
  kind?: string
  originalCode?: string
  originalMessage?: string
  message?: string
  table?: string
}

export function causeOf(error: unknown): AdapterErrorCause {
  const cause = (error as { cause?: unknown })?.cause
  return typeof cause === 'object' && cause !== null ? cause : {}
}

/** Rewrites an error of a kind that the wasm engine does not know into the raw kind of its database. */
export function inKnownKind(error: unknown, raw: (message: string, cause: AdapterErrorCause) => object): unknown {
  const cause = causeOf(error)
  if (cause.kind === undefined || kindsOfTheWasmEngine.has(cause.kind)) return error
  const message = cause.originalMessage ?? cause.message ?? (error as Error).message
  // failureOf() still wants the original ones; the engine reads past them.
  const { originalCode, originalMessage } = cause
  Object.assign(error as object, { cause: { originalCode, originalMessage, ...raw(message, cause) } })
  return error
}

export function failureOf(script: string, error: unknown): NonNullable<AdapterNotes['failedScript']> {
  const cause = causeOf(error)
  const message = cause.originalMessage ?? cause.message ?? (error as Error)?.message ?? String(error)
  return { script, code: cause.originalCode ?? 'none', message }
}
