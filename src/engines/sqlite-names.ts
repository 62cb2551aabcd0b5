// What rows are called in the report of an import: by natural key, as references in an export name them, else by what
// else tells them apart, else by their primary key. Guarantees: a field that the schema calls secret is never shown;
// only the rows that are asked for are read.

import type Database from 'better-sqlite3'
import type { Field, Model } from '../data-model.ts'
import type { ModelCounts, RowName } from './engine-import.ts'
import { fieldOf, serialKey } from './import-mapping.ts'
import { quoted } from './sqlite-rows.ts'
import type { StagedModel } from './sqlite-staged-rows.ts'

/** Of each kind, for each model. */
export const mostExamples = 3

type Row = Record<string, unknown>

/** A row of either side: what a field holds, and the name of the row that a reference leads to. */
interface NamedRow {
  model: Model
  value(field: Field): unknown
  referred(relation: Model['relations'][number]): RowName | undefined
}

/** Undefined where no part of the name may be shown. */
function nameOf({ model, value, referred }: NamedRow, looseKey: string[] = []): RowName | undefined {
  const shown = (name: string) => {
    const field = model.fields.find((each) => each.name === name)
    return field && !field.isSecret ? plain(value(field)) : undefined
  }
  const key = model.naturalKey.map((part) =>
    part.kind === 'field' ? shown(part.name) : referred(model.relations.find(({ name }) => name === part.name)!),
  )
  if (isWhole(key)) return single(key)
  const loose = looseKey.map((name) => shown(name)).filter((part) => part !== undefined)
  if (isWhole(loose)) return single(loose)
  const id = model.primaryKey.map((name) => shown(name))
  return isWhole(id) ? { '#': single(id) } : undefined
}

export class RowNames {
  constructor(
    private readonly database: Database.Database,
    private readonly models: Model[],
    private readonly stagedModels: StagedModel[] = [],
    private readonly tableOf = ({ table }: Model) => `main.${quoted(table)}`,
  ) {}

  /** Of a row of the file. */
  staged({ mapping, name, cellColumns, rawColumns }: StagedModel, line: number | bigint): RowName | undefined {
    const { target, references, source } = mapping
    const row = this.read(`SELECT * FROM ${name} WHERE line = ?`, [line])[0] ?? {}
    // The id that it gets, where that is another one than the file's.
    const id = (field: Field) => (field === serialKey(target) ? row.f : undefined)
    return nameOf(
      {
        model: target,
        value: (field) => id(field) ?? row[cellColumns.get(field.name) ?? rawColumns.get(field.name) ?? ''],
        referred: (relation) => {
          const index = references.findIndex((each) => each.relation === relation)
          const to = this.stagedModels[references[index]?.to ?? -1]
          const at = row[`r${index}`]
          return to && (typeof at === 'bigint' || typeof at === 'number') ? this.staged(to, at) : undefined
        },
      },
      source.looseKey,
    )
  }

  /** Of rows of the database: those of `FROM table AS l`, and what `rest` says. */
  live(model: Model, rest: string, values: unknown[] = []): RowName[] {
    const looseKey = this.stagedModels.find(({ mapping }) => mapping.target === model)?.mapping.source.looseKey
    return this.read(`SELECT l.* FROM ${this.tableOf(model)} AS l ${rest}`, values).flatMap((row) => {
      const name = nameOf(
        {
          model,
          value: (field) => row[field.column],
          referred: ({ target, from, to }) => {
            const referred = this.models.find((each) => each.name === target) as Model
            const on = to.map((name) => `l.${quoted(fieldOf(referred, name).column)} = ?`).join(' AND ')
            const key = from.map((name) => row[fieldOf(model, name).column])
            return this.live(referred, `WHERE ${on} LIMIT 1`, key)[0]
          },
        },
        looseKey,
      )
      return name === undefined ? [] : [name]
    })
  }

  private read(sql: string, values: unknown[]): Row[] {
    return this.database
      .prepare(sql)
      .safeIntegers()
      .all(...values) as Row[]
  }
}

/** With the kinds of which there are any. */
export function named(counts: ModelCounts, names: NonNullable<ModelCounts['examples']>): ModelCounts {
  const examples = Object.fromEntries(Object.entries(names).filter(([, each]) => each.length > 0))
  return Object.keys(examples).length > 0 ? { ...counts, examples } : counts
}

function isWhole(parts: (RowName | undefined)[]): parts is RowName[] {
  return parts.length > 0 && parts.every((part) => part !== undefined)
}

function single(parts: RowName[]): RowName {
  return parts.length === 1 ? (parts[0] as RowName) : parts
}

function plain(value: unknown): string | number | undefined {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (value instanceof Buffer) return value.toString('hex')
  return typeof value === 'string' || typeof value === 'number' ? value : undefined
}
