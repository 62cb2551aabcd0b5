// What `keygen --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'

export const output = z.strictObject({
  identityFile: z.string().describe('the path of the file with the secret key'),
  recipient: z
    .string()
    .regex(/^age1[a-z0-9]{58}$/)
    .describe('the public key, for BACKUP_AGE_RECIPIENTS'),
})
