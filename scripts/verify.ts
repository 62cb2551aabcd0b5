// db:verify: reads backups back and compares sizes and checksums; an export outside of them by its own checksum.
// Guarantees: a backup that is not whole is named with the file at fault, and the exit code is 65.

import { existsSync } from 'node:fs'
import { readConfig } from '../src/config.ts'
import { BootkeeperError, type ErrorCode, errorTable } from '../src/errors.ts'
import { exportPath, inspectFile } from '../src/import.ts'
import { listBackups, readManifest } from '../src/manifest.ts'
import { verifyContent } from '../src/stored-file.ts'
import { keyHelp, keyOptions, withKeys } from './keys.ts'
import { readWords } from './run-command.ts'
import { withProgress } from './terminal-progress.ts'

const help = `
Reads backups back and compares every byte with the checksums in their manifests. An export in a file, also a compressed
or encrypted one, is read to its end and compared with its own checksum.

  npm run db:verify                                  all of them
  npm run db:verify -- backup_2026-11-20T10-30-00Z
  npm run db:verify -- /mnt/nas/app.json.gz
  npm run db:verify -- --json

${keyHelp}
  --json   print an array: id, ok, problem
`

/** What is said of the backup or file; anything else is about the reading. */
const damage: ErrorCode[] = [
  'BACKUP_DAMAGED',
  'DECRYPTION_FAILED',
  'KEY_NEEDED',
  'EXPORT_DAMAGED',
  'FORMAT_UNKNOWN',
  'IMPORT_INVALID',
]

export default async function verify(words: string[]): Promise<number> {
  const parsed = readWords(words, help, { ...keyOptions, json: { type: 'boolean' } }, { max: 1 })
  if (!parsed) return 0
  const config = withKeys(readConfig(), parsed.values)
  const { backupsDir } = config
  const name = parsed.positionals[0]
  const results: { id: string; ok: boolean; problem?: string }[] = []
  const note = async (id: string, check: () => Promise<unknown>) => {
    try {
      await check()
      results.push({ id, ok: true })
    } catch (error) {
      if (!(error instanceof BootkeeperError) || !damage.includes(error.code)) throw error
      results.push({ id, ok: false, problem: error.message.replace(`${id}: `, '') })
    }
  }
  if (name !== undefined && (existsSync(name) || /[/\\]/.test(name))) {
    const path = await exportPath(config, name)
    await note(path, () =>
      withProgress(`reading ${name}`, (onProgress) => inspectFile(config, path, undefined, onProgress)),
    )
  } else
    for (const { stem, files } of name ? [await readManifest(backupsDir, name)] : await listBackups(backupsDir))
      await note(stem, () =>
        withProgress(`reading ${stem}`, async () => {
          for (const file of files) await verifyContent(config, file)
        }),
      )
  if (parsed.values.json) process.stdout.write(`${JSON.stringify(results)}\n`)
  else
    for (const { id, ok, problem } of results)
      process.stdout.write(`${ok ? '✔' : '✖'} ${id}${problem ? `  ${problem}` : ''}\n`)
  return results.every(({ ok }) => ok) ? 0 : errorTable.BACKUP_DAMAGED.exitCode
}
