// The tests of `npm test`: everything but the container tests (vitest.container.config.ts, they need a Docker engine)
// and the soak tests (`npm run test:soak`, they take long).
// Guarantees: two files at a time at most, each in a process of its own, because tests boot real programs.

import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    exclude: ['tests/container/**', 'tests/fixtures/**', ...(process.env.SOAK ? [] : ['tests/soak/**'])],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
