// The straight way of an import into SQLite: when it is taken, when it is left, and that leaving it costs nothing but
// time. That it leads to the same rows as the general way is asked of every random schema (import-round-trips.test.ts).

import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import type { DataModel } from '../../src/data-model.ts'
import { stageImport } from '../../src/engines/sqlite-import.ts'
import { openSource } from '../../src/formats/source.ts'
import { startBulkReader } from '../../src/import-bulk.ts'
import type { Source } from '../../src/import-source.ts'
import { readDataModel } from '../../src/prisma/data-model.ts'
import { canonicalHash, databaseOf, exportOf, filled, plainShop, rowsOf, schemaOf, shop } from './import-fixtures.ts'

const people = `INSERT INTO "User" VALUES (3, 'ann'), (4, 'bob'); INSERT INTO "Order" VALUES (7, 70, 4), (9, 71, 3)`

async function stage(databasePath: string, model: DataModel, file: string, inThread = false) {
  const source = await openSource(file, {})
  const reader = inThread ? startBulkReader() : undefined
  const { header } = source
  const staged = await stageImport(
    {
      ...{
        databasePath,
        model,
        source,
        busyMs: 1000,
        now: new Date(0),
        mode: 'merge',
        keepExisting: false,
        strict: false,
      },
      ...(reader
        ? { readBulk: (columns, onBatch) => reader.read({ path: file, keys: {}, header, model, columns }, onBatch) }
        : {}),
    },
    true,
  )
  await reader?.stop()
  return staged
}

describe('the straight way', () => {
  test('is taken into empty tables, from another thread as well', async () => {
    for (const inThread of [false, true]) {
      const { model, sql, file } = await filled(plainShop, people)
      const target = databaseOf(sql)
      const staged = await stage(target, model, file, inThread)
      expect(staged.isBulk).toBe(true)
      const plan = await staged.plan()
      expect(plan.models.map(({ model, created }) => [model, created])).toEqual([
        ['User', 2],
        ['Order', 2],
      ])
      expect(plan.models.map(({ examples }) => examples)).toEqual([{ created: ['ann', 'bob'] }, { created: [70, 71] }])
      expect(await staged.apply()).toEqual(plan)
      staged.close()
      expect(canonicalHash(exportOf(model, target))).toBe(canonicalHash(file))
    }
  })

  test('every type comes through the second thread as it was', async () => {
    const { model, sql, file } = await filled(
      `datasource db {
  provider = "sqlite"
}
model All {
  id     String   @id
  bytes  Bytes
  big    BigInt
  float  Float
  number Decimal
  yes    Boolean
  moment DateTime
  json   Json
  kind   Kind
}
enum Kind {
  A @map("a!")
}`,
      `INSERT INTO "All" VALUES ('é夜🎬', x'00ff80', 9223372036854775807, 0.1, 1.5, 1, 1700000000123, '{"a":[1,"ü"]}', 'a!'),
        ('', x'', -9223372036854775808, -0.0, 2, 0, '2024-01-01T00:00:00.000+00:00', 'null', 'a!')`,
    )
    const target = databaseOf(sql)
    const staged = await stage(target, model, file, true)
    expect(staged.isBulk).toBe(true)
    await staged.apply()
    staged.close()
    expect(canonicalHash(exportOf(model, target))).toBe(canonicalHash(file))
  })

  test('an app may write while the file is read', async () => {
    const { model, sql, file } = await filled(plainShop, people)
    const target = databaseOf(sql)
    const app = new Database(target, { timeout: 0 })
    app.pragma('journal_mode = delete')
    const source = await openSource(file, {})
    const meanwhile: Source = {
      ...source,
      async *batches() {
        for await (const batch of source.batches()) {
          app.exec(`INSERT OR IGNORE INTO "User" VALUES (1, 'bob')`)
          yield batch
        }
      },
    }
    const how = { mode: 'merge', keepExisting: false, strict: false } as const
    const staged = await stageImport(
      { databasePath: target, model, source: meanwhile, busyMs: 0, now: new Date(0), ...how },
      true,
    )
    expect(staged.isBulk).toBe(true)
    const plan = await staged.plan()
    expect(staged.isBulk).toBe(false)
    expect(plan.models[0]).toMatchObject({ created: 1, unchanged: 1 })
    expect(await staged.apply()).toEqual(plan)
    staged.close()
    app.close()
  })

  test('is left where a table has a row, also one that came after the file was read', async () => {
    const { model, sql, file } = await filled(plainShop, people)
    const busy = databaseOf(`${sql}; INSERT INTO "User" VALUES (1, 'bob')`)
    const general = await stage(busy, model, file)
    expect(general.isBulk).toBe(false)
    general.close()

    const target = databaseOf(sql)
    const staged = await stage(target, model, file)
    expect(staged.isBulk).toBe(true)
    expect((await staged.plan()).models[0]).toMatchObject({ created: 2, updated: 0 })
    const app = new Database(target)
    app.exec(`INSERT INTO "User" VALUES (1, 'bob')`)
    app.close()
    const report = await staged.apply()
    staged.close()
    expect(report.models[0]).toMatchObject({ created: 1, unchanged: 1 })
    expect(rowsOf(target, 'SELECT name, no FROM "Order" JOIN "User" ON "User".id = userId ORDER BY no')).toEqual([
      ['bob', 70],
      ['ann', 71],
    ])
  })

  test.each<[string, string, string]>([
    [
      'a reference to a later row',
      'parent User? @relation("P", fields: [up], references: [id])\n up Int?',
      `(1, 'ann', 2), (2, 'bob', NULL)`,
    ],
    ['a field with a default that the file does not have', 'score Int @default(5)', `(1, 'ann'), (2, 'bob')`],
  ])('is left for %s', async (_, field, rows) => {
    const isDefault = field.startsWith('score')
    const schema = shop(`name String @unique\n ${isDefault ? '' : `${field}\n down User[] @relation("P")`}`)
    const { model, sql, file } = await filled(schema, `INSERT INTO "User" VALUES ${rows}`)
    const wanted = isDefault ? await schemaOf(shop(`name String @unique\n ${field}`)) : { model, sql }
    const target = databaseOf(wanted.sql)
    const staged = await stage(target, wanted.model, file, true)
    expect(staged.isBulk).toBe(false)
    await staged.apply()
    staged.close()
    expect(rowsOf(target, 'SELECT id, name FROM "User" ORDER BY id')).toEqual([
      [1, 'ann'],
      [2, 'bob'],
    ])
  })

  test('two rows with one key are the general way’s to name', async () => {
    const { model, sql, file } = await filled(plainShop, people)
    const twice = databaseOf(sql.replace(/CREATE UNIQUE INDEX "User_name_key".*?;/, ''), (each) =>
      each.exec(`INSERT INTO "User" VALUES (1, 'ann'), (2, 'ann'); INSERT INTO "Order" VALUES (1, 1, 1)`),
    )
    const doubled = exportOf(model, twice)
    expect(doubled).not.toBe(file)
    await expect(stage(databaseOf(sql), model, doubled, true)).rejects.toMatchObject({
      code: 'IMPORT_INVALID',
      message: expect.stringContaining('is there already'),
    })
  })

  test('a generated column makes its own values', async () => {
    const { model, file } = await filled(plainShop, people)
    const target =
      databaseOf(`CREATE TABLE "User" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "name" TEXT NOT NULL,
        "loud" TEXT GENERATED ALWAYS AS (upper("name")) STORED);
      CREATE TABLE "Order" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "no" INTEGER NOT NULL, "userId" INTEGER NOT NULL)`)
    const staged = await stage(target, model, file)
    expect(staged.isBulk).toBe(true)
    await staged.apply()
    staged.close()
    expect(rowsOf(target, 'SELECT loud FROM "User" ORDER BY id')).toEqual([['ANN'], ['BOB']])
  })

  test('the bundled schema takes it', async () => {
    const file = fileURLToPath(new URL('../../prisma/schema.prisma', import.meta.url))
    const { readFileSync } = await import('node:fs')
    const content = readFileSync(file, 'utf8')
    const model = await readDataModel([{ path: file, content }])
    const { sql } = await schemaOf(content)
    const first = databaseOf(`${sql};
      INSERT INTO "User" ("id", "username") VALUES (2, 'john');
      INSERT INTO "Media" ("id", "tmdbId", "mediaType", "title") VALUES (5, 603, 'movie', 'The Matrix'), (6, NULL, NULL, 'Unresolved');
      INSERT INTO "UserMedia" ("userId", "mediaId", "status") VALUES (2, 5, 'WATCHED'), (2, 6, 'BLOCKED')`)
    const staged = await stage(databaseOf(sql), model, exportOf(model, first))
    expect(staged.isBulk).toBe(true)
    staged.close()
  })
})
