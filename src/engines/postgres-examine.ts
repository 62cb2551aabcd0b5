// A look at the live PostgreSQL database for the doctor.
// Guarantees: only reads; with `full` pg_dump reads every row of every table, to nowhere.

import { BootkeeperError } from '../errors.ts'
import { formatBytes } from '../log.ts'
import type { Examination } from './engine.ts'
import { connect, requireTool, run, type Server } from './postgres-connection.ts'

/** Throws DATABASE_UNREACHABLE, DATABASE_MISSING, TOOL_MISSING. */
export async function examinePostgres(server: Server, busyMs: number, full: boolean): Promise<Examination> {
  const client = await connect(server, busyMs)
  if (!client)
    throw new BootkeeperError('DATABASE_MISSING', `The server has no database ${server.database}.`, {
      next: 'Start the app, which makes it, or correct DATABASE_URL.',
    })
  let facts: string[]
  let warnings: string[]
  try {
    const { rows } = await client.query(
      "SELECT current_setting('server_version') AS version, pg_database_size(current_database())::float8 AS size",
    )
    facts = [`PostgreSQL ${rows[0].version}`, formatBytes(rows[0].size)]
    const invalid = await client.query(
      `SELECT format('index %s is not valid', indexrelid::regclass) AS text FROM pg_index WHERE NOT indisvalid
       UNION ALL SELECT format('constraint %I of %s was never checked', conname, conrelid::regclass)
       FROM pg_constraint WHERE NOT convalidated`,
    )
    warnings = invalid.rows.map(({ text }) => text as string)
  } finally {
    await client.end()
  }
  for (const tool of ['pg_dump', 'pg_restore', 'psql']) await requireTool(tool, server, busyMs)
  if (!full) return { facts, problems: [], warnings }
  const schema = server.schema ? ['--schema', server.schema] : []
  const problem = await run('pg_dump', ['--file=/dev/null', ...schema], server, undefined).then(
    () => undefined,
    (error: Error) => error.message.replace(/\.$/, ''),
  )
  return { facts: [...facts, 'every row was read'], problems: problem === undefined ? [] : [problem], warnings }
}
