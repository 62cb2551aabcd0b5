// What the commands that write files print of each with --json.

import { z } from 'zod'

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
