// What a database engine must be able to do for the boot. Adding an engine is one file that gives this interface and
// one call to the contract suite in tests/engines/contract.ts.
// Duties: nothing here writes to the live database but `adopt` and `putBack`, and those two are all or nothing.

export interface Engine {
  readonly kind: 'sqlite' | 'postgresql'
  /** Whether the database is a file, so that one that is missing or damaged can be made anew and put in its place. */
  readonly isFile: boolean
  /** For logs and manifests, without credentials. */
  readonly description: string
  /** What Prisma's engine and CLI are given. */
  readonly url: string
  /** The ending of a copy's file: `db` or `dump`. */
  readonly copyExtension: string
  /** A copy is compressed already. */
  readonly compressesCopies: boolean
  /** A directory that the engine leaves temporary files in, to be swept by the next boot. */
  readonly workDirectory: string | undefined

  /**
   * Names the present content cheaply: the same text means that nothing was written since. `none`: no database yet.
   * May differ although nothing changed, never the other way round.
   */
  signature(): Promise<string>
  /** About how many bytes a copy takes. */
  sizeBytes(): Promise<number>
  /** The database's own structure as text, for the fingerprint; '' for an empty or missing one. */
  structure(): Promise<string>
  /**
   * Writes a copy to `partial` (a temporary name), as of one moment, also while others write, fsyncs it and verifies
   * it. Throws DATABASE_CORRUPT, DATABASE_BUSY, DATABASE_UNREACHABLE, TOOL_MISSING, DISK_FULL.
   */
  copy(partial: string, signal?: AbortSignal): Promise<VerifiedCopy>
  /**
   * Verifies a copy made earlier, without changing it and without the database it was made of. Gives the problems found;
   * none is good. Throws what keeps it from looking, such as TOOL_MISSING: that is no fault of the copy.
   */
  checkCopy(path: string, signal?: AbortSignal, expected?: Pick<ExpectedContent, 'counts'>): Promise<string[]>
  /**
   * Looks at the live database and changes nothing. With `full` it reads every page and row. Throws where it cannot be
   * opened: DATABASE_UNREACHABLE, DATABASE_CORRUPT, DATABASE_BUSY.
   */
  examine(full: boolean): Promise<Examination>
  /**
   * A place to try a schema change on. `copyFile` is a verified copy of the present database, `source` its signature;
   * undefined and `none` when there is no database yet.
   */
  rehearse(copyFile: string | undefined, source: string, signal?: AbortSignal): Promise<Rehearsal>
  /**
   * Puts a verified copy back in the place of the live database, which is set aside and never deleted. All or nothing;
   * works when the live database is damaged or missing. Looks at all of it before that, beside the live one: throws
   * BACKUP_DAMAGED with the database as it was.
   */
  putBack(copyFile: string, why: 'failed-start' | 'before-restore', expected?: ExpectedContent): Promise<PutBack>
  /**
   * A place beside the live database for another one, which `putBack` of an engine on its address makes or fills. A file
   * goes into `directory`. Throws SCRATCH_NOT_ALLOWED.
   */
  makeScratch(directory: string): Promise<Scratch>
  /** The names of applied migrations, as Prisma recorded them. */
  appliedMigrations(): Promise<string[]>
  close(): Promise<void>
}

export interface ExpectedContent {
  /** Rows per table, where they were counted. */
  counts?: Record<string, number> | undefined
  /** No row may refer to one that is not there. Otherwise that is said, because a backup is what it was. */
  wholeReferences?: boolean
}

export interface Scratch {
  url: string
  remove(): Promise<void>
}

export interface Examination {
  /** What it is, in words: engine, version, size, journal. */
  facts: string[]
  /** Damage. */
  problems: string[]
  /** Sound, but not as it should be. */
  warnings: string[]
}

export interface PutBack {
  /** Where the old database is, if it was kept as a file, under a name that says why. */
  aside: string | undefined
  /** What is not as it should be, though not the fault of the copy. */
  notes: string[]
}

export interface VerifiedCopy {
  /** The signature of what was copied. */
  source: string
  /** False where the last write was so recent that the next one might bear the same time: then do not rely on it. */
  settled: boolean
  sizeBytes: number
  sha256: string
  /** Rows per table, without the tables of Prisma and of the database itself; left out where it would take long. */
  counts?: Record<string, number>
  /** How it was verified, for the log. */
  check: string
}

export interface Rehearsal {
  /** The database that has the change, or will have: what Prisma compares the schema with. */
  readonly url: string
  /** True where `url` is a database of its own; false where it is the live one and `apply` waits in a transaction. */
  readonly isolated: boolean
  apply(sql: string): Promise<void>
  /** What of the data before the change is gone after it. Also proves that the result is sound. */
  losses(): Promise<Loss[]>
  /** Makes the changed database the live one, atomically. Throws DATABASE_BUSY when the live one changed meanwhile. */
  adopt(): Promise<void>
  discard(): Promise<void>
}

export interface Loss {
  kind: 'table' | 'column' | 'values' | 'rows' | 'trigger' | 'view'
  table: string
  column?: string
  /** Rows that have a value there. 0: an empty table, or a trigger or view. */
  rows: number
}
