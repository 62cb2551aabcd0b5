// Backups: the copy of the database, taken, verified and listed.
// Guarantees: a damaged database is never copied over anything; a copy is listed only after it was read back.

import { stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { type AppIdentity, bootkeeperVersion, currentUser } from './app-identity.ts'
import { adviseRestore } from './best-backup.ts'
import type { Config } from './config.ts'
import type { Engine } from './engines/engine.ts'
import { BootkeeperError } from './errors.ts'
import { freeBytes, partialPath } from './files.ts'
import { formatBytes } from './log.ts'
import { type BackupFile, commitBackup, copyOf, listBackups, type Manifest, newStem, readManifest } from './manifest.ts'
import { isMissing, requireFreshStart } from './missing-database.ts'
import { thinOutFailing } from './prune.ts'
import type { Scope } from './scope.ts'
import { type BootState, writeState } from './state.ts'
import type { StepResult } from './timeline.ts'

/** What a manifest says of where a backup comes from. */
export interface Origin {
  trigger: Manifest['trigger']
  reason: string
  app: AppIdentity | undefined
  prisma: string
  fingerprint: string
}

/** The copy that holds what the database holds, and the signature that this is true for. */
export interface SafeCopy {
  stem: string
  path: string
  source: string
  /** Made by this boot, and not an earlier one that still holds. */
  isNew: boolean
}

/** Step 2. undefined: there is no database yet, so there is nothing to lose. */
export async function copyDatabase(
  config: Config,
  engine: Engine,
  state: BootState,
  origin: Origin,
  signal: AbortSignal,
): Promise<StepResult<SafeCopy | undefined>> {
  const adviseWhereDamaged = async (error: unknown) => {
    throw await sayWhatToRestore(config, engine, state, error)
  }
  const missing = await isMissing(engine).catch(adviseWhereDamaged)
  const whyNew = missing ? await requireFreshStart(config, engine, state) : undefined
  const source = await engine.signature()
  if (source === 'none') return { skipped: true, text: whyNew ?? 'no database yet', value: undefined }
  const known = await findCopyOf(config, state, source)
  if (known) return { skipped: true, text: `nothing was written since ${known.stem}`, value: known }

  const { manifest, copy } = await takeBackup(config, engine, origin, signal).catch(adviseWhereDamaged)
  if (copy.settled) state.copy = { stem: manifest.stem, source: copy.source }
  else delete state.copy
  await writeState(config.stateDir, state)
  await thinOutFailing(config, engine)
  const speed = `${formatBytes(copy.sizeBytes)}, ${copy.check}`
  return {
    text: `${manifest.stem}.${engine.copyExtension}, ${speed}`,
    value: {
      stem: manifest.stem,
      path: join(config.backupsDir, manifest.files[0]!.name),
      source: copy.source,
      isNew: true,
    },
  }
}

/** Takes a copy, verifies it, lists it. Throws DISK_FULL before it begins where the space would not do. */
export async function takeBackup(config: Config, engine: Engine, origin: Origin, signal?: AbortSignal) {
  const begunAt = Date.now()
  await requireSpace(config.backupsDir, await engine.sizeBytes())
  const stem = await newStem(config.backupsDir)
  const name = `${stem}.${engine.copyExtension}`
  const partial = partialPath(join(config.backupsDir, name))
  const copy = await engine.copy(partial, signal)
  signal?.throwIfAborted()
  const file: BackupFile = { role: 'copy', name, sizeBytes: copy.sizeBytes, sha256: copy.sha256 }
  if (copy.settled) file.source = copy.source
  if (copy.counts) file.counts = copy.counts
  const manifest = describeBackup(stem, engine, origin, [file], { begunAt })
  await commitBackup(config.backupsDir, manifest, [{ partial, file }])
  return { manifest, copy }
}

export function describeBackup(
  stem: string,
  engine: Engine,
  origin: Origin,
  files: BackupFile[],
  { scope = 'everything', begunAt }: { scope?: Scope; begunAt?: number } = {},
): Manifest {
  const { app, ...rest } = origin
  return {
    format: 'bootkeeper-manifest',
    version: 1,
    stem,
    createdAt: new Date().toISOString(),
    ...rest,
    scope,
    ...(begunAt === undefined ? {} : { durationMs: Date.now() - begunAt }),
    ...(app ? { app } : {}),
    by: { user: currentUser(), host: hostname() },
    bootkeeper: bootkeeperVersion(),
    engine: engine.kind,
    database: engine.description,
    files,
  }
}

async function findCopyOf(config: Config, state: BootState, source: string): Promise<SafeCopy | undefined> {
  const backups = await listBackups(config.backupsDir)
  const byManifest = backups.findLast((manifest) => copyOf(manifest)?.source === source)
  const stem = byManifest?.stem ?? (state.copy?.source === source ? state.copy.stem : undefined)
  const file =
    stem === undefined ? undefined : await readManifest(config.backupsDir, stem).then(copyOf, () => undefined)
  if (!stem || !file) return undefined
  const path = join(config.backupsDir, file.name)
  const size = await stat(path).then(
    (s) => s.size,
    () => undefined,
  )
  return size === file.sizeBytes ? { stem, path, source, isNew: false } : undefined
}

async function sayWhatToRestore(config: Config, engine: Engine, state: BootState, error: unknown): Promise<unknown> {
  if (!(error instanceof BootkeeperError) || error.code !== 'DATABASE_CORRUPT') return error
  const advice = await adviseRestore(config, engine, state)
  return new BootkeeperError('DATABASE_CORRUPT', error.message, {
    cause: error,
    next:
      advice?.text ??
      `There is no good backup in ${config.backupsDir}. Bring one there, or move the damaged file away to start afresh.`,
  })
}

async function requireSpace(directory: string, sizeBytes: number): Promise<void> {
  const needed = Math.ceil(sizeBytes * 1.05) + 1_000_000
  const free = await freeBytes(directory)
  if (free >= needed) return
  throw new BootkeeperError(
    'DISK_FULL',
    `A copy of the database needs ${formatBytes(needed)}, but ${directory} has ${formatBytes(free)} free.`,
  )
}
