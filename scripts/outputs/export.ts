// What `export --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'
import { filesOutput } from './files.ts'

export const output = z.strictObject({
  id: z.string().optional().describe('the stem of the backup; left out where the file is no backup'),
  status: z.literal('completed').describe('an export that failed prints an error'),
  files: filesOutput,
})
