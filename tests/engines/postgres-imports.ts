// What the tests of the import into PostgreSQL share: a server, databases of a schema, exports of them, and an import
// whose plan must say what is then done.

import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, expect } from 'vitest'
import type { DataModel } from '../../src/data-model.ts'
import type { ImportOptions, ImportReport } from '../../src/engines/engine-import.ts'
import { exportPostgres } from '../../src/engines/postgres-export.ts'
import { stagePostgresImport } from '../../src/engines/postgres-import.ts'
import { exportSqlite } from '../../src/engines/sqlite-export.ts'
import { openExportWriter } from '../../src/formats/bootkeeper.ts'
import { openSource } from '../../src/formats/source.ts'
import { readDataModel } from '../../src/prisma/data-model.ts'
import { planPush } from '../../src/prisma/schema-engine.ts'
import { query, startPostgres, type TestPostgres } from '../postgres.ts'
import { dataOf } from './import-totals.ts'

export { totals } from './import-totals.ts'

import { header } from './export-fixtures.ts'
import { fillRandomly } from './random-schema.ts'

export const head = 'datasource db {\n  provider = "postgresql"\n}\n'

const directory = mkdtempSync(join(tmpdir(), 'bootkeeper-import-pg-'))
process.env.SQLITE_TMPDIR = directory
let made = 0
export const path = (ending: string) => join(directory, `${++made}.${ending}`)

let server: TestPostgres
beforeAll(async () => {
  server = (await startPostgres()) as TestPostgres
}, 60_000)
afterAll(async () => {
  await server?.stop()
  rmSync(directory, { recursive: true, force: true })
})

export interface Schema {
  model: DataModel
  sql: string
}

export async function schemaOf(
  content: string | string[],
  provider: 'sqlite' | 'postgresql' = 'postgresql',
): Promise<Schema> {
  const files = [content].flat().map((each, index) => ({
    path: `schema-${index}.prisma`,
    content: each.replace(/provider = "(sqlite|postgresql)"/, `provider = "${provider}"`),
  }))
  const url = provider === 'sqlite' ? `file:${path('none')}` : server.url
  const [model, { sql }] = await Promise.all([readDataModel(files), planPush({ url, files })])
  return { model, sql }
}

export async function databaseOf(...sql: string[]): Promise<string> {
  const url = await server.newDatabase()
  for (const each of sql) if (each !== '') await query(url, each)
  return url
}

export async function exportOf(model: DataModel, url: string): Promise<string> {
  const target = path('json')
  await exportPostgres({ url, model, header, target, openWriter: openExportWriter })
  return target
}

/** An SQLite database of the same schema with random rows, as an export. */
export async function sqliteExport({ model, sql }: Schema, rowsSeed: number, most: number): Promise<string> {
  const file = path('db')
  const database = new Database(file)
  database.pragma('synchronous = off')
  database.exec(sql)
  database.transaction(() => fillRandomly(database, model, rowsSeed, most))()
  database.close()
  const target = path('json')
  exportSqlite({ databasePath: file, model, header, target, openWriter: openExportWriter })
  return target
}

type How = Partial<
  Pick<ImportOptions, 'mode' | 'keepExisting' | 'strict' | 'only'> & { apply: boolean; userName: string }
>

export async function importInto(url: string, model: DataModel, file: string, how: How = {}): Promise<ImportReport> {
  const { apply = true, userName, ...rest } = how
  const source = await openSource(file, userName === undefined ? {} : { userName })
  const options = { mode: 'merge', keepExisting: false, strict: false, ...rest } as const
  const staged = await stagePostgresImport({ url, model, source, busyMs: 5000, now: new Date(0), ...options })
  try {
    const plan = await staged.plan()
    if (!apply) return plan
    const report = await staged.apply()
    // Nothing came between.
    expect(report).toEqual(plan)
    return report
  } finally {
    await staged.close()
  }
}

const hash = (file: string) => createHash('sha256').update(dataOf(file)).digest('hex')

export function expectSame(found: string, wanted: string, where?: string): void {
  if (hash(found) !== hash(wanted)) expect(dataOf(found), where).toBe(dataOf(wanted))
}

export const nothing = { created: 0, updated: 0, removed: 0 }

export const shop = `${head}
model User {
  id     Int     @id @default(autoincrement())
  email  String  @unique
  name   String?
  orders Order[]
}
model Order {
  id     Int    @id @default(autoincrement())
  text   String
  user   User   @relation(fields: [userId], references: [id], onDelete: Cascade)
  userId Int
}
/// @transient
model Session {
  id     String @id
}`
export const ann = `INSERT INTO "User" VALUES (1, 'ann@x', 'Ann'), (2, 'bob@x', NULL); INSERT INTO "Order" VALUES (1, 'pen', 1), (2, 'ink', 2);
  SELECT setval('"User_id_seq"', 2), setval('"Order_id_seq"', 2)`
