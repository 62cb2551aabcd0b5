// Backups of a part: some models, the rows of one that a filter names, or one row and all that hangs on it.
// Guarantees: what it gives was read back and is listed, with a script beside it that puts the rows back; the rows are
// those of one moment, and as many as the database counted then.

import type { Origin } from './backup.ts'
import type { Config } from './config.ts'
import type { Engine } from './engines/engine.ts'
import type { Manifest } from './manifest.ts'
import type { SchemaSet } from './prisma/schema-files.ts'
import type { PartialScope } from './scope.ts'

export interface PartialBackup {
  manifest: Manifest
  rows: number
  /** The path of the program that puts the rows back. */
  script: string
  /** By model: rows that refer to these rows and are not in the backup. */
  notIncluded: Record<string, number>
}

/** What is about to be done, as far as it can be told before. */
export interface PartialPlan {
  rows: Record<string, number>
  /** About. */
  sizeBytes: number
  /** About. */
  ms: number
  strategy: 'at once' | 'in batches' | 'streamed'
}

export interface WatchPartial {
  signal?: AbortSignal
  /** Once, before anything is written. */
  onPlan?: (plan: PartialPlan) => void
  /** Rows that were written so far. */
  onProgress?: (rows: number) => void
}

/**
 * Names of `scope.models` may be those of models or of tables, in any case. Throws USAGE for a model or a filter that
 * the schema does not have; EXPORT_FAILED, DISK_FULL and the other errors of an export.
 */
export async function takePartialBackup(
  _config: Config,
  _engine: Engine,
  _schema: SchemaSet,
  _origin: Origin,
  _scope: PartialScope,
  _watch: WatchPartial = {},
): Promise<PartialBackup> {
  throw new Error('not there yet')
}
