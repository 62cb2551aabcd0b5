// What an import into SQLite does with rows that are there: merge, replace, and across versions of a schema.
// Guarantees tested: references follow; what is protected stays; nothing but what the file speaks of is changed.

import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { stageImport } from '../../src/engines/sqlite-import.ts'
import { openSource } from '../../src/formats/source.ts'
import {
  canonicalHash,
  databaseOf,
  exportOf,
  filled,
  importInto,
  path,
  plainShop,
  rowsOf,
  schemaOf,
  shop,
} from './import-fixtures.ts'

describe('merge', () => {
  test('rows keep the ids of the database, and references follow', async () => {
    const { model, sql, file } = await filled(
      plainShop,
      `INSERT INTO "User" (id, name) VALUES (1, 'ann'), (2, 'bob'); INSERT INTO "Order" VALUES (1, 10, 1), (2, 20, 2)`,
    )
    const target = databaseOf(sql, (database) =>
      database.exec(
        `INSERT INTO "User" (id, name) VALUES (1, 'zoe'), (7, 'bob'); INSERT INTO "Order" VALUES (1, 99, 1)`,
      ),
    )
    const report = await importInto(target, model, file)
    expect(report.models).toMatchObject([
      { model: 'User', created: 1, unchanged: 1, kept: 1 },
      { model: 'Order', created: 2, kept: 1 },
    ])
    expect(rowsOf(target, 'SELECT o.no, u.name FROM "Order" o JOIN "User" u ON u.id = o.userId ORDER BY 1')).toEqual([
      [10, 'ann'],
      [20, 'bob'],
      [99, 'zoe'],
    ])
    expect(rowsOf(target, `SELECT id FROM "User" WHERE name = 'bob'`)).toEqual([[7]])
  })

  test('the file wins, or with keepExisting the database', async () => {
    const { model, sql, file } = await filled(
      shop('name String @unique\n  city String?'),
      `INSERT INTO "User" VALUES (1, 'ann', 'Rome')`,
    )
    for (const keepExisting of [true, false]) {
      const target = databaseOf(sql, (database) => database.exec(`INSERT INTO "User" VALUES (5, 'ann', 'Oslo')`))
      await importInto(target, model, file, { keepExisting })
      expect(rowsOf(target, 'SELECT * FROM "User"')).toEqual([[5, 'ann', keepExisting ? 'Oslo' : 'Rome']])
    }
  })

  test('a row that changes takes the time of the file, or where the file has none the present; another keeps its own', async () => {
    const stamped = shop('name String @unique\n  city String?\n  at DateTime @updatedAt')
    const plain = shop('name String @unique\n  city String?')
    const [time, other] = ['2020-01-01T00:00:00.000+00:00', '2021-01-01T00:00:00.000+00:00']
    const old = await filled(plain, `INSERT INTO "User" VALUES (1, 'ann', 'Rome'), (2, 'bob', 'Oslo')`)
    const { model, sql, file } = await filled(
      stamped,
      `INSERT INTO "User" VALUES (1, 'ann', 'Rome', '${time}'), (2, 'bob', 'Oslo', '${other}')`,
    )
    const fill = `INSERT INTO "User" VALUES (5, 'ann', 'Paris', '${other}'), (6, 'bob', 'Oslo', '${other}')`
    for (const [from, at] of [
      [file, time],
      [old.file, '1970-01-01T00:00:00.000+00:00'],
    ] as const) {
      const target = databaseOf(sql, (database) => database.exec(fill))
      for (const updated of [1, 0])
        expect((await importInto(target, model, from)).models[0]).toMatchObject({ updated, unchanged: 2 - updated })
      expect(rowsOf(target, 'SELECT name, city, at FROM "User" ORDER BY 1')).toEqual([
        ['ann', 'Rome', at],
        ['bob', 'Oslo', other],
      ])
    }
  })

  test('settings of an older format that change are changed now', async () => {
    const { model, sql } = await schemaOf(readFileSync(new URL('../../prisma/schema.prisma', import.meta.url), 'utf8'))
    const target = databaseOf(sql, (database) =>
      database.exec(`INSERT INTO "SystemConfig" (id, tmdbApiKey, updatedAt) VALUES (1, 'key', 'then')`),
    )
    const older = path('json')
    for (const [key, updatedAt] of [
      ['key', 'then'],
      ['new', '1970-01-01T00:00:00.000+00:00'],
    ]) {
      writeFileSync(older, JSON.stringify({ version: '2.4.1', system_config: { tmdbApiKey: key }, users: [] }))
      await importInto(target, model, older)
      expect(rowsOf(target, 'SELECT tmdbApiKey, updatedAt FROM "SystemConfig"')).toEqual([[key, updatedAt]])
    }
  })

  test('a row that is only in the database is found by its key', async () => {
    const { model, sql, file } = await filled(
      plainShop,
      `INSERT INTO "User" VALUES (1, 'ann'); INSERT INTO "Order" VALUES (1, 10, 1)`,
    )
    const onlyOrders = path('json')
    const text = readFileSync(file, 'utf8')
    writeFileSync(
      onlyOrders,
      JSON.stringify({
        ...JSON.parse(text),
        data: { User: [], Order: JSON.parse(text).data.Order },
        counts: { User: 0, Order: 1 },
      }),
    )
    const target = databaseOf(sql, (database) => database.exec(`INSERT INTO "User" VALUES (33, 'ann')`))
    await importInto(target, model, onlyOrders)
    expect(rowsOf(target, 'SELECT no, userId FROM "Order"')).toEqual([[10, 33]])
    const empty = databaseOf(sql)
    expect((await importInto(empty, model, onlyOrders)).skipped).toEqual([
      { model: 'Order', reason: 'its user is neither in the file nor in the database', rows: 1, examples: [1] },
    ])
    expect(rowsOf(empty, 'SELECT * FROM "Order"')).toEqual([])
  })
})

describe('replace', () => {
  const schema = `${shop('name String @unique\n  isAdmin Boolean @default(false)').replace('model User', '/// @protected isAdmin\nmodel User')}
/// @transient
model Session {
  id     Int @id
  userId Int
}`

  test('protected rows stay, transient ones go, ids are the file’s', async () => {
    const { model, sql, file } = await filled(schema, `INSERT INTO "User" VALUES (1, 'ann', 0), (2, 'bob', 0)`)
    const target = databaseOf(sql, (database) =>
      database.exec(`INSERT INTO "User" VALUES (1, 'root', 1), (5, 'zoe', 0); INSERT INTO "Session" VALUES (1, 1)`),
    )
    const plan = await importInto(target, model, file, { mode: 'replace', apply: false })
    const report = await importInto(target, model, file, { mode: 'replace' })
    expect(report).toEqual(plan)
    expect(report.models).toMatchObject([
      { model: 'User', created: 2, removed: 1, kept: 1 },
      { model: 'Order' },
      { model: 'Session', removed: 1 },
    ])
    // 1 is taken by the row that stays.
    expect(rowsOf(target, 'SELECT * FROM "User" ORDER BY id')).toEqual([
      [1, 'root', 1],
      [2, 'bob', 0],
      [6, 'ann', 0],
    ])
  })

  test('a row of which nobody says whether it is protected is not', async () => {
    const optional = schema.replace('isAdmin Boolean @default(false)', 'isAdmin Boolean?')
    const { model, sql, file } = await filled(optional, `INSERT INTO "User" VALUES (1, 'ann', 0)`)
    const target = databaseOf(sql, (database) =>
      database.exec(`INSERT INTO "User" VALUES (1, 'root', 1), (5, 'zoe', NULL)`),
    )
    const report = await importInto(target, model, file, { mode: 'replace' })
    expect(report.models[0]).toMatchObject({ created: 1, removed: 1, kept: 1, examples: { removed: ['zoe'] } })
    expect(rowsOf(target, 'SELECT name FROM "User" ORDER BY 1')).toEqual([['ann'], ['root']])
  })

  test('a table that the schema does not know must not lose what it refers to', async () => {
    const { model, sql, file } = await filled(plainShop, `INSERT INTO "User" VALUES (1, 'ann')`)
    const target = databaseOf(
      `${sql}; CREATE TABLE extra (id INTEGER PRIMARY KEY, userId INTEGER REFERENCES "User" (id))`,
      (database) => database.exec(`INSERT INTO "User" VALUES (9, 'zoe'); INSERT INTO extra VALUES (1, 9)`),
    )
    const before = readFileSync(target)
    await expect(importInto(target, model, file, { mode: 'replace' })).rejects.toMatchObject({
      code: 'IMPORT_CONFLICT',
    })
    expect(readFileSync(target).equals(before)).toBe(true)
    expect(rowsOf(target, 'SELECT name FROM "User"')).toEqual([['zoe']])
  })

  test('triggers do not fire, and are there afterwards as they were', async () => {
    const trigger = 'CREATE TRIGGER twice AFTER INSERT ON "Order" BEGIN UPDATE "User" SET name = name || \'!\'; END'
    const { model, sql, file } = await filled(
      plainShop,
      `INSERT INTO "User" VALUES (1, 'ann'); INSERT INTO "Order" VALUES (1, 10, 1)`,
    )
    const target = databaseOf(`${sql}; ${trigger}`)
    await importInto(target, model, file, { mode: 'replace' })
    expect(rowsOf(target, 'SELECT name FROM "User"')).toEqual([['ann']])
    expect(rowsOf(target, `SELECT sql FROM sqlite_master WHERE type = 'trigger'`)).toEqual([[trigger]])
  })

  test('a database that was swapped while the file was read is not written to', async () => {
    const { model, sql, file } = await filled(plainShop, `INSERT INTO "User" VALUES (1, 'ann')`)
    const [target, other] = [databaseOf(sql), databaseOf(sql)]
    const source = await openSource(file, {})
    const how = { mode: 'merge', keepExisting: false, strict: false } as const
    const staged = await stageImport({ databasePath: target, model, source, busyMs: 10, now: new Date(), ...how }, true)
    renameSync(other, target)
    await expect(staged.apply()).rejects.toThrow('was replaced while the file was read')
    staged.close()
    expect(rowsOf(target, 'SELECT * FROM "User"')).toEqual([])
  })

  test('a file of an older format leaves alone what it does not speak of, but for sessions', async () => {
    const { model, sql } = await schemaOf(readFileSync(new URL('../../prisma/schema.prisma', import.meta.url), 'utf8'))
    const target = databaseOf(sql, (database) =>
      database.exec(`INSERT INTO "SystemConfig" (id, tmdbApiKey, updatedAt) VALUES (1, 'key', 0);
        INSERT INTO "User" (id, username) VALUES (1, 'zoe'); INSERT INTO "Session" (id, userId, tokenHash, expiresAt) VALUES ('s', 1, 'h', 0)`),
    )
    const payload = path('json')
    writeFileSync(payload, '{"movies": ["Dune"]}')
    await importInto(target, model, payload, { mode: 'replace', userName: 'john' })
    expect(rowsOf(target, 'SELECT tmdbApiKey FROM "SystemConfig"')).toEqual([['key']])
    expect(rowsOf(target, 'SELECT username FROM "User"')).toEqual([['john']])
    expect(rowsOf(target, 'SELECT * FROM "Session"')).toEqual([])
  })

  test('an id that was given out is not given out again', async () => {
    const { model, sql, file } = await filled(plainShop, `INSERT INTO "User" VALUES (1, 'ann')`)
    const target = databaseOf(sql, (database) => database.exec(`INSERT INTO "User" VALUES (50, 'gone')`))
    await importInto(target, model, file, { mode: 'replace' })
    const open = new Database(target)
    expect(open.prepare(`INSERT INTO "User" (name) VALUES ('new')`).run().lastInsertRowid).toBe(51)
    open.exec('DELETE FROM "User" WHERE id = 51')
    open.close()
    const heir = databaseOf(sql)
    await importInto(heir, model, exportOf(model, target), { mode: 'replace' })
    const next = new Database(heir)
    expect(next.prepare(`INSERT INTO "User" (name) VALUES ('next')`).run().lastInsertRowid).toBe(52)
    next.close()
  })
})

describe('examples', () => {
  const schema = `datasource db {
  provider = "sqlite"
}
model Team {
  id      Int      @id @default(autoincrement())
  name    String   @unique
  members Member[]
}
model Member {
  id     Int    @id @default(autoincrement())
  team   Team   @relation(fields: [teamId], references: [id])
  teamId Int
  no     BigInt
  note   String?
  @@unique([teamId, no])
}
model Key {
  /// @secret
  token String @id
}
model Log {
  id   Int    @id @default(autoincrement())
  text String
}`

  test('up to three rows of each kind are named, by natural key or id, and never by a secret', async () => {
    const { model, sql, file } = await filled(
      schema,
      `INSERT INTO "Team" VALUES (1, 'red'), (2, 'blue');
       INSERT INTO "Member" VALUES (1, 1, 7, NULL), (2, 1, 9007199254740993, NULL), (3, 2, 7, 'new'), (4, 2, 8, NULL), (5, 2, 9, NULL);
       INSERT INTO "Key" VALUES ('s3cret'); INSERT INTO "Log" VALUES (1, 'a')`,
    )
    const target = databaseOf(sql, (database) =>
      database.exec(
        `INSERT INTO "Team" VALUES (5, 'blue'), (6, 'green');
         INSERT INTO "Member" VALUES (1, 5, 7, 'old'), (2, 6, 1, NULL); INSERT INTO "Log" VALUES (1, 'b');
         INSERT INTO "Key" VALUES ('other')`,
      ),
    )
    const merged = await importInto(target, model, file, { apply: false })
    expect(Object.fromEntries(merged.models.map((each) => [each.model, each.examples]))).toEqual({
      Team: { created: ['red'], kept: ['green'] },
      Member: {
        created: [
          ['red', 7],
          ['red', '9007199254740993'],
          ['blue', 8],
        ],
        updated: [['blue', 7]],
        kept: [['green', 1]],
      },
      Key: undefined,
      // The file's row gets another id: 1 is another row there.
      Log: { created: [{ '#': 2 }], kept: [{ '#': 1 }] },
    })
    // Of what changes, the fields.
    expect(merged.models.map(({ changes }) => changes)).toEqual([
      undefined,
      [{ field: 'note', rows: 1 }],
      undefined,
      undefined,
    ])
    const replaced = await importInto(target, model, file, { mode: 'replace' })
    expect(replaced.models.map((each) => each.examples?.removed)).toEqual([
      ['green'],
      [
        ['blue', 7],
        ['green', 1],
      ],
      undefined,
      [{ '#': 1 }],
    ])
    expect(JSON.stringify([merged, replaced])).not.toMatch(/s3cret|other/)
  })

  test('a title without an id is named by it, and sessions without their secrets', async () => {
    const { model, sql } = await schemaOf(readFileSync(new URL('../../prisma/schema.prisma', import.meta.url), 'utf8'))
    const target = databaseOf(sql, (database) =>
      database.exec(`INSERT INTO "User" (id, username) VALUES (1, 'zoe');
        INSERT INTO "Session" (id, userId, tokenHash, expiresAt) VALUES ('s', 1, 'hash', 0)`),
    )
    const payload = path('json')
    writeFileSync(payload, '{"movies": ["Dune"]}')
    const report = await importInto(target, model, payload, { mode: 'replace', userName: 'john' })
    expect(report.models.map((each) => [each.model, each.examples])).toEqual([
      ['User', { created: ['john'], removed: ['zoe'] }],
      ['Media', { created: [['Dune', 'movie']] }],
      ['UserMedia', { created: [['john', ['Dune', 'movie']]] }],
      ['Session', { removed: ['s'] }],
    ])
  })
})

describe('across schema versions', () => {
  test('renamed tables and fields are found by what @map says', async () => {
    const old = await filled(plainShop, `INSERT INTO "User" VALUES (1, 'ann'); INSERT INTO "Order" VALUES (1, 10, 1)`)
    const renamed = plainShop
      .replace('model Order {', 'model Purchase {\n  @@map("Order")')
      .replace('Order[]', 'Purchase[]')
      .replace('no     Int  @unique', 'number Int @unique @map("no")')
      .replace('user   User @relation(fields: [userId]', 'buyer User @relation(fields: [buyerId]')
      .replace('userId Int', 'buyerId Int @map("userId")')
    const { model, sql } = await schemaOf(renamed)
    const target = databaseOf(sql)
    const report = await importInto(target, model, old.file)
    expect(report).toMatchObject({ skipped: [], notInSchema: [], notInFile: [] })
    expect(rowsOf(target, 'SELECT * FROM "Order"')).toEqual([[1, 10, 1]])
    // And the other way round.
    const back = databaseOf(old.sql)
    expect(await importInto(back, old.model, exportOf(model, target))).toMatchObject({ skipped: [], notInSchema: [] })
    expect(canonicalHash(exportOf(old.model, back))).toBe(canonicalHash(old.file))
  })

  test('new fields take their default, lost ones are reported, a required one without a default leaves the row out', async () => {
    const old = await filled(
      shop('name String @unique\n  city String?'),
      `INSERT INTO "User" VALUES (1, 'ann', 'Rome'), (2, 'bob', NULL)`,
    )
    const { model, sql } = await schemaOf(
      shop(
        'name String @unique\n  level Int @default(3)\n  code String @default(uuid())\n  at DateTime @default(now())\n  seen DateTime @updatedAt',
      ),
    )
    const target = databaseOf(sql)
    const report = await importInto(target, model, old.file)
    expect(report.notInSchema).toEqual([{ model: 'User', field: 'city', rows: 1 }])
    expect(report.notInFile).toEqual([{ model: 'User', fields: ['level', 'code', 'at', 'seen'] }])
    expect(rowsOf(target, 'SELECT level, at, seen, length(code) FROM "User"')).toEqual(
      Array(2).fill([3, '1970-01-01T00:00:00.000+00:00', '1970-01-01T00:00:00.000+00:00', 36]),
    )
    const strict = await schemaOf(shop('name String @unique\n  email String'))
    const without = await importInto(databaseOf(strict.sql), strict.model, old.file)
    expect(without.skipped).toMatchObject([
      { model: 'User', reason: 'it has no email, which the schema requires', rows: 2 },
    ])
  })

  test('a value that its enum no longer has leaves the row out; another type takes what says the same', async () => {
    const kinds = (values: string, type: string) =>
      `${shop(`name String @unique\n  kind Kind\n  size ${type}`)}\nenum Kind {\n${values}\n}`
    const old = await filled(kinds('A\nB', 'Int'), `INSERT INTO "User" VALUES (1, 'ann', 'A', 5), (2, 'bob', 'B', 6)`)
    const { model, sql } = await schemaOf(kinds('A', 'String'))
    const target = databaseOf(sql)
    const report = await importInto(target, model, old.file)
    expect(report.skipped).toMatchObject([{ reason: 'kind has a value that the enum Kind does not have', rows: 1 }])
    expect(rowsOf(target, 'SELECT name, size FROM "User"')).toEqual([['ann', '5']])
  })

  test('the file of another app is refused', async () => {
    const other = await filled(
      'datasource db {\n provider = "sqlite"\n}\nmodel Fish {\n  id Int @id\n}',
      'INSERT INTO "Fish" VALUES (1)',
    )
    const { model, sql } = await schemaOf(plainShop)
    await expect(importInto(databaseOf(sql), model, other.file)).rejects.toMatchObject({ code: 'IMPORT_OTHER_APP' })
  })
})
