// Keeps a backup for good, or no longer.
// Guarantees: only what its manifest says changes, never its files.

import type { Config } from './config.ts'
import { readManifest, stemOf, updateManifest } from './manifest.ts'
import type { RecordOperation } from './record.ts'

/** Gives the stem. The caller holds the ops lock, so that no prune overlooks it. Throws BACKUP_NOT_FOUND, BACKUP_DAMAGED. */
export async function pinBackup(
  { backupsDir }: Config,
  record: RecordOperation,
  name: string,
  isWanted: boolean,
): Promise<string> {
  const { pinned, ...manifest } = await readManifest(backupsDir, stemOf(name))
  const { stem } = manifest
  if (isWanted !== (pinned === true))
    await record({ action: 'pin', entity: 'backup', ids: [stem], metadata: { pinned: isWanted } }, () =>
      updateManifest(backupsDir, isWanted ? { ...manifest, pinned: true } : manifest),
    )
  return stem
}
