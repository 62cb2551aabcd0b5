// db:inspect: says what a file is and what is in it, without a database.
// Guarantees: the whole file was read and checked; values of it are never shown, only their number.

import { basename } from 'node:path'
import { readConfig } from '../src/config.ts'
import { readOwnDataModel } from '../src/export.ts'
import { exportPath } from '../src/import.ts'
import { inspectFile } from '../src/inspect-file.ts'
import { keyHelp, keyOptions, withKeys } from './keys.ts'
import { readWords } from './run-command.ts'
import { showFile } from './show-import.ts'
import { withProgress } from './terminal-progress.ts'

const help = `
Says what a file is: its format, version and date, and how much of what is in it. Reads all of it; changes nothing.

  npm run db:inspect -- old/database.json
  npm run db:inspect -- backup_2026-11-20T10-30-00Z
  npm run db:inspect -- watchlist.json --user john --json

  --user NAME   whose a file is that names no user
${keyHelp}
  --json        print one object
`

export default async function inspect(words: string[]): Promise<number> {
  const parsed = readWords(
    words,
    help,
    { user: { type: 'string' }, ...keyOptions, json: { type: 'boolean' } },
    { needed: ['the file, or the backup, to look at'] },
  )
  if (!parsed) return 0
  const config = withKeys(readConfig(), parsed.values)
  const path = await exportPath(config, parsed.positionals[0]!)
  const model = await readOwnDataModel(config)
  const file = await withProgress(`reading ${basename(path)}`, (onProgress) =>
    inspectFile(config, path, { userName: parsed.values.user, model, onProgress }),
  )
  process.stdout.write(
    parsed.values.json ? `${JSON.stringify(file)}\n` : showFile(file, { path: parsed.positionals[0]! }),
  )
  return 0
}
