// The bundled app for the tests of the console, with rows of its own, and what is in it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { boot, makeApp, root, type TestApp } from '../harness.ts'

const models = readFileSync(join(root, 'prisma/schema.prisma'), 'utf8').replace(
  /^(generator|datasource) \w+ \{[\s\S]*?^\}/gm,
  '',
)

export const golden = (name: string) => join(root, 'tests/formats/golden', `${name}.json`)

/** `url`: of an empty PostgreSQL database, instead of a file. */
export async function mediaApp(rows = '', url?: string): Promise<TestApp> {
  const app = makeApp(models, url ? 'postgresql' : 'sqlite')
  if (url) app.env.DATABASE_URL = url
  const { exitCode, output } = await boot(app)
  expect(exitCode, output).toBe(0)
  if (url) return app
  const database = app.open()
  database.exec(rows)
  database.close()
  return app
}

/** Every row of every table, to compare a database with what it was. */
export function contents(app: TestApp): Record<string, unknown[]> {
  const database = app.open()
  try {
    const tables = database
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
      .pluck()
    return Object.fromEntries(
      (tables.all() as string[]).map((name) => [
        name,
        database.prepare(`SELECT * FROM "${name}" ORDER BY rowid`).all(),
      ]),
    )
  } finally {
    database.close()
  }
}

export const zoe = `
INSERT INTO "User" (id, username, "createdAt") VALUES (7, 'zoe', '2026-01-01T00:00:00.000+00:00');
INSERT INTO "Media" (id, "tmdbId", "mediaType", title, "createdAt") VALUES (3, 11, 'movie', 'Star Wars', '2026-01-01T00:00:00.000+00:00');
INSERT INTO "UserMedia" (id, "userId", "mediaId", status, "addedAt") VALUES (9, 7, 3, 'WATCHED', '2026-01-01T00:00:00.000+00:00');`
