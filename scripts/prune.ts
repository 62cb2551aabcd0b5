// db:prune: says which backups the policies keep and which would go, and why; with --apply removes those.
// Guarantees: a dry run unless --apply is given; what a policy of this call is not understood as, is refused before
// anything is read.

import { command } from '../src/command-hint.ts'
import type { Config } from '../src/config.ts'
import type { Engine } from '../src/engines/engine.ts'
import { BootkeeperError } from '../src/errors.ts'
import { formatBytes } from '../src/log.ts'
import { type JudgedBackup, planPrune, planRemoval, prune, removeByHand } from '../src/prune.ts'
import { kindOf } from '../src/retention.ts'
import {
  type BackupKind,
  backupKinds,
  type Policies,
  type Policy,
  parsePolicy,
  policyRules,
} from '../src/retention-policy.ts'
import { type Ops, type RecordedOps, withOps, withOpsLock } from './open-ops.ts'
import { readWords } from './run-command.ts'
import { withProgress } from './terminal-progress.ts'

const help = `
Says which backups stay and which would go, and why. With --apply those go. The last verified backup, the newest that
holds rows and pinned ones always stay. docs/how-tos/keep-and-remove-backups.md has it all.

  npm run db:prune
  npm run db:prune -- --apply
  npm run db:prune -- --for boot --last 3
  npm run db:prune -- --for manual,scheduled --daily 7 --monthly 12 --max-size 20GB --apply
  npm run db:prune -- --remove backup_2026-11-20T10-30-00Z --apply

  --apply       remove them
  --remove ID   this one, whatever the policies say; not one that is pinned, in use, or the last that holds what it holds
  --json        print one object

Instead of the settings (KEEP_BOOT_BACKUPS, RETENTION, TABLE_RETENTION, SAFETY_RETENTION):

  --last N      keep the newest N; of tables, N of each
  --daily N, --weekly N, --monthly N, --yearly N
                keep the newest of each of the last N days, weeks … that have one
  --max-age T   remove what is older: 36h, 30d, 8w
  --max-size S  remove the oldest until the rest fits: 500MB, 20GB
  --for KINDS   what these are for: boot, manual, scheduled, safety, tables. Without it: for every kind that has a policy,
                so what you made yourself is not touched unless RETENTION is set
`

export default async function pruneBackups(words: string[]): Promise<number> {
  const parsed = readWords(words, help, {
    apply: { type: 'boolean' },
    remove: { type: 'string' },
    json: { type: 'boolean' },
    for: { type: 'string' },
    last: { type: 'string' },
    daily: { type: 'string' },
    weekly: { type: 'string' },
    monthly: { type: 'string' },
    yearly: { type: 'string' },
    'max-age': { type: 'string' },
    'max-size': { type: 'string' },
  })
  if (!parsed) return 0
  const { apply = false, json = false } = parsed.values
  const policy = policyAsked(parsed.values)
  const kinds = kindsAsked(parsed.values.for)
  if (kinds && !policy) throw new BootkeeperError('USAGE', '--for needs a rule, such as --last 5.')
  const { remove } = parsed.values
  if (remove !== undefined && policy)
    throw new BootkeeperError('USAGE', '--remove names one backup, and goes with no rule.')
  const run = async ({ config, engine, record }: Ops & Partial<RecordedOps>) => {
    const policies = policy ? override(config.retention, policy, kinds) : config.retention
    const {
      plan: all,
      removed,
      freedBytes,
    } = record
      ? await withProgress('removing backups', () =>
          remove === undefined ? prune(config, engine, record, policies) : removeByHand(config, engine, record, remove),
        )
      : { plan: await planned(config, engine, policies, remove), removed: [], freedBytes: 0 }
    const plan = kinds ? all.filter(({ manifest }) => kinds.some((kind) => kind === kindOf(manifest))) : all
    const going = plan.filter(({ verdict }) => !verdict.keep)
    if (json) {
      process.stdout.write(`${JSON.stringify({ applied: apply, backups: plan.map(asJson), removed, freedBytes })}\n`)
      return 0
    }
    process.stdout.write(asTable(plan))
    const size = formatBytes(going.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))
    if (all.length === 0) process.stdout.write(`There are no backups in ${config.backupsDir} yet.\n`)
    else if (plan.length === 0) process.stdout.write(`Of the ${count(all.length)} none is of that kind.\n`)
    else if (apply) process.stdout.write(`✔ ${count(removed.length)} removed, ${formatBytes(freedBytes)} freed.\n`)
    else if (going.length === 0) process.stdout.write('Nothing would go.\n')
    else
      process.stdout.write(
        `${count(going.length)} would go, ${size}. Nothing was removed. To do it: ${command('prune', ...words, '--apply')}\n`,
      )
    return 0
  }
  return await (apply ? withOpsLock('a prune', run) : withOps(run))
}

async function planned(config: Config, engine: Engine, policies: Policies, remove: string | undefined) {
  if (remove === undefined) return await planPrune(config, engine, policies)
  return [await planRemoval(config, engine, remove)]
}

function policyAsked(values: Partial<Record<string, string | boolean>>): Policy | undefined {
  const rules = policyRules.flatMap((rule) => (values[rule] === undefined ? [] : [`${rule}=${values[rule]}`]))
  // They would be rules of their own.
  const several = rules.find((rule) => rule.includes(','))
  if (several) throw new BootkeeperError('USAGE', `An option takes one rule, not "${several}".`)
  if (rules.length === 0) return undefined
  try {
    return parsePolicy(rules.join(','))
  } catch (error) {
    throw new BootkeeperError('USAGE', `A policy takes ${(error as RangeError).message}.`, { cause: error })
  }
}

function kindsAsked(names: string | undefined): BackupKind[] | undefined {
  return names?.split(',').map((name) => {
    const kind = backupKinds.find((each) => each === name.trim())
    if (!kind) throw new BootkeeperError('USAGE', `--for takes ${backupKinds.join(', ')}, not "${name.trim()}".`)
    return kind
  })
}

function override(settings: Policies, policy: Policy, kinds: BackupKind[] | undefined): Policies {
  // With --for the other kinds are left alone.
  const meant = kinds ?? (Object.keys(settings) as BackupKind[])
  return Object.fromEntries(meant.map((kind) => [kind, policy]))
}

function asJson({ manifest: { stem, createdAt, trigger, scope }, sizeBytes, verdict }: JudgedBackup) {
  const { keep, rule, reason } = verdict
  return { id: stem, createdAt, trigger, scope, bytes: sizeBytes, keep, rule, reason }
}

function asTable(plan: JudgedBackup[]): string {
  const now = Date.now()
  const rows = plan
    .toReversed()
    .map(({ manifest, sizeBytes, verdict }) => [
      manifest.stem,
      age(now - Date.parse(manifest.createdAt)),
      formatBytes(sizeBytes),
      manifest.trigger,
      verdict.keep ? 'keep' : 'remove',
      verdict.reason,
    ])
  const width = (column: number) => Math.max(...rows.map((row) => row[column]!.length))
  return rows
    .map((row) => {
      const cells = row
        .slice(0, -1)
        .map((cell, i) => ([1, 2].includes(i) ? cell.padStart(width(i)) : cell.padEnd(width(i))))
      return `${[...cells, row.at(-1)].join('  ')}\n`
    })
    .join('')
}

function age(ms: number): string {
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 0) return 'future'
  if (minutes < 120) return `${minutes} min`
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / (24 * 60))} d`
}

function count(backups: number): string {
  return `${backups} ${backups === 1 ? 'backup' : 'backups'}`
}
