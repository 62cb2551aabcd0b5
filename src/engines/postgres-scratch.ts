// A database beside the live one on the same server, for a drill or a look into a dump.
// Guarantees: its name says what it is and whose; it is dropped again in any case, after a kill by the next drill, and
// nothing else is ever dropped.

import { createHash, randomBytes } from 'node:crypto'
import { BootkeeperError } from '../errors.ts'
import { connect, ident, type Server } from './postgres-connection.ts'

/** Throws SCRATCH_NOT_ALLOWED, DATABASE_UNREACHABLE. */
export async function makePostgresScratch(databaseUrl: string, server: Server, busyMs: number) {
  // Of this database alone: a drill of another one on this server may be under way.
  const mine = `bootkeeper_drill_${createHash('sha256')
    .update(JSON.stringify([server.database, server.schema]))
    .digest('hex')
    .slice(0, 8)}_`
  const name = mine + randomBytes(4).toString('hex')
  await onServer(server, busyMs, async (query) => {
    const { rows } = await query('SELECT datname AS name FROM pg_database WHERE starts_with(datname, $1)', [mine])
    // One that is in use belongs to a drill that is still alive: the server refuses.
    for (const row of rows) await query(`DROP DATABASE ${ident(row.name!)}`).catch(() => undefined)
    await query(`CREATE DATABASE ${ident(name)} TEMPLATE template0`).catch(
      (error: { code?: string; message: string }) => {
        throw new BootkeeperError(
          error.code === '42501' ? 'SCRATCH_NOT_ALLOWED' : 'DATABASE_UNREACHABLE',
          `A scratch database could not be made on ${server.host}:${server.port}: ${error.message}.`,
          {
            cause: error,
            ...(error.code === '42501'
              ? {
                  next: `Allow it, as a superuser: ALTER ROLE ${ident(server.user)} CREATEDB; then try again.`,
                }
              : {}),
          },
        )
      },
    )
  })
  const url = new URL(databaseUrl)
  url.pathname = `/${name}`
  return {
    url: url.href,
    async remove() {
      await onServer(server, busyMs, async (query) => {
        // What is still connected was started by the drill.
        await query(`DROP DATABASE IF EXISTS ${ident(name)} WITH (FORCE)`)
      })
    },
  }
}

type Query = (sql: string, values?: unknown[]) => Promise<{ rows: Record<string, string>[] }>

/** From the live database, and where there is none from the one that every server has. */
async function onServer(server: Server, busyMs: number, use: (query: Query) => Promise<void>): Promise<void> {
  const maintenance = { ...server, client: { ...server.client, database: 'postgres' } }
  const client = (await connect(server, busyMs)) ?? (await connect(maintenance, busyMs))
  if (!client)
    throw new BootkeeperError('DATABASE_UNREACHABLE', `${server.host}:${server.port} has no database to connect to.`)
  try {
    await use((sql, values) => client.query(sql, values))
  } finally {
    await client.end()
  }
}
