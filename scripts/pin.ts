// db:pin: keeps a backup for good, or no longer.
// Guarantees: only what its manifest says changes, never its files; under the ops lock, so that no prune overlooks it.

import { command } from '../src/command-hint.ts'
import { pinBackup } from '../src/pin.ts'
import { readState } from '../src/state.ts'
import { withOpsLock } from './open-ops.ts'
import { readWords } from './run-command.ts'

const help = `
Keeps a backup for good: no policy removes it. With --off it counts like any other again.

  npm run db:pin -- backup_2026-11-20T10-30-00Z
  npm run db:pin -- backup_2026-11-20T10-30-00Z --off

  --off    no longer keep it for good
  --json   print one object: id, pinned
`

export default async function pin(words: string[]): Promise<number> {
  const parsed = readWords(
    words,
    help,
    { off: { type: 'boolean' }, json: { type: 'boolean' } },
    { needed: ['the backup to keep for good'] },
  )
  if (!parsed) return 0
  const { off = false, json = false } = parsed.values
  return await withOpsLock('a pin', async ({ config, record }) => {
    const id = await pinBackup(config, record, parsed.positionals[0]!, !off)
    const cameUp = (await readState(config.stateDir)).pinned === id
    if (json) process.stdout.write(`${JSON.stringify({ id, pinned: !off })}\n`)
    else if (!off) process.stdout.write(`✔ ${id} is kept for good.\n`)
    else {
      process.stdout.write(`✔ ${id} is kept as the policies say: ${command('prune')} shows it.\n`)
      if (cameUp) process.stdout.write('! It is the newest that the app came up on, and stays while it is.\n')
    }
    return 0
  })
}
