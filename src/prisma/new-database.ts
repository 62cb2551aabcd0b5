// Makes an empty SQLite database of the app's schema, by `prisma db push`. Guarantees: it is on disk when this returns;
// whatever was wrong is said in Prisma's own words.

import { BootkeeperError } from '../errors.ts'
import { fsyncFile } from '../files.ts'
import { runPrisma } from './cli.ts'
import type { SchemaSet } from './schema-files.ts'

export async function makeEmptyDatabase(
  { location }: SchemaSet,
  path: string,
  { nativeEngine }: { nativeEngine: boolean },
): Promise<void> {
  const { exitCode, stdout, stderr } = await runPrisma(['db', 'push', '--schema', location], {
    cwd: process.cwd(),
    url: `file:${path}`,
    nativeEngine,
  })
  if (exitCode !== 0)
    throw new BootkeeperError(
      'SCHEMA_CHANGE_FAILED',
      `Prisma could not make an empty database: ${`${stderr} ${stdout}`.replace(/\s+/g, ' ').trim().slice(0, 500)}`,
    )
  await fsyncFile(path)
}
