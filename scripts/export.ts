// db:export: writes the data as JSON now, as a backup of its own and as backup_latest.json.
// Guarantees: the file was read back before it is named.

import { join } from 'node:path'
import { exportDatabase, keptLatestNote } from '../src/export.ts'
import { formatBytes } from '../src/log.ts'
import { findSchema, readSchemaFiles } from '../src/prisma/schema-files.ts'
import { withOpsLock } from './open-ops.ts'
import { readWords } from './run-command.ts'

const help = `
Writes the data as JSON, under data/backups and as data/backup_latest.json. The app may go on running.

  npm run db:export
  npm run db:export -- --json

  --json   print one object: id, status, files with path, bytes and sha256
`

export default async function exportData(words: string[]): Promise<number> {
  const parsed = readWords(words, help, { json: { type: 'boolean' } })
  if (!parsed) return 0
  return await withOpsLock('an export', async ({ config, engine, origin }) => {
    const schema = await readSchemaFiles(await findSchema(process.cwd(), config.schemaSetting))
    const { stem, file, keptLatest } = await exportDatabase(
      config,
      engine,
      schema,
      { ...origin, trigger: 'manual', reason: 'asked for' },
      undefined,
    )
    const path = join(config.backupsDir, file.name)
    const files = [{ role: file.role, path, bytes: file.sizeBytes, sha256: file.sha256 }]
    if (parsed.values.json) process.stdout.write(`${JSON.stringify({ id: stem, status: 'completed', files })}\n`)
    else process.stdout.write(`✔ ${path}, ${formatBytes(file.sizeBytes)}\n${keptLatest ? `! ${keptLatestNote}\n` : ''}`)
    return 0
  })
}
