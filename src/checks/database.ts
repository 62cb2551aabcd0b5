// The doctor's checks of the database, of its schema and client, and of how the last boots went.
// Guarantees: the database is read only; where it cannot be opened, that is one failure and not four.

import { adviseRestore, mayHoldRows } from '../best-backup.ts'
import { clientState } from '../client.ts'
import { command } from '../command-hint.ts'
import { asBootkeeperError } from '../errors.ts'
import { lockHolder } from '../lock.ts'
import { listBackups } from '../manifest.ts'
import { findSchema, readSchemaFiles } from '../prisma/schema-files.ts'
import { currentFingerprint } from '../schema.ts'
import { readState } from '../state.ts'
import { type Check, counted, type Finding, fail, ok, type Patient, warn } from './check.ts'

export const database: Check = {
  name: 'database',
  async look(patient) {
    const { engine } = patient
    const found = await patient.examine().catch(async (error: unknown) => {
      const { code, message, next } = asBootkeeperError(error)
      return fail(code, message, code === 'DATABASE_CORRUPT' ? await restoreAdvice(patient) : next)
    })
    if (found === 'none') return await missing(patient)
    if ('verdict' in found) return found
    const { facts, problems, warnings } = found
    if (problems.length > 0)
      return fail(
        'DATABASE_CORRUPT',
        `${engine.description} is damaged: ${problems.join('; ')}`,
        await restoreAdvice(patient),
      )
    const text = `${engine.description}: ${facts.join(', ')}`
    return warnings.length > 0
      ? warn(
          `${text}; ${warnings.join('; ')}`,
          'Back up first, then look at these rows, or at the process that keeps the log.',
        )
      : ok(text)
  },
}

export const schema: Check = {
  name: 'schema',
  async look(patient) {
    const { config, engine } = patient
    const files = await readSchemaFiles(await findSchema(process.cwd(), config.schemaSetting))
    if (files.provider !== engine.kind)
      return fail(
        'SETTINGS_INVALID',
        `${files.location} is written for ${files.provider}, but DATABASE_URL names a ${engine.kind} database`,
        `Set DATABASE_URL to a ${files.provider} database.`,
      )
    if (config.schemaMode === 'none') return ok('SCHEMA_MODE=none: the boot does not compare')
    const found = await patient.examine().catch(() => undefined)
    if (found === undefined) return unknown
    if (found === 'none') return ok(`${files.location}: there is no database to compare with yet`)
    const { inStep } = await readState(config.stateDir)
    if (inStep !== undefined && inStep === (await currentFingerprint({ config, engine, schema: files })))
      return ok(`database and ${files.location} are in step`)
    if (config.schemaMode === 'deploy')
      return warn(
        'the database was not compared since the last change',
        'Start the app: prisma migrate deploy applies what is missing.',
      )
    const { planPush } = await import('../prisma/schema-engine.ts')
    const { sql } = await planPush({ url: engine.url, files: files.files })
    const statements = sql.match(/^(CREATE|ALTER|DROP|INSERT) /gm)?.length ?? 0
    // Takes away the empty log that a reader leaves where the journal mode is WAL.
    await engine.structure()
    if (sql === '') return ok(`database and ${files.location} say the same; the next start notes it`)
    return warn(
      `the schema has changes that the database has not: ${counted(statements, 'statement')}`,
      'Start the app: it tries them on a copy first, and stops where data would be lost.',
    )
  },
}

export const client: Check = {
  name: 'client',
  async look({ config }) {
    const files = await readSchemaFiles(await findSchema(process.cwd(), config.schemaSetting))
    const state = await clientState(files)
    if (state === 'none') return ok('the schema has no generator')
    return state !== 'stale'
      ? ok('made of this schema')
      : warn(
          'missing, or made of another schema or Prisma version',
          `Start the app, which makes it, or run ${command('generate')}.`,
        )
  },
}

export const boots: Check = {
  name: 'boots',
  async look({ config }) {
    const { attempts, unprovenChange, boots } = await readState(config.stateDir)
    const last = boots.at(-1)
    const findings: Finding[] = []
    if (unprovenChange)
      findings.push(
        warn(
          `a schema change has not proved itself: ${unprovenChange} goes back if the app does not come up on it`,
          'Start the app, and read its output if it does not become ready.',
        ),
      )
    if (attempts > 0 && (await lockHolder(config.stateDir, 'lock')) === undefined)
      findings.push(
        warn(
          `the app did not come up in the ${attempts === 1 ? 'last start' : `last ${attempts} starts`}${last?.code ? ` (${last.code})` : ''}`,
          last?.code
            ? `docs/reference/errors.md says what ${last.code} means; or start the app and read its output.`
            : 'Start the app, and read its output.',
        ),
      )
    if (findings.length > 0) return findings
    if (attempts > 0) return ok('a start is under way')
    return ok(last ? `the app came up at ${last.at}` : 'none yet')
  },
}

const unknown = warn('not compared, because the database cannot be opened', 'Mend the database first.')

async function missing(patient: Patient): Promise<Finding> {
  const { config, engine } = patient
  const rows = (await listBackups(config.backupsDir)).some(mayHoldRows)
  if (!rows) return ok(`${engine.description}: none yet, the first start makes it`)
  return fail(
    'DATABASE_MISSING',
    `there is no database at ${engine.description}, but backups hold rows`,
    await restoreAdvice(patient),
  )
}

async function restoreAdvice({ config, engine }: Patient): Promise<string> {
  const advice = await adviseRestore(config, engine, await readState(config.stateDir), mayHoldRows)
  return (
    advice?.text ?? `There is no good backup in ${config.backupsDir}: bring one there. docs/recovery.md has the rest.`
  )
}
