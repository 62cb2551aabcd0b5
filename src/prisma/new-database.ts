// Makes an empty SQLite database of the app's schema, by `prisma db push`. Guarantees: it is on disk when this returns;
// whatever was wrong is said in Prisma's own words.

import { BootkeeperError } from '../errors.ts'
import { fsyncFile } from '../files.ts'
import { runPrisma } from './cli.ts'
import type { SchemaSet } from './schema-files.ts'

export async function makeEmptyDatabase(
  { location }: SchemaSet,
  path: string,
  config: { nativeEngine: boolean },
): Promise<void> {
  await pushSchema({ location }, `file:${path}`, config)
  await fsyncFile(path)
}

/** Makes the tables of the schema in a database that has none. Throws SCHEMA_CHANGE_FAILED. */
export async function pushSchema(
  { location }: Pick<SchemaSet, 'location'>,
  url: string,
  { nativeEngine }: { nativeEngine: boolean },
): Promise<void> {
  const { exitCode, stdout, stderr } = await runPrisma(['db', 'push', '--schema', location], {
    cwd: process.cwd(),
    url,
    nativeEngine,
  })
  if (exitCode !== 0)
    throw new BootkeeperError(
      'SCHEMA_CHANGE_FAILED',
      `Prisma could not make an empty database: ${`${stderr} ${stdout}`.replace(/\s+/g, ' ').trim().slice(0, 500)}`,
    )
}
