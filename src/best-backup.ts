// Which backup to put back when the database is damaged or gone.
// Guarantees: what is named was read back just now, and the command shown with it restores it; what a restore or an
// import replaced is named last, because somebody wanted to be rid of it.

import { command } from './command-hint.ts'
import type { Config } from './config.ts'
import type { Engine } from './engines/engine.ts'
import { BootkeeperError } from './errors.ts'
import { copyOf, exportOf, listBackups, type Manifest, rowsOf, verifyFile } from './manifest.ts'

/** The backups that can be restored, the best first. Not read back yet. */
export async function restorable(config: Config, engine: Engine): Promise<Manifest[]> {
  const all = (await listBackups(config.backupsDir)).reverse()
  const fits = all.filter((manifest) => restoredFile(manifest, engine) !== undefined)
  return fits.sort((a, b) => Number(isReplaced(a)) - Number(isReplaced(b)))
}

/** The first of these that reads back as it was written. */
export async function firstGood(config: Config, engine: Engine, backups: Manifest[]): Promise<Manifest | undefined> {
  for (const manifest of backups) {
    try {
      await verifyFile(config.backupsDir, restoredFile(manifest, engine)!)
      return manifest
    } catch (error) {
      if (!(error instanceof BootkeeperError)) throw error
    }
  }
  return undefined
}

export function restoreCommand(manifest: Manifest): string {
  return command('restore', manifest.stem, '--apply')
}

/** Unknown counts as rows: only what is known to be empty may be passed over. */
export function mayHoldRows(manifest: Manifest): boolean {
  return rowsOf(manifest) !== 0
}

/** What `restore` takes of a backup: its copy, or else its export, which goes into SQLite only. */
function restoredFile(manifest: Manifest, engine: Engine) {
  if (manifest.engine === engine.kind && copyOf(manifest)) return copyOf(manifest)
  return engine.kind === 'sqlite' && !copyOf(manifest) ? exportOf(manifest) : undefined
}

/** What a restore or an import replaced. */
function isReplaced({ trigger }: Manifest): boolean {
  return trigger === 'pre-restore'
}
