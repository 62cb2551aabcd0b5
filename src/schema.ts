// Step 3: the database follows the schema, behind the gate.
// Guarantees: what would be run is shown, and is run on a copy (SQLite) or in a transaction (PostgreSQL) first; what
// would be lost is counted there, not guessed; a loss that nobody allowed leaves the database as it was. The real
// Prisma CLI has the last word: it must find nothing left to do.

import { mkdir, readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import type { PlainCopy, SafeCopy } from './backup.ts'
import { command } from './command-hint.ts'
import type { Config } from './config.ts'
import { hideCredentials } from './config.ts'
import { describeLoss, isDataLoss, newSalt, requireAccepted } from './data-loss.ts'
import type { Engine, Loss, Rehearsal } from './engines/engine.ts'
import { BootkeeperError } from './errors.ts'
import { freeBytes } from './files.ts'
import { formatBytes, type Log } from './log.ts'
import type { PrismaResult } from './prisma/cli.ts'
import { fingerprintOf, prismaVersion } from './prisma/fingerprint.ts'
import type { SchemaSet } from './prisma/schema-files.ts'
import { type BootState, writeState } from './state.ts'
import type { StepResult } from './timeline.ts'

export interface SchemaContext {
  config: Config
  engine: Engine
  state: BootState
  schema: SchemaSet
  log: Log
  signal: AbortSignal
}

/** The fingerprint of the present database under the present schema. */
export async function currentFingerprint({
  config,
  engine,
  schema,
}: Pick<SchemaContext, 'config' | 'engine' | 'schema'>) {
  return fingerprintOf({
    // Relative: the same schema in another folder is the same schema.
    files: schema.files.map(({ path, content }) => ({ path: relative(schema.location, path), content })),
    prismaVersion: await prismaVersion(process.cwd()),
    engine: engine.kind,
    mode: config.schemaMode,
    migrations: config.schemaMode === 'deploy' ? (await findMigrations(schema.location)).names : [],
    structure: await engine.structure(),
  })
}

export async function followSchema(
  context: SchemaContext,
  copy: SafeCopy | undefined,
): Promise<StepResult<{ changed: boolean }>> {
  const { config, state } = context
  if (config.schemaMode === 'none') return { skipped: true, text: 'SCHEMA_MODE=none', value: { changed: false } }
  const before = await currentFingerprint(context)
  if (state.inStep === before)
    return {
      skipped: true,
      text: `database and schema are in step (fingerprint ${before.slice(0, 8)})`,
      value: { changed: false },
    }
  // Before anything is rehearsed: on PostgreSQL a rehearsal holds locks that a dump would wait for.
  const plain = await copy?.plain(context.signal)
  const result = config.schemaMode === 'push' ? await push(context, plain) : await deploy(context, plain)
  state.inStep = await currentFingerprint(context)
  await writeState(config.stateDir, state)
  return result
}

async function push(context: SchemaContext, copy: PlainCopy | undefined): Promise<StepResult<{ changed: boolean }>> {
  const { engine, schema, signal } = context
  if (engine.kind === 'postgresql' && !copy) {
    requirePrisma(await prisma(context, ['db', 'push'], engine.url))
    return { text: 'database created', value: { changed: true } }
  }
  await requireSpaceForChange(context)
  const rehearsal = await engine.rehearse(copy?.path, copy?.source ?? 'none', signal)
  try {
    // 90 ms of WebAssembly: loaded only where there is something to plan.
    const { planPush } = await import('./prisma/schema-engine.ts')
    const plan = await planPush({ url: rehearsal.url, files: schema.files })
    if (plan.unexecutable.length > 0)
      throw new BootkeeperError('SCHEMA_UNEXECUTABLE', `The change cannot be made: ${plan.unexecutable.join(' ')}`)
    if (plan.sql.trim() === '') {
      await rehearsal.discard()
      return { text: 'database and schema are in step', value: { changed: false } }
    }
    // A new database loses nothing; its forty tables are not what anybody wants to read.
    if (copy) showSql(context, plan.sql)
    await rehearsal.apply(plan.sql)
    const losses = await passGate(context, rehearsal, plan.sql)
    const confirm = async (url: string) => requirePrisma(await prisma(context, ['db', 'push'], url))
    if (rehearsal.isolated) await confirm(rehearsal.url)
    await adopt(context, rehearsal, copy, losses)
    if (!rehearsal.isolated) await confirm(engine.url)
    const what = copy ? 'database changed' : 'new database'
    return { text: `${what}: ${summarize(plan.sql)}, then prisma db push: in step`, value: { changed: true } }
  } catch (error) {
    await rehearsal.discard()
    throw error
  }
}

async function deploy(context: SchemaContext, copy: PlainCopy | undefined): Promise<StepResult<{ changed: boolean }>> {
  const { config, engine, schema, signal } = context
  const { directory, names } = await findMigrations(schema.location)
  if (names.length === 0)
    throw new BootkeeperError('SCHEMA_NOT_FOUND', `SCHEMA_MODE is deploy, but ${directory} has no migrations.`, {
      next: 'Make the first one with `npx prisma migrate dev`, or set SCHEMA_MODE=push.',
    })
  const applied = copy ? await engine.appliedMigrations() : []
  const unknown = applied.filter((name) => !names.includes(name))
  if (unknown.length > 0)
    throw new BootkeeperError(
      'DATABASE_NEWER',
      `The database has migration ${unknown.at(-1)}, which this version of the app does not have.`,
    )
  const pending = names.filter((name) => !applied.includes(name))
  if (pending.length === 0) return { text: 'every migration is applied', value: { changed: false } }
  const sql = await Promise.all(pending.map((name) => readFile(join(directory, name, 'migration.sql'), 'utf8')))
  showSql(context, sql.join('\n'))
  const text = `prisma migrate deploy: ${pending.length} ${pending.length === 1 ? 'migration' : 'migrations'} applied`

  if (engine.kind === 'postgresql') {
    const accepted = requireHarmless(config, context.state, sql.join('\n'))
    if (copy) await noteChange(context, copy)
    try {
      requirePrisma(await prisma(context, ['migrate', 'deploy'], engine.url))
    } catch (error) {
      if (!(error instanceof BootkeeperError) || !copy) throw error
      throw new BootkeeperError('SCHEMA_CHANGE_FAILED', error.message, {
        cause: error,
        safe: `Migrations before the one that failed may have stayed. How the database was before: ${copy.stem}.`,
        next: `Correct the migration, or go back: ${command('restore', copy.stem, '--apply')}`,
      })
    }
    if (accepted) context.state.lossSalt = newSalt()
    return { text, value: { changed: true } }
  }
  await requireSpaceForChange(context)
  const rehearsal = await engine.rehearse(copy?.path, copy?.source ?? 'none', signal)
  try {
    requirePrisma(await prisma(context, ['migrate', 'deploy'], rehearsal.url))
    const losses = await passGate(context, rehearsal, sql.join('\n'))
    await adopt(context, rehearsal, copy, losses)
    return { text, value: { changed: true } }
  } catch (error) {
    await rehearsal.discard()
    throw error
  }
}

async function passGate({ config, state, log }: SchemaContext, rehearsal: Rehearsal, sql: string): Promise<Loss[]> {
  const losses = await rehearsal.losses()
  if (requireAccepted(losses, sql, state.lossSalt, config.acceptDataLoss))
    log.warn(`Allowed by ACCEPT_DATA_LOSS, this once: ${losses.filter(isDataLoss).map(describeLoss).join('; ')}.`)
  for (const loss of losses.filter((loss) => !isDataLoss(loss)))
    log.info(`Going with the change: ${describeLoss(loss)}.`)
  return losses
}

async function adopt(
  context: SchemaContext,
  rehearsal: Rehearsal,
  copy: PlainCopy | undefined,
  losses: Loss[],
): Promise<void> {
  const { config, state, signal } = context
  signal.throwIfAborted()
  if (copy) await noteChange(context, copy)
  await rehearsal.adopt()
  // The code is spent only now: a boot that was killed before may use it again.
  if (losses.some(isDataLoss)) state.lossSalt = newSalt()
  await writeState(config.stateDir, state)
}

// Written before the change goes live: a boot that dies in between knows which copy belongs to it.
async function noteChange({ config, state }: SchemaContext, copy: PlainCopy): Promise<void> {
  state.unprovenChange ??= copy.stem
  await writeState(config.stateDir, state)
}

async function prisma({ config, schema, signal }: SchemaContext, args: string[], url: string): Promise<PrismaResult> {
  // Loaded only here: a boot that changes nothing runs no CLI, and should not wait for the code that could.
  const { runPrisma } = await import('./prisma/cli.ts')
  return await runPrisma([...args, '--schema', schema.location], {
    cwd: process.cwd(),
    url,
    signal,
    nativeEngine: config.nativeEngine,
  })
}

function requirePrisma({ exitCode, stdout, stderr }: PrismaResult): void {
  if (exitCode === 0) return
  const said = hideCredentials(`${stderr}\n${stdout}`.trim())
  const reason = said
    .split('\n')
    .filter((line) => line.trim() && !/^(Loaded|Prisma (schema|config)|Datasource)/.test(line))
  throw new BootkeeperError(
    'SCHEMA_CHANGE_FAILED',
    `Prisma said: ${reason.join(' ').replace(/\s+/g, ' ').slice(0, 1_000)}`,
  )
}

/** PostgreSQL has no copy to try migrations on: what they say is read instead, and doubt counts as a loss. */
function requireHarmless(config: Config, state: BootState, sql: string): boolean {
  const statements = sql.replace(/--.*$/gm, '').split(';')
  const harmful = statements.filter((text) =>
    /\b(DROP\s+(TABLE|COLUMN|SCHEMA|VIEW)|TRUNCATE|DELETE\s+FROM|SET\s+DATA\s+TYPE|ALTER\s+COLUMN\s+\S+\s+TYPE)\b/i.test(
      text,
    ),
  )
  const losses = harmful.map(
    (text): Loss => ({ kind: 'rows', table: text.trim().replace(/\s+/g, ' ').slice(0, 120), rows: 1 }),
  )
  try {
    return requireAccepted(losses, sql, state.lossSalt, config.acceptDataLoss)
  } catch (error) {
    const { next } = error as BootkeeperError
    const shown = losses.map(({ table }) => `\`${table}\``).join('; ')
    throw new BootkeeperError('DATA_LOSS_REFUSED', `The migrations have statements that may lose data: ${shown}.`, {
      next,
      cause: error,
    })
  }
}

async function findMigrations(location: string): Promise<{ directory: string; names: string[] }> {
  const beside = [
    join(dirname(location), 'migrations'),
    join(location, 'migrations'),
    join(process.cwd(), 'prisma', 'migrations'),
  ]
  for (const directory of beside) {
    const entries = await readdir(directory, { withFileTypes: true }).catch(() => undefined)
    if (entries)
      return {
        directory,
        names: entries
          .filter((entry) => entry.isDirectory())
          .map(({ name }) => name)
          .sort(),
      }
  }
  return { directory: beside[0]!, names: [] }
}

async function requireSpaceForChange({ engine }: SchemaContext): Promise<void> {
  if (!engine.workDirectory) return
  await mkdir(engine.workDirectory, { recursive: true })
  // A rebuilt table exists twice for a while.
  const needed = 2 * (await engine.sizeBytes()) + 1_000_000
  const free = await freeBytes(engine.workDirectory)
  if (free < needed)
    throw new BootkeeperError(
      'DISK_FULL',
      `The schema change needs ${formatBytes(needed)}, but ${engine.workDirectory} has ${formatBytes(free)} free.`,
    )
}

function showSql({ log }: SchemaContext, sql: string): void {
  log.info({ detail: sql.trim() }, 'The schema has changed. This is what the change runs:')
}

function summarize(sql: string): string {
  const statements = sql.match(/^(CREATE|ALTER|DROP|INSERT) /gm)?.length ?? 0
  return `${statements} ${statements === 1 ? 'statement' : 'statements'} run`
}
