// Picks the engine by the address of the database.
// Guarantees: what the settings accept, this opens; SQLite's code is not loaded for PostgreSQL, nor the other way round.

import type { Engine } from './engine.ts'

export async function openEngine(databaseUrl: string, options: { busyMs: number }): Promise<Engine> {
  if (databaseUrl.startsWith('file:')) return (await import('./sqlite.ts')).openSqlite(databaseUrl, options)
  return (await import('./postgres.ts')).openPostgres(databaseUrl, options)
}
