// How rows of a file are named by the references of other rows. Guarantees: two keys are the same text where, and only
// where, they are the same key; one that is nested without end is refused before it is walked through.

import { BootkeeperError } from '../errors.ts'
import type { JsonRow, SourceHeader, SourceModel } from '../import-source.ts'
import type { Mapping } from './import-mapping.ts'

/** Keys of this many rows are kept in memory, so that references to them are resolved while the file is read. */
const mostKeysInMemory = 400_000
const deepestReference = 12

/** What the keys of a model's rows stand for, while they are few enough to be kept. */
export class Keys<Value> {
  private values: Map<string | number, Value> | undefined = new Map()

  get areKept(): boolean {
    return this.values !== undefined
  }

  find(key: string | number): Value | undefined {
    return this.values?.get(key)
  }

  add(key: string | number, value: Value): void {
    if (!this.values) return
    this.values.set(key, value)
    if (this.values.size > mostKeysInMemory) this.values = undefined
  }
}

/** As references name the row: its natural key, else `{"#": primary key}`; undefined where neither is whole. */
export function keyOfRow(row: JsonRow, { key, primaryKey }: SourceModel): unknown {
  return whole(row, key) ?? asId(whole(row, primaryKey))
}

function whole(row: JsonRow, members: string[]): unknown {
  if (members.length === 1) return row[members[0] as string] ?? undefined
  const parts = members.map((member) => row[member] ?? null)
  return parts.length === 0 || parts.includes(null) ? undefined : parts
}

function asId(value: unknown): { '#': unknown } | undefined {
  return value === undefined ? undefined : { '#': value }
}

export function whereIs({ hasLines }: SourceHeader, place: number, model: string): string {
  return hasLines ? `line ${place}` : `row ${place} of ${model}`
}

export function sameKey(
  header: SourceHeader,
  { name }: Mapping,
  key: string,
  first: number,
  second: number,
): BootkeeperError {
  return new BootkeeperError(
    'IMPORT_INVALID',
    `${whereIs(header, second, name)}: ${name} ${key.slice(1, -1).slice(0, 100)} is there already, ${whereIs(header, first, name)}.`,
  )
}

/** Never looks like a number: a line is one. */
export function keyText(key: unknown): string {
  return `[${JSON.stringify(key)}]`
}

export function simpleKey(key: unknown): string | number {
  return typeof key === 'string' || typeof key === 'number' ? key : `\0${JSON.stringify(key)}`
}

export function requireShallow(value: unknown, error: () => Error): void {
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > deepestReference) throw error()
    level = level.flatMap((each) => (typeof each === 'object' && each !== null ? Object.values(each) : []))
  }
}
