// The export of SQLite: what the database holds is what the export says, when decoded.

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { makeDatabase } from '../../bench/make-database.ts'
import { startChild } from '../../src/child.ts'
import { exportSqlite } from '../../src/engines/sqlite-export.ts'
import type { operations } from '../../src/export-child.ts'
import { openExportWriter, verifyExport } from '../../src/formats/bootkeeper.ts'
import { readDataModel } from '../../src/prisma/data-model.ts'
import { seed } from '../random.ts'
import {
  hardExport,
  hardNotExported,
  hardRows,
  hardSchema,
  header,
  readExport,
  sqliteTables,
} from './export-fixtures.ts'

const directory = mkdtempSync(join(tmpdir(), 'bootkeeper-export-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))
let made = 0

async function exported(schema: string, fill: (database: Database.Database) => void) {
  const databasePath = join(directory, `${++made}.db`)
  const database = new Database(databasePath)
  fill(database)
  database.close()
  return await exportOf(schema, databasePath)
}

async function exportOf(schema: string, databasePath: string) {
  const model = await readDataModel([{ path: 'schema.prisma', content: schema }])
  const target = join(directory, `${++made}.json`)
  const written = exportSqlite({ databasePath, model, header, target, openWriter: openExportWriter })
  const verified = await verifyExport(target)
  expect(verified).toMatchObject(written)
  return { ...readExport(target), target, written }
}

/** As a boot does it: by the built child, whose second reader starts in time to take part. */
async function exportBuilt(schema: string, databasePath: string) {
  const model = await readDataModel([{ path: 'schema.prisma', content: schema }])
  const target = join(directory, `${++made}.json`)
  const built = new URL('../../dist/src/export.js', import.meta.url).href
  const child = startChild<typeof operations>('./export-child', built)
  try {
    const written = await child.call('write', { engine: 'sqlite', database: databasePath, model, header, target })
    return { ...readExport(target), written }
  } finally {
    await child.kill()
  }
}

const datasource = 'datasource db {\n  provider = "sqlite"\n}\n'
const scalars = `${datasource}
enum Kind {
  A @map("a!")
  B
}
model Row {
  id       Int       @id @default(autoincrement())
  string   String?
  int      Int?
  bigInt   BigInt?
  float    Float?
  decimal  Decimal?
  boolean  Boolean?
  dateTime DateTime?
  json     Json?
  bytes    Bytes?
  kind     Kind?
}`
const scalarTable = `CREATE TABLE "Row" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "string" TEXT, "int" INTEGER,
  "bigInt" BIGINT, "float" REAL, "decimal" DECIMAL, "boolean" BOOLEAN, "dateTime" DATETIME, "json" JSONB, "bytes" BLOB, "kind" TEXT)`

async function rowsOf(rows: Record<string, unknown>[]) {
  const { data } = await exported(scalars, (database) => {
    database.exec(scalarTable)
    database.transaction(() => {
      for (const row of rows) {
        const names = Object.keys(row)
        database.prepare(`INSERT INTO "Row" (${names}) VALUES (${names.map(() => '?')})`).run(...Object.values(row))
      }
    })()
  })
  return data.Row ?? []
}

/** Each commit writes one number into rows all over the database. */
const markWriter = `
  const database = new (require('better-sqlite3'))(process.argv[1])
  const ids = Array.from({ length: 200 }, (_, index) => (index + 1) * 1000)
  const profile = database.prepare('UPDATE "User" SET "movieProfile" = ? WHERE "id" % 10 = 0')
  const added = database.prepare('UPDATE "UserMedia" SET "addedAt" = ? WHERE "id" IN (' + ids + ')')
  for (let mark = 1; ; mark++) database.transaction(() => [profile, added].map((each) => each.run('mark ' + mark)))()
`

const bundledSchema = readFileSync(new URL('../../prisma/schema.prisma', import.meta.url), 'utf8')

describe('references', () => {
  test('rows name other rows by natural key, through maps, cycles, self relations and many-to-many', async () => {
    const {
      data,
      header: read,
      counts,
    } = await exported(hardSchema('sqlite'), (database) => {
      database.pragma('foreign_keys = off')
      database.exec(sqliteTables + hardRows)
    })
    expect(data).toEqual(hardExport)
    expect(read.notExported).toEqual(hardNotExported)
    expect(read.models.Post?.key).toEqual(['author', 'slug'])
    expect(read.models.Egg?.key).toEqual([])
    expect(counts).toMatchObject({ Empty: 0, User: 3, _PostToTag: 2 })
  })

  test('a target that the database lets appear twice does not double the row', async () => {
    const { data } = await exported(hardSchema('sqlite'), (database) => {
      database.exec(sqliteTables.replace('PRIMARY KEY ("orgCode", "no")', 'CHECK (true)'))
      database.exec(`INSERT INTO "Team" VALUES ('x', 1, 'a'), ('x', 1, 'b');
        INSERT INTO "users" VALUES (1, 'e', 'MEMBER', NULL, NULL); INSERT INTO "Post" VALUES (1, 's', 1, 'x', 1)`)
    })
    expect(data.Post).toEqual([{ id: 1, slug: 's', author: 'e', team: ['x', 1] }])
  })
})

describe('values', () => {
  test('extremes go through', async () => {
    const rows = [
      { string: 'a\0b\u2028"\\\u001f🎬\u{10ffff}', int: -2147483648, bigInt: 9223372036854775807n, float: 5e-324 },
      {
        bigInt: -9223372036854775808n,
        float: Number.MAX_VALUE,
        decimal: 0.1,
        boolean: 1,
        bytes: Buffer.from([0, 255]),
      },
      {
        float: 0.1 + 0.2,
        decimal: 12n,
        boolean: 0,
        json: '{"n": 1.00000000000000000001}',
        bytes: Buffer.alloc(0),
        kind: 'a!',
      },
      { string: '', json: 'null', dateTime: '2024-01-01T00:00:00.000+00:00', kind: 'B' },
      { dateTime: 1700000000000n, json: '5' },
      { dateTime: '2024-01-01 00:00:00', json: '1.50' },
    ]
    const none = {
      string: null,
      int: null,
      bigInt: null,
      float: null,
      decimal: null,
      boolean: null,
      dateTime: null,
      json: null,
      bytes: null,
      kind: null,
    }
    expect(await rowsOf(rows)).toEqual([
      { ...none, id: 1, string: rows[0]?.string, int: -2147483648, bigInt: '9223372036854775807', float: 5e-324 },
      {
        ...none,
        id: 2,
        bigInt: '-9223372036854775808',
        float: Number.MAX_VALUE,
        decimal: '0.1',
        boolean: true,
        bytes: 'AP8=',
      },
      {
        ...none,
        id: 3,
        float: 0.1 + 0.2,
        decimal: '12',
        boolean: false,
        json: '{"n": 1.00000000000000000001}',
        bytes: '',
        kind: 'A',
      },
      { ...none, id: 4, string: '', json: 'null', dateTime: '2024-01-01T00:00:00.000+00:00', kind: 'B' },
      { ...none, id: 5, dateTime: 1700000000000, json: '5' },
      { ...none, id: 6, dateTime: '2024-01-01 00:00:00', json: '1.5' },
    ])
  })

  test('a value of another type than its column goes through with its type', async () => {
    const odd = (type: string, value: unknown) => ({ $sqlite: type, value })
    const [row] = await rowsOf([
      {
        string: Buffer.from('x'),
        int: 'many',
        bigInt: 1.5,
        float: 'low',
        decimal: 'none',
        boolean: 2n,
        dateTime: 1.5,
        json: Buffer.from('{}'),
        bytes: 'text',
        kind: 'C',
      },
    ])
    expect(row).toEqual({
      id: 1,
      string: odd('blob', 'eA=='),
      int: odd('text', 'many'),
      bigInt: odd('real', 1.5),
      float: odd('text', 'low'),
      decimal: odd('text', 'none'),
      boolean: odd('integer', '2'),
      dateTime: 1.5,
      json: odd('blob', 'e30='),
      bytes: odd('text', 'text'),
      kind: odd('text', 'C'),
    })
    expect((await rowsOf([{ int: 9007199254740993n }]))[0].int).toEqual(odd('integer', '9007199254740993'))
  })

  test.each([
    ['infinity', { float: Number.POSITIVE_INFINITY }, /Row\.float of the row 1 holds Infinity/],
    ['infinity as a decimal', { decimal: Number.NEGATIVE_INFINITY }, /Row\.decimal of the row 1 holds -Infinity/],
  ])('%s is refused with its place', async (_, row, message) => {
    await expect(rowsOf([row])).rejects.toMatchObject({
      code: 'VALUE_NOT_EXPORTABLE',
      message: expect.stringMatching(message),
    })
  })

  test('text that is not UTF-8 is refused with its place', async () => {
    const attempt = exported(scalars, (database) => {
      database.exec(scalarTable)
      database.exec(`INSERT INTO "Row" ("id", "string") VALUES (6, 'good'), (7, CAST(x'61ff62' AS TEXT))`)
    })
    await expect(attempt).rejects.toMatchObject({
      code: 'VALUE_NOT_EXPORTABLE',
      message: expect.stringMatching(/Row\.string.*id 7/),
    })
  })

  test(`whatever SQLite holds, the export says (seed ${seed})`, async () => {
    const row = fc.record({
      string: fc.option(fc.string({ unit: 'binary', maxLength: 40 })),
      int: fc.option(fc.integer()),
      bigInt: fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
      float: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true })),
      json: fc.option(fc.json()),
      bytes: fc.option(fc.uint8Array({ maxLength: 40 })),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 60 }), async (rows) => {
        const found = await rowsOf(rows.map((each) => ({ ...each, bytes: each.bytes && Buffer.from(each.bytes) })))
        expect(found.length).toBe(rows.length)
        for (const [index, each] of rows.entries()) {
          const { string, int, bigInt, float, json, bytes } = found[index]
          expect({ string, int, bigInt: bigInt && BigInt(bigInt), float }).toEqual({
            string: each.string,
            int: each.int,
            bigInt: each.bigInt,
            float: each.float === 0 ? 0 : each.float,
          })
          expect(json === null ? null : JSON.parse(json)).toEqual(each.json === null ? null : JSON.parse(each.json))
          expect(bytes).toBe(each.bytes && Buffer.from(each.bytes).toString('base64'))
        }
      }),
      { seed, numRuns: 60 },
    )
  }, 60_000)

  test(`every double reads back as itself (seed ${seed})`, async () => {
    const doubles = fc.sample(fc.double({ noNaN: true, noDefaultInfinity: true }), { seed, numRuns: 20_000 })
    const rows = await rowsOf(doubles.map((float) => ({ float })))
    expect(rows.map(({ float }) => float)).toEqual(doubles.map((float) => (float === 0 ? 0 : float)))
  })
})

describe('tables', () => {
  test('without row ids, with hidden row ids, and very wide ones', async () => {
    const names = Array.from({ length: 900 }, (_, index) => `f${index}`)
    const schema = `${datasource}
model Keyed {
  a String
  b Int
  @@id([a, b])
}
model Shadow {
  rowid Int @id
  oid   String
}
model Wide {
  id Int @id
${names.map((name) => `  ${name} Int?`).join('\n')}
}`
    const { data } = await exported(schema, (database) => {
      database.exec(`CREATE TABLE "Keyed" ("a" TEXT NOT NULL, "b" INTEGER NOT NULL, PRIMARY KEY ("a", "b")) WITHOUT ROWID;
        CREATE TABLE "Shadow" ("rowid" INTEGER NOT NULL, "oid" TEXT NOT NULL);
        CREATE TABLE "Wide" ("id" INTEGER NOT NULL PRIMARY KEY, ${names.map((name) => `"${name}" INTEGER`)});
        INSERT INTO "Keyed" WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n LIMIT 2345) SELECT 'k' || i%7, i FROM n;
        INSERT INTO "Shadow" VALUES (9, 'x'), (3, 'y'); INSERT INTO "Wide" ("id", "f899") VALUES (1, 5)`)
    })
    expect(data.Keyed?.length).toBe(2345)
    expect(data.Keyed).toEqual([...(data.Keyed ?? [])].sort((a, b) => (a.a < b.a ? -1 : a.a > b.a ? 1 : a.b - b.b)))
    expect(data.Shadow).toEqual([
      { rowid: 9, oid: 'x' },
      { rowid: 3, oid: 'y' },
    ])
    expect(data.Wide).toEqual([{ id: 1, ...Object.fromEntries(names.map((name) => [name, null])), f899: 5 }])
  })

  test('a database that lacks what the schema has is refused', async () => {
    await expect(exported(scalars, () => undefined)).rejects.toMatchObject({ code: 'EXPORT_FAILED' })
  })

  test('far apart row ids, long rows and 120,000 rows come in order, the same with two readers and twice', async () => {
    const path = join(directory, 'large.db')
    makeDatabase(path, 120_000)
    const database = new Database(path)
    database.exec(
      `INSERT INTO "User" ("id", "username", "movieProfile") VALUES (9223372036854775807, 'last', '${'x'.repeat(9_000_000)}')`,
    )
    const ids = database.prepare('SELECT id FROM "UserMedia" ORDER BY id').pluck().all()
    database.close()
    const first = await exportOf(bundledSchema, path)
    const second = await exportBuilt(bundledSchema, path)
    expect(first.data.UserMedia?.map(({ id }) => id)).toEqual(ids)
    expect(first.data.User?.at(-1)).toMatchObject({
      id: { $sqlite: 'integer', value: '9223372036854775807' },
      username: 'last',
    })
    expect(first.written.sha256).toBe(second.written.sha256)
  }, 60_000)

  test('a writer that commits all the time: an export is of one moment, whoever reads it', async () => {
    const path = join(directory, 'busy.db')
    makeDatabase(path, 200_000)
    const writer = spawn(process.execPath, ['-e', markWriter, path], { stdio: 'inherit' })
    try {
      const seen = new Set<unknown>()
      for (const until = Date.now() + 30_000; seen.size < 4 && Date.now() < until; ) {
        const { data } = await exportBuilt(bundledSchema, path)
        const marks = new Set([
          ...(data.User ?? []).filter(({ id }) => Number(id) % 10 === 0).map(({ movieProfile }) => movieProfile),
          ...(data.UserMedia ?? []).filter(({ id }) => Number(id) % 1000 === 0).map(({ addedAt }) => addedAt),
        ])
        if ([...marks].every((mark) => String(mark).startsWith('mark'))) {
          expect(marks.size).toBe(1)
          seen.add([...marks][0])
        } else expect(seen.size).toBe(0)
      }
      expect(seen.size).toBe(4)
    } finally {
      writer.kill('SIGKILL')
    }
  }, 60_000)

  test('a database in UTF-16 is refused', async () => {
    const fill = (database: Database.Database) => database.exec(`PRAGMA encoding = 'UTF-16le'; ${scalarTable}`)
    await expect(exported(scalars, fill)).rejects.toMatchObject({ code: 'EXPORT_FAILED' })
  })
})
