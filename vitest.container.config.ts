// The tests of `npm run test:container`: the image as a user runs it, through the docker client alone.
// Guarantees: the image is built once, before; what the tests made is removed after, also when they failed.

import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['tests/container/**/*.test.ts'],
    globalSetup: 'tests/container/global-setup.ts',
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
})
