// What `log --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'
import { statuses } from '../../src/operation-log.ts'

const line = z.number().int().positive()

export const output = z.union([
  z
    .array(
      z.strictObject({
        operation: z.string().describe('its id'),
        action: z.string().describe('such as backup, restore, import, export, prune, pin, guard, boot-restore'),
        entity: z.string().describe('what was worked on: backup, database, file, script'),
        ids: z.array(z.string()).describe('stems, or files'),
        status: z.enum(statuses),
        at: z.string().describe('when it began, ISO 8601 in UTC'),
        endedAt: z.string().optional().describe('left out while it runs, and where its process was killed'),
        durationMs: z.number().optional(),
        by: z.strictObject({ user: z.string(), host: z.string(), pid: z.number().int() }),
        lock: z.enum(['lock', 'ops']).optional().describe('that it held while it ran'),
        metadata: z.record(z.string(), z.unknown()).optional().describe('what else is known, by action'),
        precededBy: z.string().optional().describe('the backup of what was there before'),
        error: z
          .strictObject({ code: z.string().describe('see errors.md; or `KILLED`'), message: z.string() })
          .optional(),
        lines: z.array(line).describe('the numbers of its lines'),
      }),
    )
    .describe('operations, newest first'),
  z
    .strictObject({
      ok: z.literal(true).describe('a log that was changed prints an error'),
      lines: z.number().int().nonnegative(),
    })
    .describe('with `--verify`'),
])
