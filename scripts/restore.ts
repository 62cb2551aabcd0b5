// db:restore: puts a backup back, its copy or its export; a dry run unless --apply.
// Guarantees: a copy is never swapped in beside a running app: it takes the same lock as a boot. An export goes in by
// one transaction, also while the app runs.

import { existsSync } from 'node:fs'
import { command } from '../src/command-hint.ts'
import { readConfig } from '../src/config.ts'
import { exportPath } from '../src/import.ts'
import { takeLock } from '../src/lock.ts'
import { formatBytes } from '../src/log.ts'
import { copyOf, readManifest, stemOf } from '../src/manifest.ts'
import { applyRestore, planRestore, type RestorePlan } from '../src/restore.ts'
import { runImport, withApply } from './import.ts'
import { type KeyWords, keyHelp, keyOptions } from './keys.ts'
import { recordOf, withOps } from './open-ops.ts'
import { readWords } from './run-command.ts'
import { bytesOf, resultOf, showAside } from './show-aside.ts'
import { withProgress } from './terminal-progress.ts'

const help = `
Puts a backup back in the place of the database: its copy, or where it has none its export. Of a backup of tables the
rows are put back, and all other rows stay. Says what it would do; does it with --apply. The present database is backed up first, or, where it is damaged, set aside.
Stop the app before a copy is put back. An export can be put back while the app runs.

  npm run db:restore -- backup_2026-11-20T10-30-00Z
  npm run db:restore -- backup_2026-11-20T10-30-00Z --apply
  npm run db:restore -- backup_2026-11-20T10-30-00Z --export --apply
  npm run db:restore -- /mnt/nas/backup_latest.json --apply

  --export   put the export back, though there is a copy
  --apply    do it
${keyHelp}
  --json     print one object
`

export default async function restore(words: string[]): Promise<number> {
  const parsed = readWords(
    words,
    help,
    { export: { type: 'boolean' }, apply: { type: 'boolean' }, ...keyOptions, json: { type: 'boolean' } },
    { needed: ['the backup, or the file, to put back'] },
  )
  if (!parsed) return 0
  const { apply = false, json = false } = parsed.values
  const name = parsed.positionals[0]!
  if (parsed.values.export || existsSync(name) || /\.json(\.\w+)*$/.test(name) || !(await hasCopy(name)))
    return await restoreExport(words, name, { ...parsed.values, apply, json })
  return await withOps(async ({ config, engine, origin }) => {
    let plan: RestorePlan | undefined
    const lock = apply ? await takeLock(config.stateDir, 'a restore', { waitMs: 2_000 }) : undefined
    try {
      plan = await withProgress(`reading ${name}`, () => planRestore(config, engine, name))
      const { manifest, present } = plan
      const { stem, createdAt } = manifest
      const result = apply
        ? await recordOf(config, 'lock')({ action: 'restore', entity: 'database', ids: [stem] }, async (note) => {
            const done = await withProgress(`putting ${stem} back`, () => applyRestore(config, engine, plan!, origin))
            note(resultOf(done))
            return done
          })
        : undefined
      const asideBytes = result?.aside === undefined ? {} : { asideBytes: bytesOf(result.aside) }
      if (json) process.stdout.write(`${JSON.stringify({ id: stem, applied: apply, ...result, ...asideBytes })}\n`)
      else if (result) {
        process.stdout.write(`✔ ${engine.description} is again what it was in ${stem}.\n`)
        for (const note of result.notes) process.stdout.write(`! ${note}.\n`)
        if (result.before) process.stdout.write(`  What it was until now: ${result.before}\n`)
        process.stdout.write(showAside(result.aside))
      } else {
        const size = formatBytes(copyOf(manifest)!.sizeBytes)
        process.stdout.write(`${stem}, made ${createdAt}, ${size}: it was read back and is good.\n`)
        if (manifest.database !== engine.description)
          process.stdout.write(`! It is a backup of another database: ${manifest.database}.\n`)
        if (present === 'database')
          process.stdout.write(
            `The present database, ${engine.description}, would be backed up (or set aside, where it is damaged), then replaced.\n`,
          )
        process.stdout.write(`Nothing was changed. To do it: ${command('restore', ...withApply(words))}\n`)
      }
      return 0
    } finally {
      await plan?.discard()
      lock?.release()
    }
  }, parsed.values)
}

/** False also for a name that is none, so that the error speaks of exports, which every backup should have. */
async function hasCopy(name: string): Promise<boolean> {
  const { backupsDir } = readConfig()
  const stem = stemOf(name)
  return copyOf(await readManifest(backupsDir, stem)) !== undefined
}

async function restoreExport(
  words: string[],
  name: string,
  { apply, json, ...keys }: KeyWords & { apply: boolean; json: boolean },
): Promise<number> {
  const path = await exportPath(readConfig(), name)
  const request = { path, userName: undefined, mode: 'restore', keepExisting: false, strict: false } as const
  return await runImport(request, {
    action: 'restore',
    apply,
    json,
    keys,
    again: command('restore', ...withApply(words)),
  })
}
