// What `backup --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'
import { filesOutput, scopeOutput } from './files.ts'

const rows = z.number().int().nonnegative()
const id = z.string().describe('the stem of the backup')
const status = z.literal('completed').describe('a backup that failed prints an error')

export const output = z.union([
  z.strictObject({ id, status, files: filesOutput }).describe('of everything'),
  z
    .strictObject({
      ...{ id, status, files: filesOutput },
      rows,
      scope: scopeOutput,
      notIncluded: z
        .record(z.string(), rows)
        .describe('by model: rows that refer to these rows, and are not in the backup'),
    })
    .describe('of a part, with `--tables` or `--scope`'),
])
