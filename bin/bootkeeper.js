#!/usr/bin/env node
// The `bootkeeper` command: `bootkeeper -- COMMAND` boots and starts COMMAND, `bootkeeper NAME` runs an ops command.
// Guarantees: runs the built code, or, in a checkout that was not built, the sources.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

if (existsSync(new URL('../dist/scripts/bootkeeper.js', import.meta.url))) await import('../dist/scripts/bootkeeper.js')
else {
  if (!existsSync(new URL('../src/catalogue/client', import.meta.url)))
    spawnSync(process.execPath, [fileURLToPath(new URL('generate-catalogue.js', import.meta.url))], {
      stdio: 'inherit',
    })
  const { register } = await import('tsx/esm/api')
  register()
  await import('../scripts/bootkeeper.ts')
}
