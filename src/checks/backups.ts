// The doctor's checks of the backups: how old the newest good one is, what is damaged, what the policies would let go, when
// they were last verified and restored for practice. Guarantees: manifests and sizes are read, not the files: db:verify does that.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { command } from '../command-hint.ts'
import type { Config } from '../config.ts'
import { isEncrypting, proveDecryption, readRecipients } from '../encryption.ts'
import { asBootkeeperError } from '../errors.ts'
import { findLatest } from '../export-latest.ts'
import { readFooterCounts } from '../formats/bootkeeper.ts'
import { readLastDrill } from '../last-drill.ts'
import { formatBytes, formatCount } from '../log.ts'
import { isVerified, listBackups, listStems, type Manifest, rowsOf, totalOf } from '../manifest.ts'
import { checksumOfKeys, type ProvenKeys, readProvenKeys } from '../proven-keys.ts'
import { planPrune } from '../prune.ts'
import { ageOf, type Check, counted, dayMs, type Finding, fail, ok, type Patient, warn } from './check.ts'

const backupAgeDays = 7
const verifyAgeDays = 30
const drillAgeDays = 90

const readWithKey = `Run ${command('verify', '--identity', 'FILE')} with the key to them, here or where the key is.`

export const backups: Check = {
  name: 'backups',
  async look(patient) {
    const { config } = patient
    const all = await listBackups(config.backupsDir)
    const damaged = (await listStems(config.backupsDir)).filter((stem) => !all.some((each) => each.stem === stem))
    const problems = [
      ...damaged.map((stem) => `${stem}.manifest.json is damaged`),
      ...(await Promise.all(all.map((manifest) => problemOf(config, manifest)))).filter((text) => text !== undefined),
    ]
    const findings: Finding[] = []
    if (problems.length > 0)
      findings.push(
        fail(
          'BACKUP_DAMAGED',
          `${problems[0]}${problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''}`,
          `Run ${command('backup')} for a good one, then ${command('verify')} for all that is wrong.`,
        ),
      )
    return [...findings, await newestGood(patient, all)]
  },
}

async function newestGood(patient: Patient, listed: Manifest[]): Promise<Finding> {
  const { kind, description } = patient.engine
  const all = listed.filter(({ engine, database }) => engine === kind && database === description)
  if (all.length === 0 && listed.length > 0)
    return warn(
      `${listed.length}, and none of ${description}: the newest is of ${listed.at(-1)!.database}`,
      `If that is the database of the app, correct DATABASE_URL. Else run ${command('backup')}.`,
    )
  const provenKeys = await readProvenKeys(patient.config.stateDir)
  const good = all.filter((manifest) => manifest.scope === 'everything' && isVerified(manifest, provenKeys))
  const newest = good.at(-1)
  if (!newest) {
    const unread = all.findLast((manifest) => manifest.scope === 'everything' && isUnread(manifest, provenKeys))
    if (unread)
      return warn(
        `${all.length}; the newest, ${unread.stem}, is ${ageOf(unread.createdAt)} old, and nobody has read what is inside`,
        readWithKey,
      )
    const hasDatabase = (await patient.examine().catch(() => undefined)) !== 'none'
    return hasDatabase
      ? fail('BACKUP_NOT_FOUND', 'there is no verified backup of everything', `Run ${command('backup')}.`)
      : ok('none yet, and nothing to back up')
  }
  const rows = rowsOf(newest)
  const text = `${all.length}; the newest good one is ${newest.stem}, ${ageOf(newest.createdAt)} old${rows === undefined ? '' : `, ${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'}`}`
  const full = good.findLast((manifest) => rowsOf(manifest) !== 0)
  const next = `Run ${command('backup')}, or have it run each day.`
  if (rows === 0 && full)
    return warn(`${text}; the newest with rows is ${full.stem}`, 'If the rows are gone, restore that one.')
  return isOlder(newest.createdAt, backupAgeDays) ? warn(text, next) : ok(text)
}

export const retention: Check = {
  name: 'retention',
  async look({ config, engine }) {
    const all = await listBackups(config.backupsDir)
    if (all.length === 0) return ok('no backups yet')
    const plan = await planPrune(config, engine)
    const sizeOf = (backups: typeof plan) => formatBytes(backups.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))
    const going = plan.filter(({ verdict }) => !verdict.keep)
    const go = going.length === 0 ? 'none of them would go' : `${going.length} would go, ${sizeOf(going)}`
    const text = `${counted(plan.length, 'backup')}, ${sizeOf(plan)}; by the policies ${go}`
    // What is not known to be good takes no other's place.
    const provenKeys = await readProvenKeys(config.stateDir)
    if (all.every((manifest) => isUnread(manifest, provenKeys)))
      return warn(`${text}: nobody has read what is inside, so none counts as verified`, readWithKey)
    return ok(text)
  },
}

/** What its last verification said, or what can be seen from outside. */
async function problemOf({ backupsDir }: Config, { files, lastCheck }: Manifest): Promise<string | undefined> {
  if (lastCheck?.problem) return lastCheck.problem.replace(/\.$/, '')
  for (const { name, sizeBytes } of files) {
    const size = await stat(join(backupsDir, name)).then(
      (found) => found.size,
      () => undefined,
    )
    if (size === undefined) return `${name} is missing`
    if (size !== sizeBytes) return `${name} has ${size} bytes, but was written with ${sizeBytes}`
  }
  return undefined
}

export const latest: Check = {
  name: 'latest export',
  async look({ config, examine }) {
    const path = await findLatest(config)
    if (path === undefined) {
      const isFirst = (await examine().catch(() => undefined)) === 'none'
      return isFirst ? ok('none yet') : warn('there is no backup_latest.json', `Run ${command('export')}.`)
    }
    const found = await stat(path)
    const age = `${ageOf(found.mtime.toISOString())} old`
    const counts = found.size === 0 ? {} : await readFooterCounts(path, config.keys).catch(asUnknown)
    if (counts === 'no key') return ok(`${path}, ${age}, encrypted; the key to it is not here`)
    if (counts === undefined)
      return fail('EXPORT_DAMAGED', `${path} does not end as an export does`, `Run ${command('export')}.`)
    const rows = totalOf(counts)
    return ok(`${path}, ${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'}, ${age}`)
  },
}

function asUnknown(error: unknown): 'no key' | undefined {
  const { code } = asBootkeeperError(error)
  if (code === 'KEY_NEEDED') return 'no key'
  if (code === 'EXPORT_DAMAGED') return undefined
  throw error
}

export const verified: Check = {
  name: 'last verify',
  async look({ config }) {
    const all = await listBackups(config.backupsDir)
    if (all.length === 0) return ok('no backups yet')
    const at = newestOf(all.map(({ lastCheck }) => lastCheck?.at))
    const next = `Run ${command('verify')}.`
    if (at === undefined) return warn('the backups were read back when they were made, but not since', next)
    return isOlder(at, verifyAgeDays) ? warn(`${ageOf(at)} ago`, next) : ok(`${ageOf(at)} ago`)
  },
}

export const drilled: Check = {
  name: 'last drill',
  async look({ config }) {
    const all = await listBackups(config.backupsDir)
    if (all.length === 0) return ok('no backups yet')
    const next = `Run ${command('verify', '--drill')}: it restores the newest one into a scratch database.`
    const last = await readLastDrill(config.stateDir, all)
    if (last?.problem)
      return fail(
        'BACKUP_DAMAGED',
        `${last.stem} could not be restored: ${last.problem}`,
        `Run ${command('backup')}, then ${command('verify', '--drill')}.`,
      )
    if (!last) return warn('no backup was ever restored for practice', next)
    const text = `${last.stem} was restored into a scratch database ${ageOf(last.at)} ago`
    return isOlder(last.at, drillAgeDays) ? warn(text, next) : ok(text)
  },
}

export const encryption: Check = {
  name: 'encryption',
  async look({ config }) {
    const { ok: isProven, text } = await proveDecryption(config)
    const stored = await listBackups(config.backupsDir)
    const closed = stored.filter(({ files }) => files.some((file) => file.encryption))
    const isKeyless = Object.keys(config.keys).length === 0
    const said =
      isProven && closed.length > 0 && !isEncrypting(config) ? 'New backups are not encrypted' : text.replace(/\.$/, '')
    if (isProven && closed.length > 0 && isKeyless)
      return warn(
        `${said}, but ${counted(closed.length, 'backup')} that are there can only be read with a key, and none is set`,
        `Keep that key. To try it: ${command('verify', '--identity', 'FILE')}`,
      )
    const next = 'Try your key on a file of a backup, elsewhere: age --decrypt. Or set BACKUP_AGE_IDENTITY_FILE here.'
    const elsewhere = `Show once that your key opens them, so that older ones may go: ${command('verify', '--identity', 'FILE')}`
    const { identity, identityFile, recipients } = config.age
    // To keep the key elsewhere is wise, and it can be proven there only.
    const isElsewhere = recipients !== undefined && identity === undefined && identityFile === undefined
    const provenKeys = await readProvenKeys(config.stateDir)
    const openedAt = isElsewhere ? await openedWithKeysOf(config, provenKeys) : undefined
    if (openedAt !== undefined)
      return ok(`The key is not here, as it should be; it opened a backup ${ageOf(openedAt)} ago`)
    if (!isProven) return isElsewhere ? warn(said, elsewhere) : fail('KEY_NEEDED', said, next)
    const unproven = stored.filter((manifest) => isUnread(manifest, provenKeys))
    if (unproven.length === 0) return ok(said)
    return warn(
      `${said}; of ${counted(unproven.length, 'backup')} nobody has read what is inside, such as ${unproven.at(-1)!.stem}`,
      `Run ${command('verify')} with the key to them.`,
    )
  },
}

/** Its files were read back, but not what is inside, for want of the key. */
function isUnread(manifest: Manifest, provenKeys: ProvenKeys): boolean {
  const { files, lastCheck } = manifest
  return (
    files.some(({ readBack }) => readBack === 'bytes') && lastCheck === undefined && !isVerified(manifest, provenKeys)
  )
}

/** When a backup for the very keys that are set now was opened. */
async function openedWithKeysOf({ age }: Config, provenKeys: ProvenKeys): Promise<string | undefined> {
  const recipients = await readRecipients(age).catch(() => undefined)
  return recipients && 'keys' in recipients ? provenKeys.get(checksumOfKeys(recipients.keys)) : undefined
}

function newestOf(dates: (string | undefined)[]): string | undefined {
  return dates
    .filter((date) => date !== undefined)
    .sort()
    .at(-1)
}

function isOlder(at: string, days: number): boolean {
  return Date.now() - Date.parse(at) > days * dayMs
}
