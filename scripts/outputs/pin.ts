// What `pin --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'

export const output = z.strictObject({
  id: z.string().describe('the stem of the backup'),
  pinned: z.boolean().describe('false: it counts like any other again'),
})
