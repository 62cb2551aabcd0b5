// What `list --json` prints. docs/reference/json-output.md is made of it, and tests/json-output.test.ts compares.

import { z } from 'zod'
import { manifestSchema } from '../../src/manifest.ts'

export const output = z.array(manifestSchema.strict()).describe('newest first; see backups-on-disk.md for the members')
