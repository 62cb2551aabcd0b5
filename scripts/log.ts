// db:log: what was done here, newest first, from the operation log; and whether that log is as it was written.
// Guarantees: an operation whose process was killed is shown as failed; a log in which a line was changed or removed is
// exit code 65 with --verify, and said without it where a line cannot be read.

import { command } from '../src/command-hint.ts'
import { readConfig } from '../src/config.ts'
import { BootkeeperError } from '../src/errors.ts'
import { makeDirectory } from '../src/files.ts'
import { formatMs } from '../src/log.ts'
import { logName } from '../src/operation-log.ts'
import { verifyLog } from '../src/operation-log-check.ts'
import { type OperationSeen, readOperations } from '../src/operations.ts'
import { countOption, timeOption } from './read-option.ts'
import { readWords } from './run-command.ts'
import { age, table, terminalWidth, timeUtc } from './terminal-table.ts'

const help = `
Shows what was done here, newest first: backups, restores, imports, exports, what was removed, and how each ended.

  npm run db:log
  npm run db:log -- --limit 100 --since 7d
  npm run db:log -- --action restore
  npm run db:log -- --verify
  npm run db:log -- --json

  --limit N       the newest N; usually 20 on paper, all with --json
  --action NAME   only backup, restore, import, export, prune, boot-restore, …
  --since WHEN    only what began then or later: 2026-11-20, 2026-11-20T10:30:00Z, 90min, 36h, 7d
  --verify        check that no line was changed or removed since it was written
  --json          print an array of operations; with --verify an object: ok, lines
`

const usualLimit = 20

export default async function log(words: string[]): Promise<number> {
  const parsed = readWords(words, help, {
    limit: { type: 'string' },
    action: { type: 'string' },
    since: { type: 'string' },
    verify: { type: 'boolean' },
    json: { type: 'boolean' },
  })
  if (!parsed) return 0
  const { action, verify = false, json = false } = parsed.values
  const limit = countOption('limit', parsed.values.limit)
  const since = timeOption('since', parsed.values.since)
  if (action !== undefined && !/^[a-z][a-z-]*$/.test(action))
    throw new BootkeeperError('USAGE', `--action takes the name of an action, such as restore, not "${action}".`)
  if (verify && (limit !== undefined || since !== undefined || action !== undefined))
    throw new BootkeeperError(
      'USAGE',
      '--verify checks the whole log: --limit, --action and --since do not go with it.',
    )
  const { stateDir } = readConfig()
  await makeDirectory(stateDir)
  if (verify) return await checkLog(stateDir, json)
  const { operations, unreadable } = await readOperations(stateDir)
  const fitting = operations
    .filter((each) => (action === undefined || each.action === action) && (since === undefined || each.at >= since))
    .reverse()
  const shown = fitting.slice(0, limit ?? (json ? undefined : usualLimit))
  if (json) process.stdout.write(`${JSON.stringify(shown)}\n`)
  else if (shown.length === 0)
    process.stdout.write(operations.length === 0 ? 'Nothing was done here yet.\n' : noneOf(operations))
  else {
    process.stdout.write(showTable(shown))
    const left = fitting.length - shown.length
    if (left > 0) process.stdout.write(`${left} older ones: --limit ${fitting.length} shows them as well.\n`)
  }
  if (unreadable > 0)
    process.stderr.write(
      `! ${unreadable} ${unreadable === 1 ? 'line' : 'lines'} of the log cannot be read: ${command('log', '--verify')}\n`,
    )
  return 0
}

function noneOf(operations: OperationSeen[]): string {
  const actions = [...new Set(operations.map(({ action }) => action))].sort()
  return `There is no such operation. What was done here: ${actions.join(', ')}.\n`
}

async function checkLog(stateDir: string, json: boolean): Promise<number> {
  const { lines, problem } = await verifyLog(stateDir)
  if (problem) throw new BootkeeperError('LOG_CHANGED', `Line ${problem.line} of ${logName}: ${problem.message}.`)
  if (json) process.stdout.write(`${JSON.stringify({ ok: true, lines })}\n`)
  else process.stdout.write(`✔ ${lines} ${lines === 1 ? 'line' : 'lines'}, each as it was written\n`)
  return 0
}

function showTable(operations: OperationSeen[]): string {
  const ages = operations.map(({ at }) => age(at))
  return table(
    [
      { title: 'AT (UTC)', cells: operations.map(({ at }, i) => `${timeUtc(at)}, ${ages[i]}`), short: ages },
      { title: 'ACTION', cells: operations.map(({ action }) => action) },
      { title: 'STATUS', cells: operations.map(({ status, error }) => (error ? `${status}: ${error.code}` : status)) },
      {
        title: 'TOOK',
        cells: operations.map(({ durationMs }) => (durationMs === undefined ? '' : formatMs(durationMs))),
        right: true,
      },
      {
        title: 'BY',
        cells: operations.map(({ by }) => `${by.user}@${by.host}`),
        short: operations.map(({ by }) => by.user),
      },
      { title: 'WHAT', cells: operations.map(whatOf) },
    ],
    terminalWidth(),
  )
}

function whatOf({ ids, metadata, precededBy, error }: OperationSeen): string {
  const { reason } = metadata ?? {}
  const parts = [
    ids.length > 3 ? `${ids.slice(0, 3).join(', ')} and ${ids.length - 3} more` : ids.join(', '),
    typeof reason === 'string' ? reason : '',
    precededBy ? `before it: ${precededBy}` : '',
    error?.message ?? '',
  ]
  return parts.filter(Boolean).join('; ')
}
