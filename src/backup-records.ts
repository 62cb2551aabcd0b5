// The backups as the catalogue has them, for people and programs: with what only the moment knows, which runs still, and
// which the newest start of the app stands on. Guarantees: what is said to run has a living process.

import { openCatalogue } from './catalogue/catalogue.ts'
import type { Config } from './config.ts'
import type { Manifest } from './manifest.ts'
import type { LogEntry } from './operation-log.ts'
import { readOperations } from './operations.ts'
import type { Scope } from './scope.ts'
import { readState } from './state.ts'

export interface BackupRecord {
  /** The stem; of one that was never listed, the id of its operation. */
  id: string
  stem?: string
  status: LogEntry['status']
  trigger: string
  reason: string
  scope: Scope
  createdAt: string
  durationMs?: number
  by: { user: string; host: string }
  rows?: number
  /** Before compression and encryption. */
  sizeBytes?: number
  /** As its files lie on disk. */
  storedBytes?: number
  verified: boolean
  checkProblem?: string
  /** Somebody asked to keep it. */
  pinned: boolean
  /** The app came up on it last. */
  pinnedByBoot: boolean
  removed: boolean
  removedAt?: string
  error?: { code: string; message: string }
  manifest?: Manifest
}

/** Newest first. `note`: why the catalogue could not be written. */
export async function readBackupRecords(config: Config): Promise<{ records: BackupRecord[]; note?: string }> {
  const catalogue = await openCatalogue(config)
  try {
    const rows = await catalogue.backups()
    const { pinned: pinnedByBoot } = await readState(config.stateDir)
    // Whether a process lives is asked only where one is said to run.
    const { operations } = rows.some(({ status }) => status === 'running')
      ? await readOperations(config.stateDir)
      : { operations: [] }
    const records = rows.map((row) => {
      const operation =
        row.status === 'running' ? operations.find((each) => each.operation === (row.operation ?? row.id)) : undefined
      const error =
        operation?.error ?? (row.errorCode ? { code: row.errorCode, message: row.errorMessage ?? '' } : undefined)
      return defined({
        id: row.id,
        stem: row.stem,
        status: operation?.status ?? (row.status as BackupRecord['status']),
        trigger: row.trigger,
        reason: row.reason,
        scope: JSON.parse(row.scope) as Scope,
        createdAt: row.createdAt.toISOString(),
        durationMs: row.durationMs,
        by: { user: row.user, host: row.host },
        rows: row.rows === null ? null : Number(row.rows),
        sizeBytes: row.sizeBytes === null ? null : Number(row.sizeBytes),
        storedBytes: row.storedBytes === null ? null : Number(row.storedBytes),
        verified: row.verified,
        checkProblem: row.checkProblem ?? row.drillProblem,
        pinned: row.pinned,
        pinnedByBoot: row.stem !== null && row.stem === pinnedByBoot,
        removed: row.removed,
        removedAt: row.removedAt?.toISOString(),
        error,
        manifest: row.manifest === null ? null : (JSON.parse(row.manifest) as Manifest),
      }) as unknown as BackupRecord
    })
    return { records, ...(catalogue.note === undefined ? {} : { note: catalogue.note }) }
  } finally {
    await catalogue.close()
  }
}

function defined(members: object): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null && value !== undefined))
}
