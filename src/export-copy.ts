// The data of a raw copy as a file that can be looked into and imported: for backups that have no export.
// Guarantees: the copy is read back and checked first; nothing is written but a temporary file in the directory of the
// state, which is gone afterwards, after a kill by the next boot; a copy of an older schema gives what it has.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Origin } from './backup.ts'
import { command } from './command-hint.ts'
import type { Config } from './config.ts'
import type { Engine } from './engines/engine.ts'
import { openEngine } from './engines/open.ts'
import { BootkeeperError } from './errors.ts'
import { type WatchExport, writeExport } from './export.ts'
import { partialPath } from './files.ts'
import { copyOf, type Manifest, readManifest } from './manifest.ts'
import type { SchemaSet } from './prisma/schema-files.ts'
import { withContent } from './stored-file.ts'

export interface CopyTools {
  config: Config
  /** Of the live database, which is not touched. */
  engine: Engine
  schema: SchemaSet
  origin: Omit<Origin, 'trigger' | 'reason'>
}

/**
 * Gives `use` the path of the file. The caller holds the ops lock. Throws BACKUP_NOT_FOUND, BACKUP_DAMAGED, KEY_NEEDED,
 * SCRATCH_NOT_ALLOWED and the like.
 */
export async function withExportOfCopy<Result>(
  { config, engine, schema, origin }: CopyTools,
  stem: string,
  watch: WatchExport,
  use: (path: string) => Promise<Result>,
): Promise<Result> {
  const manifest = await readManifest(config.backupsDir, stem)
  const file = copyOf(manifest)
  if (!file)
    throw new BootkeeperError('BACKUP_NOT_FOUND', `${stem} has no copy.`, {
      next: `${command('list')} shows which backups have one.`,
    })
  requireSameEngine(manifest, engine)
  const path = partialPath(join(config.stateDir, `${stem}.json`))
  try {
    await withContent(config, file, async (copyPath) => {
      const [problem] = await engine.checkCopy(copyPath, watch.signal, { counts: file.counts })
      if (problem) throw new BootkeeperError('BACKUP_DAMAGED', `${file.name} is damaged: ${problem}.`)
      await withReadable({ config, engine }, copyPath, async (copy) => {
        const why: Origin = { ...origin, trigger: 'manual', reason: `the copy of ${stem}` }
        await writeExport(config, copy, schema, why, stem, path, { ...watch, asFarAsPresent: true })
      })
    })
    return await use(path)
  } finally {
    await rm(path, { force: true })
  }
}

function requireSameEngine(manifest: Manifest, engine: Engine): void {
  if (manifest.engine === engine.kind) return
  throw new BootkeeperError(
    'BACKUP_NOT_FOUND',
    `${manifest.stem} is a copy of ${manifest.engine}, but the database is ${engine.kind}.`,
  )
}

/** A file is a database by itself; what a server wrote has to become one again, beside the live one. */
async function withReadable(
  { config, engine }: Pick<CopyTools, 'config' | 'engine'>,
  copyPath: string,
  use: (copy: Engine) => Promise<void>,
): Promise<void> {
  const scratch = engine.isFile ? undefined : await engine.makeScratch(config.stateDir)
  try {
    const copy = await openEngine(scratch?.url ?? `file:${copyPath}`, { busyMs: config.busyWaitMs })
    try {
      if (scratch) await copy.putBack(copyPath, 'before-restore')
      await use(copy)
    } finally {
      await copy.close()
    }
  } finally {
    await scratch?.remove()
  }
}
