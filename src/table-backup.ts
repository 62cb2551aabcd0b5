// Backups of a part: some models, the rows of one that a filter names, or one row and all that hangs on it.
// Guarantees: what it gives was read back and is listed, with a program beside it that puts the rows back; the rows are
// those of one moment, and as many as the database counted then.

import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describeBackup, type Origin } from './backup.ts'
import { startChild } from './child.ts'
import type { Config } from './config.ts'
import type { DataModel } from './data-model.ts'
import type { Engine } from './engines/engine.ts'
import { BootkeeperError } from './errors.ts'
import { asExportError, databaseOf, headerOf, readDataModelCached, writeStoredExport } from './export.ts'
import type { operations } from './export-child.ts'
import { freeBytes, partialPath, sha256OfFile, writeAtomically } from './files.ts'
import { formatBytes } from './log.ts'
import { type BackupFile, commitBackup, copyOf, listBackups, type Manifest, newStem, totalOf } from './manifest.ts'
import type { SchemaSet } from './prisma/schema-files.ts'
import { restoreScript } from './restore-script.ts'
import type { PartialScope } from './scope.ts'
import { resolveScope } from './scope-words.ts'
import { writeTableSummary } from './table-summary.ts'

export interface PartialBackup {
  manifest: Manifest
  rows: number
  /** The path of the program that puts the rows back. */
  script: string
  /** By model: rows that refer to these rows and are not in the backup. */
  notIncluded: Record<string, number>
}

/** Of some rows: how many, and how long a backup of them takes. */
export interface Measure {
  rows: Record<string, number>
  /** About. */
  sizeBytes: number
  /** About. */
  ms: number
  strategy: 'at once' | 'in batches' | 'streamed'
}

/** What is about to be done, as far as it can be told before. */
export interface PartialPlan extends Measure {
  /** With the names that the schema has. */
  scope: PartialScope
}

export interface WatchPartial {
  signal?: AbortSignal
  /** Rows that were written so far. */
  onProgress?: (rows: number) => void
}

/**
 * Counts the rows of a scope, and estimates their size. Reads only. Names of `asked.models` may be those of models or of
 * tables, in any case. Throws USAGE for a model or a filter that the schema does not have, and with `whole` where no row
 * fits.
 */
export async function planPartialBackup(
  config: Config,
  engine: Engine,
  schema: SchemaSet,
  origin: Origin,
  asked: PartialScope,
  signal?: AbortSignal,
): Promise<PartialPlan> {
  try {
    const model = await readDataModelCached(config, schema, origin.prisma, signal)
    const scope = resolveScope(model, asked)
    const measured = await measure(config, engine, model, origin, scope, signal)
    if (scope.whole && totalOf(measured.rows) === 0)
      throw new BootkeeperError('USAGE', `No row of ${scope.models[0]} fits ${JSON.stringify(scope.where)}.`)
    return { ...measured, scope }
  } catch (error) {
    throw asExportError(error, signal)
  }
}

/**
 * 1. DISK_FULL is thrown where there is no room. 2. The rows are written under a temporary name, as of one moment, and
 * read back. 3. So is the program that puts them back. 4. Both are listed at once. What fails before leaves nothing
 * behind. Throws EXPORT_FAILED and the other errors of an export.
 */
export async function takePartialBackup(
  config: Config,
  engine: Engine,
  schema: SchemaSet,
  origin: Origin,
  { scope, sizeBytes }: PartialPlan,
  watch: WatchPartial = {},
): Promise<PartialBackup> {
  const begunAt = Date.now()
  const { signal } = watch
  const partials: string[] = []
  try {
    const model = await readDataModelCached(config, schema, origin.prisma, signal)
    await requireRoom(config.backupsDir, sizeBytes)

    const stem = await newStem(config.backupsDir, new Date(), partName(scope))
    const { partial, file, header } = await writeStoredExport(config, engine, schema, origin, stem, watch, scope)
    partials.push(partial)
    const described = header.scope as PartialScope
    const text = restoreScript({
      stem,
      createdAt: header.createdAt,
      scope: described,
      counts: file.counts ?? {},
      exportName: file.name,
      ...pathsFrom(config.backupsDir),
      models: model.models,
    })
    const scriptName = `${stem}_restore.ts`
    const scriptPartial = partialPath(join(config.backupsDir, scriptName))
    partials.push(scriptPartial)
    await writeAtomically(scriptPartial, (handle) => handle.writeFile(text))
    const script: BackupFile = {
      role: 'script',
      name: scriptName,
      sizeBytes: Buffer.byteLength(text),
      sha256: await sha256OfFile(scriptPartial),
    }
    const manifest = describeBackup(stem, engine, origin, [file, script], { scope: described, begunAt })
    await commitBackup(config.backupsDir, manifest, [
      { partial, file },
      { partial: scriptPartial, file: script },
    ])
    // The backup is there, whatever becomes of the page about it: the next one writes it anew.
    await writeTableSummary(config.backupsDir).catch(() => undefined)
    return {
      manifest,
      rows: totalOf(file.counts ?? {}),
      script: join(config.backupsDir, scriptName),
      notIncluded: header.notExported.referring ?? {},
    }
  } catch (error) {
    for (const partial of partials) await rm(partial, { force: true })
    throw asExportError(error, signal)
  }
}

/** Reads only. */
export async function measure(
  config: Config,
  engine: Engine,
  model: DataModel,
  origin: Origin,
  scope: PartialScope,
  signal?: AbortSignal,
): Promise<Measure> {
  const child = startChild<typeof operations>('./export-child', import.meta.url)
  try {
    const request = { engine: engine.kind, database: databaseOf(engine), model, header: headerOf(origin, '', scope) }
    const { rows, sizeBytes } = await child.call('measure', request, signal)
    const ms = Math.ceil(sizeBytes / (await bytesPerMs(config.backupsDir)))
    return { rows, sizeBytes, ms, strategy: strategyOf(totalOf(rows)) }
  } finally {
    await child.kill()
  }
}

/** What is said of the work: each of them is written page by page, in constant memory. */
function strategyOf(rows: number): Measure['strategy'] {
  if (rows < 10_000) return 'at once'
  return rows <= 100_000 ? 'in batches' : 'streamed'
}

const usualBytesPerMs = 20_000
/** Of smaller ones the start of a process takes most of the time. */
const tellingBytes = 1_000_000

/** As the newest exports went that say how long they took. */
async function bytesPerMs(backupsDir: string): Promise<number> {
  const known = (await listBackups(backupsDir)).flatMap((manifest) => {
    const bytes = manifest.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    return manifest.durationMs && bytes >= tellingBytes && !copyOf(manifest) ? [bytes / manifest.durationMs] : []
  })
  const newest = known.slice(-3)
  return newest.length > 0 ? newest.reduce((sum, each) => sum + each, 0) / newest.length : usualBytesPerMs
}

async function requireRoom(directory: string, sizeBytes: number): Promise<void> {
  const needed = Math.ceil(sizeBytes * 1.2) + 1_000_000
  const free = await freeBytes(directory)
  if (free >= needed) return
  throw new BootkeeperError(
    'DISK_FULL',
    `The backup needs about ${formatBytes(needed)}, but ${directory} has ${formatBytes(free)} free.`,
  )
}

function partName({ models: [first, ...others], whole }: PartialScope): string {
  return others.length > 0 && !whole ? `${first}_and_${others.length}_more` : (first as string)
}

/** From the folder of the backups, so that all of it may be moved together. */
function pathsFrom(backupsDir: string): { entry: string; project: string; folder: string } {
  const base = resolve(backupsDir)
  const plain = (path: string) => path.split(sep).join('/')
  const entry = plain(relative(base, entryPath()))
  return {
    entry: entry.startsWith('.') ? entry : `./${entry}`,
    project: plain(relative(base, process.cwd())) || '.',
    folder: plain(relative(process.cwd(), base)),
  }
}

/** In a checkout the source, which tsx runs and which is always there; else what was built. */
function entryPath(): string {
  const folder = dirname(dirname(fileURLToPath(import.meta.url)))
  const sources = [folder, dirname(folder)].map((each) => join(each, 'scripts', 'restore-tables.ts'))
  return sources.find((path) => existsSync(path)) ?? join(folder, 'scripts', 'restore-tables.js')
}
