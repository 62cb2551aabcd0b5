// db:catalogue rebuild: makes the catalogue anew from the manifests and the operation log, and says what it found.
// Guarantees: the old one is replaced only by a whole new one; manifests and log are only read.

import { join } from 'node:path'
import { type BackupRecord, readBackupRecords } from '../src/backup-records.ts'
import { rebuildCatalogue } from '../src/catalogue/catalogue.ts'
import { readConfig } from '../src/config.ts'
import { BootkeeperError } from '../src/errors.ts'
import { makeDirectory } from '../src/files.ts'
import { readWords } from './run-command.ts'

const help = `
Makes the catalogue, the index of backups and restores, anew from the manifests and the operation log. It is brought up
to date by itself whenever a command opens it: this is for when you do not trust it.

  npm run db:catalogue -- rebuild
  npm run db:catalogue -- rebuild --json

  --json   print one object: path, and how many of each were found
`

export default async function catalogue(words: string[]): Promise<number> {
  const parsed = readWords(words, help, { json: { type: 'boolean' } }, { needed: ['rebuild'] })
  if (!parsed) return 0
  const [what] = parsed.positionals
  if (what !== 'rebuild') throw new BootkeeperError('USAGE', `The catalogue can be told to rebuild, not to "${what}".`)
  const config = readConfig()
  await makeDirectory(config.stateDir)
  const made = await rebuildCatalogue(config)
  const restores = await made.restores().finally(() => made.close())
  const { records } = await readBackupRecords(config)
  const count = (fits: (each: BackupRecord) => boolean) => records.filter(fits).length
  const found = {
    backups: count(({ removed, manifest }) => !removed && manifest !== undefined),
    damaged: count(({ error }) => error?.code === 'BACKUP_DAMAGED'),
    failed: count(({ status, removed }) => !removed && (status === 'failed' || status === 'cancelled')),
    removed: count(({ removed }) => removed),
    restores: restores.length,
  }
  const path = join(config.stateDir, 'catalogue.db')
  if (parsed.values.json) process.stdout.write(`${JSON.stringify({ path, ...found })}\n`)
  else
    process.stdout.write(
      `✔ ${path}: ${found.backups} backups, ${found.damaged} with a damaged manifest, ${found.failed} that failed or were cancelled, ${found.removed} removed ones, ${found.restores} restores and imports\n`,
    )
  return 0
}
