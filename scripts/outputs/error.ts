// What every command prints with --json when it fails. docs/reference/json-output.md is made of it.

import { z } from 'zod'
import { type ErrorCode, errorTable } from '../../src/errors.ts'

export const errorCodeOutput = z.enum(Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]]).meta({ id: 'error code' })

export const output = z.strictObject({
  error: z.strictObject({
    code: errorCodeOutput.describe('see errors.md; it decides the exit code'),
    message: z.string().describe('what happened'),
    safe: z.string().describe('what became of the data'),
    next: z.string().describe('what to run next'),
  }),
})
