// Backups: the copy of the database, taken, verified and listed.
// Guarantees: a damaged database is never copied over anything; a copy is listed only after it was read back.

import { rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { type AppIdentity, bootkeeperVersion, currentUser } from './app-identity.ts'
import { adviseRestore } from './best-backup.ts'
import type { Config } from './config.ts'
import { isEncrypting } from './encryption.ts'
import type { Engine } from './engines/engine.ts'
import { BootkeeperError } from './errors.ts'
import { freeBytes, partialPath } from './files.ts'
import { formatBytes } from './log.ts'
import { type BackupFile, commitBackup, copyOf, listBackups, type Manifest, newStem, readManifest } from './manifest.ts'
import { isMissing, requireFreshStart } from './missing-database.ts'
import { thinOutFailing } from './prune.ts'
import type { RecordOperation } from './record.ts'
import type { Scope } from './scope.ts'
import { type BootState, writeState } from './state.ts'
import { type Encoding, isEncoded, isPlain, openEncoding, storedBytes, storeFile } from './stored-file.ts'
import type { StepResult } from './timeline.ts'
import { keepAsWorkingCopy } from './working-copy.ts'

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
  source: string
  /** Made by this boot, and not an earlier one that still holds. */
  isNew: boolean
  /** Made where the copy is encoded and no plain one is there yet; of another backup where that has to be a new one. */
  plain(signal?: AbortSignal): Promise<PlainCopy>
}

/** The copy as a file that can be worked with and put back. */
export interface PlainCopy {
  stem: string
  path: string
  source: string
}

/** Step 2. undefined: there is no database yet, so there is nothing to lose. */
export async function copyDatabase(
  config: Config,
  engine: Engine,
  state: BootState,
  origin: Origin,
  signal: AbortSignal,
  record: RecordOperation,
): Promise<StepResult<SafeCopy | undefined>> {
  const adviseWhereDamaged = async (error: unknown) => {
    throw await sayWhatToRestore(config, engine, state, error)
  }
  const missing = await isMissing(engine).catch(adviseWhereDamaged)
  const whyNew = missing ? await requireFreshStart(config, engine, state) : undefined
  const source = await engine.signature()
  if (source === 'none') return { skipped: true, text: whyNew ?? 'no database yet', value: undefined }
  const known = await findCopyOf(config, state, source)
  if (known) {
    const { stem, file } = known
    const plain = async (stop?: AbortSignal): Promise<PlainCopy> =>
      isEncoded(file)
        ? await makeWorkingCopy(config, engine, state, origin, known, record, stop)
        : { stem, path: join(config.backupsDir, file.name), source }
    return { skipped: true, text: `nothing was written since ${stem}`, value: { stem, source, isNew: false, plain } }
  }
  const { text, plain } = await takeBootBackup(config, engine, state, origin, record, signal).catch(adviseWhereDamaged)
  return { text, value: { stem: plain.stem, source: plain.source, isNew: true, plain: async () => plain } }
}

/** The copy that this boot goes back to, and until the app came up a plain one of it. */
async function takeBootBackup(
  config: Config,
  engine: Engine,
  state: BootState,
  origin: Origin,
  record: RecordOperation,
  signal?: AbortSignal,
): Promise<{ text: string; plain: PlainCopy }> {
  const { trigger, reason } = origin
  const operation = { action: 'backup', entity: 'backup', metadata: { trigger, reason } }
  const { manifest, copy, plainPath } = await record(operation, async (note) => {
    const taken = await takeBackup(config, engine, origin, signal, { keepsPlain: true })
    note({ ids: [taken.manifest.stem] })
    return taken
  })
  const { stem } = manifest
  if (copy.settled) state.copy = { stem, source: copy.source }
  else delete state.copy
  await writeState(config.stateDir, state)
  await thinOutFailing(config, engine, record)
  const { name, sizeBytes, content, readBack } = copyOf(manifest)!
  const size = content ? `${formatBytes(sizeBytes)} of ${formatBytes(content.sizeBytes)}` : formatBytes(sizeBytes)
  const unproven = readBack ? '; what is inside was not, for want of the key' : ''
  return { text: `${name}, ${size}, ${copy.check}${unproven}`, plain: { stem, path: plainPath, source: copy.source } }
}

/** From the database, which no key is needed for: the same bytes, or else a backup of their own. */
async function makeWorkingCopy(
  config: Config,
  engine: Engine,
  state: BootState,
  origin: Origin,
  { stem, file }: { stem: string; file: BackupFile },
  record: RecordOperation,
  signal?: AbortSignal,
): Promise<PlainCopy> {
  await requireSpace(config, await engine.sizeBytes())
  const partial = partialPath(join(config.stateDir, file.name))
  try {
    const { sha256, source } = await engine.copy(partial, signal)
    if (sha256 === file.content?.sha256) return { stem, path: await keepAsWorkingCopy(config, partial, file), source }
  } finally {
    await removeCopy(partial)
  }
  return (await takeBootBackup(config, engine, state, origin, record, signal)).plain
}

/**
 * Takes a copy, verifies it, stores it as the settings say, lists it. Throws DISK_FULL before it begins where the space
 * would not do. `plainPath`: the copy as a file that can be worked with, where `keepsPlain` asks for it.
 */
export async function takeBackup(
  config: Config,
  engine: Engine,
  origin: Origin,
  signal?: AbortSignal,
  { keepsPlain = false, stem: given }: { keepsPlain?: boolean; stem?: string } = {},
) {
  const begunAt = Date.now()
  const encoding = await openEncoding(engine.compressesCopies ? { ...config, compression: 'none' } : config)
  await requireSpace(config, await engine.sizeBytes(), encoding)
  const stem = given ?? (await newStem(config.backupsDir))
  const name = `${stem}.${engine.copyExtension}`
  const partial = partialPath(join(config.backupsDir, name))
  const plain = isPlain(encoding) ? partial : partialPath(join(config.stateDir, name))
  try {
    const copy = await engine.copy(plain, signal)
    signal?.throwIfAborted()
    const plainFile: BackupFile = { role: 'copy', name, sizeBytes: copy.sizeBytes, sha256: copy.sha256 }
    if (copy.settled) plainFile.source = copy.source
    if (copy.counts) plainFile.counts = copy.counts
    const file = isPlain(encoding) ? plainFile : await storeFile(plain, partial, plainFile, encoding, signal)
    const manifest = describeBackup(stem, engine, origin, [file], { begunAt })
    await commitBackup(config.backupsDir, manifest, [{ partial, file }])
    const isKept = keepsPlain && isEncoded(file)
    const plainPath = isKept ? await keepAsWorkingCopy(config, plain, file) : join(config.backupsDir, name)
    return { manifest, copy, plainPath }
  } finally {
    // Once it has its name, nothing is left under this one.
    await removeCopy(plain)
    await rm(partial, { force: true })
  }
}

async function removeCopy(path: string): Promise<void> {
  for (const ending of ['', '-wal', '-shm', '-journal']) await rm(path + ending, { force: true })
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

/** Encrypted or not as the settings say now: who turned it on does not want to wait for the next change. */
async function findCopyOf(
  config: Config,
  state: BootState,
  source: string,
): Promise<{ stem: string; file: BackupFile } | undefined> {
  const isWanted = (file: BackupFile | undefined) => (file?.encryption !== undefined) === isEncrypting(config)
  const backups = (await listBackups(config.backupsDir)).filter((manifest) => isWanted(copyOf(manifest)))
  const byManifest = backups.findLast((manifest) => copyOf(manifest)?.source === source)
  const stem = byManifest?.stem ?? (state.copy?.source === source ? state.copy.stem : undefined)
  const file =
    stem === undefined ? undefined : await readManifest(config.backupsDir, stem).then(copyOf, () => undefined)
  if (!stem || !file || !isWanted(file)) return undefined
  const path = join(config.backupsDir, file.name)
  const size = await stat(path).then(
    (s) => s.size,
    () => undefined,
  )
  return size === file.sizeBytes ? { stem, file } : undefined
}

/** Of a damaged database: the newest good backup, as a command. Any other error as it is. */
export async function sayWhatToRestore(
  config: Config,
  engine: Engine,
  state: BootState,
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof BootkeeperError) || error.code !== 'DATABASE_CORRUPT') return error
  const advice = await adviseRestore(config, engine, state)
  return new BootkeeperError('DATABASE_CORRUPT', error.message, {
    cause: error,
    next:
      advice?.text ??
      `There is no good backup in ${config.backupsDir}. Bring one there, or move the damaged file away to start afresh.`,
  })
}

/** With an encoding for the plain copy and for what is made of it; without one for a plain copy beside the state. */
async function requireSpace({ backupsDir, stateDir }: Config, sizeBytes: number, encoding?: Encoding): Promise<void> {
  const plain = Math.ceil(sizeBytes * 1.05) + 1_000_000
  const needs = new Map<string, number>()
  if (encoding) needs.set(backupsDir, isPlain(encoding) ? plain : Math.ceil(storedBytes(encoding, plain)))
  if (!encoding || !isPlain(encoding)) {
    const [state, backups] = await Promise.all([stat(stateDir), stat(backupsDir)])
    const directory = encoding && state.dev === backups.dev ? backupsDir : stateDir
    needs.set(directory, (needs.get(directory) ?? 0) + plain)
  }
  for (const [directory, needed] of needs) {
    const free = await freeBytes(directory)
    if (free < needed)
      throw new BootkeeperError(
        'DISK_FULL',
        `A copy of the database needs ${formatBytes(needed)}, but ${directory} has ${formatBytes(free)} free.`,
      )
  }
}
