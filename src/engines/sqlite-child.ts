// The child process in which SQLite files are worked on; sqlite.ts starts it.
// Guarantees: nothing of its own: see sqlite-operations.ts and sqlite-compare.ts.

import { serveOperations } from '../child.ts'
import { compare } from './sqlite-compare.ts'
import * as operations from './sqlite-operations.ts'

serveOperations({ ...operations, compare })
