// Imports a file into PostgreSQL: its tables are mirrored in an SQLite database, the import happens there, as on SQLite,
// and what it changed is done again in PostgreSQL, in one transaction. Guarantees: a dry run only reads; the real thing
// is whole or did not happen, also when it is killed; nobody writes between the look at the rows and the commit; the
// mirror is a temporary file that is gone with the process.

import Database from 'better-sqlite3'
import type { Client } from 'pg'
import { BootkeeperError } from '../errors.ts'
import type { ImportOptions, StagedImport } from './engine-import.ts'
import { postgresCells } from './postgres-cells.ts'
import { beginLocked, commit, inSession } from './postgres-import-session.ts'
import { createTables, fillMirror, type Mirror, planMirror } from './postgres-mirror.ts'
import { normaliseStaged } from './postgres-normalise.ts'
import { keepBefore, replay } from './postgres-replay.ts'
import { readCatalogue } from './postgres-tables.ts'
import { prepareForImport, run, stageGeneral } from './sqlite-import.ts'
import type { Stage } from './sqlite-stage.ts'

export interface PostgresImportOptions extends ImportOptions {
  /** As Prisma has it, with `?schema=` where it is not public. */
  url: string
  busyMs: number
  /** An SQLite file to import into in the place of PostgreSQL, whose types still decide. Made where it is missing. */
  scratch?: string
}

export async function stagePostgresImport(options: PostgresImportOptions): Promise<StagedImport> {
  const { url, model, mode, busyMs, scratch } = options
  // Without a name it is a temporary file that the system forgets with its last user.
  const database = new Database(scratch ?? '')
  const close = () => void database.close()
  try {
    prepareForImport(database, options.now)
    const session = { url, busyMs }
    const look = async (client: Client) => planMirror(await readCatalogue(client, url, model), model)
    const mirror = await inSession(session, look)
    createTables(database, 'main', mirror.tables)
    const inMirror = { ...options, model: mirror.model }
    const mapped = new Set<string>()
    const settle = async (stage: Stage) => {
      for (const { mapping } of stage.models) mapped.add(mapping.target.name)
      await inSession(session, (client) => normaliseStaged(client, stage, mirror))
    }
    const way = await stageGeneral(database, inMirror, postgresCells(mirror.columnOf), settle)
    const inTheMirror = (apply: boolean) => run(database, way, inMirror, apply)
    if (scratch) return { plan: () => inTheMirror(false), apply: () => inTheMirror(true), close }

    const needed = ({ tables }: Mirror) => tables.filter((each) => mode === 'replace' || mapped.has(each.model.name))
    return {
      plan: () =>
        inSession(session, async (client) => {
          await client.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
          await fillMirror(client, database, needed(mirror))
          await client.query('COMMIT')
          return inTheMirror(false)
        }),
      apply: () =>
        inSession(session, async (client) => {
          await beginLocked(client, needed(mirror), busyMs)
          const now = await look(client)
          requireSameTables(mirror, now)
          await fillMirror(client, database, needed(now))
          keepBefore(database, needed(now))
          const report = inTheMirror(true)
          await replay(client, database, needed(now))
          await commit(client, session, {
            what: 'The import',
            again: 'Import once more: what is there already stays as it is.',
          })
          return report
        }),
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}

/** A boot may have changed the schema while the file was read and the backup was made. */
function requireSameTables(then: Mirror, now: Mirror): void {
  const shape = ({ tables }: Mirror) =>
    JSON.stringify(
      tables.map(({ source, columns, key }) => [
        source,
        columns.map((each) => ({ ...each, lastNumber: 0 })),
        key.length,
      ]),
    )
  if (shape(then) !== shape(now))
    throw new BootkeeperError('DATABASE_BUSY', 'The tables were changed while the file was read.')
}
