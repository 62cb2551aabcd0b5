// Removes backups that the policies do not keep, or that somebody named: the one way that a backup ever goes.
// Guarantees: only what src/retention.ts judged so, under the ops lock, so that nobody else writes or removes a backup
// meanwhile; what a removal left behind when it was cut short is finished by the next one; a state that was lost makes
// nothing go.

import { readdir } from 'node:fs/promises'
import { mayHoldRows } from './best-backup.ts'
import { localTimeZone } from './calendar.ts'
import { command } from './command-hint.ts'
import type { Config } from './config.ts'
import type { Engine } from './engines/engine.ts'
import { asBootkeeperError, BootkeeperError, errorTable } from './errors.ts'
import { type Lock, takeLock } from './lock.ts'
import {
  copyOf,
  failedStartReason,
  isVerified,
  listBackups,
  listStems,
  type Manifest,
  readManifest,
  removeBackup,
  settleRemovals,
  stemOf,
} from './manifest.ts'
import { type ProvenKeys, readProvenKeys } from './proven-keys.ts'
import type { RecordOperation } from './record.ts'
import { judge, type RetentionEntry, type RetentionFacts, type RetentionRule, type Verdict } from './retention.ts'
import { backupKinds, type Policies } from './retention-policy.ts'
import { type BootState, readState } from './state.ts'
import { writeTableSummary } from './table-summary.ts'

export interface JudgedBackup {
  manifest: Manifest
  sizeBytes: number
  verdict: Verdict
}

export interface Pruned {
  /** Of every backup that there was, oldest first. */
  plan: JudgedBackup[]
  /** Stems, oldest first; also those whose removal an earlier prune had begun. */
  removed: string[]
  freedBytes: number
}

/** Which database it is. It need not answer. */
type Address = Pick<Engine, 'kind' | 'description'>

/** What a prune would do now. Changes nothing. Oldest first. */
export async function planPrune(
  config: Config,
  engine: Address,
  policies: Policies = config.retention,
  now = new Date(),
): Promise<JudgedBackup[]> {
  const manifests = await listBackups(config.backupsDir)
  const unknown = await unknownFiles(config.backupsDir, manifests)
  const provenKeys = await readProvenKeys(config.stateDir)
  const entries = manifests.map((manifest) => asEntry(manifest, unknown.get(manifest.stem), provenKeys))
  const verdicts = judge(entries, policies, factsOf(await readState(config.stateDir), engine), now)
  return manifests.map((manifest, i) => ({ manifest, sizeBytes: entries[i]!.sizeBytes, verdict: verdicts[i]! }))
}

/**
 * Judges and removes. The caller holds the ops lock, and calls it only after what it did has succeeded. One that cannot
 * be removed does not keep the others. Throws PRUNE_INCOMPLETE at the end.
 */
export async function prune(
  config: Config,
  engine: Address,
  record: RecordOperation,
  policies?: Policies,
): Promise<Pruned> {
  return await removeRecorded(config, await planPrune(config, engine, policies), record)
}

// Of what somebody removes by hand no policy counts, but all that keeps a policy from removing the wrong one.
const keepNothing: Policies = Object.fromEntries(backupKinds.map((kind) => [kind, { last: 0 }]))

/** Why a backup may not be removed by hand, by stem. The others may, each by itself. */
export async function reasonsToKeep(config: Config, engine: Address): Promise<Map<string, string>> {
  const plan = await planPrune(config, engine, keepNothing)
  return new Map(plan.flatMap(({ manifest, verdict }) => (verdict.keep ? [[manifest.stem, verdict.reason]] : [])))
}

/** What a removal of this backup would do. Changes nothing. Throws BACKUP_NOT_FOUND, BACKUP_DAMAGED, BACKUP_KEPT. */
export async function planRemoval(config: Config, engine: Address, name: string): Promise<JudgedBackup> {
  const { stem } = await readManifest(config.backupsDir, stemOf(name))
  const judged = (await planPrune(config, engine, keepNothing)).find(({ manifest }) => manifest.stem === stem)!
  const { keep, rule, reason } = judged.verdict
  if (!keep) return { ...judged, verdict: { stem, keep, rule: 'by-hand', reason: 'asked for by hand' } }
  throw new BootkeeperError('BACKUP_KEPT', `${stem} is kept: ${reason}.`, {
    next: rule === 'pinned' ? `Unpin it first: ${command('pin', stem, '--off')}` : errorTable.BACKUP_KEPT.next,
  })
}

/** Judges and removes one. The caller holds the ops lock. Throws as `planRemoval`, and PRUNE_INCOMPLETE. */
export async function removeByHand(
  config: Config,
  engine: Address,
  record: RecordOperation,
  name: string,
): Promise<Pruned> {
  return await removeRecorded(config, [await planRemoval(config, engine, name)], record)
}

/** undefined: an ops command is at work; the next prune will do what is to be done. */
export async function lockForPrune(config: Config): Promise<Lock | undefined> {
  try {
    return await takeLock(config.stateDir, 'a boot that removes older backups', { waitMs: 0, name: 'ops' })
  } catch (error) {
    if (error instanceof BootkeeperError && error.code === 'LOCK_HELD') return undefined
    throw error
  }
}

/** While boots fail: of what they made since the app last came up only the first and the newest stay. */
export async function thinOutFailing(config: Config, engine: Address, record: RecordOperation): Promise<void> {
  const rules: RetentionRule[] = ['unproven', 'failed-start']
  const lock = await lockForPrune(config)
  if (!lock) return
  try {
    const isMeant = ({ rule }: Verdict) => rules.includes(rule)
    await removeRecorded(config, await planPrune(config, engine), record, isMeant)
  } catch (error) {
    // What is too much is no reason not to boot. Each prune says it.
    if (!(error instanceof BootkeeperError) || error.code !== 'PRUNE_INCOMPLETE') throw error
  } finally {
    lock.release()
  }
}

/** What goes is written into the operation log, where anything goes. */
async function removeRecorded(
  config: Config,
  plan: JudgedBackup[],
  record: RecordOperation,
  isMeant: (verdict: Verdict) => boolean = () => true,
): Promise<Pruned> {
  const going = plan.filter(({ verdict }) => !verdict.keep && isMeant(verdict))
  if (going.length === 0) return await remove(config, plan, isMeant)
  const reasons = Object.fromEntries(going.map(({ manifest, verdict }) => [manifest.stem, verdict.reason]))
  return await record({ action: 'prune', entity: 'backup', metadata: { reasons } }, async (note) => {
    const pruned = await remove(config, plan, isMeant, (removed) => note({ ids: removed }))
    // A page about them: the next one that writes it mends it.
    if (going.some(({ manifest }) => manifest.scope !== 'everything'))
      await writeTableSummary(config.backupsDir).catch(() => undefined)
    return pruned
  })
}

async function remove(
  { backupsDir }: Config,
  plan: JudgedBackup[],
  isMeant: (verdict: Verdict) => boolean,
  onRemoved: (stems: string[]) => void = () => undefined,
): Promise<Pruned> {
  const pruned: Pruned = { plan, removed: [], freedBytes: 0 }
  const problems: { stem: string; error: BootkeeperError }[] = []
  const attempt = async (stem: string, work: () => Promise<unknown>) => {
    try {
      await work()
      return true
    } catch (error) {
      problems.push({ stem, error: asBootkeeperError(error) })
      return false
    }
  }
  await attempt('a backup that was half removed before', async () => {
    pruned.removed.push(...(await settleRemovals(backupsDir)))
  })
  // The oldest first: what a kill leaves is the newer part.
  for (const { manifest, sizeBytes, verdict } of plan) {
    if (verdict.keep || !isMeant(verdict)) continue
    if (!(await attempt(manifest.stem, () => removeBackup(backupsDir, manifest)))) continue
    pruned.removed.push(manifest.stem)
    onRemoved(pruned.removed)
    pruned.freedBytes += sizeBytes
  }
  const first = problems[0]
  if (!first) return pruned
  const others = problems.length > 1 ? `, nor ${problems.length - 1} more` : ''
  throw new BootkeeperError(
    'PRUNE_INCOMPLETE',
    `${first.stem} could not be removed${others}; ${pruned.removed.length} were. ${first.error.message}`,
    { cause: first.error },
  )
}

function asEntry(manifest: Manifest, unknownFile: string | undefined, provenKeys: ProvenKeys): RetentionEntry {
  const { stem, createdAt, trigger, scope, files, pinned = false, reason } = manifest
  return {
    ...{ stem, createdAt, trigger, scope, pinned, unknownFile },
    database: databaseName(manifest.engine, manifest.database),
    sizeBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
    isVerified: isVerified(manifest, provenKeys),
    hasCopy: copyOf(manifest) !== undefined,
    mayHoldRows: mayHoldRows(manifest),
    isFailedStart: trigger === 'pre-restore' && reason === failedStartReason,
  }
}

function factsOf(state: BootState, engine: Address): RetentionFacts {
  const { pinned, leftBehind, begunAt, copy, export: exported, unprovenChange, restored } = state
  const inUse: [string | undefined, string][] = [
    [restored?.stem, 'the one that was put back last'],
    [copy?.stem, 'boots compare the database with its copy'],
    [unprovenChange, 'goes back if the app does not come up'],
  ]
  return {
    database: databaseName(engine.kind, engine.description),
    ...{ pinned, leftBehind, begunAt, exported: exported?.stem },
    inUse: Object.fromEntries(inUse.filter(([stem]) => stem !== undefined)),
    timeZone: localTimeZone(),
  }
}

function databaseName(engine: string, database: string): string {
  return `${engine} ${database}`
}

/** By stem, one file that goes by its name and that no manifest knows. Also where a manifest cannot be read. */
async function unknownFiles(backupsDir: string, manifests: Manifest[]): Promise<Map<string, string>> {
  const stems = await listStems(backupsDir)
  const known = new Set([
    ...stems.map((stem) => `${stem}.manifest.json`),
    ...manifests.flatMap(({ files }) => files.map(({ name }) => name)),
  ])
  const longestFirst = stems.toSorted((a, b) => b.length - a.length)
  const ownerOf = (name: string) =>
    longestFirst.find((stem) => name.startsWith(`${stem}.`) || name.startsWith(`${stem}_`))
  const found = new Map<string, string>()
  if (stems.length === 0) return new Map()
  for (const name of (await readdir(backupsDir)).sort()) {
    const owner = known.has(name) ? undefined : ownerOf(name)
    if (owner) found.set(owner, name)
  }
  // A manifest that names what goes by another name would take somebody else's file with it.
  for (const { stem, files } of manifests)
    for (const { name } of files)
      if (!/^[._]/.test(name.replace(stem, '')) || !name.startsWith(stem)) found.set(stem, name)
  return found
}
