// db:import: reads a file of any known format into the database; a dry run unless --apply.
// Guarantees: a dry run changes nothing; with --apply the database is backed up first, and changed wholly or not at all.

import { basename } from 'node:path'
import { command } from '../src/command-hint.ts'
import { readConfig } from '../src/config.ts'
import { BootkeeperError } from '../src/errors.ts'
import {
  applyImport,
  changesNothing,
  exportPath,
  type ImportPlan,
  type ImportRequest,
  planImport,
} from '../src/import.ts'
import { formatCount } from '../src/log.ts'
import { findSchema, readSchemaFiles } from '../src/prisma/schema-files.ts'
import { type KeyWords, keyHelp, keyOptions } from './keys.ts'
import { type RecordedOps, withOpsLock } from './open-ops.ts'
import { readWords } from './run-command.ts'
import { resultOf, showAside } from './show-aside.ts'
import { showExamples, showFile, showReport } from './show-import.ts'
import { withProgress } from './terminal-progress.ts'

const help = `
Reads a file into the database: an export of Bootkeeper, or an older export that it knows, plain or compressed with
gzip, zstd or bzip2, or encrypted with age. Says what it would do; does it with --apply, after a backup. The app may go on running.

  npm run db:import -- data/backup_latest.json
  npm run db:import -- old/database.json --apply
  npm run db:import -- watchlist.json --user john --apply
  npm run db:import -- backup.json.gz --mode replace --apply
  npm run db:import -- old/database.json --only settings,User:john

  --mode MODE       merge: add to what is there, told apart by natural keys (usual)
                    replace: the database becomes what the file says
  --keep-existing   with merge: rows that are there already stay as they are
  --user NAME       whose a file is that names no user; refused for one that does
  --only WORDS      a part of the file: settings, MODEL:KEY, MODEL:#ID or FIELD:VALUE with all that hangs on it;
                    may be repeated, or take several with commas (a comma within a word is \\,)
  --strict          refuse the file where a row of it cannot be imported
  --apply           do it
${keyHelp}
  --json            print one object
`

export default async function importFile(words: string[]): Promise<number> {
  const parsed = readWords(
    words,
    help,
    {
      mode: { type: 'string' },
      user: { type: 'string' },
      only: { type: 'string', multiple: true },
      'keep-existing': { type: 'boolean' },
      strict: { type: 'boolean' },
      apply: { type: 'boolean' },
      ...keyOptions,
      json: { type: 'boolean' },
    },
    { needed: ['the file, or the backup, to import'] },
  )
  if (!parsed) return 0
  const { mode = 'merge', user, strict = false, apply = false, json = false } = parsed.values
  if (mode !== 'merge' && mode !== 'replace')
    throw new BootkeeperError('USAGE', `--mode takes merge or replace, not "${mode}".`)
  if (mode === 'replace' && parsed.values['keep-existing'])
    throw new BootkeeperError('USAGE', '--keep-existing goes with --mode merge only.')
  if (mode === 'replace' && parsed.values.only)
    throw new BootkeeperError('USAGE', '--only goes with --mode merge only.')
  const only = parsed.values.only && readOnly(parsed.values.only)
  const path = await exportPath(readConfig(), parsed.positionals[0]!)
  const keepExisting = parsed.values['keep-existing'] ?? false
  const request = { path, userName: user, mode, keepExisting, strict, ...(only ? { only } : {}) } as const
  return await runImport(request, {
    action: 'import',
    apply,
    json,
    keys: parsed.values,
    again: command('import', ...withApply(words)),
  })
}

/** `--only settings,User:john --only User:ann`: at the commas, but for those with a backslash before them. */
function readOnly(given: string[]): string[] {
  const words = given.flatMap((each) => each.split(/(?<!\\),/)).map((word) => word.replaceAll('\\,', ',').trim())
  if (!words.includes('')) return words
  throw new BootkeeperError('USAGE', `--only takes words with commas between them, not "${given.join()}".`)
}

/** The words of a dry run, for the command that does it. */
export function withApply(words: string[]): string[] {
  return [...words.filter((word) => word !== '--apply'), '--apply']
}

export interface HowToImport {
  action: 'import' | 'restore'
  apply: boolean
  json: boolean
  keys: KeyWords
  /** The command to do it, as the user would type it. */
  again: string
}

export async function runImport(request: ImportRequest, how: HowToImport): Promise<number> {
  return await withOpsLock('an import', (ops) => planOrApply(ops, request, how), how.keys)
}

async function planOrApply(
  ops: RecordedOps,
  request: ImportRequest,
  { action, apply, json, again }: HowToImport,
): Promise<number> {
  const schema = await readSchemaFiles(await findSchema(process.cwd(), ops.config.schemaSetting))
  const { path, mode, keepExisting, only } = request
  const chosen = only ? `Of it only: ${only.join(', ')}. All other rows stay as they are.\n` : ''
  const doing = `${apply ? 'importing' : 'reading'} ${basename(request.path)}`
  if (!apply) {
    const plan = await withProgress(doing, (onProgress) => planImport({ ...ops, schema, onProgress }, request))
    if (json) process.stdout.write(`${JSON.stringify({ applied: false, ...plan, ...(only ? { only } : {}) })}\n`)
    else {
      // What is new is the file's; the rows of the database are the user's to check.
      const changed = showExamples(plan, ['updated', 'removed'])
      process.stdout.write(
        `${showFile(plan.file, { withCounts: false })}${chosen}\n${showReport(plan, false)}${changed}\n`,
      )
      process.stdout.write(showOther(plan))
      if (plan.into === 'new') process.stdout.write('There is no database that can be read: a new one would be made.\n')
      const isNothing = mode === 'merge' && plan.into === 'present' && changesNothing(plan.report)
      process.stdout.write(
        isNothing
          ? 'The database is already what this would make of it.\n'
          : `Nothing was changed. To do it: ${again}\n`,
      )
    }
    return 0
  }
  const metadata = { mode, keepExisting, ...(only ? { only } : {}) }
  const operation = { action, entity: 'database', ids: [path], metadata }
  const result = await ops.record(operation, async (note) => {
    const done = await withProgress(doing, (onProgress) => applyImport({ ...ops, schema, onProgress }, request))
    const rows = done.report.models.map(({ model, created, updated, removed }) => ({
      model,
      created,
      updated,
      removed,
    }))
    note(resultOf(done, { rows }))
    return done
  })
  if (json) process.stdout.write(`${JSON.stringify({ applied: true, ...result, ...(only ? { only } : {}) })}\n`)
  else {
    const left = result.report.skipped.reduce((sum, { rows }) => sum + rows, 0)
    const end =
      left === 0
        ? `✔ ${request.path} is in ${ops.engine.description}.`
        : `! ${request.path} is in ${ops.engine.description}, but for ${formatCount(left)} ${left === 1 ? 'row that was' : 'rows that were'} skipped.`
    process.stdout.write(
      `${showFile(result.file, { withCounts: false })}${chosen}\n${showReport(result, true)}\n${end}\n`,
    )
    process.stdout.write(showOther(result))
    if (result.before) process.stdout.write(`  What was there until now: ${result.before}\n`)
    else if (result.into === 'present') process.stdout.write('  Nothing had to change, and no backup was taken.\n')
    process.stdout.write(showAside(result.aside))
  }
  return 0
}

function showOther({ otherDatabase }: ImportPlan): string {
  return otherDatabase === undefined ? '' : `! It is a backup of another database: ${otherDatabase}.\n`
}
