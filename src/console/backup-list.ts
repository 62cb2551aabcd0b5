// The backups as the console's page has them, and what is done to one at once: keep it for good, remove it.
// Guarantees: what is said of a backup is what `db:list` says; nothing is removed but by the code of `db:prune`, which
// says of each why it stays.

import { type BackupRecord, readBackupRecords } from '../backup-records.ts'
import type { Config } from '../config.ts'
import { openEngine } from '../engines/open.ts'
import { copyOf, exportOf } from '../manifest.ts'
import { pinBackup } from '../pin.ts'
import { reasonsToKeep, removeByHand } from '../prune.ts'
import { withoutFolder } from './backup-flow.ts'
import type { BackupList, BackupView, Outputs } from './contract.ts'
import type { Databases } from './database.ts'

// A restart loop on a full disk must not push everything else off the page.
const othersShown = 10

/** The newest `limit`. */
export async function listForPage(config: Config, limit: number): Promise<BackupList> {
  const [{ records }, kept] = await Promise.all([readBackupRecords(config), whyKept(config)])
  const present = records.filter(({ removed }) => !removed)
  const backups = present.filter(({ manifest }) => manifest !== undefined)
  const others = present.filter(({ manifest }) => manifest === undefined)
  return {
    backups: backups.slice(0, limit).map((record) => viewOf(config, record, kept)),
    total: backups.length,
    others: others.slice(0, othersShown).map((record) => {
      const { id, status, createdAt, error } = record
      const shown = error?.code === 'BACKUP_DAMAGED' ? 'damaged' : status
      return { id, status: shown, createdAt, why: whyOf(record), ...(error ? { error } : {}) }
    }),
    othersTotal: others.length,
  }
}

export async function pin(databases: Databases, backup: string, pinned: boolean): Promise<void> {
  await databases.withGround('a pin in the console', ({ config, record }) => pinBackup(config, record, backup, pinned))
}

export async function remove(databases: Databases, backup: string): Promise<Outputs['POST /api/removals']> {
  return await databases.withGround('a removal in the console', async ({ config, engine, record }) => {
    const { removed, freedBytes } = await removeByHand(config, engine, record, backup)
    return { removed, freedBytes }
  })
}

async function whyKept(config: Config): Promise<Map<string, string>> {
  const engine = await openEngine(config.databaseUrl, { busyMs: 0 })
  try {
    return await reasonsToKeep(config, engine)
  } finally {
    await engine.close()
  }
}

function viewOf(config: Config, record: BackupRecord, kept: Map<string, string>): BackupView {
  const { createdAt, rows, storedBytes = 0, verified, checkProblem, pinned, pinnedByBoot, scope } = record
  const manifest = record.manifest!
  const { stem, files, lastCheck, lastDrill } = manifest
  const keptBecause = kept.get(stem)
  return {
    ...{ stem, createdAt, why: whyOf(record), sizeBytes: storedBytes, isPinned: pinned, isPinnedByBoot: pinnedByBoot },
    condition: checkProblem !== undefined ? 'damaged' : verified ? 'verified' : 'not verified',
    isEncrypted: files.some(({ encryption }) => encryption !== undefined),
    hasExport: exportOf(manifest) !== undefined,
    hasCopy: copyOf(manifest) !== undefined,
    isWhole: scope === 'everything',
    ...(rows === undefined ? {} : { rows }),
    ...(checkProblem === undefined ? {} : { problem: withoutFolder(config, checkProblem) }),
    ...(lastCheck ? { checkedAt: lastCheck.at } : {}),
    ...(lastDrill ? { drilledAt: lastDrill.at } : {}),
    ...(keptBecause === undefined ? {} : { keptBecause }),
  }
}

function whyOf({ trigger, reason }: BackupRecord): string {
  return trigger === reason || !reason ? trigger : `${trigger}: ${reason}`
}
