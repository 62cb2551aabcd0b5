// What `list --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'
import { manifestSchema } from '../../src/manifest.ts'
import { statuses } from '../../src/operation-log.ts'

const number = z.number().int().nonnegative()
const manifest = manifestSchema.strict().shape

/** What the catalogue knows besides the manifest. */
const known = {
  id: z.string().describe('the stem, or the id of the operation where there is no stem'),
  status: z.enum(statuses),
  verified: z.boolean().describe('read back with what is inside, and nothing found wrong since'),
  pinnedByBoot: z.boolean().describe('the app came up on it last'),
  removed: z.boolean().describe('it is gone'),
  removedAt: z.string().optional(),
  rows: number.optional(),
  sizeBytes: number.optional().describe('before compression and encryption'),
  storedBytes: number.optional().describe('on disk'),
  checkProblem: z.string().optional().describe('what the last check or drill found'),
  error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
}

export const output = z
  .array(
    z.union([
      z
        .strictObject({ ...known, ...manifest })
        .describe('a backup with a manifest; see backups-on-disk.md for the members'),
      z
        .strictObject({
          ...known,
          stem: manifest.stem.optional(),
          trigger: z.string(),
          reason: z.string(),
          scope: manifest.scope,
          createdAt: z.string(),
          durationMs: number.optional(),
          pinned: z.literal(true).optional(),
          by: manifest.by,
          files: z.array(z.unknown()).max(0).describe('empty'),
        })
        .describe('one without: it runs, failed, has a damaged manifest, or is gone'),
    ]),
  )
  .describe('newest first')
