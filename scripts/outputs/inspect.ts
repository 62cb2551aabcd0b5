// What `inspect --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'

const rows = z.number().int().nonnegative()

export const fileOutput = z.strictObject({
  format: z.string().describe('such as "bootkeeper 1"'),
  title: z.string().describe('the format, for people'),
  certainty: z.enum(['certain', 'likely']),
  hasLines: z.boolean().describe('whether places in it are lines'),
  version: z.string().optional().describe('that the file names'),
  createdAt: z.string().optional().describe('ISO 8601 in UTC'),
  app: z.string().optional(),
  engine: z.enum(['sqlite', 'postgresql']).optional(),
  fingerprint: z.string().optional().describe('of the schema that it was made under'),
  counts: z.record(z.string(), rows).describe('rows per model'),
  leftBehind: z.array(z.strictObject({ what: z.string(), count: rows })).describe('what the schema has no place for'),
  notes: z.array(z.string()),
  users: z
    .array(
      z.strictObject({
        name: z.string().nullable(),
        entries: z.record(z.string(), rows).describe('of each list, or model, or model and value'),
        only: z.string().optional().describe('what `import --only` takes for it'),
      }),
    )
    .optional()
    .describe('of a file that has users, up to 200 of a current export; null where it does not say whose it is'),
  moreUsers: rows.optional().describe('besides those'),
  parts: z
    .strictObject({ settings: z.boolean(), users: z.boolean() })
    .optional()
    .describe('what `import --only` can take of it'),
})

export const output = fileOutput
