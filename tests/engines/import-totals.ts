// The counts of an import's report over all models, and the content of an export without what tells when it was made:
// for the tests of either engine.

import { readFileSync } from 'node:fs'
import type { ImportReport } from '../../src/engines/engine-import.ts'

export const totals = ({ models }: ImportReport) => {
  const sum = (name: 'created' | 'updated' | 'unchanged' | 'skipped' | 'removed') =>
    models.reduce((total, model) => total + model[name], 0)
  return {
    created: sum('created'),
    updated: sum('updated'),
    unchanged: sum('unchanged'),
    skipped: sum('skipped'),
    removed: sum('removed'),
  }
}

/** The data alone: header and checksum tell when, and how the database was made. */
export function dataOf(file: string): string {
  const text = readFileSync(file, 'utf8')
  return text.slice(text.indexOf('\n"data": {'), text.lastIndexOf('\n"sha256"'))
}
