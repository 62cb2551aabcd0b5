// The doctor: looks at everything that a backup and a boot depend on, and says what is not well and what to run.
// Guarantees: nothing is changed, not even a directory is made; every check runs, also where others fail or throw.

import { backups, drilled, encryption, latest, retention, verified } from './checks/backups.ts'
import { type Check, type Finding, fail, ok, type Patient } from './checks/check.ts'
import { boots, client, database, schema } from './checks/database.ts'
import { directory, leftovers, lock, space, tools, versions } from './checks/ground.ts'
import { type Config, describeSettings, readConfig, type ShownSetting } from './config.ts'
import type { Engine } from './engines/engine.ts'
import { openEngine } from './engines/open.ts'
import { asBootkeeperError, errorTable } from './errors.ts'
import { isMissing } from './missing-database.ts'

/** One file of checks per subject; a new check is added to its file and here. They are shown in this order. */
const checks: Check[] = [
  directory,
  space,
  lock,
  leftovers,
  tools,
  database,
  schema,
  client,
  boots,
  backups,
  retention,
  latest,
  verified,
  drilled,
  encryption,
]

export interface Diagnosis {
  /** The worst of all findings. */
  verdict: Finding['verdict']
  findings: (Finding & { check: string })[]
  settings: ShownSetting[]
  exitCode: number
}

export async function diagnose(
  { full }: { full: boolean },
  onCheck: (name: string) => void = () => undefined,
): Promise<Diagnosis> {
  const findings: Diagnosis['findings'] = []
  const note = async (name: string, look: () => Promise<Finding | Finding[]>) => {
    onCheck(name)
    for (const finding of [await look().catch(asFinding)].flat()) findings.push({ check: name, ...finding })
  }
  let config: Config | undefined
  let engine: Engine | undefined
  let settings: ShownSetting[] = []
  await note('settings', async () => {
    config = readConfig()
    settings = describeSettings()
    engine = await openEngine(config.databaseUrl, { busyMs: Math.min(config.busyWaitMs, patienceMs) })
    const set = settings.filter(({ isDefault }) => !isDefault).length
    return ok(`${set} set, the others are defaults`)
  })
  await note('versions', versions)
  if (config && engine) {
    const patient = asPatient(config, engine, full)
    try {
      for (const { name, look } of checks) await note(name, () => look(patient))
    } finally {
      await engine.close()
    }
  }
  const worst = findings.find(({ verdict }) => verdict === 'fail') ?? findings.find(({ verdict }) => verdict === 'warn')
  const code = worst?.verdict === 'fail' ? (worst.code ?? 'INTERNAL') : undefined
  return { verdict: worst?.verdict ?? 'ok', findings, settings, exitCode: code ? errorTable[code].exitCode : 0 }
}

/** A doctor does not wait for a server as long as a boot does. */
const patienceMs = 3_000

function asPatient(config: Config, engine: Engine, full: boolean): Patient {
  let examination: ReturnType<Patient['examine']> | undefined
  const examine = async () => ((await isMissing(engine)) ? 'none' : await engine.examine(full))
  return { config, engine, full, examine: () => (examination ??= examine()) }
}

function asFinding(error: unknown): Finding {
  const { code, message, next } = asBootkeeperError(error)
  return fail(code, message.replace(/\.$/, ''), next)
}
