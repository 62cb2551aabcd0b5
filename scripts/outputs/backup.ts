// What `backup --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'
import { filesOutput } from './files.ts'

export const output = z.strictObject({
  id: z.string().describe('the stem of the backup'),
  status: z.literal('completed').describe('a backup that failed prints an error'),
  files: filesOutput,
})
