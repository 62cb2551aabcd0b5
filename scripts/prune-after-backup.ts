// What a command that took a backup does last: older backups that no policy keeps go.
// Guarantees: called only where the backup is listed; a removal that fails is said on stderr and does not make a good
// backup a failed one; with --json nothing is added to the one object.

import { asBootkeeperError } from '../src/errors.ts'
import { formatBytes } from '../src/log.ts'
import { prune } from '../src/prune.ts'
import type { RecordedOps } from './open-ops.ts'

/** The caller holds the ops lock. */
export async function pruneAfterBackup({ config, engine, record }: RecordedOps, json: boolean): Promise<void> {
  try {
    const { removed, freedBytes } = await prune(config, engine, record)
    if (json || removed.length === 0) return
    const backups = removed.length === 1 ? '1 older backup' : `${removed.length} older backups`
    process.stdout.write(`  ${backups} removed, ${formatBytes(freedBytes)} freed: no policy keeps them\n`)
  } catch (thrown) {
    const { code, message, next } = asBootkeeperError(thrown)
    process.stderr.write(`! ${code}  ${message}\n    next: ${next}\n`)
  }
}
