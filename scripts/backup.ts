// db:backup: takes a copy and an export now, beside a running app; or a part of the data, with a program that puts it
// back. Guarantees: what it names was read back; the exit code is 0 only then.

import { join, relative } from 'node:path'
import { type Origin, takeBackup } from '../src/backup.ts'
import { command } from '../src/command-hint.ts'
import { BootkeeperError } from '../src/errors.ts'
import { exportDatabase, keptLatestNote, readDataModelCached } from '../src/export.ts'
import { formatBytes, formatCount, formatMs } from '../src/log.ts'
import { type BackupFile, newStem, readManifest } from '../src/manifest.ts'
import { findSchema, readSchemaFiles, type SchemaSet } from '../src/prisma/schema-files.ts'
import { describeScope, type PartialScope } from '../src/scope.ts'
import { scopeOfWords } from '../src/scope-words.ts'
import { openEncoding } from '../src/stored-file.ts'
import { type Measure, planPartialBackup, takePartialBackup } from '../src/table-backup.ts'
import { type RecordedOps, requireDatabase, withOpsLock } from './open-ops.ts'
import { pruneAfterBackup } from './prune-after-backup.ts'
import { readWords } from './run-command.ts'
import { withProgress } from './terminal-progress.ts'

const help = `
Takes a backup now: a verified copy of the database and a JSON export of it. Or of a part of the data: an export of it,
and a program beside it that puts the rows back. The app may go on running.

  npm run db:backup
  npm run db:backup -- --reason "before the cleanup"
  npm run db:backup -- --tables Mod,Comment
  npm run db:backup -- --tables Mod --where '{"contentType":"furniture"}' --reason "before cleanup"
  npm run db:backup -- --scope User:john
  npm run db:backup -- --scope category:Gaming --json

  --tables A,B    these tables only, by the name of the model or of the table
  --where JSON    of the first of them the rows that this filter names, in the words of Prisma's where
  --scope WORDS   one row and all that hangs on it: MODEL:KEY, MODEL:#ID, or FIELD:VALUE
  --reason TEXT   why, for the list
  --json          print one object: id, status, files with path, bytes and sha256
`

export default async function backup(words: string[]): Promise<number> {
  const parsed = readWords(words, help, {
    tables: { type: 'string' },
    where: { type: 'string' },
    scope: { type: 'string' },
    reason: { type: 'string' },
    json: { type: 'boolean' },
  })
  if (!parsed) return 0
  const { reason = 'asked for', json = false, ...part } = parsed.values
  const scopeOf = readPart(part)
  return await withOpsLock('a backup', async (ops) => {
    await requireDatabase(ops.engine, 'back up')
    const why = { ...ops.origin, trigger: 'manual', reason } as const
    await openEncoding(ops.config)
    const schema = await readSchemaFiles(await findSchema(process.cwd(), ops.config.schemaSetting))
    await (scopeOf ? backupPart(ops, schema, why, scopeOf, json) : backupAll(ops, schema, why, json))
    await pruneAfterBackup(ops, json)
    return 0
  })
}

/** Undefined: everything. `--scope` can be understood only when the schema was read. Throws USAGE. */
function readPart({ tables, where, scope }: { tables?: string; where?: string; scope?: string }) {
  if (scope !== undefined) {
    const other = tables === undefined ? (where === undefined ? undefined : '--where') : '--tables'
    if (other) throw new BootkeeperError('USAGE', `--scope and ${other} do not go together.`)
    return scope
  }
  if (tables === undefined) {
    if (where === undefined) return undefined
    throw new BootkeeperError('USAGE', '--where goes with --tables, which says whose rows are meant.')
  }
  const models = tables.split(',').map((name) => name.trim())
  if (models.includes(''))
    throw new BootkeeperError('USAGE', `--tables takes names with commas between them, not "${tables}".`)
  return { models, ...(where === undefined ? {} : { where: readFilter(where) }) } satisfies PartialScope
}

function readFilter(text: string): NonNullable<PartialScope['where']> {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new BootkeeperError('USAGE', `--where takes JSON, such as '{"name":"john"}', not ${text}.`, { cause })
  }
}

async function backupAll(ops: RecordedOps, schema: SchemaSet, why: Origin, json: boolean): Promise<void> {
  const { config, engine } = ops
  const { trigger, reason } = why
  // Known to the log from the beginning: a copy without its export is not taken for a whole backup, whatever happens.
  const stem = await newStem(config.backupsDir)
  const operation = { action: 'backup', entity: 'backup', ids: [stem], metadata: { trigger, reason } }
  const { keptLatest } = await ops.record(operation, async () => {
    await withProgress('copying', () => takeBackup(config, engine, why, undefined, { stem }))
    return await withProgress('exporting', (onProgress) =>
      exportDatabase(config, engine, schema, why, stem, { onProgress }),
    )
  })
  const { files } = await readManifest(config.backupsDir, stem)
  show(stem, shownFiles(config.backupsDir, files), {}, json)
  if (keptLatest && !json) process.stdout.write(`! ${keptLatestNote}\n`)
}

async function backupPart(
  { config, engine, record }: RecordedOps,
  schema: SchemaSet,
  why: Origin,
  asked: PartialScope | string,
  json: boolean,
): Promise<void> {
  const scope =
    typeof asked === 'string' ? scopeOfWords(await readDataModelCached(config, schema, why.prisma), asked) : asked
  // Before anything is on record: a word that is not right is no backup that failed.
  const plan = await planPartialBackup(config, engine, schema, why, scope)
  if (!json) process.stdout.write(`${describePlan(plan)}\n`)
  const { trigger, reason } = why
  const operation = { action: 'backup', entity: 'backup', metadata: { trigger, reason, scope: plan.scope } }
  const { manifest, rows, script, notIncluded } = await record(operation, async (note) => {
    const taken = await withProgress('exporting', (onProgress) =>
      takePartialBackup(config, engine, schema, why, plan, { onProgress }),
    )
    note({ ids: [taken.manifest.stem] })
    return taken
  })
  const { stem, files } = manifest
  show(stem, shownFiles(config.backupsDir, files), { rows, scope: manifest.scope, notIncluded }, json)
  if (json) return
  process.stdout.write(`  ${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'}: ${describeScope(manifest.scope)}\n`)
  for (const [name, count] of Object.entries(notIncluded))
    process.stdout.write(`! Not in it: ${formatCount(count)} of ${name}, which refer to these rows.\n`)
  process.stdout.write(`  To put the rows back: ${command('restore', stem, '--apply')}\n`)
  process.stdout.write(`                    or: npx tsx ${relative(process.cwd(), script)} --restore\n`)
}

function describePlan({ rows, sizeBytes, ms, strategy }: Measure): string {
  const total = Object.values(rows).reduce((sum, count) => sum + count, 0)
  const words = {
    'at once': 'in one go',
    'in batches': 'in batches',
    streamed: 'more than 100 000, so they are streamed',
  }
  return `  ${formatCount(total)} ${total === 1 ? 'row' : 'rows'}, about ${formatBytes(sizeBytes)} and ${formatMs(ms)}: ${words[strategy]}`
}

interface ShownFile {
  role: BackupFile['role']
  path: string
  bytes: number
  sha256: string
}

export function shownFiles(backupsDir: string, files: BackupFile[]): ShownFile[] {
  return files.map(({ role, name, sizeBytes, sha256 }) => ({
    role,
    path: join(backupsDir, name),
    bytes: sizeBytes,
    sha256,
  }))
}

function show(id: string, files: ShownFile[], more: object, json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify({ id, status: 'completed', files, ...more })}\n`)
    return
  }
  process.stdout.write(`✔ ${id}\n`)
  for (const { role, path, bytes } of files)
    process.stdout.write(`    ${role.padEnd(7)} ${formatBytes(bytes).padStart(8)}  ${path}\n`)
}
