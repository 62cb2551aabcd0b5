// What the commands that write files, or show backups, print of them with --json.

import { z } from 'zod'
import { scopeSchema } from '../../src/scope.ts'

export const filesOutput = z
  .array(
    z.strictObject({
      role: z.enum(['copy', 'export', 'script']),
      path: z.string(),
      bytes: z.number().int().describe('as it is stored'),
      sha256: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .describe('of the file as it is stored'),
    }),
  )
  .describe('what was written and read back')

export const scopeOutput = scopeSchema.describe(
  'of a part: `models`; `where`, a filter of the first of them; `whole`, with all that hangs on its rows',
)
