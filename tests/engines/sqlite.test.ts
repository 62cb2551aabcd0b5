// The contract of engines, on SQLite, in both journal modes.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { openSqlite } from '../../src/engines/sqlite.ts'
import { makeFolder } from '../harness.ts'
import { engineContract } from './contract.ts'

for (const mode of ['delete', 'wal'])
  engineContract(`SQLite (${mode})`, async () => {
    const path = join(makeFolder(), 'app.db')
    const use = <Value>(work: (database: Database.Database) => Value): Value => {
      const database = new Database(path)
      try {
        database.pragma(`journal_mode = ${mode}`)
        return work(database)
      } finally {
        database.close()
      }
    }
    return {
      engine: openSqlite(`file:${path}`, { busyMs: 2_000 }),
      run: async (sql) => void use((database) => database.exec(sql)),
      rows: async (sql) => use((database) => database.prepare(sql).all() as Record<string, unknown>[]),
      damage: () => writeFileSync(path, 'damaged '.repeat(2_000)),
    }
  })
