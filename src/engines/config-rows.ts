// The row of settings that a `@config` model has: read, and changed by what a person typed.
// Guarantees: values come and go in the encoding of exports, by the code of exports and imports; a save is one
// transaction, and happens only if the row still is as it was when it was shown; where a value does not fit its field,
// nothing is written, and each such field has its sentence. A row that is not there is made with the schema's defaults.

import { startChild } from '../child.ts'
import type { Field, Model } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import type { JsonRow } from '../import-source.ts'
import type { Typed, ValueProblem } from './config-values.ts'
import type * as sqlite from './sqlite-config-rows.ts'

export interface ConfigTarget {
  engine: 'sqlite' | 'postgresql'
  /** A path for SQLite, an address for PostgreSQL. */
  database: string
  busyMs: number
}

export interface ConfigChange {
  model: Model
  /** As it was shown; null: there was no row. */
  expected: JsonRow | null
  /** By field name, of those that were touched. */
  values: Record<string, Typed>
}

export type SaveOutcome =
  | { kind: 'saved' }
  /** Somebody else was faster; nothing was written. */
  | { kind: 'changed' }
  | { kind: 'refused'; problems: ValueProblem[] }

/** What a person may set: no keys, no times that are set by themselves, no lists, no bytes. */
export function settingsFields({ fields, primaryKey, relations }: Model): Field[] {
  const keys = new Set([...primaryKey, ...relations.flatMap(({ from }) => from)])
  const isCreationTime = ({ type, default: value }: Field) =>
    type === 'DateTime' && (value as { name?: string } | undefined)?.name === 'now'
  return fields.filter(
    (field) =>
      !keys.has(field.name) &&
      !field.isList &&
      field.type !== 'Bytes' &&
      !field.isUpdatedAt &&
      !field.isAutoincrement &&
      !isCreationTime(field),
  )
}

/** The row of each model, null where there is none. Of several the first one, by primary key. */
export async function readConfigRows(target: ConfigTarget, models: Model[]): Promise<(JsonRow | null)[]> {
  return await speaking(async () => {
    if (target.engine === 'sqlite') return await inChild((child) => child.call('readRows', { ...target, models }))
    const { readRows } = await import('./postgres-config-rows.ts')
    return await readRows({ ...target, models })
  })
}

/** Throws SETTINGS_REFUSED where no single field is at fault, DATABASE_BUSY, DATABASE_UNREACHABLE. */
export async function saveConfigRows(target: ConfigTarget, changes: ConfigChange[], now: Date): Promise<SaveOutcome> {
  return await speaking(async () => {
    if (target.engine === 'sqlite') return await inChild((child) => child.call('saveRows', { ...target, changes, now }))
    const { saveRows } = await import('./postgres-config-rows.ts')
    return await saveRows({ ...target, changes, now })
  })
}

/** Not in this process: a file descriptor that is closed here would take SQLite's locks with it. */
async function inChild<Result>(
  use: (child: ReturnType<typeof startChild<typeof sqlite>>) => Promise<Result>,
): Promise<Result> {
  const child = startChild<typeof sqlite>('./sqlite-child', import.meta.url)
  try {
    return await use(child)
  } finally {
    await child.kill()
  }
}

/** What exports and imports say of tables that are not there, in words for settings. */
async function speaking<Result>(run: () => Promise<Result>): Promise<Result> {
  try {
    return await run()
  } catch (error) {
    const { code, message } = error as BootkeeperError
    if (!(error instanceof BootkeeperError) || (code !== 'EXPORT_FAILED' && code !== 'IMPORT_CONFLICT')) throw error
    throw new BootkeeperError('SETTINGS_REFUSED', message, {
      cause: error,
      next: 'Start the app once, so that the database follows the schema, then open the settings again.',
    })
  }
}

export function sameSettings(model: Model, one: JsonRow | null, other: JsonRow | null): boolean {
  if (one === null || other === null) return one === other
  return settingsFields(model).every(({ name }) => JSON.stringify(one[name]) === JSON.stringify(other[name]))
}
