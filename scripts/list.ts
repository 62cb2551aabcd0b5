// db:list: the backups there are, newest first.
// Guarantees: only what has a readable manifest is listed.

import { readConfig } from '../src/config.ts'
import { formatBytes } from '../src/log.ts'
import { listBackups, whyMade } from '../src/manifest.ts'
import { readState } from '../src/state.ts'
import { readWords } from './run-command.ts'

const help = `
Shows the backups, newest first. The pinned one is the newest that the app came up on.

  npm run db:list
  npm run db:list -- --json

  --json   print an array of manifests
`

export default async function list(words: string[]): Promise<number> {
  const parsed = readWords(words, help, { json: { type: 'boolean' } })
  if (!parsed) return 0
  const config = readConfig()
  const backups = (await listBackups(config.backupsDir)).reverse()
  if (parsed.values.json) {
    process.stdout.write(`${JSON.stringify(backups)}\n`)
    return 0
  }
  if (backups.length === 0) process.stdout.write(`There are no backups in ${config.backupsDir} yet.\n`)
  const { pinned } = await readState(config.stateDir)
  for (const manifest of backups) {
    const { stem, files } = manifest
    const parts = files.map(({ role, sizeBytes }) => `${role} ${formatBytes(sizeBytes)}`).join(', ')
    process.stdout.write(
      `${stem.padEnd(32)}${parts.padEnd(34)}${whyMade(manifest)}${stem === pinned ? '  (pinned)' : ''}\n`,
    )
  }
  return 0
}
