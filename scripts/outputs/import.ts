// What `import --json` prints, and `restore --json` of an export. docs/reference/json-output.md is made of it, and
// tests/json-output.test.ts compares.

import { z } from 'zod'
import { fileOutput } from './inspect.ts'

const rows = z.number().int().nonnegative()

type Name = string | number | Name[] | { '#': Name }
const nameOutput: z.ZodType<Name> = z
  .lazy(() => z.union([z.string(), z.number(), z.array(nameOutput), z.strictObject({ '#': nameOutput })]))
  .meta({ id: 'name of a row' })
const names = z.array(nameOutput).optional()

export const reportOutput = z.strictObject({
  models: z.array(
    z.strictObject({
      model: z.string(),
      rows: rows.describe('of the file'),
      created: rows,
      updated: rows,
      unchanged: rows,
      skipped: rows.describe('of the file, left out'),
      removed: rows.describe('of the database, gone'),
      kept: rows.describe('of the database, not in the file and still there'),
      changes: z
        .array(z.strictObject({ field: z.string(), rows }))
        .optional()
        .describe('of the updated rows: the fields that get another value, and in how many rows'),
      examples: z
        .strictObject({ created: names, updated: names, removed: names, kept: names })
        .optional()
        .describe('up to three rows of each kind, as references of an export name them'),
    }),
  ),
  skipped: z
    .array(
      z.strictObject({ model: z.string(), reason: z.string(), rows, examples: z.array(z.number()).describe('lines') }),
    )
    .describe('rows that were left out, and why'),
  notInSchema: z
    .array(z.strictObject({ model: z.string(), field: z.string().optional(), rows }))
    .describe('what the file has and the schema has not'),
  notInFile: z
    .array(z.strictObject({ model: z.string(), fields: z.array(z.string()) }))
    .describe('fields of the schema that the file does not have'),
  emptied: z
    .array(z.strictObject({ model: z.string(), field: z.string(), rows }))
    .describe('optional references to rows that are nowhere'),
})

export const output = z.strictObject({
  applied: z.boolean().describe('false: a dry run'),
  file: fileOutput,
  only: z.array(z.string()).optional().describe('what of the file: the words of --only'),
  report: reportOutput,
  into: z.enum(['present', 'new']).describe('new: there was no database that could be read, and one is made'),
  otherDatabase: z.string().optional().describe('the file belongs to a backup of this other database'),
  before: z.string().optional().describe('the backup of what was there before'),
  aside: z.string().optional().describe('where the file is that was there before'),
})
