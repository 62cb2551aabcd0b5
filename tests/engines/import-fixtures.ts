// What the tests of the import into SQLite share: databases and exports in a folder of their own, an import as the
// commands do it, and a small shop. Every import here compares what was planned with what was done.

import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, expect } from 'vitest'
import type { DataModel } from '../../src/data-model.ts'
import type { ImportOptions, ImportReport } from '../../src/engines/engine-import.ts'
import { exportSqlite } from '../../src/engines/sqlite-export.ts'
import { stageImport } from '../../src/engines/sqlite-import.ts'
import { openExportWriter } from '../../src/formats/bootkeeper.ts'
import { openSource } from '../../src/formats/source.ts'
import type { Source } from '../../src/import-source.ts'
import { readDataModel } from '../../src/prisma/data-model.ts'
import { planPush } from '../../src/prisma/schema-engine.ts'
import { header } from './export-fixtures.ts'
import { dataOf } from './import-totals.ts'

export { totals } from './import-totals.ts'

const directory = mkdtempSync(join(tmpdir(), 'bootkeeper-import-'))
process.env.SQLITE_TMPDIR = directory
afterAll(() => rmSync(directory, { recursive: true, force: true }))
let made = 0

export const path = (ending: string) => join(directory, `${++made}.${ending}`)

export function databaseOf(sql: string, fill: (database: Database.Database) => void = () => undefined): string {
  const file = path('db')
  const database = new Database(file)
  database.pragma('journal_mode = wal')
  database.pragma('synchronous = off')
  database.exec(sql)
  database.transaction(() => fill(database))()
  database.close()
  return file
}

export function exportOf(model: DataModel, databasePath: string): string {
  const target = path('json')
  exportSqlite({ databasePath, model, header, target, openWriter: openExportWriter })
  return target
}

type How = Partial<
  Pick<ImportOptions, 'mode' | 'keepExisting' | 'strict' | 'only'> & {
    userName: string
    apply: boolean
    /** Where the straight way would do, the general one all the same. */
    isGeneral: boolean
  }
>

/** A source whose lines are not told, which is enough for the general way. */
export function withoutLines(source: Source): Source {
  return { ...source, header: { ...source.header, hasLines: false } }
}

export async function importInto(
  databasePath: string,
  model: DataModel,
  file: string,
  how: How = {},
): Promise<ImportReport> {
  const { apply = true, isGeneral = false, userName, ...rest } = how
  const opened = await openSource(file, userName === undefined ? {} : { userName })
  const source = isGeneral ? withoutLines(opened) : opened
  const options = { mode: 'merge', keepExisting: false, strict: false, ...rest } as const
  const staged = await stageImport({ databasePath, model, source, busyMs: 1000, now: new Date(0), ...options }, apply)
  try {
    const plan = await staged.plan()
    if (!apply) return plan
    const report = await staged.apply()
    // Nothing came between.
    expect(report).toEqual(plan)
    return report
  } finally {
    staged.close()
  }
}

export function canonicalHash(file: string): string {
  return createHash('sha256').update(dataOf(file)).digest('hex')
}

export async function schemaOf(...contents: string[]): Promise<{ model: DataModel; sql: string }> {
  const files = contents.map((content, index) => ({ path: `schema-${index}.prisma`, content }))
  const [model, { sql }] = await Promise.all([readDataModel(files), planPush({ url: `file:${path('none')}`, files })])
  return { model, sql }
}

export const shop = (user: string, rest = '') => `
datasource db {
  provider = "sqlite"
}
model User {
  id   Int     @id @default(autoincrement())
  ${user}
  orders Order[]
}
model Order {
  id     Int  @id @default(autoincrement())
  no     Int  @unique
  user   User @relation(fields: [userId], references: [id])
  userId Int
}
${rest}`
export const plainShop = shop('name String @unique')

export async function filled(schema: string, inserts: string) {
  const { model, sql } = await schemaOf(schema)
  const database = databaseOf(sql, (each) => each.exec(inserts))
  return { model, sql, database, file: exportOf(model, database) }
}

export function rowsOf(database: string, sql: string): unknown[] {
  const open = new Database(database, { readonly: true })
  try {
    return open.prepare(sql).raw().all()
  } finally {
    open.close()
  }
}
