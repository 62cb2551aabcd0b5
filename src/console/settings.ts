// The settings of the app, which its schema keeps in `@config` models: shown, tested, saved.
// Guarantees: a secret leaves the server only when it is asked for by name, which is logged; a save writes what was
// touched and nothing else, in one transaction, and not over a change that was made elsewhere since.

import type { Config } from '../config.ts'
import type { Model } from '../data-model.ts'
import { type ConfigTarget, readConfigRows, saveConfigRows, settingsFields } from '../engines/config-rows.ts'
import type { ValueProblem } from '../engines/config-values.ts'
import type { Engine } from '../engines/engine.ts'
import { openEngine } from '../engines/open.ts'
import { BootkeeperError } from '../errors.ts'
import { databaseOf, readDataModelCached } from '../export.ts'
import type { JsonRow } from '../import-source.ts'
import { firstRowsOf } from '../inspect-file.ts'
import type { Log } from '../log.ts'
import { prismaVersion } from '../prisma/fingerprint.ts'
import { findSchema, readSchemaFiles } from '../prisma/schema-files.ts'
import type { Access } from './access.ts'
import { testConnection } from './connection-test.ts'
import type { ConnectionResult, Input, SettingsGroup } from './contract.ts'
import type { Databases } from './database.ts'
import { openRateLimit } from './rate-limit.ts'
import { groupOf, groupOfFile, textOf } from './settings-view.ts'
import type { ReadableFile } from './sources.ts'

export interface SettingsTools {
  config: Config
  log: Log
  access: Access
  withDatabase: Databases['withDatabase']
}

export interface Settings {
  exist(): Promise<boolean>
  /** Throws what keeps the database from being read. */
  read(): Promise<SettingsGroup[]>
  /** Of a file. `counts`: the rows that each of its models has. */
  readFile(file: ReadableFile, counts: Record<string, number>): Promise<SettingsGroup[]>
  /** Throws SETTINGS_REFUSED with the problems of fields, SETTINGS_CHANGED, LOCK_HELD. */
  save(input: Input<'POST /api/settings'>): Promise<SettingsGroup[]>
  /** `file`: where the secret is, if not in the database. */
  reveal(field: { model: string; field: string }, file: ReadableFile | undefined, address: string): Promise<string>
  /** Throws TOO_MANY_TRIES. */
  test(input: Input<'POST /api/settings/test'>, address: string): Promise<ConnectionResult>
}

const testsAtATime = { windowMs: 60_000, triesOfOne: 20, triesOfAll: 60, what: 'tests' }

export function openSettings({ config, log, access, withDatabase }: SettingsTools): Settings {
  const limit = openRateLimit(Date.now, testsAtATime)

  async function configModels(): Promise<Model[]> {
    const schema = await readSchemaFiles(await findSchema(process.cwd(), config.schemaSetting))
    const { models } = await readDataModelCached(config, schema, await prismaVersion(process.cwd()))
    return models.filter((model) => model.isConfig && settingsFields(model).length > 0)
  }

  function targetOf(engine: Engine): ConfigTarget {
    return { engine: engine.kind, database: databaseOf(engine), busyMs: config.busyWaitMs }
  }

  async function readRows(models: Model[]): Promise<(JsonRow | null)[]> {
    if (models.length === 0) return []
    const engine = await openEngine(config.databaseUrl, { busyMs: config.busyWaitMs })
    try {
      return await readConfigRows(targetOf(engine), models)
    } finally {
      await engine.close()
    }
  }

  function versionOf(model: Model, row: JsonRow | null): string {
    const values = row && settingsFields(model).map(({ name }) => row[name])
    return access.seal(JSON.stringify([model.name, values]))
  }

  async function read(): Promise<SettingsGroup[]> {
    const models = await configModels()
    const rows = await readRows(models)
    return models.map((model, at) => groupOf(model, rows[at]!, versionOf(model, rows[at]!)))
  }

  return {
    read,

    async exist() {
      return (await configModels()).length > 0
    },

    async readFile(file, counts) {
      const models = (await configModels()).filter(({ name, table }) => (counts[name] ?? counts[table] ?? 0) > 0)
      if (models.length === 0) return []
      const rows = await firstRowsOf(file.config, file.path, models)
      return models.flatMap((model) => (rows[model.name] ? [groupOfFile(model, rows[model.name]!)] : []))
    },

    async save({ groups }) {
      const models = await configModels()
      const asked = groups.map((group) => ({ ...group, model: find(models, group.model) }))
      for (const { model, values } of asked) for (const name of Object.keys(values)) fieldOf(model, name)
      await withDatabase('a change of settings in the console', async ({ engine, record }) => {
        const rows = await readConfigRows(
          targetOf(engine),
          asked.map(({ model }) => model),
        )
        if (asked.some(({ model, version }, at) => version !== versionOf(model, rows[at]!))) throw changedElsewhere()
        const changes = asked.map(({ model, values }, at) => ({ model, values, expected: rows[at]! }))
        const fields = changes.flatMap(({ model, values }) =>
          Object.keys(values).map((name) => `${model.name}.${name}`),
        )
        await record({ action: 'settings', entity: 'database', metadata: { fields } }, async () => {
          const outcome = await saveConfigRows(targetOf(engine), changes, new Date())
          if (outcome.kind === 'changed') throw changedElsewhere()
          if (outcome.kind === 'refused') throw refused(models, outcome.problems)
        })
        log.info(`Settings were changed in the console: ${fields.join(', ') || 'the defaults were saved'}.`)
      })
      return await read()
    },

    async reveal({ model: modelName, field: fieldName }, file, address) {
      const model = find(await configModels(), modelName)
      const field = fieldOf(model, fieldName)
      if (!field.isSecret)
        throw new BootkeeperError('REQUEST_REFUSED', `${field.name} is no secret: it is shown anyway.`, {
          next: 'Reload the page.',
        })
      const row = file ? (await firstRowsOf(file.config, file.path, [model]))[model.name] : (await readRows([model]))[0]
      const where = file ? ` of the file “${file.name}”` : ''
      log.info(`The value of ${model.name}.${field.name}${where} was shown to ${address}.`)
      return String(textOf(row?.[field.name]) ?? '')
    },

    async test({ model: modelName, field: fieldName, address: typed }, address) {
      limit.take(address)
      const { name, healthPath } = fieldOf(find(await configModels(), modelName), fieldName)
      if (healthPath === undefined)
        throw new BootkeeperError('REQUEST_REFUSED', `${name} is no field that can be tested.`, {
          next: 'Reload the page.',
        })
      const result = await testConnection(typed, healthPath)
      log.info(`A connection was tested from ${address}, as ${modelName}.${name}: ${result.outcome}. ${result.text}`)
      return result
    },
  }
}

function find(models: Model[], name: string): Model {
  const model = models.find((each) => each.name === name)
  if (model) return model
  throw unknown(name)
}

function fieldOf(model: Model, name: string) {
  const field = settingsFields(model).find((each) => each.name === name)
  if (field) return field
  throw unknown(`${model.name}.${name}`)
}

function unknown(name: string): BootkeeperError {
  return new BootkeeperError('REQUEST_REFUSED', `There is no setting ${name.slice(0, 100)}.`, {
    next: 'Reload the page: the schema may have changed.',
  })
}

function changedElsewhere(): BootkeeperError {
  return new BootkeeperError('SETTINGS_CHANGED', 'The settings were changed elsewhere since this page read them.')
}

function refused(models: Model[], problems: ValueProblem[]): BootkeeperError {
  const hidden = problems.find(({ model, field }) => {
    const shown = settingsFields(models.find(({ name }) => name === model)!)
    return !shown.some(({ name }) => name === field)
  })
  if (hidden)
    return new BootkeeperError(
      'SETTINGS_REFUSED',
      `A new row of ${hidden.model} needs ${hidden.field}, which cannot be typed here.`,
      { next: 'Give that field a default in the schema, or let the app make the row.' },
    )
  const count = problems.length === 1 ? 'One field needs' : `${problems.length} fields need`
  const error = new BootkeeperError('SETTINGS_REFUSED', `${count} another look.`)
  return Object.assign(error, { problems })
}
