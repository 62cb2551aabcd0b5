// How rows of a file are named by the references of other rows. Guarantees: two keys are the same text where, and only
// where, they are the same key; one that is nested without end is refused before it is walked through.

import { BootkeeperError } from '../errors.ts'
import type { SourceHeader } from '../import-source.ts'
import type { Mapping } from './import-mapping.ts'

/** Keys of this many rows are kept in memory, so that references to them are resolved while the file is read. */
const mostKeysInMemory = 400_000
const deepestReference = 12

/** The keys of a model's rows, while they are few enough to be kept. */
export class Keys {
  private lines: Map<string | number, number> | undefined = new Map()

  get areKept(): boolean {
    return this.lines !== undefined
  }

  find(key: string | number): number | undefined {
    return this.lines?.get(key)
  }

  add(key: string | number, line: number): void {
    if (!this.lines) return
    this.lines.set(key, line)
    if (this.lines.size > mostKeysInMemory) this.lines = undefined
  }
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
