// The catalogue: a searchable index of the backups and restores, in a SQLite file of its own, through Prisma.
// Guarantees: whoever opens it sees what manifests and log say now; it is never the only place of anything, so one that
// is missing, damaged or of another version is made anew; where it cannot be written, it is made in memory.

import { createHash } from 'node:crypto'
import { open, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3'
import { bootkeeperVersion } from '../app-identity.ts'
import type { Config } from '../config.ts'
import { asBootkeeperError, type BootkeeperError } from '../errors.ts'
import { fsyncFile, partialPath, renameDurably } from '../files.ts'
import { withBriefLock } from '../lock.ts'
import { listBackups, listStems, type Manifest } from '../manifest.ts'
import { logName, readLog } from '../operation-log.ts'
import { mergeLines } from '../operations.ts'
import { type Backup, type File, PrismaClient, type Restore } from './client/client.ts'
import { rowsFrom } from './rows.ts'
import { tablesSql, tablesVersion } from './tables.ts'

export interface BackupFilter {
  trigger?: string
  limit?: number
}

export interface Catalogue {
  /** Newest first. Their status is as the log has it: one whose process was killed says `running`. */
  backups(filter?: BackupFilter): Promise<(Backup & { files: File[] })[]>
  /** Newest first. */
  restores(): Promise<Restore[]>
  /** Why it is not on disk. */
  readonly note?: string
  close(): Promise<void>
}

/** Where they are. */
type Folders = Pick<Config, 'stateDir' | 'backupsDir'>

const fileName = 'catalogue.db'
const lockWaitMs = 30_000
// SQLite takes so many values in one statement at least.
const rowsAtOnce = 500

/** Opens it and brings it up to date. */
export async function openCatalogue(config: Folders): Promise<Catalogue> {
  let why: BootkeeperError
  try {
    return await locked(config, async () => await openFile(config).catch(async () => await makeAnew(config)))
  } catch (error) {
    why = asFileError(error)
  }
  const client = connect(':memory:')
  await makeTables(client)
  await bringUpToDate(client, config)
  return catalogueOf(client, `The catalogue could not be written, so it was made in memory: ${why.message}`)
}

/** Throws where it cannot be written. */
export async function rebuildCatalogue(config: Folders): Promise<Catalogue> {
  try {
    return await locked(config, async () => await makeAnew(config))
  } catch (error) {
    throw asFileError(error)
  }
}

async function locked<Result>({ stateDir }: Folders, work: () => Promise<Result>): Promise<Result> {
  return await withBriefLock(join(stateDir, 'catalogue.lock.db'), lockWaitMs, work)
}

async function openFile(config: Folders): Promise<Catalogue> {
  const path = join(config.stateDir, fileName)
  // SQLite would make one.
  await stat(path)
  const client = connect(path)
  try {
    const [version] = await client.$queryRawUnsafe<{ user_version: bigint }[]>('PRAGMA user_version')
    const [sound] = await client.$queryRawUnsafe<{ quick_check: string }[]>('PRAGMA quick_check')
    if (Number(version?.user_version) !== tablesVersion || sound?.quick_check !== 'ok')
      throw new Error(`${path} is damaged, or of another version`)
    await bringUpToDate(client, config)
    return catalogueOf(client)
  } catch (error) {
    await client.$disconnect()
    throw error
  }
}

async function makeAnew(config: Folders): Promise<Catalogue> {
  const path = join(config.stateDir, fileName)
  const partial = partialPath(path)
  const client = connect(partial)
  try {
    await (await open(partial, 'wx', 0o600)).close()
    await makeTables(client)
    await bringUpToDate(client, config)
    await client.$disconnect()
    await fsyncFile(partial)
    // What a killed process left of the old one would be played into the new one.
    await rm(`${path}-journal`, { force: true })
    await renameDurably(partial, path)
  } catch (error) {
    await client.$disconnect()
    for (const ending of ['', '-journal']) await rm(partial + ending, { force: true })
    throw error
  }
  return catalogueOf(connect(path))
}

function connect(url: string): PrismaClient {
  return new PrismaClient({ adapter: new PrismaBetterSqlite3({ url }) })
}

async function makeTables(client: PrismaClient): Promise<void> {
  for (const statement of tablesSql.split(';')) if (statement.trim()) await client.$executeRawUnsafe(statement)
  await client.$executeRawUnsafe(`PRAGMA user_version = ${tablesVersion}`)
}

/** Cheap where no manifest and no line of the log is new. */
async function bringUpToDate(client: PrismaClient, config: Folders): Promise<void> {
  const fingerprint = await fingerprintOf(config)
  const last = await client.source.findUnique({ where: { id: 1 } })
  if (last?.fingerprint === fingerprint) return
  const manifests = await listBackups(config.backupsDir)
  const readable = new Set(manifests.map(({ stem }) => stem))
  const unreadable = (await listStems(config.backupsDir)).filter((stem) => !readable.has(stem))
  const { operations } = mergeLines(await readLog(config.stateDir))
  const former = await client.backup.findMany({ where: { manifest: { not: null } }, select: { manifest: true } })
  const formerly = former.map(({ manifest }) => JSON.parse(manifest!) as Manifest)
  const { backups, files, restores } = rowsFrom({ manifests, unreadable, operations, formerly })
  await client.$transaction([
    client.file.deleteMany(),
    client.backup.deleteMany(),
    client.restore.deleteMany(),
    ...parts(backups).map((data) => client.backup.createMany({ data })),
    ...parts(files).map((data) => client.file.createMany({ data })),
    ...parts(restores).map((data) => client.restore.createMany({ data })),
    client.source.upsert({ where: { id: 1 }, create: { id: 1, fingerprint }, update: { fingerprint } }),
  ])
}

// Taken before the files are read: what changes while they are makes the next one read them again.
async function fingerprintOf({ backupsDir, stateDir }: Folders): Promise<string> {
  const stems = await listStems(backupsDir)
  const names = stems.map((stem) => join(backupsDir, `${stem}.manifest.json`))
  const marks = await Promise.all(
    [...names, join(stateDir, logName)].map(async (path) => {
      const found = await stat(path, { bigint: true }).catch(() => undefined)
      return found ? `${path} ${found.ino} ${found.size} ${found.mtimeNs}` : path
    }),
  )
  return createHash('sha256')
    .update(JSON.stringify([bootkeeperVersion(), ...marks]))
    .digest('hex')
}

function catalogueOf(client: PrismaClient, note?: string): Catalogue {
  return {
    ...(note === undefined ? {} : { note }),
    backups: async ({ trigger, limit } = {}) =>
      await client.backup.findMany({
        where: trigger === undefined ? {} : { trigger },
        orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
        include: { files: true },
        ...(limit === undefined ? {} : { take: limit }),
      }),
    restores: async () => await client.restore.findMany({ orderBy: { at: 'desc' } }),
    close: async () => await client.$disconnect(),
  }
}

function parts<Row>(rows: Row[]): Row[][] {
  return Array.from({ length: Math.ceil(rows.length / rowsAtOnce) }, (_, i) =>
    rows.slice(i * rowsAtOnce, (i + 1) * rowsAtOnce),
  )
}

/** Prisma wraps what SQLite said. */
function asFileError(error: unknown): BootkeeperError {
  const code = /\bSQLITE_[A-Z]+/.exec(JSON.stringify(error) + String(error))?.[0]
  return asBootkeeperError(code ? Object.assign(new Error((error as Error).message.trim()), { code }) : error)
}
