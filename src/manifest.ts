// Backups on disk: data files under one stem, and the manifest that makes them a backup.
// Guarantees: files are named before the manifest is, so what is listed is whole; a commit that a kill cut short is
// finished or undone by the next boot; a stem is unique, sorts by time and is safe on every file system and in S3; a
// manifest carries its own checksum, so that no byte of it can change unnoticed.

import { createHash } from 'node:crypto'
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { BootkeeperError } from './errors.ts'
import {
  fsyncDirectory,
  partialPath,
  renameDurably,
  sha256OfFile,
  writeAtomically,
  writeJsonAtomically,
} from './files.ts'
import { scopeSchema } from './scope.ts'

const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/)

const fileSchema = z.object({
  /** `script`: a program that puts the export of a table back. */
  role: z.enum(['copy', 'export', 'script']),
  name: z.string().regex(/^[\w.-]+$/),
  /** Of the file as it is stored. */
  sizeBytes: z.number().int().nonnegative(),
  sha256: sha256Schema,
  /** Compressed first, then encrypted. */
  compression: z.enum(['gzip', 'zstd', 'bzip2']).optional(),
  encryption: z.literal('age').optional(),
  /** What is inside, where the file is compressed or encrypted. */
  content: z.object({ sizeBytes: z.number().int().nonnegative(), sha256: sha256Schema }).optional(),
  /** `bytes`: the file was read back, but not what is inside it, because the key to it was not there. */
  readBack: z.literal('bytes').optional(),
  /** Then, whose keys open it: see src/proven-keys.ts. */
  encryptedFor: sha256Schema.optional(),
  /** For a copy: the signature of the database that it was made of. */
  source: z.string().optional(),
  /** Rows per model, for an export; rows per table, for a copy of SQLite. */
  counts: z.record(z.string(), z.number().int()).optional(),
})

/** Without a problem, all was well. */
const checkSchema = z.object({ at: z.string(), problem: z.string().optional() })

export const triggers = ['boot', 'manual', 'scheduled', 'pre-restore', 'pre-sync', 'guard'] as const

export const manifestSchema = z.object({
  format: z.literal('bootkeeper-manifest'),
  version: z.literal(1),
  stem: z.string().regex(/^backup_[\w.-]+$/),
  createdAt: z.string(),
  trigger: z.enum(triggers),
  reason: z.string(),
  scope: scopeSchema,
  /** Somebody asked to keep it: it is never removed. */
  pinned: z.literal(true).optional(),
  /** The newest time that its files were read back after it was listed. */
  lastCheck: checkSchema.optional(),
  /** The newest time that it was restored into a scratch database. */
  lastDrill: checkSchema.optional(),
  /** How long it took, up to the manifest. */
  durationMs: z.number().int().nonnegative().optional(),
  by: z.object({ user: z.string(), host: z.string() }),
  app: z.object({ name: z.string(), version: z.string() }).optional(),
  bootkeeper: z.string(),
  prisma: z.string(),
  engine: z.enum(['sqlite', 'postgresql']),
  /** Where the data came from, without credentials. */
  database: z.string(),
  fingerprint: z.string(),
  files: z.array(fileSchema).min(1),
})

export type Manifest = z.infer<typeof manifestSchema>
export type BackupFile = z.infer<typeof fileSchema>

const suffix = '.manifest.json'

/**
 * A stem for now that no file in `backupsDir` has yet, such as `backup_2026-11-20T10-30-00Z`; of the backup of a part
 * `backup_2026-11-20T10-30-00Z_mod`. Of two in one second the later one has a number, whatever they are of.
 */
export async function newStem(backupsDir: string, now = new Date(), part?: string): Promise<string> {
  const taken = (await readdir(backupsDir)).map((name) => name.replace(/^\./, ''))
  const base = `backup_${now.toISOString().slice(0, 19).replaceAll(':', '-')}Z`
  const ending = part === undefined ? '' : `_${safeName(part)}`
  for (let n = 1; ; n += 1) {
    const stem = n === 1 ? base : `${base}-${n}`
    if (!taken.some((name) => name.startsWith(`${stem}.`) || name.startsWith(`${stem}_`))) return stem + ending
  }
}

const longestPart = 60

/** Lower case and plain letters, so that it is the same name on every file system and in every bucket. */
function safeName(name: string): string {
  const plain = name.toLowerCase().replace(/[^a-z0-9]+/g, '_')
  return plain.replace(/^_+|_+$/g, '').slice(0, longestPart) || 'part'
}

/**
 * Lists a backup. Each file in `parts` is finished, fsynced and verified under a temporary name in `backupsDir`.
 * 1. The manifest goes to a temporary name: from here on a kill is rolled forward by `settleCommits`.
 * 2. The files get their names. 3. The manifest gets its name: now it is a backup.
 */
export async function commitBackup(
  backupsDir: string,
  manifest: Manifest,
  parts: { partial: string; file: BackupFile }[],
): Promise<void> {
  const final = join(backupsDir, manifest.stem + suffix)
  const intent = partialPath(final)
  const pending = parts.map(({ partial, file }) => ({ partial: basename(partial), name: file.name }))
  await writeJsonAtomically(intent, { ...manifestSchema.parse(manifest), pending })
  for (const { partial, file } of parts) await rename(partial, join(backupsDir, file.name))
  await fsyncDirectory(backupsDir)
  await writeManifest(intent, manifest)
  await renameDurably(intent, final)
}

async function writeManifest(path: string, manifest: Manifest): Promise<void> {
  await writeAtomically(path, (handle) => handle.writeFile(withChecksum(manifest)))
}

/** The text of a manifest. Its last member is the sha256 of the text without that member. */
function withChecksum(manifest: object): string {
  const sha256 = createHash('sha256').update(asText(manifest)).digest('hex')
  return asText({ ...manifest, sha256 })
}

function asText(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

/** undefined: not a manifest, or not as it was written. */
function parseManifest(text: string): Manifest | undefined {
  const { sha256: _, ...content } = (parseJson(text) ?? {}) as Record<string, unknown>
  if (withChecksum(content) !== text) return undefined
  const manifest = manifestSchema.safeParse(content)
  return manifest.success ? manifest.data : undefined
}

/** Finishes or undoes commits that a kill cut short. Only for the holder of the lock, before partials are swept. */
export async function settleCommits(backupsDir: string): Promise<void> {
  const intents = (await readdir(backupsDir)).filter((name) =>
    /^\.backup_.+\.manifest\.json\.[0-9a-f]{8}\.partial$/.test(name),
  )
  for (const name of intents) {
    const path = join(backupsDir, name)
    const text = await readFile(path, 'utf8')
    const intent = parseJson(text) as { pending?: { partial: string; name: string }[] } | undefined
    const manifest = manifestSchema.safeParse(intent)
    if (!manifest.success) {
      await rm(path)
      continue
    }
    for (const { partial, name: fileName } of intent?.pending ?? []) {
      await rename(join(backupsDir, partial), join(backupsDir, fileName)).catch((error: NodeJS.ErrnoException) => {
        // Already renamed before the kill.
        if (error.code !== 'ENOENT') throw error
      })
    }
    const whole = await Promise.all(manifest.data.files.map((file) => sizeOf(join(backupsDir, file.name))))
    if (manifest.data.files.every((file, i) => whole[i] === file.sizeBytes)) {
      await writeManifest(path, manifest.data)
      await renameDurably(path, join(backupsDir, manifest.data.stem + suffix))
    } else {
      const listed = await readManifest(backupsDir, manifest.data.stem).catch(() => undefined)
      for (const { name: fileName } of intent?.pending ?? [])
        if (!listed?.files.some((file) => file.name === fileName)) await rm(join(backupsDir, fileName), { force: true })
      await rm(path)
    }
  }
}

/** Every backup, oldest first. A manifest that cannot be read is no backup. */
export async function listBackups(backupsDir: string): Promise<Manifest[]> {
  const stems = await listStems(backupsDir)
  const read = await Promise.all(stems.map((stem) => readManifest(backupsDir, stem).catch(() => undefined)))
  return read.filter((manifest) => manifest !== undefined)
}

/** Of all manifests, oldest first, also of those that cannot be read. */
export async function listStems(backupsDir: string): Promise<string[]> {
  const names = await readdir(backupsDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return names
    .filter((name) => /^backup_.+\.manifest\.json$/.test(name))
    .map((name) => name.slice(0, -suffix.length))
    .sort(compareStems)
}

/** Changes what a manifest says of a backup, not the backup. */
export async function updateManifest(backupsDir: string, manifest: Manifest): Promise<void> {
  await writeManifest(join(backupsDir, manifest.stem + suffix), manifestSchema.parse(manifest))
}

/** Throws BACKUP_NOT_FOUND, and BACKUP_DAMAGED for a manifest that is not as it was written. */
export async function readManifest(backupsDir: string, stem: string): Promise<Manifest> {
  const text = await readFile(join(backupsDir, basename(stem) + suffix), 'utf8').catch((error) => {
    // One that may not be read is there all the same.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return undefined
  })
  if (text === undefined)
    throw new BootkeeperError('BACKUP_NOT_FOUND', `There is no backup named ${stem} in ${backupsDir}.`)
  const manifest = parseManifest(text)
  if (!manifest || manifest.stem !== basename(stem))
    throw new BootkeeperError('BACKUP_DAMAGED', `${basename(stem) + suffix} is not as it was written.`)
  return manifest
}

/** Of the name of a backup, or of one of its files. */
export function stemOf(name: string): string {
  return name.replace(/\.(manifest\.json|(json|db|dump)(\.(gz|zst|bz2))?(\.age)?)$/, '')
}

export function copyOf(manifest: Manifest): BackupFile | undefined {
  return manifest.files.find(({ role }) => role === 'copy')
}

export function exportOf(manifest: Manifest): BackupFile | undefined {
  return manifest.files.find(({ role }) => role === 'export')
}

/** The rows that a backup holds; undefined where none of its files says. */
export function rowsOf(manifest: Manifest): number | undefined {
  const known = manifest.files.flatMap(({ counts }) => (counts ? [totalOf(counts)] : []))
  return known.length > 0 ? Math.max(...known) : undefined
}

/**
 * Known to be good: read back with what is inside, when it was made or later, and nothing was found wrong since. Where
 * only its bytes could be read back, `provenKeys` say of which keys another backup was opened.
 */
export function isVerified(
  { files, lastCheck, lastDrill }: Manifest,
  provenKeys?: ReadonlyMap<string, string>,
): boolean {
  if (lastCheck?.problem !== undefined || lastDrill?.problem !== undefined) return false
  if (lastCheck !== undefined) return true
  return files.every(
    ({ readBack, encryptedFor }) =>
      readBack === undefined || (encryptedFor !== undefined && provenKeys?.has(encryptedFor)),
  )
}

/** Of a backup that a boot takes of what the app did not come up on. */
export const failedStartReason = 'the app did not come up on this'

/** Of the backup that a restore of another one takes first. */
export function restoreReason(stem: string): string {
  return `before the restore of ${stem}`
}

/** The trigger, and the reason where it says more. */
export function whyMade({ trigger, reason }: Manifest): string {
  return trigger === reason ? trigger : `${trigger}: ${reason}`
}

export function totalOf(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}

/** Reads a file of a backup back. Throws BACKUP_DAMAGED, naming the file. */
export async function verifyFile(backupsDir: string, file: BackupFile, signal?: AbortSignal): Promise<void> {
  const path = join(backupsDir, file.name)
  const size = await sizeOf(path)
  if (size === undefined) throw new BootkeeperError('BACKUP_DAMAGED', `${path} is missing.`)
  if (size !== file.sizeBytes)
    throw new BootkeeperError('BACKUP_DAMAGED', `${path} has ${size} bytes, but was written with ${file.sizeBytes}.`)
  if ((await sha256OfFile(path, signal)) !== file.sha256)
    throw new BootkeeperError('BACKUP_DAMAGED', `${path} does not match its checksum.`)
}

const removing = '.removing'

/**
 * Removes a backup. 1. Its manifest is renamed: now it is no longer listed, and marked as being removed. 2. Its files go.
 * 3. The mark goes. What a kill or an error leaves after step 1 is removed by `settleRemovals`.
 */
export async function removeBackup(backupsDir: string, manifest: Manifest): Promise<void> {
  const mark = join(backupsDir, `.${manifest.stem}${suffix}${removing}`)
  await renameDurably(join(backupsDir, manifest.stem + suffix), mark)
  await finishRemoval(backupsDir, mark, manifest)
}

/** Finishes removals that were cut short. Only for a holder of the ops lock. Returns the stems. */
export async function settleRemovals(backupsDir: string): Promise<string[]> {
  const marks = (await readdir(backupsDir)).filter((name) => name.startsWith('.backup_') && name.endsWith(removing))
  const settled: string[] = []
  for (const name of marks) {
    const mark = join(backupsDir, name)
    const manifest = parseManifest(await readFile(mark, 'utf8'))
    // Not as it was written: nobody knows whose files these are.
    if (!manifest || name !== `.${manifest.stem}${suffix}${removing}`) continue
    await finishRemoval(backupsDir, mark, manifest)
    settled.push(manifest.stem)
  }
  return settled
}

async function finishRemoval(backupsDir: string, mark: string, { files }: Manifest): Promise<void> {
  for (const file of files) await rm(join(backupsDir, file.name), { force: true })
  await fsyncDirectory(backupsDir)
  await rm(mark)
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch {
    return undefined
  }
}

// The number of a second stem within the same second counts as one: -2 before -10.
function compareStems(a: string, b: string): number {
  const parts = (stem: string) => /^(.*?Z)(?:-(\d+))?(_.*)?$/.exec(stem) ?? [stem, stem]
  const [, timeA = '', nA = '1'] = parts(a)
  const [, timeB = '', nB = '1'] = parts(b)
  if (timeA !== timeB) return timeA < timeB ? -1 : 1
  return Number(nA) - Number(nB) || (a < b ? -1 : a > b ? 1 : 0)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
