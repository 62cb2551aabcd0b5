// db:verify: reads backups back and compares sizes and checksums.
// Guarantees: a backup that is not whole is named with the file at fault, and the exit code is 65.

import { readConfig } from '../src/config.ts'
import { BootkeeperError, errorTable } from '../src/errors.ts'
import { listBackups, readManifest, verifyFile } from '../src/manifest.ts'
import { readWords } from './run-command.ts'

const help = `
Reads backups back and compares every byte with the checksums in their manifests.

  npm run db:verify                                  all of them
  npm run db:verify -- backup_2026-11-20T10-30-00Z
  npm run db:verify -- --json

  --json   print an array: id, ok, problem
`

export default async function verify(words: string[]): Promise<number> {
  const parsed = readWords(words, help, { json: { type: 'boolean' } }, { max: 1 })
  if (!parsed) return 0
  const { backupsDir } = readConfig()
  const stem = parsed.positionals[0]
  const backups = stem ? [await readManifest(backupsDir, stem)] : await listBackups(backupsDir)
  const results: { id: string; ok: boolean; problem?: string }[] = []
  for (const { stem, files } of backups) {
    try {
      for (const file of files) await verifyFile(backupsDir, file)
      results.push({ id: stem, ok: true })
    } catch (error) {
      if (!(error instanceof BootkeeperError)) throw error
      results.push({ id: stem, ok: false, problem: error.message })
    }
  }
  if (parsed.values.json) process.stdout.write(`${JSON.stringify(results)}\n`)
  else
    for (const { id, ok, problem } of results)
      process.stdout.write(`${ok ? '✔' : '✖'} ${id}${problem ? `  ${problem}` : ''}\n`)
  return results.every(({ ok }) => ok) ? 0 : errorTable.BACKUP_DAMAGED.exitCode
}
