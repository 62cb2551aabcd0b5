// The stand-in for Prisma's native schema engine, for PRISMA_SCHEMA_ENGINE_BINARY: the same arguments, the same
// JSON-RPC on stdin and stdout, the same log lines on stderr, but every statement goes through the WebAssembly engine
// and a driver adapter. Guarantees: requests are answered one at a time and in order; when stdin ends, shadow databases
// are dropped and connections closed. BOOTKEEPER_PUSH_LOCK_SECONDS makes a push take Migrate's lock first.

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type {
  ApplyMigrationsInput,
  ApplyMigrationsOutput,
  CreateMigrationInput,
  CreateMigrationOutput,
  DbExecuteParams,
  DiagnoseMigrationHistoryInput,
  DiffParams,
  DiffTarget,
  EvaluateDataLossInput,
  EvaluateDataLossOutput,
  ResetInput,
  SchemaPushInput,
} from '@prisma/schema-engine-wasm/schema_engine_bg'
import {
  type OpenEngine,
  offlineAdapters,
  openEngineDatabase,
  openSchemaEngine,
  planPush,
  resolvePackage,
} from './schema-engine.ts'
import { type EngineDatabase, PrismaError } from './schema-engine-database.ts'

const words = process.argv.slice(2)
const datasource = JSON.parse(optionValues('--datasource')[0] ?? '{}') as { url?: string; shadowDatabaseUrl?: string }

let database: EngineDatabase | undefined
let engine: OpenEngine | undefined

process.on('uncaughtException', exitWithError)
process.on('unhandledRejection', exitWithError)

if (words.includes('--version') || words.includes('-V')) process.stdout.write(`schema-engine-cli ${engineHash()}\n`)
else if (words.includes('cli')) await runCommand(words[words.indexOf('cli') + 1])
else serve()

// ---------------------------------------------------------------- schema-engine cli …

async function runCommand(command: string | undefined): Promise<void> {
  // The CLI drops the first line of stderr before it parses the rest.
  process.stderr.write('\n')
  try {
    const database = openDatabase()
    if (command === 'can-connect-to-database') {
      await database.canConnect()
      await database.prepare()
      writeLog('INFO', 'Connection successful')
    } else if (command === 'create-database') {
      writeLog('INFO', `Successfully created: ${await database.create()}`)
    } else if (command === 'drop-database') {
      await database.drop()
      writeLog('INFO', 'The database was successfully dropped.')
    } else {
      throw new Error(`unknown command: cli ${command}`)
    }
  } catch (error) {
    const { code, message, meta } = error as Partial<PrismaError>
    writeLog('ERROR', message ?? String(error), {
      is_panic: false,
      error_code: code ?? '',
      meta: JSON.stringify(meta ?? {}),
    })
    process.exitCode = 1
  }
}

// ---------------------------------------------------------------- JSON-RPC

function serve(): void {
  let queue = Promise.resolve()
  const lines = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })
  lines.on('line', (line) => {
    if (line.trim() !== '') queue = queue.then(() => answer(line))
  })
  lines.on('close', async () => {
    await queue
    await database?.close()
    process.exit(0)
  })
  process.stdout.on('error', () => process.exit(0))
}

async function answer(line: string): Promise<void> {
  const { id, method, params } = JSON.parse(line) as { id: unknown; method?: string; params: unknown }
  // The CLI acknowledges a `print`.
  if (method === undefined) return
  for (const note of Object.keys(database?.notes ?? {})) delete database?.notes[note as keyof EngineDatabase['notes']]
  try {
    send({ id, result: (await call(method, params)) ?? {} })
  } catch (error) {
    send({ id, error: describe(engine?.explain(error) ?? error) })
  }
}

async function call(method: string, params: unknown): Promise<unknown> {
  const own = handlers[method]
  if (own !== undefined) return own(params)
  const opened = await openEngine()
  const pass = (opened as unknown as Record<string, unknown>)[method]
  if (typeof pass !== 'function') throw Object.assign(new Error(`method not found: ${method}`), { rpcCode: -32601 })
  return pass.call(opened, params)
}

/** What the wasm engine lacks or does otherwise than the native one; every other method goes straight through. */
// biome-ignore lint/suspicious/noExplicitAny: each parameter's type is the method's own, and comes from the CLI
const handlers: Record<string, (params: any) => Promise<unknown>> = {
  getDatabaseVersion: async () => (await openEngine()).version(),
  getDatabaseDescription: async () => '',
  createDatabase: async () => ({ databaseName: await openDatabase().create() }),
  dropDatabase: () => openDatabase().drop(),
  async ensureConnectionValidity() {
    await openDatabase().canConnect()
    await openDatabase().prepare()
  },
  async diff(params: DiffParams) {
    const compare =
      isOffline(params.from) && isOffline(params.to) ? await openOfflineEngine(params) : await openEngine()
    const { stdout, exitCode } = await compare.diff(params)
    if (stdout) send({ id: 'print', method: 'print', params: { content: stdout.replace(/\n$/, '') } })
    return { exitCode }
  },
  async schemaPush(params: SchemaPushInput) {
    const opened = await openEngine()
    const lockSeconds = Number(process.env.BOOTKEEPER_PUSH_LOCK_SECONDS)
    // Natively a push takes no lock: replicas that push at once fail on each other's half-made tables.
    if (lockSeconds > 0) await openDatabase().lock?.(lockSeconds * 1000)
    return opened.schemaPush(params)
  },
  async diagnoseMigrationHistory(params: DiagnoseMigrationHistoryInput) {
    const found = await (await openEngine()).diagnoseMigrationHistory(params)
    return database?.notes.noMigrationsTable ? { ...found, hasMigrationsTable: false } : found
  },
  async applyMigrations(params: ApplyMigrationsInput): Promise<ApplyMigrationsOutput> {
    const opened = await openEngine()
    try {
      return await opened.applyMigrations(params)
    } catch (error) {
      throw migrationFailure(params) ?? error
    }
  },
  // On SQLite the wasm engine has no shadow database in these two methods of `migrate dev`, only in diff. The main
  // database is level with the history when the CLI calls them, so a dry push onto that tells what would be lost.
  async evaluateDataLoss(params: EvaluateDataLossInput): Promise<EvaluateDataLossOutput> {
    const opened = await openEngine()
    if (database?.provider !== 'sqlite') return opened.evaluateDataLoss(params)
    const { exitCode } = await opened.diff(sinceHistory(params))
    if (exitCode === 0) return { migrationSteps: 0, warnings: [], unexecutableSteps: [] }
    // The engine locked the file for itself (locking_mode=EXCLUSIVE), and the plan reads on a connection of its own.
    await database.close()
    engine = undefined
    const plan = await planPush({ url: datasource.url ?? '', files: params.schema.files, filter: params.filters })
    const asFeedback = (message: string) => ({ message, stepIndex: 0 })
    return {
      migrationSteps: 1,
      warnings: plan.warnings.map(asFeedback),
      unexecutableSteps: plan.unexecutable.map(asFeedback),
    }
  },
  async createMigration(params: CreateMigrationInput): Promise<CreateMigrationOutput> {
    const opened = await openEngine()
    if (database?.provider !== 'sqlite') return opened.createMigration(params)
    const { exitCode, stdout } = await opened.diff(sinceHistory(params))
    const timestamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14)
    return {
      connectorType: 'sqlite',
      generatedMigrationName: [timestamp, params.migrationName].filter(Boolean).join('_'),
      migrationScript: exitCode === 0 && !params.draft ? null : stdout,
      extension: 'sql',
    }
  },
  async reset(params: ResetInput) {
    const opened = await openEngine()
    if (database?.recreate === undefined) return opened.reset(params)
    if (params?.filter?.externalTables?.length)
      throw new Error('A reset that keeps external tables is not possible on SQLite: the file is made anew.')
    await database.recreate()
    engine = undefined
  },
  dbExecute: async (params: DbExecuteParams) => (await openEngine()).dbExecute(params),
}

function sinceHistory({ migrationsList, schema, filters }: EvaluateDataLossInput): DiffParams {
  const to: DiffTarget = { tag: 'schemaDatamodel', ...schema }
  return { from: { tag: 'migrations', ...migrationsList }, to, script: true, exitCode: true, filters }
}

/** The native engine answers with the migration's name and the database's own words, the wasm one with neither. */
function migrationFailure(params: ApplyMigrationsInput): PrismaError | undefined {
  const failed = database?.notes.failedScript
  const migration = params.migrationsList.migrationDirectories.find(({ migrationFile: { content } }) => {
    return content.tag === 'ok' && content.value === failed?.script
  })
  if (failed === undefined || migration === undefined) return undefined
  return new PrismaError(
    'P3018',
    `A migration failed to apply. New migrations cannot be applied before the error is recovered from. Read more about how to resolve migration issues in a production database: https://pris.ly/d/migrate-resolve\n\nMigration name: ${migration.path}\n\nDatabase error code: ${failed.code}\n\nDatabase error:\n${failed.message}`,
    { migration_name: migration.path, database_error_code: failed.code, database_error: failed.message },
  )
}

function describe(error: unknown): object {
  const busy = database?.notes.busy
  const told = busy === undefined ? error : new PrismaError('P1008', `Operations timed out: ${busy}`)
  const { code, message, meta, stack, rpcCode } = (told ?? {}) as Partial<PrismaError & { rpcCode: number }>
  const text = message ?? String(told)
  const panicked = told instanceof WebAssembly.RuntimeError
  return {
    code: rpcCode ?? 4466,
    message: 'An error happened. Check the data field for details.',
    data: {
      is_panic: panicked,
      message: text,
      meta: meta ?? null,
      ...(/^P\d{4}$/.test(code ?? '') && { error_code: code }),
      ...(panicked && { error: { message: text }, backtrace: stack }),
    },
  }
}

// ---------------------------------------------------------------- the engine and its database, opened when needed

function openDatabase(): EngineDatabase {
  if (!datasource.url) throw new PrismaError('P1013', 'The datasource has no url.')
  database ??= openEngineDatabase(datasource.url, { shadowDatabaseUrl: datasource.shadowDatabaseUrl })
  return database
}

async function openEngine(): Promise<OpenEngine> {
  if (engine !== undefined) return engine
  const adapters = openDatabase().adapters()
  const datamodels = [...optionValues('--datamodels'), ...optionValues('-d')]
  engine = await openSchemaEngine(
    adapters,
    datamodels.length === 0 ? undefined : datamodels.map((path) => [path, readFileSync(path, 'utf8')]),
    (line) => process.stderr.write(`${line.trimEnd()}\n`),
  )
  return engine
}

function isOffline(target: DiffTarget): boolean {
  return target.tag === 'empty' || target.tag === 'schemaDatamodel'
}

/** Schema files are compared without a database, as the native engine does: none needs to be up, or even to be named. */
function openOfflineEngine({ from, to }: DiffParams): Promise<OpenEngine> {
  const text = [from, to].flatMap((target) => ('files' in target ? target.files.map(({ content }) => content) : []))
  const isSqlite = text.some((content) => /^\s*provider\s*=\s*"sqlite"/m.test(content))
  return openSchemaEngine(offlineAdapters(isSqlite ? 'sqlite' : 'postgresql'))
}

// ---------------------------------------------------------------- the wire

function send(message: object): void {
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
}

function writeLog(level: 'INFO' | 'ERROR', message: string, fields: object = {}): void {
  const timestamp = new Date().toISOString()
  const line = { timestamp, level, fields: { message, ...fields }, target: 'schema_engine::logger' }
  process.stderr.write(`${JSON.stringify(line)}\n`)
}

// When the engine dies, the CLI shows its last ERROR line; without one its message is empty.
function exitWithError(error: unknown): never {
  const { message, code, stack } = (error ?? {}) as Partial<NodeJS.ErrnoException>
  writeLog('ERROR', message ?? String(error), { is_panic: false, error_code: code ?? '', backtrace: stack })
  process.exit(1)
}

function optionValues(name: string): string[] {
  return words.flatMap((word, index) => {
    if (words[index - 1] === name) return [word]
    return word.startsWith(`${name}=`) ? [word.slice(name.length + 1)] : []
  })
}

function engineHash(): string {
  const manifest = resolvePackage('@prisma/schema-engine-wasm/schema_engine_bg')?.replace(/[^/\\]+$/, 'package.json')
  const { version } = manifest ? (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }) : { version: '' }
  return version.split('.').at(-1) || 'unknown'
}
