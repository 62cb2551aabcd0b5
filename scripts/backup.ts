// db:backup: takes a copy and an export now, beside a running app.
// Guarantees: what it names was read back; the exit code is 0 only then.

import { join } from 'node:path'
import { takeBackup } from '../src/backup.ts'
import { exportDatabase, keptLatestNote } from '../src/export.ts'
import { formatBytes } from '../src/log.ts'
import { readManifest } from '../src/manifest.ts'
import { findSchema, readSchemaFiles } from '../src/prisma/schema-files.ts'
import { requireDatabase, withOpsLock } from './open-ops.ts'
import { pruneAfterBackup } from './prune-after-backup.ts'
import { readWords } from './run-command.ts'
import { withProgress } from './terminal-progress.ts'

const help = `
Takes a backup now: a verified copy of the database and a JSON export of it. The app may go on running.

  npm run db:backup
  npm run db:backup -- --reason "before the cleanup"
  npm run db:backup -- --json

  --reason TEXT   why, for the list
  --json          print one object: id, status, files with path, bytes and sha256
`

export default async function backup(words: string[]): Promise<number> {
  const parsed = readWords(words, help, { reason: { type: 'string' }, json: { type: 'boolean' } })
  if (!parsed) return 0
  const { json = false } = parsed.values
  return await withOpsLock('a backup', async ({ config, engine, origin }) => {
    await requireDatabase(engine, 'back up')
    const why = { ...origin, trigger: 'manual' as const, reason: parsed.values.reason ?? 'asked for' }
    const schema = await readSchemaFiles(await findSchema(process.cwd(), config.schemaSetting))
    const { manifest } = await withProgress('copying', () => takeBackup(config, engine, why))
    const { keptLatest } = await withProgress('exporting', (onProgress) =>
      exportDatabase(config, engine, schema, why, manifest.stem, { onProgress }),
    )
    const { files } = await readManifest(config.backupsDir, manifest.stem)
    const shown = files.map(({ role, name, sizeBytes, sha256 }) => ({
      role,
      path: join(config.backupsDir, name),
      bytes: sizeBytes,
      sha256,
    }))
    if (json) process.stdout.write(`${JSON.stringify({ id: manifest.stem, status: 'completed', files: shown })}\n`)
    else {
      process.stdout.write(`✔ ${manifest.stem}\n`)
      for (const { role, path, bytes } of shown)
        process.stdout.write(`    ${role.padEnd(7)} ${formatBytes(bytes).padStart(8)}  ${path}\n`)
      if (keptLatest) process.stdout.write(`! ${keptLatestNote}\n`)
    }
    await pruneAfterBackup(config, engine, json)
    return 0
  })
}
