#!/usr/bin/env node
// The `bootkeeper` command: `bootkeeper -- COMMAND` boots and starts COMMAND, `bootkeeper NAME` runs an ops command.
// Guarantees: runs the built code, or, in a checkout that was not built, the sources.
import { existsSync } from 'node:fs'

if (existsSync(new URL('../dist/scripts/bootkeeper.js', import.meta.url))) await import('../dist/scripts/bootkeeper.js')
else {
  const { register } = await import('tsx/esm/api')
  register()
  await import('../scripts/bootkeeper.ts')
}
