// The tests of `npm test`: everything but the container tests (vitest.container.config.ts, they need a Docker engine)
// and the soak tests (`npm run test:soak`, they take long).
// Guarantees: two files at a time at most, each in a process of its own, because tests boot real programs (with three, two
// cores were no faster); the longest begin first, so that the end does not wait for one of them.

import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** By what they took when they were last measured. */
const longest = [
  ...[
    'doctor',
    'settings-page',
    'recovery',
    'encrypted',
    'console/restore',
    'encrypted-backups',
    'prune',
    'table-backup',
  ],
  ...['boot', 'every-write', 'wrong-words', 'page', 'faults', 'import-postgres', 'import-choice', 'backups-page'],
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = longest.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`))
      return at < 0 ? longest.length : at
    }
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    exclude: ['tests/container/**', 'tests/fixtures/**', ...(process.env.SOAK ? [] : ['tests/soak/**'])],
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
