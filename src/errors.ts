// Every failure a user can meet, in one table: its code, exit code, what it means, what became of the data, what to
// run next. Guarantees: an error that reaches a user is a BootkeeperError; docs/reference/errors.md lists the same
// codes (a test compares them). Exit codes are sysexits(3), 3 for "refused: would lose data".

import { accessSync, constants, statSync } from 'node:fs'

export interface ErrorEntry {
  exitCode: number
  /** When it happens, for the reference. */
  meaning: string
  /** What became of the data. */
  safe: string
  /** The command or action to try next, where the place that throws knows no better one. */
  next: string
}

const untouched = 'Nothing was touched.'
const unchanged = 'The database is as it was.'

export const errorTable = {
  USAGE: {
    exitCode: 64,
    meaning: 'A command was called with words it does not know, or that do not go with each other or with the file.',
    safe: untouched,
    next: 'Run the command with --help.',
  },
  SETTINGS_INVALID: {
    exitCode: 78,
    meaning: 'An environment variable has a value that is not accepted.',
    safe: untouched,
    next: 'Correct the variable; docs/reference/settings.md lists what each accepts.',
  },
  SCHEMA_NOT_FOUND: {
    exitCode: 78,
    meaning: 'No Prisma schema was found where the settings say.',
    safe: untouched,
    next: 'Set PRISMA_SCHEMA to the schema file or its folder.',
  },
  DATA_DIR_NOT_WRITABLE: {
    exitCode: 77,
    meaning: 'A directory that must be written to belongs to another user or is read-only.',
    safe: untouched,
    next: 'Give the directory to the user that runs Bootkeeper.',
  },
  FILE_NOT_READABLE: {
    exitCode: 77,
    meaning: 'A file or folder that is to be read belongs to another user.',
    safe: unchanged,
    next: 'Give the file to the user that runs Bootkeeper.',
  },
  DISK_FULL: {
    exitCode: 73,
    meaning: 'There is not enough free space to make the data safe first, or the disk filled up on the way.',
    safe: unchanged,
    next: 'Free some space, then start again.',
  },
  IO: {
    exitCode: 74,
    meaning: 'Reading or writing a file failed.',
    safe: unchanged,
    next: 'Check the disk and the mount, then start again.',
  },
  LOCK_HELD: {
    exitCode: 75,
    meaning: 'Another Bootkeeper works on the same data directory.',
    safe: untouched,
    next: 'Stop the other one, or wait for it, then start again.',
  },
  DATABASE_BUSY: {
    exitCode: 75,
    meaning: 'Another process kept the database locked, or kept changing it, for longer than the time allowed.',
    safe: unchanged,
    next: 'Stop the other process, then start again.',
  },
  DATABASE_UNREACHABLE: {
    exitCode: 69,
    meaning: 'The database server did not answer, or refused the login.',
    safe: untouched,
    next: 'Check DATABASE_URL and that the server is up, then start again.',
  },
  DATABASE_CORRUPT: {
    exitCode: 65,
    meaning: 'The database file is damaged, or is no SQLite database.',
    safe: 'No backup was made of the damaged file and none was replaced; the file itself is as it was found.',
    next: 'Restore the newest good backup.',
  },
  DATABASE_MISSING: {
    exitCode: 65,
    meaning: 'There is no database, or one without tables, but there are backups that hold rows.',
    safe: 'Nothing was made and no backup was replaced.',
    next: 'Restore the newest good backup, or correct DATABASE_URL.',
  },
  DATABASE_NEWER: {
    exitCode: 65,
    meaning: 'The database has migrations that this version of the app does not know.',
    safe: unchanged,
    next: 'Start the newer version of the app, or restore a backup that this version made.',
  },
  SCHEMA_INVALID: {
    exitCode: 65,
    meaning: 'Prisma does not accept the schema.',
    safe: unchanged,
    next: 'Correct the schema; `npx prisma validate` shows the place.',
  },
  SCHEMA_UNEXECUTABLE: {
    exitCode: 65,
    meaning: 'The schema change cannot be made on the rows that are there.',
    safe: unchanged,
    next: 'Change the schema so that existing rows fit it (a default, an optional field), or migrate them first.',
  },
  SCHEMA_CHANGE_FAILED: {
    exitCode: 65,
    meaning: 'The schema change failed while it was tried.',
    safe: unchanged,
    next: 'Read the reason above, correct the schema or the rows, then start again.',
  },
  DATA_LOSS_REFUSED: {
    exitCode: 3,
    meaning: 'The schema change would lose data, and nobody allowed it.',
    safe: unchanged,
    next: 'Start once with ACCEPT_DATA_LOSS set to the code shown, or put the fields back into the schema.',
  },
  CLIENT_NOT_GENERATED: {
    exitCode: 70,
    meaning: '`prisma generate` failed, or the folder of the client cannot be written.',
    safe: 'The database is safe; its backup is listed.',
    next: 'Run `npx prisma generate` where the image is built.',
  },
  EXPORT_FAILED: {
    exitCode: 74,
    meaning: 'The JSON export could not be written or did not read back.',
    safe: 'The database is as it was; the last good export was kept.',
    next: 'Mend what the reason says, then export again.',
  },
  EXPORT_DAMAGED: {
    exitCode: 65,
    meaning: 'An export does not read back as it was written: cut short, edited, or with other counts.',
    safe: untouched,
    next: 'Use another backup: `npx bootkeeper list` shows them.',
  },
  VALUE_NOT_EXPORTABLE: {
    exitCode: 65,
    meaning: 'A row holds a value that JSON cannot carry and that no database of this kind should hold.',
    safe: 'The raw copy of the database is there; the last good export was kept.',
    next: 'Correct the value in the named row, then run `npx bootkeeper export`.',
  },
  FORMAT_UNKNOWN: {
    exitCode: 65,
    meaning: 'The file has none of the formats that the import knows, or is of a newer version.',
    safe: untouched,
    next: 'docs/reference/import-formats.md shows what each format looks like.',
  },
  IMPORT_INVALID: {
    exitCode: 65,
    meaning: 'A file was recognised, but something in it is not what its format says.',
    safe: unchanged,
    next: 'Correct the named place in the file, or import another file.',
  },
  IMPORT_OTHER_APP: {
    exitCode: 65,
    meaning: 'The file is sound, but the schema has no place for any of it.',
    safe: unchanged,
    next: 'Check that the file belongs to this app, and that PRISMA_SCHEMA is the right one.',
  },
  IMPORT_CONFLICT: {
    exitCode: 65,
    meaning:
      'The rows of the file and those of the database cannot be together: a unique value twice, a broken reference.',
    safe: unchanged,
    next: 'Change the named rows in the file or in the database, then import again.',
  },
  IMPORT_INCOMPLETE: {
    exitCode: 65,
    meaning: 'With --strict: some rows of the file could not be imported.',
    safe: unchanged,
    next: 'Import without --strict to leave these rows out, or correct the file.',
  },
  USER_NEEDED: {
    exitCode: 64,
    meaning: 'The file does not say whose data it is.',
    safe: untouched,
    next: 'Name the user: `npx bootkeeper import FILE --user NAME`.',
  },
  NOT_IN_FILE: {
    exitCode: 65,
    meaning: 'What was chosen of a file is not in it.',
    safe: unchanged,
    next: 'Choose what the message names, or all of the file.',
  },
  SCRIPT_INVALID: {
    exitCode: 65,
    meaning: 'A script that is to be guarded, or a module that it imports, cannot be parsed.',
    safe: 'The script was not run. Nothing was touched.',
    next: 'Correct the named line, then run the guard again.',
  },
  SCRIPT_NOT_STARTED: {
    exitCode: 70,
    meaning: 'The program that runs a guarded script could not be started.',
    safe: 'The script was not run. The database is as it was.',
    next: 'Check that Node can be run by this user, then run the guard again.',
  },
  BACKUP_NOT_FOUND: {
    exitCode: 65,
    meaning: 'No backup has that name.',
    safe: untouched,
    next: 'Run `npx bootkeeper list` for the names.',
  },
  BACKUP_DAMAGED: {
    exitCode: 65,
    meaning: 'A file of the backup is missing or does not match its checksum.',
    safe: unchanged,
    next: 'Run `npx bootkeeper list` and take another backup.',
  },
  KEY_NEEDED: {
    exitCode: 78,
    meaning: 'A file is encrypted, or is to be encrypted, and there is no key for that here.',
    safe: unchanged,
    next: 'Set BACKUP_AGE_IDENTITY_FILE, or BACKUP_AGE_PASSPHRASE_FILE, or give the command --identity FILE or --passphrase-file FILE.',
  },
  DECRYPTION_FAILED: {
    exitCode: 65,
    meaning: 'An encrypted file was encrypted for another key or passphrase, or is damaged or cut short.',
    safe: unchanged,
    next: 'Try the key that it was encrypted for. If that is the one, take another backup: `npx bootkeeper list` shows them.',
  },
  KEY_REFUSED: {
    exitCode: 65,
    meaning: 'A passphrase or key that was typed in the console does not open the file.',
    safe: unchanged,
    next: 'Try another one.',
  },
  SCRATCH_NOT_ALLOWED: {
    exitCode: 77,
    meaning:
      'The role that the app has on the server may not create databases, so a dump has nowhere to be restored to.',
    safe: untouched,
    next: 'Allow it, as a superuser: ALTER ROLE name CREATEDB; then try again.',
  },
  LOG_CHANGED: {
    exitCode: 65,
    meaning: 'A line of the operation log was changed or removed since it was written.',
    safe: 'The database and the backups have nothing to do with it; the log was only read.',
    next: 'Compare it with a copy of data/.bootkeeper/operations.jsonl from elsewhere.',
  },
  BACKUP_KEPT: {
    exitCode: 65,
    meaning: 'A backup that somebody wants to remove is pinned, in use, or the last that holds what it holds.',
    safe: 'Nothing was removed.',
    next: 'Take a newer backup first: what that one holds as well may go. `npx bootkeeper prune` says why each stays.',
  },
  PRUNE_INCOMPLETE: {
    exitCode: 74,
    meaning: 'Some of the backups that were to go could not be removed.',
    safe: 'Every other backup is as it was. What is still listed is whole.',
    next: 'Mend what the reason says, then run `npx bootkeeper prune --apply`, which finishes what was begun.',
  },
  TOOL_MISSING: {
    exitCode: 69,
    meaning: 'A program that is needed is not installed, or is too old for the server.',
    safe: untouched,
    next: 'Install it in the image.',
  },
  PRISMA_FAILED: {
    exitCode: 70,
    meaning: 'The Prisma CLI, or its schema engine, ended in a way that was not foreseen.',
    safe: unchanged,
    next: 'Read what Prisma said above.',
  },
  APP_NOT_STARTED: {
    exitCode: 127,
    meaning: 'The app command could not be started.',
    safe: 'The data is safe; its backup is listed.',
    next: 'Check APP_COMMAND, or the words after `--`.',
  },
  APP_NOT_READY: {
    exitCode: 69,
    meaning: 'The app did not become ready in the time allowed.',
    safe: 'The data is safe; if this boot changed the schema, the copy was put back.',
    next: 'Read the output of the app; READY_TIMEOUT_SECONDS allows it more time.',
  },
  SIGN_IN_NEEDED: {
    exitCode: 77,
    meaning: 'The console was asked for something without a session.',
    safe: untouched,
    next: 'Sign in again.',
  },
  SIGN_IN_REFUSED: {
    exitCode: 77,
    meaning: 'The setup code or the password is wrong, or the setup is done already.',
    safe: untouched,
    next: 'Try again. The setup code is in the log of the newest boot.',
  },
  TOO_MANY_TRIES: {
    exitCode: 75,
    meaning: 'Too many wrong codes or passwords, or too many tests of connections, came from one place.',
    safe: untouched,
    next: 'Wait for the time that the message says.',
  },
  REQUEST_REFUSED: {
    exitCode: 64,
    meaning: 'A request to the console came from another site, under an unknown name, or was not as it should be.',
    safe: untouched,
    next: 'Open the console by its own address. A public name has to be in CONSOLE_HOSTS.',
  },
  UPLOAD_TOO_LARGE: {
    exitCode: 65,
    meaning: 'A file is larger than the console takes.',
    safe: untouched,
    next: 'Set UPLOAD_LIMIT_MB higher, or import the file with `npx bootkeeper import`.',
  },
  UPLOAD_CUT_OFF: {
    exitCode: 74,
    meaning: 'The connection ended before the whole file had arrived.',
    safe: 'What had arrived of it was removed. The database is as it was.',
    next: 'Choose the file again.',
  },
  PLAN_CHANGED: {
    exitCode: 75,
    meaning: 'What was confirmed in the console is not what would happen now, or the code is no longer good.',
    safe: unchanged,
    next: 'Look at the new plan, then confirm that one.',
  },
  SETTINGS_REFUSED: {
    exitCode: 65,
    meaning: "What was typed into the form of the app's settings does not fit, or the database has no place for it.",
    safe: 'Nothing was saved. The settings are as they were.',
    next: 'Correct the fields that are marked, then save again.',
  },
  SETTINGS_CHANGED: {
    exitCode: 75,
    meaning: 'The settings of the app were changed elsewhere since the form was read.',
    safe: 'Nothing was saved. The settings are as they were changed elsewhere.',
    next: 'Read them again, look at what has changed, then save.',
  },
  INTERRUPTED: {
    exitCode: 75,
    meaning: 'The console was stopped, or stopped itself, in the middle of the work.',
    safe: 'A restore is one transaction: the data is wholly as it was before, or wholly as the file says.',
    next: 'Look at the plan again: it says what, if anything, is left to do.',
  },
  INTERNAL: {
    exitCode: 70,
    meaning: 'A bug in Bootkeeper.',
    safe: unchanged,
    next: 'Report it with the lines above.',
  },
} as const satisfies Record<string, ErrorEntry>

export type ErrorCode = keyof typeof errorTable

export interface ErrorDetails {
  /** What to run next, better than the table's own. */
  next?: string
  /** What became of the data, where the table's own sentence would be wrong. */
  safe?: string
  exitCode?: number
  cause?: unknown
}

export class BootkeeperError extends Error {
  override readonly name = 'BootkeeperError'
  readonly code: ErrorCode
  readonly exitCode: number
  readonly safe: string
  readonly next: string
  /** The boot step it passed through, added on the way up. */
  step?: string

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    const entry = errorTable[code]
    this.code = code
    this.exitCode = details.exitCode ?? entry.exitCode
    this.safe = details.safe ?? entry.safe
    this.next = details.next ?? entry.next
  }
}

/** Whatever was thrown, as an error with a code: file system errors by their errno, anything else as a bug. */
export function asBootkeeperError(thrown: unknown): BootkeeperError {
  if (thrown instanceof BootkeeperError) return thrown
  const { code, message, path, syscall } = (thrown ?? {}) as NodeJS.ErrnoException
  const text = message ?? String(thrown)
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'SQLITE_FULL')
    return new BootkeeperError('DISK_FULL', `The disk is full: ${text}.`, { cause: thrown })
  if ((code === 'EACCES' || code === 'EPERM') && path !== undefined && syscall !== 'mkdir' && !isReadable(path))
    return notReadable(path, thrown)
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'SQLITE_READONLY')
    return new BootkeeperError('DATA_DIR_NOT_WRITABLE', `A file could not be written: ${text}.`, { cause: thrown })
  if (code === 'SQLITE_BUSY' || code === 'SQLITE_LOCKED')
    return new BootkeeperError('DATABASE_BUSY', `The database is locked by another process: ${text}.`, {
      cause: thrown,
    })
  if (code?.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB')
    return new BootkeeperError('DATABASE_CORRUPT', `The database is damaged: ${text}.`, { cause: thrown })
  if (typeof code === 'string' && /^(E[A-Z0-9]+|SQLITE_\w+)$/.test(code) && !code.startsWith('ERR_'))
    return new BootkeeperError('IO', `Reading or writing failed: ${text}.`, { cause: thrown })
  return new BootkeeperError('INTERNAL', text, { cause: thrown })
}

/** The system gives the same error for reading and for writing. What is not there is no file that cannot be read. */
function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}

function ownerOf(path: string): number | undefined {
  try {
    return statSync(path).uid
  } catch {
    return undefined
  }
}

function notReadable(path: string, cause: unknown): BootkeeperError {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0]
  const owner = ownerOf(path)
  const other =
    owner === undefined ? '' : ` Run this as its owner, user ${owner}, if that is who runs the app. Else give`
  return new BootkeeperError('FILE_NOT_READABLE', `${path} cannot be read by user ${uid}.`, {
    cause,
    next: `${other.trimStart() || 'Give'} it to user ${uid}: sudo chown ${uid}:${gid} ${path} (the folders above it must let that user in as well)`,
  })
}
