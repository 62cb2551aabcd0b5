// The doctor's checks of what everything else stands on: versions, the data directory, the disk, the locks, leftovers,
// programs.
// Guarantees: nothing is made, not even a directory; a lock that is looked at is not taken.

import { access, constants, readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { appIdentity, bootkeeperVersion, currentUser } from '../app-identity.ts'
import { compressions, needsProgram, requireCompressor } from '../compression.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engines/engine.ts'
import { asBootkeeperError } from '../errors.ts'
import { freeBytes, isPartial } from '../files.ts'
import { lockHolder } from '../lock.ts'
import { formatBytes } from '../log.ts'
import { listBackups } from '../manifest.ts'
import { notWritable } from '../prepare.ts'
import { prismaVersion } from '../prisma/fingerprint.ts'
import { summaryName } from '../table-summary.ts'
import { type Check, counted, type Finding, fail, ok, warn } from './check.ts'

/** Also where the settings are wrong. */
export async function versions(): Promise<Finding> {
  const app = appIdentity(process.cwd())
  const prisma = await prismaVersion(process.cwd())
  const all = [
    `Bootkeeper ${bootkeeperVersion()}`,
    `Node ${process.versions.node}`,
    `Prisma ${prisma}`,
    ...(app ? [`${app.name} ${app.version}`] : []),
  ].join(', ')
  return prisma === 'none'
    ? fail('PRISMA_FAILED', `${all}: Prisma is not installed`, 'Run npm ci where the package.json is.')
    : ok(all)
}

export const directory: Check = {
  name: 'directory',
  async look({ config, engine }) {
    if (!(await exists(config.dataDir))) {
      const above = await nearest(config.dataDir)
      await access(above, constants.W_OK).catch(async (error) => {
        throw await notWritable(above, errnoOf(error), error)
      })
      return ok(`${config.dataDir} is not there yet: the first start makes it`)
    }
    const places = [config.dataDir, config.backupsDir, config.stateDir, engine.workDirectory ?? config.dataDir]
    for (const place of new Set(places))
      if (await exists(place))
        await access(place, constants.R_OK | constants.W_OK | constants.X_OK).catch(async (error) => {
          throw await notWritable(place, errnoOf(error), error)
        })
    return ok(`${config.dataDir} can be read and written by user ${process.getuid?.() ?? 0} (${currentUser()})`)
  },
}

export const space: Check = {
  name: 'disk space',
  async look({ config, engine, examine }) {
    const free = await freeBytes(await nearest(config.backupsDir))
    await examine().catch(() => undefined)
    const database = await engine.sizeBytes()
    const newest = (await listBackups(config.backupsDir)).findLast(({ scope }) => scope === 'everything')
    const last = newest?.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) ?? 0
    const needed = Math.ceil(Math.max(database * 1.05, last)) + 1_000_000
    const text = `${formatBytes(free)} free, the next backup needs about ${formatBytes(needed)}`
    const next = `Free some space on the disk of ${config.dataDir}, or give it a larger one.`
    if (free < needed) return fail('DISK_FULL', text, next)
    // A schema change has the database twice beside its copy.
    return free < needed + 2 * database ? warn(`${text}, a schema change as much again twice`, next) : ok(text)
  },
}

export const lock: Check = {
  name: 'lock',
  async look({ config }) {
    const held = await Promise.all((['lock', 'ops'] as const).map((name) => lockHolder(config.stateDir, name)))
    const holders = held.filter((holder) => holder !== undefined)
    return ok(holders.length === 0 ? 'nothing runs on this data directory' : `in use by ${holders.join(', and by ')}`)
  },
}

export const leftovers: Check = {
  name: 'leftovers',
  async look({ config, engine }) {
    const places = [
      ...new Set([config.dataDir, config.backupsDir, config.stateDir, engine.workDirectory ?? config.dataDir]),
    ]
    const isHeld =
      (await lockHolder(config.stateDir, 'ops')) !== undefined ||
      (await lockHolder(config.stateDir, 'lock')) !== undefined
    const unfinished = isHeld ? [] : (await Promise.all(places.map(namesIn))).flat().filter(isPartial)
    const strange = await strangeFiles(config)
    const aside = await setAside(engine)
    return [
      ...(unfinished.length > 0
        ? [
            warn(
              `${counted(unfinished.length, 'unfinished file')} of a killed process`,
              'The next start of the app removes them.',
            ),
          ]
        : []),
      ...(strange.length > 0
        ? [
            warn(
              `${counted(strange.length, 'file')} in ${config.backupsDir} of no backup, such as ${strange[0]}`,
              'Bring the manifest of each, or move them away: Bootkeeper neither restores nor removes them.',
            ),
          ]
        : []),
      ...(aside.count > 0
        ? [
            ok(
              `${counted(aside.count, 'file')} that a restore set aside beside the database, ${formatBytes(aside.bytes)}: yours to delete once everything is right`,
            ),
          ]
        : []),
      ...(unfinished.length + strange.length + aside.count === 0 ? [ok('none')] : []),
    ]
  },
}

export const tools: Check = {
  name: 'tools',
  async look({ config }) {
    await requireCompressor(config.compression)
    const stored = (await listBackups(config.backupsDir)).flatMap(({ files }) => files)
    const missing: Finding[] = []
    for (const compression of compressions.filter((each) => each !== config.compression)) {
      const number = stored.filter((file) => file.compression === compression).length
      if (number === 0) continue
      await requireCompressor(compression).catch((error) => {
        const { next } = asBootkeeperError(error)
        missing.push(
          warn(`${counted(number, 'file')} of backups cannot be read here without the program ${compression}`, next),
        )
      })
    }
    if (missing.length > 0) return missing
    return ok(needsProgram(config.compression) ? `the program ${config.compression} is there` : 'none needed')
  },
}

/** Named as files of a backup, but in no manifest that can be read. Those of a damaged one are told with it. */
async function strangeFiles(config: Config): Promise<string[]> {
  const names = (await namesIn(config.backupsDir)).filter((name) => name.startsWith('backup_') && name !== summaryName)
  const manifests = names.filter((name) => name.endsWith('.manifest.json'))
  const stems = manifests.map((name) => name.slice(0, -'.manifest.json'.length))
  const known = new Set((await listBackups(config.backupsDir)).flatMap(({ files }) => files.map(({ name }) => name)))
  // A table backup has names of its own that begin with its stem.
  return names.filter(
    (name) => !manifests.includes(name) && !known.has(name) && !stems.some((stem) => name.startsWith(stem)),
  )
}

/** Bootkeeper never deletes these. */
async function setAside({ isFile, description }: Engine): Promise<{ count: number; bytes: number }> {
  if (!isFile) return { count: 0, bytes: 0 }
  const folder = dirname(description)
  const names = (await namesIn(folder)).filter((name) => name.startsWith(`${basename(description)}.before-restore-`))
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  const count = names.filter((name) => !/-(wal|shm|journal)$/.test(name)).length
  return { count, bytes: sizes.reduce((sum, size) => sum + size, 0) }
}

async function namesIn(folder: string): Promise<string[]> {
  return await readdir(folder).catch(() => [])
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    (error) => errnoOf(error) !== 'ENOENT',
  )
}

/** The path, or the first folder above it that is there. */
async function nearest(path: string): Promise<string> {
  return (await exists(path)) || path === dirname(path) ? path : await nearest(dirname(path))
}

function errnoOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}
