// db:guard: reads a script, backs up the rows that it may change, runs it, says what became of them.
// Guarantees: a destructive script is run only after its backup was read back; its exit code is the guard's; the
// guard's own lines go to stderr, so that what the script prints can be piped on.

import { spawnSync } from 'node:child_process'
import { relative } from 'node:path'
import { command } from '../src/command-hint.ts'
import type { Config } from '../src/config.ts'
import { asBootkeeperError, BootkeeperError } from '../src/errors.ts'
import {
  type GuardTools,
  type RowChange,
  readScript,
  rowChanges,
  runScript,
  type ScriptEnd,
  type SecuredRows,
  secureRows,
} from '../src/guard.ts'
import { formatCount } from '../src/log.ts'
import { copyOf, totalOf } from '../src/manifest.ts'
import { findSchema, readSchemaFiles } from '../src/prisma/schema-files.ts'
import { openRecord } from '../src/record.ts'
import type { ScriptAnalysis } from '../src/script-analysis.ts'
import { shownFiles } from './backup.ts'
import { recordOf, requireDatabase, withOps } from './open-ops.ts'
import { readWords } from './run-command.ts'
import { withProgress } from './terminal-progress.ts'

const help = `
Runs a script. Before that it is read: where it may change or remove rows, these are backed up, and afterwards it is
said how many went, and how to put them back. What cannot be told counts as destructive on everything. The words after
the script are the script's own.

  npm run db:guard -- scripts/cleanup.ts
  npm run db:guard -- scripts/cleanup.ts --fix
  npm run db:guard -- --dry-run scripts/cleanup.ts
  npm run db:guard -- --restore-on-failure scripts/cleanup.ts --fix

  --dry-run              only say what was found
  --restore-on-failure   put the rows back where the script fails
  --reason TEXT          why, for the list of backups
  --json                 print one object; what the script prints goes to stderr
`

const options = {
  'dry-run': { type: 'boolean' },
  'restore-on-failure': { type: 'boolean' },
  reason: { type: 'string' },
  json: { type: 'boolean' },
} as const

export default async function guard(words: string[]): Promise<number> {
  const { own, script, rest } = split(words)
  const parsed = readWords(own, help, options)
  if (!parsed) return 0
  if (script === undefined) throw new BootkeeperError('USAGE', 'One more word is needed: the script to run.')
  requireOwnBefore(script, rest)
  const {
    json = false,
    reason,
    'dry-run': dryRun = false,
    'restore-on-failure': restoreOnFailure = false,
  } = parsed.values
  return await withOps(async ({ config, engine, origin }) => {
    const schema = await readSchemaFiles(await findSchema(process.cwd(), config.schemaSetting))
    const tools: GuardTools = { config, engine, schema, origin }
    const analysis = await readScript(tools, script)
    const found = shownAnalysis(script, analysis)
    if (dryRun) {
      process.stdout.write(json ? `${JSON.stringify({ ...found, ...nothingDone })}\n` : lines(script, analysis))
      return 0
    }
    if (!json) process.stderr.write(lines(script, analysis))
    const secured = analysis.isDestructive ? await secure(tools, analysis, reason ?? script) : undefined
    const restore = secured && command('restore', secured.manifest.stem, '--apply')
    if (secured && !json) process.stderr.write(shownBackup(secured, restore!))

    const run = async () => {
      const end = await runScript(script, rest[0] === '--' ? rest.slice(1) : rest, { quietStdout: json })
      return { ...end, ...(secured ? await rowChanges(tools, secured) : { rows: {}, note: undefined }) }
    }
    const { exitCode, signal, rows, note } = secured ? await recorded(config, script, secured, run) : await run()
    const hasFailed = exitCode !== 0
    const restored = secured && hasFailed && restoreOnFailure ? putBack(secured) : undefined
    if (json) {
      const backup = secured
        ? {
            id: secured.manifest.stem,
            status: 'completed',
            files: shownFiles(config.backupsDir, secured.manifest.files),
          }
        : null
      const result = {
        backup,
        rows,
        exitCode,
        signal: signal ?? null,
        restore: restore ?? null,
        restored: restored ?? null,
      }
      process.stdout.write(`${JSON.stringify({ ...found, ...result, ...(note ? { note } : {}) })}\n`)
    } else {
      const end = signal ? `was ended by ${signal}` : `ended with exit code ${exitCode}`
      if (secured || hasFailed) process.stderr.write(`${hasFailed ? '✖' : '✔'} ${script} ${end}.\n`)
      process.stderr.write(shownRows(rows))
      if (note) process.stderr.write(`! ${note}\n`)
      if (restored === true) process.stderr.write(`✔ The rows are again what they were in ${secured!.manifest.stem}.\n`)
      else if (restored === false) process.stderr.write(`✖ They could not be put back. To do it: ${restore}\n`)
      else if (secured && !note && !hasChanged(rows))
        process.stderr.write(`  Its backup stays for now: ${secured.manifest.stem}\n`)
      else if (restore) process.stderr.write(`  To put back what was there before: ${restore}\n${stopFirst(secured!)}`)
    }
    return exitCode
  })
}

/** The script has the signals, so what it did is written when it ended. */
async function recorded<End extends ScriptEnd & { rows: Record<string, RowChange> }>(
  config: Config,
  script: string,
  { manifest }: SecuredRows,
  run: () => Promise<End>,
): Promise<End> {
  const record = openRecord(config, { warn: (message) => process.stderr.write(`! ${message}\n`) })
  const operation = { action: 'guard', entity: 'script', ids: [script], precededBy: manifest.stem }
  return await record(operation, async (note) => {
    const end = await run()
    const { exitCode, signal, rows } = end
    note({ metadata: { exitCode, rows } })
    if (signal) note({ failure: { code: signal, message: `Stopped by ${signal}.` } })
    else if (exitCode !== 0)
      note({ failure: { code: `EXIT_${exitCode}`, message: `Ended with exit code ${exitCode}.` } })
    return end
  })
}

const nothingDone = { backup: null, rows: {}, exitCode: null, signal: null, restore: null, restored: null }

/** A --json behind the script is the script's. */
export function ownWords(words: string[]): string[] {
  return split(words).own
}

/** The guard's own options come first; the first word that is none is the script, and all after it is for it. */
function split(words: string[]): { own: string[]; script: string | undefined; rest: string[] } {
  let at = 0
  while (at < words.length && words[at]!.startsWith('-')) at += words[at] === '--reason' ? 2 : 1
  return { own: words.slice(0, at), script: words[at], rest: words.slice(at + 1) }
}

/** Who wanted to look only must not see the script run. A script that has such a word gets it behind `--`. */
function requireOwnBefore(script: string, rest: string[]): void {
  const until = rest.includes('--') ? rest.indexOf('--') : rest.length
  const misplaced = rest.slice(0, until).find((word) => word === '--dry-run' || word === '--restore-on-failure')
  if (misplaced)
    throw new BootkeeperError('USAGE', `${misplaced} stands behind the script, where it would be the script’s own.`, {
      next: `Put it before: ${command('guard', misplaced, script)}. If it is for the script: ${command('guard', script, '--', misplaced)}`,
    })
}

async function secure(tools: GuardTools, analysis: ScriptAnalysis, reason: string): Promise<SecuredRows> {
  await requireDatabase(tools.engine, 'back up')
  try {
    const operation = { action: 'backup', entity: 'backup', metadata: { trigger: 'guard', reason: `before ${reason}` } }
    return await recordOf(tools.config)(operation, async (note) => {
      const secured = await withProgress('backing up', (onProgress) =>
        secureRows(tools, analysis, `before ${reason}`, { onProgress, onStem: (stem) => note({ ids: [stem] }) }),
      )
      note({ ids: [secured.manifest.stem] })
      return secured
    })
  } catch (thrown) {
    const error = asBootkeeperError(thrown)
    throw new BootkeeperError(error.code, error.message, {
      cause: error,
      safe: `The script was not run, because the backup was not taken. ${error.safe}`,
      next: error.next,
    })
  }
}

/** By the very command that is printed. */
function putBack({ manifest }: SecuredRows): boolean {
  const words = [...process.execArgv, process.argv[1]!, 'restore', manifest.stem, '--apply']
  return spawnSync(process.execPath, words, { stdio: ['ignore', process.stderr.fd, 'inherit'] }).status === 0
}

function shownAnalysis(script: string, { isDestructive, models, findings }: ScriptAnalysis) {
  return {
    script,
    destructive: isDestructive,
    models,
    findings: findings.map(({ file, line, what, models }) => ({ file: shortPath(file), line, what, models })),
  }
}

function lines(script: string, { isDestructive, models, findings, files }: ScriptAnalysis): string {
  if (!isDestructive) {
    const others = files.length === 1 ? '' : `, with ${files.length - 1} of its modules,`
    return `✔ ${script}${others} was read: it removes and changes no rows. No backup is needed.\n`
  }
  const shown = findings.slice(0, 20).map((each) => {
    const place = `${shortPath(each.file)}:${each.line}`
    return `    ${place}  ${each.what}  → ${each.models === 'everything' ? 'cannot be told, so everything' : each.models.join(', ')}\n`
  })
  const more = findings.length > 20 ? `    and ${findings.length - 20} more\n` : ''
  const all = models === 'everything' ? 'anything' : `rows of ${models.join(', ')}`
  return `! ${script} may change or remove ${all}:\n${shown.join('')}${more}`
}

function shownBackup(secured: SecuredRows, restore: string): string {
  const { manifest, before } = secured
  const what = copyOf(manifest) ? 'everything, as a copy and an export' : Object.keys(before).join(', ')
  return `✔ ${manifest.stem}: ${formatCount(totalOf(before))} rows, ${what}; read back\n    To put them back: ${restore}\n`
}

function stopFirst({ manifest }: SecuredRows): string {
  return copyOf(manifest) ? '  That puts the whole database back. Stop the app before.\n' : ''
}

function shownRows(rows: Record<string, RowChange>): string {
  const width = Math.max(0, ...Object.keys(rows).map((name) => name.length))
  const changed = Object.entries(rows).filter(([, change]) => isChange(change))
  if (Object.keys(rows).length > 0 && changed.length === 0) return '    No row went or changed.\n'
  return changed
    .map(([name, { before, after, removed, changed, added }]) => {
      const kinds: [number | undefined, string][] = [
        [removed ?? Math.max(0, before - after), 'gone'],
        [changed, 'changed'],
        [added, 'new'],
      ]
      const parts = kinds.filter(([count]) => count).map(([count, kind]) => `${formatCount(count!)} ${kind}`)
      return `    ${name.padEnd(width)}  ${formatCount(before)} → ${formatCount(after)} rows: ${parts.join(', ')}\n`
    })
    .join('')
}

function isChange({ before, after, removed = 0, changed = 0, added = 0 }: RowChange): boolean {
  return before !== after || removed + changed + added > 0
}

function hasChanged(rows: Record<string, RowChange>): boolean {
  return Object.values(rows).some(isChange)
}

function shortPath(path: string): string {
  const short = relative(process.cwd(), path)
  return short.startsWith('..') ? path : short
}
