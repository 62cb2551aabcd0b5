// db:list: the backups there are, newest first, and those that failed or run.
// Guarantees: nothing is shown as complete or verified but what has a manifest that is as it was written; what is gone is
// shown only when it is asked for.

import { type BackupRecord, readBackupRecords } from '../src/backup-records.ts'
import { command } from '../src/command-hint.ts'
import { readConfig } from '../src/config.ts'
import { makeDirectory } from '../src/files.ts'
import { formatBytes, formatCount } from '../src/log.ts'
import { triggers } from '../src/manifest.ts'
import { statuses } from '../src/operation-log.ts'
import { describeScope } from '../src/scope.ts'
import { choiceOption, countOption } from './read-option.ts'
import { readWords } from './run-command.ts'
import { age, table, terminalWidth, timeUtc } from './terminal-table.ts'

const help = `
Shows the backups, newest first, with those that failed or run. The pinned one is the newest that the app came up on.

  npm run db:list
  npm run db:list -- --limit 5
  npm run db:list -- --trigger manual --status completed
  npm run db:list -- --status removed
  npm run db:list -- --json

  --trigger HOW   only those made by boot, manual, scheduled, pre-restore, pre-sync or guard
  --status HOW    only pending, running, completed, failed, cancelled or removed ones
  --limit N       the newest N
  --json          print an array of manifests, with status, rows, sizes and error
`

// A restart loop on a full disk must not push everything else off the screen.
const failedShown = 20

export default async function list(words: string[]): Promise<number> {
  const parsed = readWords(words, help, {
    trigger: { type: 'string' },
    status: { type: 'string' },
    limit: { type: 'string' },
    json: { type: 'boolean' },
  })
  if (!parsed) return 0
  const trigger = choiceOption('trigger', parsed.values.trigger, triggers)
  const status = choiceOption('status', parsed.values.status, [...statuses, 'removed'])
  const limit = countOption('limit', parsed.values.limit)
  const config = readConfig()
  await makeDirectory(config.stateDir)
  const { records, note } = await readBackupRecords(config)
  if (note) process.stderr.write(`! ${note}\n`)
  const fitting = records.filter(
    (each) =>
      (trigger === undefined || each.trigger === trigger) &&
      (status === undefined ? !each.removed : each.removed ? status === 'removed' : each.status === status),
  )
  const failed = fitting.filter((each) => isUnlisted(each))
  const hidden = status === undefined ? failed.slice(failedShown) : []
  const shown = fitting.filter((each) => !hidden.includes(each)).slice(0, limit)
  if (parsed.values.json) {
    process.stdout.write(`${JSON.stringify(shown.map(asJson))}\n`)
    return 0
  }
  if (shown.length > 0) process.stdout.write(showTable(shown))
  else
    process.stdout.write(
      records.some(({ removed }) => !removed)
        ? 'There is no such backup.\n'
        : `There are no backups in ${config.backupsDir} yet.\n`,
    )
  if (hidden.length > 0)
    process.stdout.write(`${hidden.length} older ones that failed: ${command('list', '--status', 'failed')}\n`)
  return 0
}

function isUnlisted({ manifest, status }: BackupRecord): boolean {
  return manifest === undefined && (status === 'failed' || status === 'cancelled')
}

function showTable(records: BackupRecord[]): string {
  const ages = records.map(({ createdAt }) => age(createdAt))
  const isPart = records.some(({ scope }) => scope !== 'everything')
  return table(
    [
      { title: 'ID', cells: records.map(({ id }) => id) },
      {
        title: 'MADE (UTC)',
        cells: records.map(({ createdAt }, i) => `${timeUtc(createdAt)}, ${ages[i]}`),
        short: ages,
      },
      { title: 'HAS', cells: records.map(partsOf), short: records.map(({ storedBytes }) => sizeOf(storedBytes)) },
      { title: 'ROWS', cells: records.map(({ rows }) => (rows === undefined ? '' : formatCount(rows))), right: true },
      { title: 'STATE', cells: records.map(stateOf) },
      { title: 'OF', cells: records.map(({ scope }) => (isPart ? describeScope(scope) : '')) },
      {
        title: 'WHY',
        cells: records.map(({ trigger, reason }) =>
          trigger === reason || !reason ? trigger : `${trigger}: ${reason}`,
        ),
      },
    ],
    terminalWidth(),
  )
}

function partsOf({ manifest }: BackupRecord): string {
  return (manifest?.files ?? [])
    .map(({ role, sizeBytes, content, compression, encryption }) => {
      const how = [compression, encryption].filter(Boolean).join(', ')
      return `${role} ${formatBytes(sizeBytes)}${content ? ` (${how} of ${formatBytes(content.sizeBytes)})` : ''}`
    })
    .join(', ')
}

function sizeOf(bytes: number | undefined): string {
  return bytes === undefined ? '' : formatBytes(bytes)
}

function stateOf({ status, removed, verified, pinned, pinnedByBoot, checkProblem, error }: BackupRecord): string {
  if (removed) return 'removed'
  if (error?.code === 'BACKUP_DAMAGED') return 'damaged'
  if (status !== 'completed') return error ? `${status}: ${error.code}` : status
  const marks = [checkProblem ? 'damaged' : verified ? 'verified' : 'not verified']
  if (pinned) marks.push('kept')
  if (pinnedByBoot) marks.push('pinned')
  return marks.join(', ')
}

/** The manifest's own members, and what the catalogue knows besides. */
function asJson({ manifest, pinned, ...known }: BackupRecord): object {
  const { stem, trigger, reason, scope, createdAt, by, ...rest } = known
  return {
    ...(manifest ?? { ...(stem ? { stem } : {}), trigger, reason, scope, createdAt, by, files: [] }),
    ...(pinned ? { pinned } : {}),
    ...rest,
  }
}
