// What `restore --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'
import { output as importOutput } from './import.ts'

export const output = z.union([
  z
    .strictObject({
      id: z.string().describe('the stem of the backup'),
      applied: z.boolean().describe('false: a dry run'),
      before: z.string().optional().describe('the backup of what was there before'),
      aside: z.string().optional().describe('where the file is that was there before'),
      asideBytes: z.number().int().optional(),
      notes: z.array(z.string()).optional().describe('what is not as it should be, though not the fault of the copy'),
    })
    .describe('of a copy'),
  importOutput.describe('of an export'),
])
