// Prisma's official WebAssembly schema engine, opened in this process over a driver adapter: no engine binary, no
// download. Guarantees: planPush() reads and never writes (the connection itself refuses writes, and the adapter
// swallows them), creates no file or database, and leaves nothing open behind it.

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  bindMigrationAwareSqlAdapterFactory,
  type ErrorRegistry,
  type SqlMigrationAwareDriverAdapterFactory,
} from '@prisma/driver-adapter-utils'
import type { ConstructorOptions, SchemaEngine } from '@prisma/schema-engine-wasm/schema_engine_bg'
import { BootkeeperError } from '../errors.ts'
import { type EngineDatabase, type EngineDatabaseOptions, PrismaError } from './schema-engine-database.ts'
import { isPostgresUrl, offlinePostgresAdapters, openPostgresEngineDatabase } from './schema-engine-postgres.ts'
import { isSqliteUrl, openSqliteEngineDatabase } from './schema-engine-sqlite.ts'

export interface SchemaFile {
  path: string
  content: string
}

export interface PushPlan {
  /** The exact SQL that the push would run; '' when in sync. */
  sql: string
  warnings: string[]
  unexecutable: string[]
}

export interface PlanPushOptions {
  url: string
  files: SchemaFile[]
  /** Tables and enums that are not Prisma's, as in `tables.external` and `enums.external` of its config. */
  filter?: { externalTables: string[]; externalEnums: string[] }
}

/** A dry run of `prisma db push`: reads the database, writes nothing. A database that is not there counts as empty. */
export async function planPush(options: PlanPushOptions): Promise<PushPlan> {
  const files = options.files
  const filters = options.filter ?? { externalTables: [], externalEnums: [] }
  let database: EngineDatabase | undefined
  let engine: OpenEngine | undefined
  try {
    database = openEngineDatabase(options.url, { readOnly: true })
    const exists = await isThere(database)
    engine = await openSchemaEngine(exists ? withoutWrites(database.adapters()) : offlineAdapters(database.provider))
    const diff = await engine.diff({
      // The files name the provider and the PostgreSQL schemas; what is compared is the database of the adapter.
      from: exists ? { tag: 'schemaDatasource', files, configDir: process.cwd() } : { tag: 'empty' },
      to: { tag: 'schemaDatamodel', files },
      script: true,
      exitCode: true,
      filters,
    })
    if (diff.exitCode === 0 || !diff.stdout) return { sql: '', warnings: [], unexecutable: [] }
    if (!exists) return { sql: diff.stdout, warnings: [], unexecutable: [] }
    const push = await engine.schemaPush({ force: false, schema: { files }, filters })
    return { sql: diff.stdout, warnings: push.warnings, unexecutable: push.unexecutable }
  } catch (error) {
    throw asPlanError(engine?.explain(error) ?? error, database)
  } finally {
    engine?.free()
    await database?.close()
  }
}

export type OpenEngine = SchemaEngine & {
  /** The error behind the number that the engine answers with when the adapter threw something unknown to it. */
  explain(error: unknown): unknown
}

/** The caller disposes of the adapters that the factory hands out; free() releases the engine only. */
export async function openSchemaEngine(
  adapters: SqlMigrationAwareDriverAdapterFactory,
  datamodels?: ConstructorOptions['datamodels'],
  log: (line: string) => void = () => {},
): Promise<OpenEngine> {
  const glue = await loadGlue()
  const bound = bindMigrationAwareSqlAdapterFactory(adapters)
  try {
    const engine = await glue.SchemaEngine.new({ datamodels }, log, bound)
    return Object.assign(engine, { explain: (error: unknown) => explain(error, bound.errorRegistry) })
  } catch (error) {
    throw explain(error, bound.errorRegistry)
  }
}

export function openEngineDatabase(url: string, options: EngineDatabaseOptions = {}): EngineDatabase {
  if (isSqliteUrl(url)) return openSqliteEngineDatabase(url, options)
  if (isPostgresUrl(url)) return openPostgresEngineDatabase(url, options)
  throw new PrismaError('P1013', 'The provided database string is invalid. Known are file: and postgresql: urls.')
}

/** Adapters for comparing schema files, where no database is needed and the engine wants one all the same. */
export function offlineAdapters(provider: EngineDatabase['provider']): SqlMigrationAwareDriverAdapterFactory {
  return provider === 'sqlite' ? openSqliteEngineDatabase('file::memory:').adapters() : offlinePostgresAdapters()
}

/** Resolves a package from the user's project first, then from Bootkeeper's own. */
export function resolvePackage(id: string, project = projectDirectory()): string | undefined {
  return resolutions(id, project)[0]
}

// Prisma starts its engine in the folder of the config file; runPrisma() names the project beside it.
function projectDirectory(): string {
  return process.env.BOOTKEEPER_PROJECT_DIR ?? process.cwd()
}

function resolutions(id: string, project = projectDirectory()): string[] {
  const found: string[] = []
  for (const from of [pathToFileURL(join(project, 'resolve.js')), import.meta.url])
    try {
      const path = createRequire(from).resolve(id)
      if (!found.includes(path)) found.push(path)
    } catch {
      // Not installed there.
    }
  return found
}

type Glue = typeof import('@prisma/schema-engine-wasm/schema_engine_bg')
type EngineExports = WebAssembly.Exports & { __wbindgen_start(): void }

let glueLoaded: Promise<Glue> | undefined

function loadGlue(): Promise<Glue> {
  glueLoaded ??= instantiate()
  glueLoaded.catch(forgetGlue)
  return glueLoaded
}

function forgetGlue(): void {
  glueLoaded = undefined
}

// The CLI ships the wasm of exactly its own version, which the glue beside Bootkeeper may not be: it is taken when the
// glue has every function that it imports.
async function instantiate(): Promise<Glue> {
  const glues = resolutions('@prisma/schema-engine-wasm/schema_engine_bg')
  const shipped = resolutions('prisma/package.json').map((path) => join(path, '..', 'build', 'schema_engine_bg.wasm'))
  for (const bytesPath of [...shipped, ...glues.map((path) => path.replace(/\.js$/, '.wasm'))]) {
    const bytes = await readFile(bytesPath).catch(() => undefined)
    if (bytes === undefined) continue
    const module = await WebAssembly.compile(bytes)
    for (const gluePath of glues) {
      const glue: Glue = await import(pathToFileURL(gluePath).href)
      if (!WebAssembly.Module.imports(module).every(({ name }) => name in glue)) continue
      const instance = await WebAssembly.instantiate(module, { './schema_engine_bg.js': withoutHold(glue) })
      glue.__wbg_set_wasm(instance.exports)
      ;(instance.exports as EngineExports).__wbindgen_start()
      return glue
    }
  }
  throw new BootkeeperError('PRISMA_FAILED', "Prisma's schema engine was not found.", {
    next: 'Install prisma and @prisma/schema-engine-wasm of the same version.',
  })
}

/** The engine starts a timer of 60 s beside each check for data loss and never clears it: it must not hold the process. */
function withoutHold(glue: Glue): Record<string, unknown> {
  const timer = (callback: () => void, ms: number): NodeJS.Timeout => setTimeout(callback, ms).unref()
  const entries = Object.entries(glue)
  return Object.fromEntries(entries.map(([name, own]) => [name, name.startsWith('__wbg_setTimeout_') ? timer : own]))
}

function explain(error: unknown, registry: ErrorRegistry): unknown {
  // A panic leaves the instance in an unknown state: the next engine gets a fresh one.
  if (error instanceof WebAssembly.RuntimeError) forgetGlue()
  const id = (error as { id?: unknown } | undefined)?.id
  return (typeof id === 'number' ? registry.consumeError(id)?.error : undefined) ?? error
}

async function isThere(database: EngineDatabase): Promise<boolean> {
  try {
    await database.canConnect()
    return true
  } catch (error) {
    if (error instanceof PrismaError && error.code === 'P1003') return false
    throw error
  }
}

const reads = /^\s*(select|with|show|explain|pragma\s+(?!(\w+\.)?\w+\s*=))\b/i

function withoutWrites(factory: SqlMigrationAwareDriverAdapterFactory): SqlMigrationAwareDriverAdapterFactory {
  return {
    provider: factory.provider,
    adapterName: factory.adapterName,
    connectToShadowDb: () => factory.connectToShadowDb(),
    async connect() {
      const adapter = await factory.connect()
      const { executeRaw } = adapter
      adapter.executeScript = async () => {}
      adapter.executeRaw = async (query) => (reads.test(query.sql) ? executeRaw.call(adapter, query) : 0)
      return adapter
    },
  }
}

const unreachableCodes = new Set(['P1000', 'P1001', 'P1002', 'P1010', 'P1011', 'P1017'])

function asPlanError(thrown: unknown, database: EngineDatabase | undefined): BootkeeperError {
  if (thrown instanceof BootkeeperError) return thrown
  const busy = database?.notes.busy
  if (busy !== undefined) return new BootkeeperError('DATABASE_BUSY', `${sentence(busy)}`, { cause: thrown })
  const { code, message } = (thrown ?? {}) as { code?: unknown; message?: unknown }
  // Behind its message the engine lists where in its own source it failed.
  const text = String(message || thrown).replace(/\n\s+\d+: schema_\w+::[\s\S]*$/, '')
  if (code === 'P1012' || /Prisma schema validation|schema\.prisma|-->\s+\S+\.prisma/.test(text))
    return new BootkeeperError('SCHEMA_INVALID', text, { cause: thrown })
  if (database?.provider === 'sqlite' && /malformed|not a database|SQLITE_CORRUPT|is not a SQLite/i.test(text))
    return new BootkeeperError('DATABASE_CORRUPT', sentence(text), { cause: thrown })
  if (typeof code === 'string' && unreachableCodes.has(code))
    return new BootkeeperError('DATABASE_UNREACHABLE', text, { cause: thrown })
  return new BootkeeperError('PRISMA_FAILED', `Prisma's schema engine failed: ${text}`, { cause: thrown })
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`
}
