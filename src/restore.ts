// Restore: puts the copy of a backup back.
// Guarantees: the backup is read back, decrypted and decompressed, before anything else; its pages, indexes and counts are checked beside the live
// database; the present one is backed up, or where it is damaged set aside, before it is replaced, whole or not at all;
// nothing is deleted.

import { type Origin, takeBackup } from './backup.ts'
import { command } from './command-hint.ts'
import type { Config } from './config.ts'
import type { Engine } from './engines/engine.ts'
import { BootkeeperError } from './errors.ts'
import { copyOf, exportOf, type Manifest, readManifest, restoreReason, stemOf } from './manifest.ts'
import { isMissing } from './missing-database.ts'
import { readState, writeState } from './state.ts'
import { decodeFile } from './stored-file.ts'

export interface RestorePlan {
  manifest: Manifest
  /** The plain copy, verified. */
  copyPath: string
  /** Removes the plain copy where it was made of an encoded one. The plan is then of no more use. */
  discard(): Promise<void>
  /** What there is now: nothing, a database that is backed up first, or a damaged one that is set aside. */
  present: 'none' | 'database'
}

/** Verifies the backup and says what would happen; changes nothing. Throws BACKUP_NOT_FOUND, BACKUP_DAMAGED. */
export async function planRestore(config: Config, engine: Engine, stem: string): Promise<RestorePlan> {
  const manifest = await readManifest(config.backupsDir, stemOf(stem))
  const file = copyOf(manifest)
  if (!file)
    throw new BootkeeperError('BACKUP_NOT_FOUND', `${manifest.stem} has an export, but no copy to put back.`, {
      next: `${command('list')} shows which backups have a copy.`,
    })
  if (manifest.engine !== engine.kind)
    throw new BootkeeperError(
      'BACKUP_NOT_FOUND',
      `${manifest.stem} is a copy of ${manifest.engine}, but the database is ${engine.kind}.`,
    )
  const { path, remove } = await decodeFile(config, file).catch((error: unknown) => {
    throw withOtherWay(error, manifest)
  })
  try {
    const problems = await engine.checkCopy(path)
    if (problems.length > 0)
      throw withOtherWay(new BootkeeperError('BACKUP_DAMAGED', `${file.name} is damaged: ${problems[0]}.`), manifest)
    // What cannot be read is there all the same: it is set aside.
    const missing = await isMissing(engine).catch(() => false)
    return { manifest, copyPath: path, discard: remove, present: missing ? 'none' : 'database' }
  } catch (error) {
    await remove()
    throw error
  }
}

/** The caller holds the lock. */
export async function applyRestore(
  config: Config,
  engine: Engine,
  plan: RestorePlan,
  origin: Omit<Origin, 'trigger' | 'reason'>,
) {
  let before: string | undefined
  if (plan.present === 'database') {
    try {
      const reason = restoreReason(plan.manifest.stem)
      before = (await takeBackup(config, engine, { ...origin, trigger: 'pre-restore', reason })).manifest.stem
    } catch (error) {
      // A damaged database cannot be backed up; its bytes are set aside below.
      if (!(error instanceof BootkeeperError && error.code === 'DATABASE_CORRUPT')) throw error
    }
  }
  const { counts } = copyOf(plan.manifest)!
  const { aside, notes } = await engine.putBack(plan.copyPath, 'before-restore', { counts }).catch((error: unknown) => {
    throw withOtherWay(error, plan.manifest)
  })
  const state = await readState(config.stateDir)
  state.copy = { stem: plan.manifest.stem, source: await engine.signature() }
  state.restored = { stem: plan.manifest.stem, at: new Date().toISOString() }
  delete state.inStep
  delete state.export
  delete state.unprovenChange
  await writeState(config.stateDir, state)
  return { before, aside, notes }
}

/** The export of the same backup was made on its own: what is wrong with the copy need not be wrong with it. */
function withOtherWay(error: unknown, manifest: Manifest): unknown {
  if (!(error instanceof BootkeeperError) || error.code !== 'BACKUP_DAMAGED' || !exportOf(manifest)) return error
  return new BootkeeperError(error.code, error.message, {
    cause: error,
    next: `Run ${command('restore', manifest.stem, '--export', '--apply')} to put the export of the same backup back, or take another one.`,
  })
}
