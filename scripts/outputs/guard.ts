// What `guard --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'
import { filesOutput } from './files.ts'

const rows = z.number().int().nonnegative()
const models = z
  .union([z.array(z.string()), z.literal('everything')])
  .describe('whose rows may change or go; "everything" where it cannot be told')

export const output = z
  .strictObject({
    script: z.string().describe('as it was named'),
    destructive: z.boolean(),
    models,
    findings: z.array(
      z.strictObject({ file: z.string(), line: z.number().int().positive(), what: z.string(), models }),
    ),
    backup: z
      .strictObject({
        id: z.string().describe('the stem of the backup'),
        status: z.literal('completed').describe('where it fails, the script is not run, and an error is printed'),
        files: filesOutput,
      })
      .nullable()
      .describe('null where none was needed, and in a dry run'),
    rows: z
      .record(
        z.string(),
        z.strictObject({
          before: rows,
          after: rows,
          removed: rows.optional(),
          changed: rows.optional(),
          added: rows.optional(),
        }),
      )
      .describe('by model, of what was backed up; rows are told apart by their primary key'),
    exitCode: z.number().int().nullable().describe("the script's; null in a dry run"),
    signal: z.string().nullable().describe('that ended the script'),
    restore: z.string().nullable().describe('the command that puts the rows back'),
    restored: z
      .boolean()
      .nullable()
      .describe('with `--restore-on-failure`, where the script failed: whether they are back'),
    note: z.string().optional().describe('where something could not be counted'),
  })
  .describe('what the script itself prints goes to stderr')
