// Values that PostgreSQL cannot hold, or holds in a form of its own: the row is left out with the reason, or stays equal.

import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { describePostgres, query } from '../postgres.ts'
import { header } from './export-fixtures.ts'
import {
  databaseOf,
  expectSame,
  exportOf,
  head,
  importInto,
  nothing,
  path,
  schemaOf,
  totals,
} from './postgres-imports.ts'

describePostgres('what PostgreSQL cannot hold', () => {
  const schema = `${head}
model Row {
  id    Int     @id
  name  String? @db.VarChar(3)
  small Int?    @db.SmallInt
  uuid  String? @db.Uuid
  json  Json?
  when  DateTime? @db.Timestamptz(0)
  bits  String? @db.Bit(2)
}`
  const fileOf = (rows: string[]) => {
    const file = path('json')
    const fields = [
      'id:Int',
      'name:String?',
      'small:Int?',
      'uuid:String?',
      'json:Json?',
      'when:DateTime?',
      'bits:String?',
    ]
    const described = fields.map((each) => ({ name: each.split(':')[0], type: each.split(':')[1] }))
    const models = { Row: { table: 'Row', fields: described, key: ['id'], primaryKey: ['id'] } }
    const top = { ...header, engine: 'sqlite', notExported: { transient: [], tables: [] }, models }
    const text = `{\n"format": "bootkeeper",\n"version": 1,\n"header": ${JSON.stringify(top)},\n"data": {\n"Row": [\n${rows.join(',\n')}\n]\n},\n"counts": {"Row":${rows.length}},\n`
    const sum = createHash('sha256').update(text).digest('hex')
    writeFileSync(file, `${text}"sha256": "${sum}"\n}\n`)
    return file
  }

  test('leaves its row out with the reason, and the rest is imported', async () => {
    const { model, sql } = await schemaOf(schema)
    const url = await databaseOf(sql)
    const file = fileOf([
      '{"id":1,"name":"a\\u0000"}',
      '{"id":2,"name":"long"}',
      '{"id":3,"small":40000}',
      '{"id":4,"uuid":"no uuid"}',
      '{"id":5,"json":"{\\"a\\": "}',
      '{"id":6,"json":"\\"\\\\u0000\\""}',
      '{"id":7,"when":"some day"}',
      '{"id":8,"bits":"101"}',
      '{"id":9,"small":{"$sqlite":"text","value":"x"}}',
      '{"id":10,"name":"a    ","when":"2024-01-01 12:00:00.7+02:00","uuid":"A0000000-0000-0000-0000-00000000000B"}',
    ])
    const report = await importInto(url, model, file)
    expect(report.models).toMatchObject([{ rows: 10, created: 1, skipped: 9 }])
    expect(report.skipped.map(({ reason }) => reason)).toEqual([
      'name has a text with a NUL character, which PostgreSQL cannot hold',
      'name has a text that does not fit character varying(3)',
      'small has a number that its column cannot hold',
      'uuid has a value that PostgreSQL refuses: invalid input syntax for type uuid',
      'json has a value that PostgreSQL refuses: invalid input syntax for type json',
      'json has a value that PostgreSQL refuses: unsupported Unicode escape sequence',
      'when has a value that PostgreSQL refuses: invalid input syntax for type timestamp with time zone',
      'bits has a text that does not fit bit(2)',
      'small has an SQLite value that PostgreSQL cannot hold',
    ])
    expect(await query(url, 'SELECT "name", "when"::text, "uuid" FROM "Row"')).toEqual([
      { name: 'a  ', when: '2024-01-01 10:00:01+00', uuid: 'a0000000-0000-0000-0000-00000000000b' },
    ])
    expect(totals(await importInto(url, model, file))).toMatchObject({ ...nothing, unchanged: 1 })
  })
})

describePostgres('a value that PostgreSQL compares its own way', () => {
  test('citext, and lists of limited texts', async () => {
    const { model } = await schemaOf(`${head}
model Row {
  id    Int      @id @default(autoincrement())
  name  String   @unique @db.Citext
  codes String[] @db.VarChar(2)
}`)
    const tables = `CREATE EXTENSION citext; CREATE TABLE "Row" (id serial PRIMARY KEY, name citext NOT NULL UNIQUE, codes varchar(2)[])`
    const first = await databaseOf(tables, `INSERT INTO "Row" VALUES (1, 'Ann', '{ab,NULL}'), (2, 'bob', '{{a},{b}}')`)
    const file = await exportOf(model, first)
    const url = await databaseOf(tables, `INSERT INTO "Row" VALUES (7, 'aNN', '{x}'), (8, 'BOB', NULL)`)
    expect(totals(await importInto(url, model, file))).toMatchObject({ created: 0, updated: 2, skipped: 0 })
    await importInto(url, model, file, { mode: 'replace' })
    expectSame(await exportOf(model, url), file)

    const long = path('json')
    const odd = [
      { id: 3, name: 'c', codes: ['abc'] },
      { id: 4, name: 'd', codes: { $postgres: '{{abc}}' } },
    ]
    writeFileSync(
      long,
      JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), data: { Row: odd }, counts: { Row: 2 } }),
    )
    expect((await importInto(url, model, long)).skipped.map(({ reason }) => reason)).toEqual([
      'codes has a text that does not fit character varying(2)[]',
      'codes has a list whose texts do not fit character varying(2)[]',
    ])
  })
})
