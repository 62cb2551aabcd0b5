// What `prune --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'
import { retentionRules } from '../../src/retention.ts'
import { scopeOutput } from './files.ts'

const bytes = z.number().int().nonnegative()

export const output = z.strictObject({
  applied: z.boolean().describe('false: a dry run'),
  backups: z
    .array(
      z.strictObject({
        id: z.string().describe('the stem of the backup'),
        createdAt: z.string().describe('ISO 8601 in UTC'),
        trigger: z.string(),
        scope: scopeOutput,
        bytes: bytes.describe('as it is stored'),
        keep: z.boolean().describe('false: it goes'),
        rule: z.enum(retentionRules).describe('the one that decided'),
        reason: z.string().describe('in words'),
      }),
    )
    .describe('all that there were, oldest first; with --remove that one'),
  removed: z.array(z.string()).describe('stems; also those whose removal an earlier prune had begun'),
  freedBytes: bytes,
})
