// The child process in which SQLite files are worked on; sqlite.ts starts it.
// Guarantees: nothing of its own: see sqlite-operations.ts, sqlite-compare.ts, sqlite-config-rows.ts, sqlite-examine.ts
// and sqlite-validate.ts.

import { serveOperations } from '../child.ts'
import { compare } from './sqlite-compare.ts'
import * as configRows from './sqlite-config-rows.ts'
import { examine } from './sqlite-examine.ts'
import * as operations from './sqlite-operations.ts'
import { validate } from './sqlite-validate.ts'

serveOperations({ ...operations, ...configRows, compare, examine, validate })
