// Backups on disk: data files under one stem, and the manifest that makes them a backup.
// Guarantees: files are named before the manifest is, so what is listed is whole; a commit that a kill cut short is
// finished or undone by the next boot; a stem is unique, sorts by time and is safe on every file system and in S3.

import { readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { BootkeeperError } from './errors.ts'
import { fsyncDirectory, partialPath, renameDurably, sha256OfFile, writeJsonAtomically } from './files.ts'

const fileSchema = z.object({
  role: z.enum(['copy', 'export']),
  name: z.string().regex(/^[\w.-]+$/),
  sizeBytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** For a copy: the signature of the database that it was made of. */
  source: z.string().optional(),
  /** Rows per model, for an export; rows per table, for a copy of SQLite. */
  counts: z.record(z.string(), z.number().int()).optional(),
})

const manifestSchema = z.object({
  format: z.literal('bootkeeper-manifest'),
  version: z.literal(1),
  stem: z.string().regex(/^backup_[\w.-]+$/),
  createdAt: z.string(),
  trigger: z.enum(['boot', 'manual', 'pre-restore']),
  reason: z.string(),
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

/** A stem for now that no file in `backupsDir` has yet, such as `backup_2026-11-20T10-30-00Z`. */
export async function newStem(backupsDir: string, now = new Date()): Promise<string> {
  const taken = new Set((await readdir(backupsDir)).map((name) => name.replace(/^\./, '')))
  const base = `backup_${now.toISOString().slice(0, 19).replaceAll(':', '-')}Z`
  for (let n = 1; ; n += 1) {
    const stem = n === 1 ? base : `${base}-${n}`
    if (![...taken].some((name) => name.startsWith(`${stem}.`))) return stem
  }
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
  await writeJsonAtomically(intent, manifest)
  await renameDurably(intent, final)
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
      await writeJsonAtomically(path, manifest.data)
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
  const names = await readdir(backupsDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const stems = names
    .filter((name) => /^backup_.+\.manifest\.json$/.test(name))
    .map((name) => name.slice(0, -suffix.length))
  const read = await Promise.all(stems.map((stem) => readManifest(backupsDir, stem).catch(() => undefined)))
  return read.filter((manifest) => manifest !== undefined).sort((a, b) => compareStems(a.stem, b.stem))
}

/** Throws BACKUP_NOT_FOUND, also for a manifest that cannot be read. */
export async function readManifest(backupsDir: string, stem: string): Promise<Manifest> {
  const text = await readFile(join(backupsDir, basename(stem) + suffix), 'utf8').catch((error) => {
    // One that may not be read is there all the same.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return undefined
  })
  const manifest = manifestSchema.safeParse(text === undefined ? undefined : parseJson(text))
  if (!manifest.success)
    throw new BootkeeperError('BACKUP_NOT_FOUND', `There is no backup named ${stem} in ${backupsDir}.`)
  return manifest.data
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

/** The trigger, and the reason where it says more. */
export function whyMade({ trigger, reason }: Manifest): string {
  return trigger === reason ? trigger : `${trigger}: ${reason}`
}

export function totalOf(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}

/** Reads a file of a backup back. Throws BACKUP_DAMAGED, naming the file. */
export async function verifyFile(backupsDir: string, file: BackupFile): Promise<void> {
  const path = join(backupsDir, file.name)
  const size = await sizeOf(path)
  if (size === undefined) throw new BootkeeperError('BACKUP_DAMAGED', `${path} is missing.`)
  if (size !== file.sizeBytes)
    throw new BootkeeperError('BACKUP_DAMAGED', `${path} has ${size} bytes, but was written with ${file.sizeBytes}.`)
  if ((await sha256OfFile(path)) !== file.sha256)
    throw new BootkeeperError('BACKUP_DAMAGED', `${path} does not match its checksum.`)
}

/** Removes a backup: its manifest first, so that it is never listed without its files. */
export async function removeBackup(backupsDir: string, manifest: Manifest): Promise<void> {
  await rm(join(backupsDir, manifest.stem + suffix))
  await fsyncDirectory(backupsDir)
  for (const file of manifest.files) await rm(join(backupsDir, file.name), { force: true })
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch {
    return undefined
  }
}

// The suffix of a second stem within the same second counts as a number: -2 before -10.
function compareStems(a: string, b: string): number {
  const [timeA = '', nA = '1'] = a.split(/Z-?/)
  const [timeB = '', nB = '1'] = b.split(/Z-?/)
  return timeA === timeB ? Number(nA || 1) - Number(nB || 1) : timeA < timeB ? -1 : 1
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
