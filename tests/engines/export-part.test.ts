// Exports of a part and their imports, on random schemas and on the cases that are hard. Guarantees tested: one row and
// all that hangs on it is whole, circles included, so that an import of it resolves every reference; a part of this
// database goes by its primary keys; what a part does not have stays as it is.

import { readFileSync } from 'node:fs'
import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import type { DataModel, Model } from '../../src/data-model.ts'
import type { ImportOptions } from '../../src/engines/engine-import.ts'
import { exportSqlite } from '../../src/engines/sqlite-export.ts'
import { stageImport } from '../../src/engines/sqlite-import.ts'
import { openExportWriter } from '../../src/formats/bootkeeper.ts'
import { openSource } from '../../src/formats/source.ts'
import type { PartialScope } from '../../src/scope.ts'
import { randomFrom, seed } from '../random.ts'
import { header } from './export-fixtures.ts'
import { databaseOf, path, rowsOf, schemaOf, shop } from './import-fixtures.ts'
import { fillRandomly, randomSchema } from './random-schema.ts'

function exportPart(model: DataModel, databasePath: string, scope: PartialScope): string {
  const target = path('json')
  exportSqlite({ databasePath, model, header: { ...header, scope }, target, openWriter: openExportWriter })
  return target
}

type Rows = Record<string, Record<string, unknown>[]>
const dataOf = (file: string) => JSON.parse(readFileSync(file, 'utf8')).data as Rows

async function importPart(databasePath: string, model: DataModel, file: string, how: Partial<ImportOptions> = {}) {
  const source = await openSource(file, {})
  const options = { mode: 'merge', keepExisting: false, strict: true, ofThisDatabase: true, ...how } as const
  const staged = await stageImport({ databasePath, model, source, busyMs: 1000, now: new Date(0), ...options }, true)
  try {
    const plan = await staged.plan()
    const report = await staged.apply()
    expect(report).toEqual(plan)
    return report
  } finally {
    staged.close()
  }
}

/** The rows of every table as SQLite stores them, by table. */
function everything(database: string, { models }: DataModel): Record<string, unknown[]> {
  const read = ({ table, fields }: Model) =>
    rowsOf(database, `SELECT ${fields.map(({ column }) => `quote("${column}")`).join(', ')} FROM "${table}"`)
      .map(String)
      .sort()
  return Object.fromEntries(models.map((model) => [model.name, read(model)]))
}

test(`one row and all that hangs on it, of random schemas: it comes back after it was deleted (SEED=${seed})`, async () => {
  let whole = 0
  for (let run = 0; run < 60; run++) {
    const { model, sql } = await schemaOf(randomSchema(seed + run))
    const database = databaseOf(sql, (each) => fillRandomly(each, model, seed + run, 8))
    const random = randomFrom(seed + run)
    const roots = model.models.filter(({ isTransient, isJoinTable, fields, primaryKey }) => {
      const types = primaryKey.map((name) => fields.find((field) => field.name === name)?.type)
      return (
        !isTransient && !isJoinTable && types.length > 0 && types.every((type) => type === 'Int' || type === 'String')
      )
    })
    const root = roots[Math.floor(random() * roots.length)]
    if (!root) continue
    const columns = root.primaryKey.map((name) => root.fields.find((field) => field.name === name)!.column)
    const keys = rowsOf(database, `SELECT ${columns.map((name) => `"${name}"`).join(', ')} FROM "${root.table}"`) as (
      | string
      | number
    )[][]
    const key = keys[Math.floor(random() * keys.length)]
    if (!key) continue
    const where = Object.fromEntries(root.primaryKey.map((name, at) => [name, key[at] as string | number]))
    const before = everything(database, model)
    const file = exportPart(model, database, { models: [root.name], where, whole: true })
    const counts = Object.fromEntries(Object.entries(dataOf(file)).map(([name, rows]) => [name, rows.length]))
    if (Object.values(counts).reduce((sum, count) => sum + count, 0) > 1) whole++

    // All that is needed is in it: an empty database takes it without leaving out a row.
    const empty = databaseOf(sql)
    const report = await importPart(empty, model, file)
    for (const { model: name, created } of report.models) expect([name, created]).toEqual([name, counts[name]])

    // What refers to the row goes with it, until nothing refers to what is gone.
    const open = new Database(database)
    open.pragma('foreign_keys = off')
    open
      .prepare(`DELETE FROM "${root.table}" WHERE ${columns.map((name) => `"${name}" = ?`).join(' AND ')}`)
      .run(...key)
    for (let changed = 1; changed > 0; ) {
      changed = 0
      for (const child of model.models)
        for (const { from, to, target } of child.relations) {
          const parent = model.models.find(({ name }) => name === target)!
          const column = (each: Model, name: string) => each.fields.find((field) => field.name === name)!.column
          const set = from.map((name) => `c."${column(child, name)}" IS NOT NULL`).join(' AND ')
          const on = from.map((name, at) => `p."${column(parent, to[at]!)}" = c."${column(child, name)}"`).join(' AND ')
          changed += open
            .prepare(
              `DELETE FROM "${child.table}" AS c WHERE ${set} AND NOT EXISTS (SELECT 1 FROM "${parent.table}" AS p WHERE ${on})`,
            )
            .run().changes
        }
    }
    open.close()
    await importPart(database, model, file)
    expect(everything(database, model)).toEqual(before)
  }
  expect(whole).toBeGreaterThan(10)
}, 300_000)

const forum = `
datasource db {
  provider = "sqlite"
}
model Topic {
  id      Int      @id @default(autoincrement())
  title   String
  posts   Post[]
}
model Post {
  id       Int      @id @default(autoincrement())
  text     String
  topic    Topic    @relation(fields: [topicId], references: [id])
  topicId  Int
  answers  Post?    @relation("answers", fields: [answersId], references: [id])
  answersId Int?
  answered Post[]   @relation("answers")
}
model Session {
  id Int @id
}
`
const forumRows = `INSERT INTO "Topic" VALUES (3, 'a'), (4, 'b'), (5, 'c');
  INSERT INTO "Post" VALUES (10, 'x', 3, 12), (11, 'y', 4, NULL), (12, 'z', 4, 10), (13, 'v', 5, NULL); INSERT INTO "Session" VALUES (1)`

describe('a part of this database', () => {
  const make = async () => {
    const { model, sql } = await schemaOf(forum)
    return { model, sql, database: databaseOf(sql, (each) => each.exec(forumRows)) }
  }
  const change = (database: string, sql: string) => {
    const open = new Database(database)
    open.pragma('foreign_keys = off')
    open.exec(sql)
    open.close()
  }

  test('has the rows of a circle once, and its parents without their other rows', async () => {
    const { model, database } = await make()
    const { Post, Topic, ...others } = dataOf(
      exportPart(model, database, { models: ['Topic'], where: { id: 3 }, whole: true }),
    )
    expect(others).toEqual({})
    // 12 answers 10 and is of topic 4, whose other post is not meant.
    expect(Post!.map(({ id }) => id)).toEqual([10, 12])
    expect(Topic!.map(({ id }) => id)).toEqual([3, 4])
  })

  test('rows without a key come back under their ids, and find what they refer to by its id', async () => {
    const { model, database } = await make()
    const file = exportPart(model, database, { models: ['Post'] })
    const before = everything(database, model)
    change(database, `DELETE FROM "Post" WHERE id <> 11; UPDATE "Post" SET text = 'changed'`)
    const report = await importPart(database, model, file)
    expect(report.models).toMatchObject([{ model: 'Post', created: 3, updated: 1, skipped: 0 }])
    expect(everything(database, model)).toEqual(before)
  })

  test('rows that are not in it stay, also new ones', async () => {
    const { model, database } = await make()
    const file = exportPart(model, database, { models: ['Post'], where: { topicId: 4 } })
    change(
      database,
      `INSERT INTO "Post" VALUES (50, 'new', 4, NULL); UPDATE "Post" SET text = 'mine' WHERE id = 13; DELETE FROM "Post" WHERE id = 11`,
    )
    expect((await importPart(database, model, file)).models).toMatchObject([
      { created: 1, unchanged: 1, kept: 3, removed: 0 },
    ])
    expect(rowsOf(database, 'SELECT id, text FROM "Post" ORDER BY id')).toEqual([
      [10, 'x'],
      [11, 'y'],
      [12, 'z'],
      [13, 'mine'],
      [50, 'new'],
    ])
  })

  test('a row that was renamed is the same row by its id; in a file of another database it is another one', async () => {
    const { model, sql } = await schemaOf(shop('name String @unique'))
    const fresh = () => databaseOf(sql, (each) => each.exec(`INSERT INTO "User" VALUES (1, 'ann'), (2, 'bob')`))
    for (const ofThisDatabase of [true, false]) {
      const database = fresh()
      const file = exportPart(model, database, { models: ['User'], where: { name: 'ann' } })
      change(database, `UPDATE "User" SET name = 'anna' WHERE id = 1`)
      await importPart(database, model, file, { ofThisDatabase })
      expect(rowsOf(database, 'SELECT * FROM "User" ORDER BY id')).toEqual(
        ofThisDatabase
          ? [
              [1, 'ann'],
              [2, 'bob'],
            ]
          : [
              [1, 'anna'],
              [2, 'bob'],
              [3, 'ann'],
            ],
      )
    }
  })

  test('replace makes whole tables what the file says, and never another one', async () => {
    const { model, database } = await make()
    const file = exportPart(model, database, { models: ['Post'] })
    const before = everything(database, model)
    change(database, `INSERT INTO "Post" VALUES (50, 'new', 4, NULL); UPDATE "Post" SET text = 'mine' WHERE id = 13`)
    const report = await importPart(database, model, file, { mode: 'replace' })
    expect(report.models).toMatchObject([{ model: 'Post', removed: 1 }])
    expect(everything(database, model)).toEqual(before)
  })

  test('replace is refused where rows would be left that refer to nothing', async () => {
    const { model, database } = await make()
    const file = exportPart(model, database, { models: ['Topic'] })
    change(database, `INSERT INTO "Topic" VALUES (6, 'new'); INSERT INTO "Post" VALUES (60, 'new', 6, NULL)`)
    const before = everything(database, model)
    await expect(importPart(database, model, file, { mode: 'replace' })).rejects.toMatchObject({
      code: 'IMPORT_CONFLICT',
    })
    expect(everything(database, model)).toEqual(before)
  })

  test('a table that is marked as transient is exported where it is named', async () => {
    const { model, sql } = await schemaOf(forum.replace('model Session', '/// @transient\nmodel Session'))
    const database = databaseOf(sql, (each) => each.exec(forumRows))
    expect(dataOf(exportPart(model, database, { models: ['Session'] }))).toEqual({ Session: [{ id: 1 }] })
  })
})
