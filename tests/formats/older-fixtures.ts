// What the tests of the older formats share: the golden files, and how a value is decoded or refused.

import { readdirSync, readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { BootkeeperError } from '../../src/errors.ts'
import type { DecodeContext, Decoded, Format, JsonRow } from '../../src/formats/format.ts'
import { decodeValue, knownFormats, recogniseFormat } from '../../src/formats/known.ts'

const folder = new URL('./golden/', import.meta.url)
export const golden = readdirSync(folder)
  .filter((file) => !file.endsWith('.expected.json'))
  .map((file) => file.replace('.json', ''))
export const readGolden = (name: string) => JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'))
export const context: DecodeContext = { userName: 'john' }

export async function decode(value: unknown, given = context): Promise<Decoded> {
  return await decodeValue(value, recogniseFormat(value, knownFormats).format, given)
}

export function formatNamed(name: string): Format {
  return knownFormats.find((format) => format.name === name) as Format
}

export function rowsOf({ rows }: Decoded, model: string): JsonRow[] {
  return rows.filter((row) => row.model === model).map(({ row }) => row)
}

export async function refusal(
  work: () => unknown,
): Promise<BootkeeperError & { cause: { path: (string | number)[] } }> {
  try {
    await work()
  } catch (error) {
    expect(error).toBeInstanceOf(BootkeeperError)
    return error as BootkeeperError & { cause: { path: (string | number)[] } }
  }
  throw new Error('it was not refused')
}

/** An object that has __proto__ as a member like any other. */
export function ownMembers(entries: (readonly [string, unknown])[]): Record<string, unknown> {
  return Object.fromEntries(entries)
}
