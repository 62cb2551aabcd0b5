// What `doctor --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'
import { errorCodeOutput } from './error.ts'

const verdict = z.enum(['ok', 'warn', 'fail'])

export const output = z.strictObject({
  verdict: verdict.describe('the worst of all'),
  findings: z.array(
    z.strictObject({
      check: z.string(),
      verdict,
      text: z.string(),
      next: z.string().optional().describe('what to run, where it is not ok'),
      code: errorCodeOutput.optional().describe('of a failure'),
    }),
  ),
  settings: z
    .array(
      z.strictObject({
        name: z.string(),
        value: z.string().optional().describe('with secrets masked; left out where it is not set'),
        isDefault: z.boolean(),
      }),
    )
    .describe('none where one of them is wrong'),
})
