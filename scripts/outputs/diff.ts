// What `diff --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'
import { output as importOutput, reportOutput } from './import.ts'
import { fileOutput } from './inspect.ts'

export const output = z.strictObject({
  same: z.boolean().describe('nothing differs'),
  file: fileOutput.describe('the (second) file'),
  report: reportOutput,
  otherDatabase: importOutput.shape.otherDatabase,
  into: importOutput.shape.into.describe('new: two files were compared, or there is no database'),
})
