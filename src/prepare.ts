// Step 1: the ground that everything else stands on.
// Guarantees: after it this process alone works on the data directory, every directory can be written, and what killed
// processes left behind is finished or gone.

import { access, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { currentUser } from './app-identity.ts'
import type { Config } from './config.ts'
import { newSalt } from './data-loss.ts'
import type { Engine } from './engines/engine.ts'
import { BootkeeperError } from './errors.ts'
import { makeDirectory, partialPath, sweepPartials } from './files.ts'
import { type Lock, takeLock } from './lock.ts'
import type { Log } from './log.ts'
import { settleCommits } from './manifest.ts'
import { type BootState, readState, writeState } from './state.ts'
import { openEncoding } from './stored-file.ts'
import type { StepResult } from './timeline.ts'
import { sweepWorkingCopies } from './working-copy.ts'

export interface Ground {
  lock: Lock
  state: BootState
}

export async function prepare(
  config: Config,
  engine: Engine,
  log: Log,
  signal: AbortSignal,
): Promise<StepResult<Ground>> {
  // Wrong keys are said now, not when the first backup is to be encrypted.
  await openEncoding(config)
  const directories = [config.dataDir, config.backupsDir, config.stateDir]
  if (engine.workDirectory && !directories.includes(engine.workDirectory)) directories.push(engine.workDirectory)
  for (const directory of directories) await requireWritable(directory)
  await requireFileWritable(engine)
  const lock = await takeLock(config.stateDir, 'a boot, or the app that it started', {
    waitMs: config.lockWaitMs,
    signal,
    onWait: (holder) => log.info(`Waiting for the data directory: it is in use by ${holder}.`),
  })
  const swept = await cleanUpAlone(config, directories)
  const state = await readState(config.stateDir)
  await sweepWorkingCopies(config, state.unprovenChange)
  state.begunAt ??= new Date().toISOString()
  state.attempts += 1
  state.lossSalt ||= newSalt()
  await writeState(config.stateDir, state)
  const failed = state.attempts - 1
  const again =
    failed > 0 ? `; ${failed === 1 ? 'the last boot' : `the last ${failed} boots`} did not get the app up` : ''
  const left = swept > 0 ? `; ${swept} unfinished ${swept === 1 ? 'file' : 'files'} of a killed boot removed` : ''
  return { text: `${config.dataDir} is ready${left}${again}`, value: { lock, state } }
}

// What an ops command writes at this moment is unfinished too, but nobody left it.
async function cleanUpAlone(config: Config, directories: string[]): Promise<number> {
  let ops: Lock
  try {
    ops = await takeLock(config.stateDir, 'a boot that cleans up', { waitMs: 0, name: 'ops' })
  } catch (error) {
    if (error instanceof BootkeeperError && error.code === 'LOCK_HELD') return 0
    throw error
  }
  try {
    return await cleanUp(directories, config.backupsDir)
  } finally {
    ops.release()
  }
}

/** Finishes or removes what a killed process left. Returns how many files were removed. */
async function cleanUp(directories: string[], backupsDir: string): Promise<number> {
  await settleCommits(backupsDir)
  let swept = 0
  for (const directory of directories) swept += (await sweepPartials(directory)).length
  // SQLite's own side files of a copy that was being read; empty, because a copy is one whole file.
  for (const name of await readdir(backupsDir))
    if (/^backup_.+\.db-(wal|shm)$/.test(name)) {
      const file = join(backupsDir, name)
      if (name.endsWith('-shm') || (await stat(file)).size === 0) await rm(file)
    }
  return swept
}

async function requireWritable(directory: string): Promise<void> {
  try {
    await makeDirectory(directory)
    // Trying is the only test that holds on every file system and for every user mapping.
    const probe = partialPath(join(directory, 'probe'))
    await writeFile(probe, '', { flag: 'wx' })
    await rm(probe)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOSPC') throw new BootkeeperError('DISK_FULL', `The disk of ${directory} is full.`, { cause: error })
    if (!['EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR', 'EEXIST'].includes(code ?? '')) throw error
    throw await notWritable(directory, code, error)
  }
}

async function requireFileWritable(engine: Engine): Promise<void> {
  if (engine.kind !== 'sqlite') return
  try {
    await access(engine.description, 2)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return
    throw await notWritable(engine.description, code, error)
  }
}

/** What to say of a folder or file that must be written. */
export async function notWritable(path: string, code: string | undefined, cause: unknown): Promise<BootkeeperError> {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0]
  const owner = await stat(path).then(
    (s) => s.uid,
    () => undefined,
  )
  const who = `user ${uid} (${currentUser()})`
  if (code === 'EROFS')
    return new BootkeeperError('DATA_DIR_NOT_WRITABLE', `${path} is on a read-only file system.`, {
      cause,
      next: `Mount a volume at ${path} that can be written.`,
    })
  return new BootkeeperError(
    'DATA_DIR_NOT_WRITABLE',
    `${path} cannot be written by ${who}${owner === undefined ? '' : `; it belongs to user ${owner}`}.`,
    { cause, next: `On the host, for the folder or volume that is mounted there: sudo chown -R ${uid}:${gid} ${path}` },
  )
}
