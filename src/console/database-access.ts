// How the console gets at the app's database to change it: as a command does.
// Guarantees: a connection of its own, under the ops lock, so that no command and no other tab is at work meanwhile;
// both are given back whatever happens.

import { appIdentity } from '../app-identity.ts'
import type { Origin } from '../backup.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engines/engine.ts'
import { openEngine } from '../engines/open.ts'
import { takeLock } from '../lock.ts'
import type { Log } from '../log.ts'
import { prismaVersion } from '../prisma/fingerprint.ts'
import { findSchema, readSchemaFiles, type SchemaSet } from '../prisma/schema-files.ts'
import { openRecord, type RecordOperation } from '../record.ts'
import { readState } from '../state.ts'

export interface Database {
  engine: Engine
  schema: SchemaSet
  origin: Omit<Origin, 'trigger' | 'reason'>
  record: RecordOperation
}

export type WithDatabase = <Result>(doing: string, run: (database: Database) => Promise<Result>) => Promise<Result>

/** What it gives throws LOCK_HELD. */
export function databaseAccess(config: Config, log: Log): WithDatabase {
  return async (doing, run) => {
    const lock = await takeLock(config.stateDir, doing, { waitMs: 2_000, name: 'ops' })
    try {
      const engine = await openEngine(config.databaseUrl, { busyMs: config.busyWaitMs })
      try {
        const schema = await readSchemaFiles(await findSchema(process.cwd(), config.schemaSetting))
        const { inStep } = await readState(config.stateDir)
        const prisma = await prismaVersion(process.cwd())
        return await run({
          engine,
          schema,
          origin: { app: appIdentity(process.cwd()), prisma, fingerprint: inStep ?? '' },
          record: openRecord(config, { lock: 'ops', warn: (message) => log.warn(message) }),
        })
      } finally {
        await engine.close()
      }
    } finally {
      lock.release()
    }
  }
}
