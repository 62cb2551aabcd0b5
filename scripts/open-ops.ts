// What every ops command begins with: the settings, the engine, the schema, and who asks.
// Guarantees: the engine is closed again, whatever the command did.

import { appIdentity } from '../src/app-identity.ts'
import { type Origin, sayWhatToRestore } from '../src/backup.ts'
import { type Config, readConfig } from '../src/config.ts'
import type { Engine } from '../src/engines/engine.ts'
import { openEngine } from '../src/engines/open.ts'
import { asBootkeeperError, BootkeeperError, errorTable } from '../src/errors.ts'
import { makeDirectory } from '../src/files.ts'
import { type LockName, takeLock } from '../src/lock.ts'
import { prismaVersion } from '../src/prisma/fingerprint.ts'
import { openRecord, type RecordOperation } from '../src/record.ts'
import { readState } from '../src/state.ts'
import { type KeyWords, withKeys } from './keys.ts'

export interface Ops {
  config: Config
  engine: Engine
  origin: Omit<Origin, 'trigger' | 'reason'>
}

/** Of a command that writes: what it does goes into the operation log. */
export type RecordedOps = Ops & { record: RecordOperation }

/** For the operation log: writes what the command does. `lock`: the one that it holds while it does it. */
export function recordOf(config: Config, lock?: LockName): RecordOperation {
  const warn = (message: string) => process.stderr.write(`! ${message}\n`)
  return openRecord(config, { ...(lock ? { lock } : {}), warn, endsOnSignal: true })
}

/** The same for a command that writes a backup: one at a time, and no boot takes its files for leftovers. */
export async function withOpsLock(
  doing: string,
  run: (ops: RecordedOps) => Promise<number>,
  keys: KeyWords = {},
): Promise<number> {
  return await withOps(async (ops) => {
    const lock = await takeLock(ops.config.stateDir, doing, { waitMs: ops.config.lockWaitMs, name: 'ops' })
    try {
      return await run({ ...ops, record: recordOf(ops.config, 'ops') })
    } finally {
      lock.release()
    }
  }, keys)
}

/** Throws DATABASE_MISSING. `doing`: such as "back up". */
export async function requireDatabase(engine: Engine, doing: string): Promise<void> {
  if ((await engine.signature()) !== 'none') return
  throw new BootkeeperError('DATABASE_MISSING', `There is no database ${engine.description}: nothing to ${doing}.`, {
    next: 'Start the app. Where a backup holds rows, it stops and says how to put them back.',
  })
}

/** `keys`: the words of the command that name keys to read with. */
export async function withOps(run: (ops: Ops) => Promise<number>, keys: KeyWords = {}): Promise<number> {
  const config = withKeys(readConfig(), keys)
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
  } catch (error) {
    // Where nobody had a better word.
    const known = asBootkeeperError(error)
    if (known.next !== errorTable.DATABASE_CORRUPT.next) throw error
    throw await sayWhatToRestore(config, engine, await readState(config.stateDir), known)
  } finally {
    await engine.close()
  }
}
