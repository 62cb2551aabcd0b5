// Drill: a real restore of a backup, into a data directory and a database that are thrown away.
// Guarantees: the code is that of a restore and of an import; the live database, its state and its lock are never
// touched; what a killed drill left is swept by the next drill, or the next boot.

import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { command } from './command-hint.ts'
import type { Config } from './config.ts'
import type { Engine } from './engines/engine.ts'
import { openEngine } from './engines/open.ts'
import { asBootkeeperError, BootkeeperError, type ErrorCode } from './errors.ts'
import { freeBytes, makeDirectory, partialPath } from './files.ts'
import { applyImport, diffFiles, exportPath, type ImportTools } from './import.ts'
import { noteLastDrill } from './last-drill.ts'
import { formatBytes } from './log.ts'
import { copyOf, exportOf, listBackups, type Manifest, readManifest, totalOf } from './manifest.ts'
import { pushSchema } from './prisma/new-database.ts'
import { applyRestore, planRestore } from './restore.ts'
import { asCheck, noteKeys, noteOn } from './verify.ts'

export interface DrillResult {
  id: string
  ok: boolean
  problem?: string
  /** What was restored, in words. */
  parts: string[]
  notes: string[]
}

/** The restore does not work: that is kept. Whatever else is thrown says that it could not be tried. */
const failed: ErrorCode[] = [
  'BACKUP_DAMAGED',
  'EXPORT_DAMAGED',
  'FORMAT_UNKNOWN',
  'IMPORT_INVALID',
  'IMPORT_CONFLICT',
  'IMPORT_OTHER_APP',
]

/** Throws BACKUP_NOT_FOUND. */
export async function newestForDrill({ backupsDir }: Config): Promise<string> {
  const newest = (await listBackups(backupsDir)).findLast(({ scope }) => scope === 'everything')
  if (newest) return newest.stem
  throw new BootkeeperError('BACKUP_NOT_FOUND', `There is no backup of everything in ${backupsDir} to restore.`)
}

/** The caller holds the ops lock. Throws BACKUP_NOT_FOUND, DISK_FULL, SCRATCH_NOT_ALLOWED and the like. */
export async function drillBackup(tools: ImportTools, stem: string): Promise<DrillResult> {
  const { config } = tools
  await sweepDrills(config)
  const manifest = await readManifest(config.backupsDir, stem)
  if (manifest.scope !== 'everything')
    throw new BootkeeperError('USAGE', `${stem} holds a part of the data: a drill takes a backup of everything.`, {
      next: `Run ${command('verify', stem)}: its rows are read and counted.`,
    })
  await requireSpace(config, manifest)
  const result: DrillResult = { id: stem, ok: true, parts: [], notes: [] }
  try {
    if (copyOf(manifest)) await inScratch(tools, (scratch) => restoreCopy(tools, scratch, manifest, result))
    if (exportOf(manifest)) await inScratch(tools, (scratch) => importExport(tools, scratch, manifest, result))
  } catch (error) {
    const { code, message } = asBootkeeperError(error)
    if (!failed.includes(code)) throw error
    Object.assign(result, { ok: false, problem: message })
  }
  if (result.ok) result.notes.push(...(await noteKeys(config, manifest)))
  const lastDrill = asCheck(result.problem)
  result.notes.push(...(await noteOn(config, stem, { lastDrill })))
  await noteLastDrill(config.stateDir, stem, lastDrill).catch((error: unknown) => {
    result.notes.push(`The date of the drill could not be kept: ${asBootkeeperError(error).message}`)
  })
  return result
}

interface ScratchPlace {
  config: Config
  engine: Engine
}

async function restoreCopy(
  { config, origin }: ImportTools,
  scratch: ScratchPlace,
  manifest: Manifest,
  result: DrillResult,
): Promise<void> {
  const plan = await planRestore(config, scratch.engine, manifest.stem)
  // What was decrypted for it must not stay.
  const { notes } = await applyRestore(scratch.config, scratch.engine, plan, origin).finally(plan.discard)
  const { facts, problems } = await scratch.engine.examine(true)
  if (problems.length > 0) throw new BootkeeperError('BACKUP_DAMAGED', `Restored, the copy is damaged: ${problems[0]}.`)
  const { counts } = copyOf(manifest)!
  const rows = counts ? [`${totalOf(counts)} rows`] : []
  result.parts.push(`copy: ${[...rows, ...facts].join(', ')}`)
  result.notes.push(...notes)
}

/** Imported, it is compared with the file again: row by row, as a diff does. */
async function importExport(
  tools: ImportTools,
  scratch: ScratchPlace,
  manifest: Manifest,
  result: DrillResult,
): Promise<void> {
  const { schema } = tools
  const path = await exportPath(tools.config, manifest.stem)
  if (!scratch.engine.isFile) await pushSchema(schema, scratch.engine.url, tools.config)
  const into = { ...tools, ...scratch }
  const request = { path, userName: undefined, mode: 'replace', keepExisting: false, strict: false } as const
  const { file, report } = await applyImport(into, request)
  for (const [model, rows] of Object.entries(exportOf(manifest)!.counts ?? {}))
    if (file.counts[model] !== rows)
      throw new BootkeeperError(
        'BACKUP_DAMAGED',
        `${path} has ${file.counts[model] ?? 'no'} rows of ${model}, its manifest says ${rows}.`,
      )
  const again = await diffFiles(into, path, undefined)
  for (const { model, created, updated, removed } of again.report.models)
    if (created + updated + removed > 0)
      throw new BootkeeperError(
        'BACKUP_DAMAGED',
        `${path} does not come back as it was: of ${model}, ${created} are missing, ${updated} differ, ${removed} are too many.`,
      )
  const created = report.models.reduce((sum, model) => sum + model.created, 0)
  result.parts.push(`export: ${created} rows imported and compared`)
  result.notes.push(...leftOut(report))
}

/** No damage: the schema of today has no place for them. */
function leftOut({ skipped, emptied, notInSchema }: Awaited<ReturnType<typeof applyImport>>['report']): string[] {
  return [
    ...skipped.map(({ model, reason, rows }) => `${rows} of ${model} in the export would be skipped: ${reason}.`),
    ...emptied.map(
      ({ model, field, rows }) => `${rows} of ${model} in the export would lose their ${field}: it is nowhere.`,
    ),
    ...notInSchema.map(
      ({ model, field, rows }) =>
        `The schema has no ${field ? `${model}.${field}` : model} any more: ${rows} rows of the export.`,
    ),
  ]
}

/** A data directory of its own, with a database of its own, for as long as `use` runs. */
async function inScratch(
  { config, engine }: ImportTools,
  use: (scratch: ScratchPlace) => Promise<void>,
): Promise<void> {
  const dataDir = partialPath(join(config.stateDir, drillName))
  const place = { dataDir, backupsDir: join(dataDir, 'backups'), stateDir: join(dataDir, '.bootkeeper') }
  for (const directory of Object.values(place)) await makeDirectory(directory)
  try {
    const { url, remove } = await engine.makeScratch(dataDir)
    const scratch = await openEngine(url, { busyMs: config.busyWaitMs })
    try {
      await use({ config: { ...config, ...place, databaseUrl: url }, engine: scratch })
    } finally {
      await scratch.close()
      await remove()
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
}

const drillName = 'drill'

/** Only a drill makes them, and the caller holds the lock that every drill holds. */
async function sweepDrills({ stateDir }: Config): Promise<void> {
  for (const name of await readdir(stateDir))
    if (/^\.drill\.[0-9a-f]{8}\.partial$/.test(name)) await rm(join(stateDir, name), { recursive: true, force: true })
}

async function requireSpace({ stateDir }: Config, manifest: Manifest): Promise<void> {
  // A copy is there once more; an export becomes a database and, on the way, temporary tables.
  const sizes = manifest.files.map(
    ({ role, sizeBytes, content }) => (content?.sizeBytes ?? sizeBytes) * (role === 'copy' ? 1.1 : 3),
  )
  const needed = Math.ceil(Math.max(...sizes)) + 5_000_000
  const free = await freeBytes(stateDir)
  if (free >= needed) return
  throw new BootkeeperError(
    'DISK_FULL',
    `The drill of ${manifest.stem} needs ${formatBytes(needed)}, but ${stateDir} has ${formatBytes(free)} free.`,
  )
}
