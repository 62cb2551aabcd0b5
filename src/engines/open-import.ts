// Picks the way of an import by the engine that it goes into.
// Guarantees: what a dry run says and what is done come from the same code; PostgreSQL's is loaded for PostgreSQL only.

import type { ImportOptions, StagedImport } from './engine-import.ts'

export interface ImportTarget {
  engine: 'sqlite' | 'postgresql'
  /** A path for SQLite, an address for PostgreSQL. */
  database: string
  /** Of PostgreSQL: a file that takes the rows in the place of the database. */
  scratch?: string
}

/** Throws IMPORT_INVALID, IMPORT_OTHER_APP, and what reading the file throws. `mayWrite` is for `apply`. */
export async function openImport(
  { engine, database, scratch }: ImportTarget,
  options: ImportOptions & { busyMs: number },
  mayWrite: boolean,
): Promise<StagedImport> {
  if (engine === 'sqlite') {
    const { stageImport } = await import('./sqlite-import.ts')
    return await stageImport({ ...options, databasePath: database }, mayWrite)
  }
  const { stagePostgresImport } = await import('./postgres-import.ts')
  return await stagePostgresImport({ ...options, url: database, ...(scratch === undefined ? {} : { scratch }) })
}
