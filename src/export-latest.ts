// backup_latest.json: the newest verified export, under a name that does not change.
// Guarantees: it is replaced whole; an export without a single row never takes the place of one that has rows, or of a
// file that cannot be counted.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from './config.ts'
import { copyAtomically } from './files.ts'
import { readFooterCounts } from './formats/bootkeeper.ts'
import { type BackupFile, totalOf } from './manifest.ts'

export function latestPath({ dataDir }: Config): string {
  return join(dataDir, 'backup_latest.json')
}

/** 0 where there is no such file; undefined where it does not say: another format, or damaged. */
export async function latestRows(config: Config): Promise<number | undefined> {
  const size = await stat(latestPath(config)).then(
    (found) => found.size,
    () => 0,
  )
  if (size === 0) return 0
  const counts = await readFooterCounts(latestPath(config))
  return counts && totalOf(counts)
}

/** Makes this export the latest. False: it has no row, and the one that is there stays. */
export async function replaceLatest(config: Config, file: BackupFile): Promise<boolean> {
  if (totalOf(file.counts ?? {}) === 0 && (await latestRows(config)) !== 0) return false
  await copyAtomically(join(config.backupsDir, file.name), latestPath(config))
  return true
}
