// db:export: writes the data as JSON now: as a backup of its own and as backup_latest.json, or into a file.
// Guarantees: the file was read back, also through the decompressor, before it is named.

import { join } from 'node:path'
import { sayWhatToRestore } from '../src/backup.ts'
import { type Compression, compressionOfName, compressions } from '../src/compression.ts'
import type { AgeSettings, Config } from '../src/config.ts'
import { isEncrypting } from '../src/encryption.ts'
import type { Engine } from '../src/engines/engine.ts'
import { BootkeeperError } from '../src/errors.ts'
import { exportDatabase, keptLatestNote } from '../src/export.ts'
import { exportToFile } from '../src/export-file.ts'
import { formatBytes } from '../src/log.ts'
import { findSchema, readSchemaFiles } from '../src/prisma/schema-files.ts'
import { readState } from '../src/state.ts'
import { openEncoding } from '../src/stored-file.ts'
import { requireDatabase, withOpsLock } from './open-ops.ts'
import { readWords } from './run-command.ts'
import { withProgress } from './terminal-progress.ts'

const help = `
Writes the data as JSON, under data/backups and as data/backup_latest.json; or, with a file name or --compress, into a
file that is no backup. The app may go on running. Unless it is encrypted, the file holds secrets in clear text.

  npm run db:export
  npm run db:export -- --json
  npm run db:export -- /mnt/nas/app.json.gz
  npm run db:export -- --compress zstd
  npm run db:export -- /mnt/nas/app.json.gz --encrypt

  TO               the file; .gz, .zst and .bz2 at its end compress it. An export that is there is replaced
  --compress HOW   gzip, zstd or bzip2; without TO the file is data/export_TIME.json.gz (.zst, .bz2)
  --encrypt        for BACKUP_AGE_RECIPIENTS or with BACKUP_AGE_PASSPHRASE; so does .age at the end of TO
  --json           print one object: id, status, files with path, bytes and sha256
`

export default async function exportData(words: string[]): Promise<number> {
  const parsed = readWords(
    words,
    help,
    { compress: { type: 'string' }, encrypt: { type: 'boolean' }, json: { type: 'boolean' } },
    { max: 1 },
  )
  if (!parsed) return 0
  const { compress, json = false } = parsed.values
  const to = parsed.positionals[0]
  const encrypts = (parsed.values.encrypt ?? false) || (to?.endsWith('.age') ?? false)
  const compression = compressionAsked(compress, to?.replace(/\.age$/, ''))
  return await withOpsLock('an export', async ({ config, engine, origin, record }) => {
    await requireDatabase(engine, 'export')
    const schema = await readSchemaFiles(await findSchema(process.cwd(), config.schemaSetting))
    const why = { ...origin, trigger: 'manual', reason: 'asked for' } as const
    if (to !== undefined || compression !== 'none' || encrypts) {
      const encoding = await openEncoding({ compression, age: encrypts ? requireEncryption(config) : {} })
      const { path, sizeBytes, sha256 } = await withProgress('exporting', (onProgress) =>
        exportToFile(config, engine, schema, why, to, encoding, onProgress),
      )
      const files = [{ role: 'export', path, bytes: sizeBytes, sha256 }]
      if (json) process.stdout.write(`${JSON.stringify({ status: 'completed', files })}\n`)
      else process.stdout.write(`✔ ${path}, ${formatBytes(sizeBytes)}, read back\n`)
      return 0
    }
    const { trigger, reason } = why
    const operation = { action: 'export', entity: 'backup', metadata: { trigger, reason } }
    const { stem, file, keptLatest } = await record(operation, async (note) => {
      await requireSound(config, engine)
      const done = await withProgress('exporting', (onProgress) =>
        exportDatabase(config, engine, schema, why, undefined, { onProgress }),
      )
      note({ ids: [done.stem] })
      return done
    })
    const path = join(config.backupsDir, file.name)
    const files = [{ role: file.role, path, bytes: file.sizeBytes, sha256: file.sha256 }]
    if (json) process.stdout.write(`${JSON.stringify({ id: stem, status: 'completed', files })}\n`)
    else process.stdout.write(`✔ ${path}, ${formatBytes(file.sizeBytes)}\n${keptLatest ? `! ${keptLatestNote}\n` : ''}`)
    return 0
  })
}

/** What is listed as good, and is the latest export from then on, is not made of a database that is half gone. */
async function requireSound(config: Config, engine: Engine): Promise<void> {
  const { problems } = await engine.examine(false)
  if (problems.length === 0) return
  const error = new BootkeeperError('DATABASE_CORRUPT', `${engine.description} is damaged: ${problems[0]}.`)
  throw await sayWhatToRestore(config, engine, await readState(config.stateDir), error)
}

function requireEncryption(config: Config): AgeSettings {
  if (isEncrypting(config)) return config.age
  throw new BootkeeperError('KEY_NEEDED', 'There is nobody to encrypt the export for.', {
    next: 'Set BACKUP_AGE_RECIPIENTS or BACKUP_AGE_PASSPHRASE_FILE: see docs/how-tos/encrypt-backups.md.',
  })
}

function compressionAsked(compress: string | undefined, to: string | undefined): Compression {
  const byName = compressionOfName(to ?? '')
  const other = /\.(xz|lzma|lz4|br|zip|7z|Z)$/.exec(to ?? '')?.[0]
  if (other)
    throw new BootkeeperError(
      'USAGE',
      `A name that ends in ${other} would promise what is not in it: .gz, .zst or .bz2.`,
    )
  if (compress === undefined) return byName
  const asked = compressions.find((each) => each === compress)
  if (!asked) throw new BootkeeperError('USAGE', `--compress takes ${compressions.join(', ')}, not "${compress}".`)
  if (byName !== 'none' && byName !== asked)
    throw new BootkeeperError('USAGE', `--compress says ${asked}, but ${to} is the name of a ${byName} file.`)
  return asked
}
