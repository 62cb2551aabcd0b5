// db:verify: reads backups back to the rows inside them; with --drill it restores one into a scratch database.
// Guarantees: a backup that is not whole is named with the file at fault, and the exit code is 65; the live database is
// never touched.

import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { asTyped, command } from '../src/command-hint.ts'
import { type Config, readConfig } from '../src/config.ts'
import { drillBackup, newestForDrill } from '../src/drill.ts'
import { BootkeeperError, errorTable } from '../src/errors.ts'
import { exportPath } from '../src/import.ts'
import { findSchema, readSchemaFiles } from '../src/prisma/schema-files.ts'
import {
  isDamage,
  listVerifiable,
  type OnProgress,
  type Verdict,
  verifyBackup,
  verifyExportFile,
} from '../src/verify.ts'
import { type KeyWords, keyHelp, keyOptions, withKeys } from './keys.ts'
import { withOpsLock } from './open-ops.ts'
import { readWords } from './run-command.ts'
import { withProgress } from './terminal-progress.ts'

const help = `
Reads backups back: manifests, every byte of every file against its checksum, copies page by page, exports row by row.
Keeps in each manifest when that was. An export in a file, also a compressed or encrypted one, is read to its end and
compared with its own checksum.

  npm run db:verify                                  all of them, and data/backup_latest.json
  npm run db:verify -- backup_2026-11-20T10-30-00Z
  npm run db:verify -- /mnt/nas/app.json.gz
  npm run db:verify -- --drill                       restores the newest backup of everything, into a scratch database
  npm run db:verify -- --drill backup_2026-11-20T10-30-00Z
  npm run db:verify -- --json

  --drill                  a real restore of the copy and of the export, beside the live database
${keyHelp}
  --json                   print an array: id, ok, problem, code, notes, restored
`

interface Shown extends Verdict {
  /** Of a drill: what was restored. */
  restored?: string[]
}

export default async function verify(words: string[]): Promise<number> {
  const parsed = readWords(
    words,
    help,
    { drill: { type: 'boolean' }, ...keyOptions, json: { type: 'boolean' } },
    { max: 1 },
  )
  if (!parsed) return 0
  const config = withKeys(readConfig(), parsed.values)
  const name = parsed.positionals[0]
  if (parsed.values.drill) return await drill(config, name, parsed.values, parsed.values.json ?? false)
  const results = await (name === undefined ? verifyAll(config) : verifyOne(config, name))
  if (results.length === 0 && !parsed.values.json)
    process.stdout.write(`There are no backups in ${config.backupsDir} yet: nothing to verify.\n`)
  return show(results, parsed.values.json ?? false)
}

async function verifyAll(config: Config): Promise<Verdict[]> {
  const results: Verdict[] = []
  const ids = await listVerifiable(config)
  for (const [at, id] of ids.entries())
    results.push(
      await withProgress(`reading ${basename(id)} (${at + 1} of ${ids.length})`, (onProgress) =>
        verifyById(config, id, onProgress),
      ),
    )
  return results
}

/** What keeps a file that was named from being read is an error of the command, and not a line of a list. */
async function verifyOne(config: Config, name: string): Promise<Verdict[]> {
  const id = existsSync(name) || /[/\\]/.test(name) ? await exportPath(config, name) : stemOf(name)
  const result = await withProgress(`reading ${name}`, (onProgress) => verifyById(config, id, onProgress))
  if (result.code !== undefined && !isDamage(result.code)) {
    const { code, problem = '', next } = result
    throw new BootkeeperError(code, problem, next === undefined ? {} : { next })
  }
  return [result]
}

async function verifyById(config: Config, id: string, onProgress: OnProgress): Promise<Verdict> {
  return await (/[/\\]/.test(id) ? verifyExportFile : verifyBackup)(config, id, onProgress)
}

async function drill(config: Config, name: string | undefined, keys: KeyWords, json: boolean): Promise<number> {
  const id = name === undefined ? await newestForDrill(config) : stemOf(name)
  return await withOpsLock(
    'a drill',
    async (ops) => {
      const schema = await readSchemaFiles(await findSchema(process.cwd(), config.schemaSetting))
      const { parts, ...result } = await withProgress(`restoring ${id} into a scratch database`, (onProgress) =>
        drillBackup({ ...ops, schema, onProgress }, id),
      )
      return show([{ ...result, ...(result.ok ? {} : { code: 'BACKUP_DAMAGED' }), restored: parts }], json)
    },
    keys,
  )
}

function show(results: Shown[], json: boolean): number {
  if (json) process.stdout.write(`${JSON.stringify(results)}\n`)
  else
    for (const { id, ok, problem, code, next, notes, restored = [] } of results) {
      process.stdout.write(`${ok ? '✔' : '✖'} ${id}${problem ? `  ${problem}` : ''}\n`)
      const mend = isDamage(code) ? `Take a good one now: ${command('backup')}` : next
      if (code !== undefined) process.stdout.write(`    next: ${mend ?? asTyped(errorTable[code].next)}\n`)
      for (const part of restored) process.stdout.write(`    restored ${part}\n`)
      for (const note of notes) process.stdout.write(`  ! ${note}\n`)
    }
  const codes = results.flatMap(({ code }) => (code === undefined ? [] : [code]))
  if (codes.length === 0) return 0
  // Damage counts more than what could not be read.
  return codes.some((code) => isDamage(code)) ? errorTable.BACKUP_DAMAGED.exitCode : errorTable[codes[0]!].exitCode
}

function stemOf(name: string): string {
  return name.replace(/\.(manifest\.json|json|db|dump)$/, '')
}
