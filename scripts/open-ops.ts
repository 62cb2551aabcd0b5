// What every ops command begins with: the settings, the engine, the schema, and who asks.
// Guarantees: the engine is closed again, whatever the command did.

import { appIdentity } from '../src/app-identity.ts'
import type { Origin } from '../src/backup.ts'
import { type Config, readConfig } from '../src/config.ts'
import type { Engine } from '../src/engines/engine.ts'
import { openEngine } from '../src/engines/open.ts'
import { BootkeeperError } from '../src/errors.ts'
import { makeDirectory } from '../src/files.ts'
import { type LockName, takeLock } from '../src/lock.ts'
import { prismaVersion } from '../src/prisma/fingerprint.ts'
import { openRecord, type RecordOperation } from '../src/record.ts'
import { readState } from '../src/state.ts'

export interface Ops {
  config: Config
  engine: Engine
  origin: Omit<Origin, 'trigger' | 'reason'>
}

/** For the operation log: writes what the command does. `lock`: the one that it holds while it does it. */
export function recordOf(config: Config, lock?: LockName): RecordOperation {
  const warn = (message: string) => process.stderr.write(`! ${message}\n`)
  return openRecord(config, { ...(lock ? { lock } : {}), warn, endsOnSignal: true })
}

/** The same for a command that writes a backup: one at a time, and no boot takes its files for leftovers. */
export async function withOpsLock(
  doing: string,
  run: (ops: Ops & { record: RecordOperation }) => Promise<number>,
): Promise<number> {
  return await withOps(async (ops) => {
    const lock = await takeLock(ops.config.stateDir, doing, { waitMs: ops.config.lockWaitMs, name: 'ops' })
    try {
      return await run({ ...ops, record: recordOf(ops.config, 'ops') })
    } finally {
      lock.release()
    }
  })
}

/** Throws DATABASE_MISSING. `doing`: such as "back up". */
export async function requireDatabase(engine: Engine, doing: string): Promise<void> {
  if ((await engine.signature()) !== 'none') return
  throw new BootkeeperError('DATABASE_MISSING', `There is no database ${engine.description}: nothing to ${doing}.`, {
    next: 'Start the app. Where a backup holds rows, it stops and says how to put them back.',
  })
}

export async function withOps(run: (ops: Ops) => Promise<number>): Promise<number> {
  const config = readConfig()
  for (const directory of [config.dataDir, config.backupsDir, config.stateDir]) await makeDirectory(directory)
  const engine = await openEngine(config.databaseUrl, { busyMs: config.busyWaitMs })
  try {
    const { inStep } = await readState(config.stateDir)
    const origin = {
      app: appIdentity(process.cwd()),
      prisma: await prismaVersion(process.cwd()),
      fingerprint: inStep ?? '',
    }
    return await run({ config, engine, origin })
  } finally {
    await engine.close()
  }
}
