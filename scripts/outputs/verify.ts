// What `verify --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'
import { errorCodeOutput } from './error.ts'

export const output = z
  .array(
    z.strictObject({
      id: z.string().describe('the stem of a backup, or the path of a file that is none'),
      ok: z.boolean(),
      problem: z.string().optional().describe('what is wrong, with the file'),
      code: errorCodeOutput.optional().describe('of the problem; anything but damage says that it could not be read'),
      next: z.string().optional().describe('what to run, where the problem is not damage'),
      notes: z.array(z.string()).describe('what somebody should know all the same'),
      restored: z.array(z.string()).optional().describe('with --drill: what was restored, in words'),
    }),
  )
  .describe('one of each that was verified, oldest first')
