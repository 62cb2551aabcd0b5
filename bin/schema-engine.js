#!/usr/bin/env node
// What PRISMA_SCHEMA_ENGINE_BINARY names: starts the engine of src/prisma/schema-engine-rpc.ts, built where it was
// built, through tsx in a source checkout. Where Bootkeeper itself runs from its sources, a build that lies beside them
// may be old, and is passed over.

import { existsSync } from 'node:fs'

const built = new URL('../dist/src/prisma/schema-engine-rpc.js', import.meta.url)
if (existsSync(built) && process.env.BOOTKEEPER_FROM_SOURCE !== '1') {
  await import(built.href)
} else {
  const { register } = await import('tsx/esm/api')
  register()
  await import('../src/prisma/schema-engine-rpc.ts')
}
