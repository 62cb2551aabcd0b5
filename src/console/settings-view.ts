// The row of a `@config` model as a form shows it: labels out of names, hints out of the schema's comments.
// Guarantees: generic over the schema; a secret's value is never in it, only whether there is one.

import type { Field, Model } from '../data-model.ts'
import { settingsFields } from '../engines/config-rows.ts'
import { defaultValue } from '../engines/config-values.ts'
import type { JsonRow } from '../import-source.ts'
import type { SettingsField, SettingsGroup } from './contract.ts'

/** Of a row that is not there: what a new one would have. */
export function groupOf(model: Model, row: JsonRow | null, version: string): SettingsGroup {
  return {
    model: model.name,
    title: labelOf(model.name),
    ...(model.description ? { hint: model.description } : {}),
    version,
    isThere: row !== null,
    fields: settingsFields(model).map((field) => fieldOf(field, row)),
  }
}

/** Of a file: only what it has. */
export function groupOfFile(model: Model, row: JsonRow): SettingsGroup {
  const group = groupOf(model, row, '')
  return { ...group, fields: group.fields.filter(({ name }) => Object.hasOwn(row, name)) }
}

function fieldOf(field: Field, row: JsonRow | null): SettingsField {
  const fallback = textOf(literalDefault(field))
  // A secret that only a new row would have can be neither shown nor removed.
  const value = textOf(row !== null ? row[field.name] : field.isSecret ? null : literalDefault(field))
  const precision = precisionOf(field)
  return {
    name: field.name,
    label: labelOf(field.type === 'Boolean' ? field.name.replace(/^is(?=[A-Z])/, '') : field.name),
    ...(field.description ? { hint: field.description } : {}),
    type: field.type,
    ...(precision ? { precision } : {}),
    ...(field.enum ? { choices: field.enum.values.map(({ name }) => name) } : {}),
    isRequired: field.isRequired,
    isSecret: field.isSecret,
    isSet: value !== null && value !== '',
    value: field.isSecret ? null : value,
    ...(fallback === null || field.isSecret ? {} : { default: String(fallback) }),
    canBeTested: field.healthPath !== undefined,
  }
}

/** Of functions, such as uuid(), each row has another one: nothing to show. */
function literalDefault(field: Field): unknown {
  return typeof field.default === 'object' ? undefined : defaultValue(field, new Date(0))
}

/** A value in the encoding of exports as it stands in a field. */
export function textOf(value: unknown): string | boolean | null {
  if (value === null || value === undefined) return null
  if (typeof value === 'boolean') return value
  // One that does not fit its type: as text it can at least be seen and corrected.
  if (typeof value === 'object') return String((value as { value?: unknown }).value ?? '')
  return String(value)
}

function precisionOf({ type, nativeType }: Field): SettingsField['precision'] {
  if (type !== 'DateTime') return undefined
  if (nativeType?.name === 'Date') return 'date'
  return nativeType?.name === 'Time' || nativeType?.name === 'Timetz' ? 'time' : 'moment'
}

const abbreviations = [
  'ai',
  'api',
  'id',
  'imap',
  'ip',
  'json',
  'jwt',
  'ldap',
  'oidc',
  'ui',
  'uri',
  'url',
  'utc',
  'uuid',
]

/** `mailApiKey`: Mail API key. A word without a vowel is an abbreviation, too. */
export function labelOf(name: string): string {
  const words = name
    .replace(/([a-z\d])([A-Z])/g, '$1 $2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1 $2')
    .split(/[\s_]+/)
    .filter(Boolean)
    .map((word) => word.toLowerCase())
    .map((word) => (abbreviations.includes(word) || !/[aeiouy]/.test(word) ? word.toUpperCase() : word))
  const text = words.join(' ')
  return text.charAt(0).toUpperCase() + text.slice(1)
}
