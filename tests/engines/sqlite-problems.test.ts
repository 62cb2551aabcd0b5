// What SQLite complains of, as part of one sentence. Guarantees tested: one line, and the number of the others.

import { expect, test } from 'vitest'
import { shortProblems } from '../../src/engines/sqlite-problems.ts'

test.each([
  [['row 1 missing from index a'], 'row 1 missing from index a'],
  [['database disk image is malformed'], 'database disk image is malformed'],
  [
    ['*** in database main ***\nTree 2 page 2: btreeInitPage() returns error code 11.'],
    'Tree 2 page 2: btreeInitPage() returns error code 11',
  ],
  [
    ['*** in database main ***\nTree 2 page 2 cell 0: bad\nTree 2 page 2 cell 1: bad', 'row 3 missing from index b'],
    'Tree 2 page 2 cell 0: bad (and 2 more)',
  ],
  [[], 'SQLite does not say why'],
])('%j', (problems, text) => {
  expect(shortProblems(problems)).toBe(text)
})
