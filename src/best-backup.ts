// Which backup to put back when the database is damaged or gone.
// Guarantees: what is named was read back just now, and the command shown restores it; what was in use last comes first,
// also where it was backed up because something was about to be imported; what a restore replaced, and what the app did
// not come up on, is named last, because somebody wanted to be rid of it.

import { command } from './command-hint.ts'
import type { Config } from './config.ts'
import type { Engine } from './engines/engine.ts'
import { asBootkeeperError } from './errors.ts'
import { formatCount } from './log.ts'
import {
  copyOf,
  exportOf,
  failedStartReason,
  listBackups,
  type Manifest,
  restoreReason,
  rowsOf,
  whyMade,
} from './manifest.ts'
import type { BootState } from './state.ts'
import { verifyContent } from './stored-file.ts'

export interface Advice {
  manifest: Manifest
  /** One or two sentences: what to run, when the backup was made and why, and what there is that is newer. */
  text: string
}

/** undefined: no backup that `fits` reads back. */
export async function adviseRestore(
  config: Config,
  engine: Engine,
  state: BootState,
  fits: (manifest: Manifest) => boolean = () => true,
): Promise<Advice | undefined> {
  const usable = (await listBackups(config.backupsDir)).filter((each) => restoredFile(each, engine) && fits(each))
  const newestFirst = usable.reverse().sort((a, b) => lastInUse(b, state) - lastInUse(a, state))
  const ranked = [0, 1, 2].flatMap((rank) => newestFirst.filter((each) => rankOf(each, state) === rank))
  // What only the key is missing to comes before what is older and open: it has what was written since.
  const found = await firstGood(config, engine, ranked, { locked: true })
  if (!found) return undefined
  const { manifest: best, isLocked } = found
  const opened = isLocked ? await firstGood(config, engine, ranked) : undefined
  const newer = newestFirst
    .slice(0, newestFirst.indexOf(best))
    .filter((each) => rankOf(each, state) > rankOf(best, state))
  const other = await firstGood(config, engine, newer)
  const restore = command('restore', best.stem, '--apply', ...(isLocked ? ['--identity', 'FILE'] : []))
  const madeWhen = `made ${best.createdAt} (${aboutMade(best)})`
  const isNewest = usable.every(({ createdAt }) => createdAt <= best.createdAt)
  return {
    manifest: best,
    text: `Run ${restore} to put back the ${isNewest ? 'newest good backup' : 'good backup that was in use last'}, ${madeWhen}.${isLocked ? keyHint : ''}${opened ? ` ${withoutKey(opened.manifest)}` : ''}${other ? ` ${aboutNewer(other.manifest, state)}` : ''}`,
  }
}

/** Unknown counts as rows: only what is known to be empty may be passed over. */
export function mayHoldRows(manifest: Manifest): boolean {
  return rowsOf(manifest) !== 0
}

const keyHint = ' It is encrypted, and the key is not here: name it with --identity FILE or --passphrase-file FILE.'

function withoutKey({ stem, createdAt }: Manifest): string {
  return `Without the key, only one with less in it can be put back, ${stem}, made ${createdAt}: ${command('restore', stem, '--apply')}`
}

/** The first of these that reads back as it was written; `locked`: also without the key to what is inside. */
async function firstGood(
  config: Config,
  engine: Engine,
  backups: Manifest[],
  { locked = false } = {},
): Promise<{ manifest: Manifest; isLocked: boolean } | undefined> {
  for (const manifest of backups) {
    try {
      await verifyContent(config, restoredFile(manifest, engine)!)
      return { manifest, isLocked: false }
    } catch (error) {
      const { code } = asBootkeeperError(error)
      const isLocked = ['KEY_NEEDED', 'DECRYPTION_FAILED'].includes(code)
      if (isLocked && locked) return { manifest, isLocked }
      // A backup that root copied here must not hide what happened to the database, and neither must a wrong setting.
      if (!isLocked && !['BACKUP_DAMAGED', 'FILE_NOT_READABLE', 'SETTINGS_INVALID', 'TOOL_MISSING'].includes(code))
        throw error
    }
  }
  return undefined
}

/** What `restore` takes of a backup: its copy, or else its export, which goes into SQLite only. */
function restoredFile(manifest: Manifest, engine: Engine) {
  // A part of the data is no database.
  if (manifest.scope !== 'everything') return undefined
  if (manifest.engine === engine.kind && copyOf(manifest)) return copyOf(manifest)
  return engine.kind === 'sqlite' && !copyOf(manifest) ? exportOf(manifest) : undefined
}

/** A backup that was put back was in use again at that time, whatever is older than that was given up. */
function lastInUse({ stem, createdAt }: Manifest, { restored }: BootState): number {
  return Date.parse(restored?.stem === stem ? restored.at : createdAt)
}

/** 0: a copy of what was in use. 1: an export of it, without what no export holds. 2: what somebody was rid of. */
function rankOf(manifest: Manifest, { restored }: BootState): number {
  if (manifest.trigger === 'pre-restore' && restored?.stem !== manifest.stem && wasReplaced(manifest, restored))
    return 2
  return copyOf(manifest) ? 0 : 1
}

/**
 * What was there before an import was in use until then, and all of it but what the import changed still is. Of a restore
 * it is known what took the place of what was there: that is newer. Unless the state was lost.
 */
function wasReplaced({ reason, createdAt }: Manifest, restored: BootState['restored']): boolean {
  if (reason === failedStartReason) return true
  if (!reason.startsWith(restoreReason(''))) return false
  return restored === undefined || Date.parse(createdAt) <= Date.parse(restored.at)
}

/** Whoever is to choose sees which one is empty. */
function aboutMade(manifest: Manifest): string {
  const rows = rowsOf(manifest)
  return rows === undefined ? whyMade(manifest) : `${whyMade(manifest)}, ${counted(rows)}`
}

function counted(rows: number): string {
  return rows === 0 ? 'no rows' : `${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'}`
}

function aboutNewer(manifest: Manifest, state: BootState): string {
  const but = rankOf(manifest, state) === 2 ? 'what was replaced then' : 'an export alone'
  const instead = command('restore', manifest.stem, '--apply')
  return `Newer, but ${but}: ${manifest.stem}, made ${manifest.createdAt} (${aboutMade(manifest)}); that one instead: ${instead}`
}
