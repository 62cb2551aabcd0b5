// The export of PostgreSQL: the same document as from SQLite, and the types that only PostgreSQL has.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { exportPostgres } from '../../src/engines/postgres-export.ts'
import { openExportWriter, verifyExport } from '../../src/formats/bootkeeper.ts'
import { readDataModel } from '../../src/prisma/data-model.ts'
import { describePostgres, startPostgres, type TestPostgres } from '../postgres.ts'
import { seed } from '../random.ts'
import {
  hardExport,
  hardNotExported,
  hardRows,
  hardSchema,
  header,
  postgresTables,
  readExport,
} from './export-fixtures.ts'

const scalars = `
datasource db {
  provider = "postgresql"
}
enum Kind {
  A @map("a!")
  B
}
model Row {
  id      Int       @id @default(autoincrement())
  string  String?
  char    String?   @db.Char(4)
  uuid    String?   @db.Uuid
  big     BigInt?
  float   Float?
  real    Float?    @db.Real
  decimal Decimal?
  money   Decimal?  @db.Money
  yes     Boolean?
  moment  DateTime?
  fine    DateTime? @db.Timestamptz(6)
  date    DateTime? @db.Date
  time    DateTime? @db.Time(6)
  json    Json?
  text    Json?     @db.Json
  bytes   Bytes?
  kind    Kind?
  ints    Int[]
  bigs    BigInt[]
  strings String[]
  kinds   Kind[]
  blobs   Bytes[]
  moments DateTime[]
}`
const scalarTable = `CREATE TYPE "Kind" AS ENUM ('a!', 'B');
CREATE TABLE "Row" ("id" SERIAL PRIMARY KEY, "string" TEXT, "char" CHAR(4), "uuid" UUID, "big" BIGINT, "float" DOUBLE PRECISION,
  "real" REAL, "decimal" DECIMAL(65,30), "money" MONEY, "yes" BOOLEAN, "moment" TIMESTAMP(3), "fine" TIMESTAMPTZ(6), "date" DATE,
  "time" TIME(6), "json" JSONB, "text" JSON, "bytes" BYTEA, "kind" "Kind", "ints" INTEGER[], "bigs" BIGINT[], "strings" TEXT[],
  "kinds" "Kind"[], "blobs" BYTEA[], "moments" TIMESTAMP(3)[], "vector" TSVECTOR, "raw" BYTEA);`

describePostgres('the export of PostgreSQL', () => {
  let server: TestPostgres
  const directory = mkdtempSync(join(tmpdir(), 'bootkeeper-export-'))
  let made = 0
  beforeAll(async () => {
    server = (await startPostgres()) as TestPostgres
  }, 60_000)
  afterAll(async () => {
    await server?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  async function exported(schema: string, fill: (client: Client) => Promise<unknown>) {
    const url = await server.newDatabase()
    const client = new Client({ connectionString: url, options: '-c timezone=Asia/Tokyo' })
    await client.connect()
    try {
      await fill(client)
    } finally {
      await client.end()
    }
    const model = await readDataModel([{ path: 'schema.prisma', content: schema }])
    const target = join(directory, `${++made}.json`)
    const written = await exportPostgres({ url, model, header, target, openWriter: openExportWriter })
    expect(await verifyExport(target)).toMatchObject(written)
    return readExport(target)
  }

  test('the same rows give the same export as on SQLite', async () => {
    const { data, header: read } = await exported(hardSchema('postgresql'), (client) =>
      client.query(postgresTables + hardRows),
    )
    expect(data).toEqual(hardExport)
    expect(read.notExported).toEqual(hardNotExported)
  })

  test('every type goes through', async () => {
    const { data } = await exported(scalars, async (client) => {
      await client.query(scalarTable)
      await client.query(`INSERT INTO "Row" VALUES (1, E'\\u2028"\\\\\\x01\\n🎬', 'ab', '00000000-0000-0000-0000-00000000000A',
        9223372036854775807, 5e-324, 0.1, 123456789012345678901234567890.1, 12.34, true, '2024-01-01 00:00:00.1', '2024-01-01 00:00:00.123456+09',
        '2024-02-29', '23:59:59.5', '{"a": 1.00000000000000000001}', '{"b":  1}', '\\x00ff', 'a!', '{1,NULL,2}', '{9223372036854775807}',
        ARRAY['a,"b', '{}', E'\\n'], '{a!,B}', ARRAY['\\x00'::bytea], '{}', 'a:1', '\\x01')`)
      await client.query(
        `INSERT INTO "Row" ("id", "json", "moment", "fine", "ints") VALUES (2, 'null', 'infinity', '0044-03-15 00:00:00+00 BC', '{{1,2},{3,4}}')`,
      )
    })
    expect(data.Row?.[0]).toEqual({
      id: 1,
      string: '\u2028"\\\u0001\n🎬',
      char: 'ab',
      uuid: '00000000-0000-0000-0000-00000000000a',
      big: '9223372036854775807',
      float: 5e-324,
      real: 0.1,
      decimal: '123456789012345678901234567890.1',
      money: '12.34',
      yes: true,
      moment: '2024-01-01T00:00:00.100Z',
      fine: '2023-12-31T15:00:00.123456Z',
      date: '2024-02-29',
      time: '23:59:59.5',
      json: '{"a": 1.00000000000000000001}',
      text: '{"b":  1}',
      bytes: 'AP8=',
      kind: 'A',
      ints: [1, null, 2],
      bigs: ['9223372036854775807'],
      strings: ['a,"b', '{}', '\n'],
      kinds: ['A', 'B'],
      blobs: ['AA=='],
      moments: [],
      $columns: { vector: "'a':1", raw: { $base64: 'AQ==' } },
    })
    expect(data.Row?.[1]).toMatchObject({
      json: 'null',
      text: null,
      moment: 'infinity',
      fine: '0044-03-15 00:00:00 BC',
      ints: { $postgres: '{{1,2},{3,4}}' },
      kinds: null,
      $columns: null,
    })
  })

  test.each(['NaN', 'Infinity', '-Infinity'])('%s is refused with its place', async (value) => {
    const attempt = exported(scalars, async (client) => {
      await client.query(scalarTable)
      await client.query(`INSERT INTO "Row" ("id", "real") VALUES (1, 1), (7, '${value}')`)
    })
    await expect(attempt).rejects.toMatchObject({
      code: 'VALUE_NOT_EXPORTABLE',
      message: expect.stringContaining(`Row.real of the row 7 holds ${value}`),
    })
  })

  test(`whatever PostgreSQL holds, the export says (seed ${seed})`, async () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 }).map((each) => each.replaceAll('\0', ''))
    const rows = fc.sample(
      fc.record({
        string: fc.option(text),
        big: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
        float: fc.double({ noNaN: true, noDefaultInfinity: true }),
        bytes: fc.uint8Array({ maxLength: 200 }).map((each) => Buffer.from(each)),
        strings: fc.array(fc.option(text)),
      }),
      { seed, numRuns: 3000 },
    )
    const { data } = await exported(scalars, async (client) => {
      await client.query(scalarTable)
      for (const { string, big, float, bytes, strings } of rows)
        await client.query(
          'INSERT INTO "Row" ("string", "big", "float", "bytes", "strings") VALUES ($1, $2, $3, $4, $5)',
          // The driver would send -0 as 0.
          [string, big, Object.is(float, -0) ? '-0' : float, bytes, strings],
        )
    })
    const found = data.Row?.map(({ string, big, float, bytes, strings }) => ({ string, big, float, bytes, strings }))
    expect(found).toEqual(rows.map((row) => ({ ...row, bytes: row.bytes.toString('base64') })))
  }, 60_000)
})
