// backup_latest.json: the newest verified export, under a name that does not change; `.gz`, `.age` and the like behind it
// where backups are compressed or encrypted. Guarantees: it is replaced whole, and then no other form of it is left, so
// that encrypted data does not lie in clear beside; an export without a single row never takes the place of one that has
// rows, or of a file that cannot be counted.

import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from './config.ts'
import { asBootkeeperError } from './errors.ts'
import { copyAtomically } from './files.ts'
import { readFooterCounts } from './formats/bootkeeper.ts'
import { type BackupFile, totalOf } from './manifest.ts'

const latestName = 'backup_latest.json'

/** In whatever form it is there; undefined where it is not. */
export async function findLatest({ dataDir }: Config): Promise<string | undefined> {
  // Two of them are what a kill left in between.
  const forms = await Promise.all(
    (await formsOf(dataDir)).map(async (path) => ({ path, at: (await stat(path)).mtimeMs })),
  )
  return forms.sort((a, b) => b.at - a.at)[0]?.path
}

async function formsOf(dataDir: string): Promise<string[]> {
  const names = await readdir(dataDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return names.filter((name) => isLatestName(name)).map((name) => join(dataDir, name))
}

/** Any form of it. */
export function isLatestName(name: string): boolean {
  return /^backup_latest\.json(\.(gz|zst|bz2))?(\.age)?$/.test(name)
}

/** 0 where there is no such file; undefined where it does not say: another format, damaged, or without its key. */
export async function latestRows(config: Config): Promise<number | undefined> {
  const path = await findLatest(config)
  if (path === undefined || (await stat(path)).size === 0) return 0
  const counts = await readFooterCounts(path, config.keys).catch((error: unknown) => {
    const { code } = asBootkeeperError(error)
    if (['KEY_NEEDED', 'DECRYPTION_FAILED', 'EXPORT_DAMAGED'].includes(code)) return undefined
    throw error
  })
  return counts && totalOf(counts)
}

/** Makes this export the latest. False: it has no row, and the one that is there stays. */
export async function replaceLatest(config: Config, file: BackupFile): Promise<boolean> {
  if (totalOf(file.counts ?? {}) === 0 && (await latestRows(config)) !== 0) return false
  const path = join(config.dataDir, latestName + file.name.slice(file.name.indexOf('.json') + '.json'.length))
  await copyAtomically(join(config.backupsDir, file.name), path)
  for (const other of await formsOf(config.dataDir)) if (other !== path) await rm(other, { force: true })
  return true
}
