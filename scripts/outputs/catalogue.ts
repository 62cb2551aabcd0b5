// What `catalogue --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'

const number = z.number().int().nonnegative()

export const output = z.strictObject({
  path: z.string().describe('of the catalogue'),
  backups: number.describe('that are there'),
  damaged: number.describe('with a manifest that is not as it was written'),
  failed: number.describe('that failed or were cancelled'),
  removed: number,
  restores: number.describe('restores and imports'),
})
