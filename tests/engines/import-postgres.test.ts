// Round trips of the import into PostgreSQL: what an export says is what the database holds afterwards, in an empty one,
// in one with other rows and ids, and twice; from SQLite, from PostgreSQL and from older files.

import { readdirSync, readFileSync } from 'node:fs'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import pg from 'pg'
import { expect, test } from 'vitest'
import { exportSqlite } from '../../src/engines/sqlite-export.ts'
import { stageImport } from '../../src/engines/sqlite-import.ts'
import { openExportWriter } from '../../src/formats/bootkeeper.ts'
import { openSource } from '../../src/formats/source.ts'
import { readDataModel } from '../../src/prisma/data-model.ts'
import { describePostgres, query } from '../postgres.ts'
import { seed } from '../random.ts'
import { hardRows, hardSchema, header, postgresTables, readExport } from './export-fixtures.ts'
import {
  databaseOf,
  expectSame,
  exportOf,
  head,
  importInto,
  nothing,
  path,
  schemaOf,
  sqliteExport,
  totals,
} from './postgres-imports.ts'
import { randomSchema } from './random-schema.ts'
import { realSchemas } from './real-schemas.ts'

/** Prisma's SQL for PostgreSQL does not escape a quote in the value of an enum. */
const schemaText = (schemaSeed: number) => randomSchema(schemaSeed).replace("a'b", 'a-b')

const everything = `${head}
enum Kind {
  A @map("a!")
  B
}
model Row {
  id      Int       @id @default(autoincrement())
  string  String?
  char    String?   @db.Char(4)
  short   String?   @db.VarChar(3)
  uuid    String?   @db.Uuid
  cidr    String?   @db.Inet
  bits    String?   @db.VarBit(8)
  xml     String?   @db.Xml
  small   Int?      @db.SmallInt
  oid     Int?      @db.Oid
  big     BigInt?
  float   Float?
  real    Float?    @db.Real
  decimal Decimal?
  price   Decimal?  @db.Decimal(10, 2)
  money   Decimal?  @db.Money
  yes     Boolean?
  moment  DateTime?
  fine    DateTime? @db.Timestamptz(6)
  date    DateTime? @db.Date
  time    DateTime? @db.Time(6)
  zoned   DateTime? @db.Timetz(3)
  json    Json?
  text    Json?     @db.Json
  bytes   Bytes?
  kind    Kind?
  ints    Int[]
  bigs    BigInt[]
  strings String[]
  chars   String[]  @db.Char(3)
  kinds   Kind[]
  blobs   Bytes[]
  moments DateTime[]
  jsons   Json[]
  floats  Float[]
  decimals Decimal[]
  flags   Boolean[]
  vector  Unsupported("tsvector")?
  point   Unsupported("point")?
  raw     Bytes?    @ignore
  note    String?   @ignore
}`

const hardValues = `INSERT INTO "Row" VALUES (1, E'\\u2028"\\\\\\x01\\n\\t\\r\\b\\f\\v🎬\\\\N', 'ab', 'x  ', '00000000-0000-0000-0000-00000000000A', '10.0.0.1/8', B'101',
    '<a>1</a>', -32768, 4294967295, 9223372036854775807, 5e-324, 0.1, 123456789012345678901234567890.1, 1.5, 12.34, true,
    '2024-01-01 00:00:00.1', '2024-01-01 00:00:00.123456+09', '2024-02-29', '23:59:59.5', '10:00:00.25+02',
    '{"b": 1.00000000000000000001, "a": [1,  2]}', '{"b":  1}', '\\x00ff', 'a!', '{1,NULL,2}', '{9223372036854775807}',
    ARRAY['a,"b', '{}', E'\\n', '', 'NULL', NULL, 'a\\b'], '{ab,"c  "}', '{a!,B}', ARRAY['\\x00'::bytea, '\\x'], ARRAY['2024-01-01 00:00:00.1'::timestamp],
    ARRAY['{"z": 1,  "a": 2}'::jsonb, 'null'], '{1e300,-0,0.1}', '{1,0.50}', '{t,f}', 'a:1', '(1,2)', '\\x01', E'kept\\\\');
  INSERT INTO "Row" ("id", "json", "moment", "fine", "date", "ints", "float", "bytes", "strings", "decimal", "point", "raw")
    VALUES (2, 'null', 'infinity', '0044-03-15 00:00:00+00 BC', '-infinity', '{{1,2},{3,4}}', '-0', '', '{}', 'NaN', '(0.1,1e-300)', '');
  INSERT INTO "Row" ("id") VALUES (7);
  INSERT INTO "Row" ("id", "string", "moment", "strings", "ints") VALUES (-5, '', '9999-12-31 23:59:59.999', ARRAY[['a'],['b"']], '[0:1]={5,6}');
  INSERT INTO "Row" ("id", "string", "json") VALUES (40, '\\N', '"\\u00e4"');
  SELECT setval('"Row_id_seq"', 99)`

/** Each column its own values, or nothing. */
async function fillWithAnything(url: string, rows: number, from: number): Promise<void> {
  const upTo = (maxLength: number) => fc.string({ unit: 'binary', maxLength }).map((each) => each.replaceAll('\0', ''))
  const text = upTo(20)
  const json = fc.json({ maxDepth: 3, stringUnit: 'grapheme' }).filter((each) => !each.includes('\\u0000'))
  const time = fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
  const fine = fc
    .tuple(time, fc.nat(999))
    .map(([at, micro]) => at.toISOString().replace('Z', `${String(micro).padStart(3, '0')}+00`))
  const decimal = fc.tuple(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), fc.nat(999_999_999))
  const number = decimal.map(([whole, part]) => `${whole}.${part}`)
  const bytes = fc.uint8Array({ maxLength: 20 }).map((each) => Buffer.from(each))
  const float = fc.double({ noNaN: true, noDefaultInfinity: true }).map((each) => (Object.is(each, -0) ? '-0' : each))
  const list = <Item>(item: fc.Arbitrary<Item>) => fc.array(fc.option(item), { maxLength: 4 })
  const columns: Record<string, fc.Arbitrary<unknown>> = {
    string: text,
    char: upTo(4),
    short: upTo(3),
    uuid: fc.uuid(),
    cidr: fc.ipV4(),
    bits: fc.constantFrom('1', '0101', '00000000'),
    small: fc.integer({ min: -32768, max: 32767 }),
    oid: fc.nat(),
    big: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
    float,
    real: fc.float({ noNaN: true, noDefaultInfinity: true }),
    decimal: number,
    price: fc.integer({ min: -999_999_999, max: 999_999_999 }).map((cents) => cents / 100),
    money: fc.integer().map((cents) => cents / 100),
    yes: fc.boolean(),
    moment: time.map((each) => each.toISOString()),
    fine,
    date: time.map((each) => each.toISOString().slice(0, 10)),
    time: fine.map((each) => each.slice(11, 26)),
    zoned: fc.constantFrom('10:00:00+02', '23:59:59.999-11:30'),
    json,
    text: json.map((each) => ` ${each}\n`),
    bytes,
    kind: fc.constantFrom('a!', 'B'),
    ints: list(fc.integer()),
    strings: list(text),
    blobs: list(bytes),
    jsons: list(json),
    floats: list(float),
    decimals: list(number),
    flags: list(fc.boolean()),
    moments: list(time.map((each) => each.toISOString())),
    raw: bytes,
    note: text,
  }
  const names = Object.keys(columns)
  const values = fc.sample(fc.tuple(...names.map((name) => fc.option(columns[name]!))), { seed: from, numRuns: rows })
  const client = new pg.Client({ connectionString: url, options: '-c timezone=UTC' })
  await client.connect()
  const given = names.map((_, at) => `$${at + 1}`).join(', ')
  const sql = `INSERT INTO "Row" (${names.map((name) => `"${name}"`).join(', ')}) VALUES (${given})`
  try {
    for (const row of values) await client.query(sql, row)
  } finally {
    await client.end()
  }
}

describePostgres('round trips on PostgreSQL', () => {
  test('every type comes back as it was, and nothing is changed the second time', async () => {
    const { model, sql } = await schemaOf(everything)
    const first = await databaseOf(sql, hardValues)
    const file = await exportOf(model, first)
    const second = await databaseOf(sql)
    expect(totals(await importInto(second, model, file, { strict: true }))).toMatchObject({ created: 5, skipped: 0 })
    const again = await exportOf(model, second)
    expectSame(again, file)
    const rows = (url: string) => query(url, 'SELECT r::text FROM "Row" r ORDER BY id')
    expect(await rows(second)).toEqual(await rows(first))
    for (const mode of ['merge', 'replace'] as const)
      expect(totals(await importInto(second, model, file, { mode }))).toMatchObject(nothing)
    expect((readExport(again).header.models.Row as { sequence?: number }).sequence).toBe(40)
    await importInto(second, model, file, { mode: 'replace' })
    expect(await query(second, `SELECT nextval('"Row_id_seq"')::int AS next`)).toEqual([{ next: 100 }])
  })

  const rowCount = process.env.SOAK ? 5000 : 300
  test(`whatever PostgreSQL holds, an import brings back (${rowCount} rows, seed ${seed})`, async () => {
    const { model, sql } = await schemaOf(everything)
    const [first, second] = [await databaseOf(sql), await databaseOf(sql)]
    await fillWithAnything(first, rowCount, seed)
    await fillWithAnything(second, rowCount, seed + 1)
    const rows = (url: string) => query(url, 'SELECT r::text FROM "Row" r ORDER BY id')
    const file = await exportOf(model, first)
    await importInto(second, model, file, { mode: 'replace', strict: true })
    expect(await rows(second)).toEqual(await rows(first))
    for (const mode of ['merge', 'replace'] as const)
      expect(totals(await importInto(second, model, file, { mode }))).toMatchObject(nothing)
  }, 600_000)

  const schemas = Number(process.env.SCHEMAS ?? (process.env.SOAK ? 200 : 8))
  test(`${schemas} random schemas, from SQLite to PostgreSQL and on (seed ${seed})`, async () => {
    for (let number = 0; number < schemas; number++) {
      const schemaSeed = (seed + number) >>> 0
      const text = schemaText(schemaSeed)
      const where = `SEED=${schemaSeed} SCHEMAS=1\n${text}`
      const onSqlite = await schemaOf(text, 'sqlite')
      const { model, sql } = await schemaOf(text)
      const old = await sqliteExport(onSqlite, schemaSeed, 12)
      const first = await databaseOf(sql)
      const report = await importInto(first, model, old)
      for (const { reason } of report.skipped) expect(reason, where).toMatch(/NUL character|neither in the file/)
      const file = await exportOf(model, first)
      expect(totals(await importInto(first, model, old)), where).toMatchObject(nothing)
      expectSame(await exportOf(model, first), file, where)

      const second = await databaseOf(sql)
      expect(totals(await importInto(second, model, file, { strict: true })), where).toMatchObject({ updated: 0 })
      expectSame(await exportOf(model, second), file, where)
      for (const mode of ['merge', 'replace'] as const)
        expect(totals(await importInto(second, model, file, { mode })), where).toMatchObject(nothing)

      const other = await databaseOf(sql)
      await importInto(other, model, await sqliteExport(onSqlite, schemaSeed + 1, 12))
      await importInto(other, model, file, { mode: 'replace', strict: true })
      expectSame(await exportOf(model, other), file, where)

      // Back again: what SQLite says of it goes in without a difference.
      const back = path('db')
      const empty = new Database(back)
      empty.exec(onSqlite.sql)
      empty.close()
      const staged = await stageImport(
        {
          databasePath: back,
          model: onSqlite.model,
          source: await openSource(file, {}),
          busyMs: 1000,
          now: new Date(0),
          mode: 'merge',
          keepExisting: false,
          strict: true,
        },
        true,
      )
      await staged.apply()
      staged.close()
      const returned = path('json')
      exportSqlite({
        databasePath: back,
        model: onSqlite.model,
        header,
        target: returned,
        openWriter: openExportWriter,
      })
      const inDoubles = model.models.some(({ fields }) => fields.some(({ type }) => type === 'Decimal'))
      if (!inDoubles) expect(totals(await importInto(second, model, returned)), where).toMatchObject(nothing)
    }
  }, 7_200_000)

  const merges = Number(process.env.SCHEMAS ?? (process.env.SOAK ? 200 : 8))
  test(`${merges} merges into databases with other rows and ids (seed ${seed})`, async () => {
    let conflicts = 0
    for (let number = 0; number < merges; number++) {
      const schemaSeed = (seed + number) >>> 0
      const text = schemaText(schemaSeed)
      const where = `SEED=${schemaSeed} SCHEMAS=1\n${text}`
      const onSqlite = await schemaOf(text, 'sqlite')
      const { model, sql } = await schemaOf(text)
      const target = await databaseOf(sql)
      await importInto(target, model, await sqliteExport(onSqlite, schemaSeed + 1, 10))
      const before = await exportOf(model, target)
      const file = await sqliteExport(onSqlite, schemaSeed, 10)
      try {
        await importInto(target, model, file)
      } catch (error) {
        expect(error, where).toMatchObject({ code: 'IMPORT_CONFLICT' })
        expectSame(await exportOf(model, target), before, where)
        conflicts++
        continue
      }
      const after = await exportOf(model, target)
      expect(totals(await importInto(target, model, file)), where).toMatchObject(nothing)
      expectSame(await exportOf(model, target), after, where)
    }
    expect(conflicts).toBeLessThanOrEqual(merges / 2)
  }, 7_200_000)

  test.each(Object.entries(realSchemas))(
    'a schema as of a real app: %s',
    async (_, contents) => {
      const onSqlite = await schemaOf(contents, 'sqlite')
      const { model, sql } = await schemaOf(contents)
      const first = await databaseOf(sql)
      await importInto(first, model, await sqliteExport(onSqlite, seed, 15))
      const file = await exportOf(model, first)
      const busy = await databaseOf(sql)
      await importInto(busy, model, await sqliteExport(onSqlite, seed + 100, 15))
      await importInto(busy, model, file, { mode: 'replace', strict: true })
      expectSame(await exportOf(model, busy), file)
      expect(totals(await importInto(busy, model, file))).toMatchObject(nothing)
    },
    120_000,
  )

  test('everything that makes an export hard, but for references to rows that are not there', async () => {
    const model = await readDataModel([{ path: 'schema.prisma', content: hardSchema('postgresql') }])
    const first = await databaseOf(postgresTables, hardRows)
    const file = await exportOf(model, first)
    const target = await databaseOf(postgresTables)
    const report = await importInto(target, model, file)
    expect(report.emptied).toEqual([{ model: 'User', field: 'boss', rows: 1 }])
    expect(report.skipped).toMatchObject([
      { model: 'Post', reason: 'its author is neither in the file nor in the database', rows: 1 },
      { model: 'Note', rows: 2 },
    ])
    await expect(importInto(await databaseOf(postgresTables), model, file, { strict: true })).rejects.toMatchObject({
      code: 'IMPORT_INCOMPLETE',
    })
  })
})

describePostgres('older formats into PostgreSQL', () => {
  const golden = new URL('../formats/golden/', import.meta.url)
  const names = readdirSync(golden).filter((file) => !file.endsWith('.expected.json'))
  test.each(names)('%s', async (name) => {
    const content = readFileSync(new URL('../../prisma/schema.prisma', import.meta.url), 'utf8')
    const { model, sql } = await schemaOf(content)
    const url = await databaseOf(sql)
    const file = new URL(name, golden).pathname
    const how = /^(payload|single)/.test(name) ? { userName: 'john' } : {}
    const { created, skipped } = totals(await importInto(url, model, file, how))
    expect(created).toBeGreaterThan(0)
    expect(skipped).toBe(0)
    const exported = await exportOf(model, url)
    expect(totals(await importInto(url, model, file, how))).toMatchObject(nothing)
    expect(totals(await importInto(url, model, exported, { mode: 'replace' }))).toMatchObject(nothing)
    expectSame(await exportOf(model, url), exported)
  })
})
