// The database for what the console does: as a command has it, under the ops lock, with a connection of its own.
// Guarantees: no two such things at a time, and none beside a command that writes; connection and lock are free again
// afterwards, whatever happened.

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

/** What needs no schema: it works also where that is what is wrong. */
export interface Ground {
  config: Config
  engine: Engine
  record: RecordOperation
  origin: Omit<Origin, 'trigger' | 'reason'>
}

export interface Database extends Ground {
  schema: SchemaSet
}

export interface Databases {
  /** For what replaces the database: no boot can begin meanwhile. Throws LOCK_HELD. */
  withGroundAlone<Result>(doing: string, run: (ground: Ground) => Promise<Result>): Promise<Result>
  /** Throws LOCK_HELD. */
  withGround<Result>(doing: string, run: (ground: Ground) => Promise<Result>): Promise<Result>
  /** Throws LOCK_HELD, SCHEMA_NOT_FOUND. */
  withDatabase<Result>(doing: string, run: (database: Database) => Promise<Result>): Promise<Result>
}

const lockWaitMs = 2_000

/** `isMaintenance`: no boot of this process holds the data directory. */
export function openDatabases(config: Config, log: Log, isMaintenance: boolean): Databases {
  const withGround: Databases['withGround'] = async (doing, run) => {
    const lock = await takeLock(config.stateDir, doing, { waitMs: lockWaitMs, name: 'ops' })
    try {
      const engine = await openEngine(config.databaseUrl, { busyMs: config.busyWaitMs })
      try {
        const { inStep } = await readState(config.stateDir)
        const prisma = await prismaVersion(process.cwd())
        return await run({
          config,
          engine,
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
  return {
    withGround,
    withGroundAlone: (doing, run) =>
      withGround(doing, async (ground) => {
        const lock = isMaintenance ? await takeLock(config.stateDir, doing, { waitMs: lockWaitMs }) : undefined
        try {
          return await run(ground)
        } finally {
          lock?.release()
        }
      }),
    withDatabase: (doing, run) =>
      withGround(doing, async (ground) => {
        const schema = await readSchemaFiles(await findSchema(process.cwd(), config.schemaSetting))
        return await run({ ...ground, schema })
      }),
  }
}
