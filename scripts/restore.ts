// db:restore: puts the copy of a backup back; a dry run unless --apply.
// Guarantees: never beside a running app: it takes the same lock as a boot.

import { copyOf } from '../src/backup.ts'
import { command } from '../src/command-hint.ts'
import { takeLock } from '../src/lock.ts'
import { formatBytes } from '../src/log.ts'
import { applyRestore, planRestore } from '../src/restore.ts'
import { withOps } from './open-ops.ts'
import { readWords } from './run-command.ts'

const help = `
Puts the copy of a backup back in the place of the database. Says what it would do; does it with --apply.
The present database is backed up first, or, where it is damaged, set aside. Stop the app before.

  npm run db:restore -- backup_2026-11-20T10-30-00Z
  npm run db:restore -- backup_2026-11-20T10-30-00Z --apply

  --apply   do it
  --json    print one object
`

export default async function restore(words: string[]): Promise<number> {
  const parsed = readWords(words, help, { apply: { type: 'boolean' }, json: { type: 'boolean' } }, { min: 1, max: 1 })
  if (!parsed) return 0
  const { apply = false, json = false } = parsed.values
  return await withOps(async ({ config, engine, origin }) => {
    const lock = apply ? await takeLock(config.stateDir, 'a restore', { waitMs: 2_000 }) : undefined
    try {
      const plan = await planRestore(config, engine, parsed.positionals[0]!)
      const { stem, createdAt } = plan.manifest
      const result = apply ? await applyRestore(config, engine, plan, origin) : undefined
      if (json) process.stdout.write(`${JSON.stringify({ id: stem, applied: apply, ...result })}\n`)
      else if (result) {
        process.stdout.write(`✔ ${engine.description} is again what it was in ${stem}.\n`)
        if (result.before) process.stdout.write(`  What it was until now: ${result.before}\n`)
        if (result.aside) process.stdout.write(`  The file that was there: ${result.aside}\n`)
      } else {
        const size = formatBytes(copyOf(plan.manifest)!.sizeBytes)
        process.stdout.write(`${stem}, made ${createdAt}, ${size}: it was read back and is good.\n`)
        if (plan.present === 'database')
          process.stdout.write(
            'The present database would be backed up (or set aside, where it is damaged), then replaced.\n',
          )
        process.stdout.write(`Nothing was changed. To do it: ${command('restore', stem, '--apply')}\n`)
      }
      return 0
    } finally {
      lock?.release()
    }
  })
}
