// What a boot does where there is no database, or one without tables: a first start, or data that went missing?
// Guarantees: while a backup holds rows, nothing is made and nothing replaced until somebody says so by a code, which is
// good for leaving exactly this backup behind; what was left behind is kept.

import { rename, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { adviseRestore, mayHoldRows } from './best-backup.ts'
import { command } from './command-hint.ts'
import type { Config } from './config.ts'
import { aboutOtherCode, isCode, lossCode } from './data-loss.ts'
import type { Engine } from './engines/engine.ts'
import { BootkeeperError } from './errors.ts'
import { findLatest, latestRows } from './export-latest.ts'
import { fsyncDirectory } from './files.ts'
import { formatCount } from './log.ts'
import { listBackups, rowsOf } from './manifest.ts'
import { type BootState, writeState } from './state.ts'

/** Also a file or a server's database without tables: what is made by opening it, or by a new server. */
export async function isMissing(engine: Engine): Promise<boolean> {
  return (await engine.signature()) === 'none' || ['', '[]'].includes(await engine.structure())
}

/** Says, in words, why a new database may be made. Throws DATABASE_MISSING while a backup holds rows. */
export async function requireFreshStart(config: Config, engine: Engine, state: BootState): Promise<string> {
  const left = await leftBehind(config, engine, state)
  if (!left) return 'no database yet'
  const code = lossCode(state.lossSalt, `start without ${left.name}`, [])
  if (isCode(config.acceptDataLoss, code)) {
    if (left.isListed) state.leftBehind = [...new Set([...state.leftBehind, left.name])]
    await writeState(config.stateDir, state)
    const name = left.isListed ? left.name : await setLatestAside(config, left.name)
    return `no database; ACCEPT_DATA_LOSS allows a new one. ${name} is kept`
  }
  const what =
    (await engine.signature()) === 'none'
      ? `There is no database at ${engine.description}`
      : `The database ${engine.description} has no tables`
  throw new BootkeeperError(
    'DATABASE_MISSING',
    `${what}, but ${left.description}. Was it deleted or moved, is a volume not mounted, or is DATABASE_URL another?${aboutOtherCode(config.acceptDataLoss)}`,
    {
      next: `${left.restore.replace(/\.?$/, '.')} Or start with ACCEPT_DATA_LOSS=${code} to begin with an empty database and leave that backup behind.`,
    },
  )
}

interface LeftBehind {
  /** The stem of a backup, or the name of the file. */
  name: string
  isListed: boolean
  description: string
  restore: string
}

async function leftBehind(config: Config, engine: Engine, state: BootState): Promise<LeftBehind | undefined> {
  const advice = await adviseRestore(config, engine, state, mayHoldRows)
  const listed =
    advice?.manifest ??
    (await listBackups(config.backupsDir)).findLast((each) => each.scope === 'everything' && mayHoldRows(each))
  if (listed) {
    const rows = rowsOf(listed)
    const holds = rows === undefined ? 'data' : countOf(rows)
    return {
      name: listed.stem,
      isListed: true,
      description: `${listed.stem}, made ${listed.createdAt}, holds ${holds}`,
      restore: advice?.text ?? `None of the backups can be put back as it is: ${command('verify')} says why.`,
    }
  }
  const path = await findLatest(config)
  const rows = await latestRows(config)
  if (path === undefined || rows === 0) return undefined
  return {
    name: path,
    isListed: false,
    description: `${path} holds ${rows === undefined ? 'data' : countOf(rows)}`,
    restore: `Run ${command('restore', path, '--apply')} to restore it.`,
  }
}

function countOf(rows: number): string {
  return `${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'}`
}

/** Otherwise the first export of the new database would be the end of the only file that has the data. */
async function setLatestAside(config: Config, path: string): Promise<string> {
  const { mtime } = await stat(path)
  const time = mtime.toISOString().replace(/[:.]/g, '-')
  const aside = join(config.dataDir, basename(path).replace('latest', `latest.left-behind-${time}`))
  await rename(path, aside)
  await fsyncDirectory(config.dataDir)
  return aside
}
