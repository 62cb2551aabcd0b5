// backups/backup_manifest.json: all backups of a part on one page, for people and programs that look into the folder.
// Guarantees: it is made of the manifests alone and written atomically; nothing is read from it, so it may be deleted.

import { join } from 'node:path'
import { writeJsonAtomically } from './files.ts'
import { exportOf, listBackups, type Manifest, totalOf } from './manifest.ts'

export const summaryName = 'backup_manifest.json'

export async function writeTableSummary(backupsDir: string): Promise<void> {
  const backups = (await listBackups(backupsDir)).flatMap((manifest) => describe(manifest) ?? [])
  const summary = { format: 'bootkeeper-table-backups', version: 1, updatedAt: new Date().toISOString(), backups }
  await writeJsonAtomically(join(backupsDir, summaryName), summary)
}

function describe(manifest: Manifest) {
  const { stem, scope, createdAt, fingerprint, reason, trigger, files } = manifest
  const file = exportOf(manifest)
  if (scope === 'everything' || !file) return undefined
  const script = files.find(({ role }) => role === 'script')
  return {
    id: stem,
    table: scope.models[0],
    ...(scope.models.length > 1 ? { tables: scope.models } : {}),
    createdAt,
    recordCount: totalOf(file.counts ?? {}),
    schemaVersion: fingerprint,
    filter: scope.where ?? null,
    ...(scope.whole ? { whole: true } : {}),
    file: file.name,
    checksum: file.sha256,
    ...(script ? { script: script.name } : {}),
    trigger,
    reason,
  }
}
