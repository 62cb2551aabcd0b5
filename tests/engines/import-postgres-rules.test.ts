// What an import into PostgreSQL does to what is there, and what it leaves alone: ids, triggers, foreign keys, sequences,
// tables of others; values that PostgreSQL cannot hold; a connection that breaks.

import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { describePostgres, query } from '../postgres.ts'
import { header, readExport } from './export-fixtures.ts'
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

const shop = `${head}
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
const ann = `INSERT INTO "User" VALUES (1, 'ann@x', 'Ann'), (2, 'bob@x', NULL); INSERT INTO "Order" VALUES (1, 'pen', 1), (2, 'ink', 2);
  SELECT setval('"User_id_seq"', 2), setval('"Order_id_seq"', 2)`

describePostgres('an import into PostgreSQL', () => {
  test('a dry run writes nothing at all', async () => {
    const { model, sql } = await schemaOf(shop)
    const file = await exportOf(model, await databaseOf(sql, ann))
    const url = await databaseOf(
      sql,
      `INSERT INTO "User" VALUES (1, 'zoe@x', NULL); INSERT INTO "Session" VALUES ('s')`,
    )
    const log = () =>
      query(
        url,
        'SELECT pg_current_wal_insert_lsn()::text AS lsn, pg_snapshot_xmax(pg_current_snapshot())::text AS next',
      )
    // What was read for the first time leaves marks of its own.
    await importInto(url, model, file, { mode: 'replace', apply: false })
    const before = await log()
    const plan = await importInto(url, model, file, { mode: 'replace', apply: false })
    expect(plan.models).toMatchObject([
      { model: 'User', created: 2, removed: 1 },
      { model: 'Order', created: 2 },
      { model: 'Session', removed: 1 },
    ])
    expect(await log()).toEqual(before)
  })

  test('rows that are there keep their ids, references follow, and sequences go on', async () => {
    const { model, sql } = await schemaOf(shop)
    const file = await exportOf(model, await databaseOf(sql, ann))
    const url = await databaseOf(
      sql,
      `INSERT INTO "User" VALUES (1, 'zoe@x', 'Zoe'), (5, 'ann@x', 'old');
      INSERT INTO "Order" VALUES (1, 'cup', 1); SELECT setval('"User_id_seq"', 5), setval('"Order_id_seq"', 9)`,
    )
    const report = await importInto(url, model, file)
    expect(report.models).toMatchObject([
      { created: 1, updated: 1, kept: 1 },
      { created: 2, kept: 1 },
    ])
    expect(await query(url, 'SELECT id, email, name FROM "User" ORDER BY id')).toEqual([
      { id: 1, email: 'zoe@x', name: 'Zoe' },
      { id: 2, email: 'bob@x', name: null },
      { id: 5, email: 'ann@x', name: 'Ann' },
    ])
    expect(await query(url, 'SELECT text, "userId" FROM "Order" ORDER BY id')).toEqual([
      { text: 'cup', userId: 1 },
      { text: 'ink', userId: 2 },
      { text: 'pen', userId: 5 },
    ])
    await query(url, `INSERT INTO "User" (email) VALUES ('new@x')`)
    await query(url, `INSERT INTO "Order" (text, "userId") VALUES ('new', 1)`)
    expect(await query(url, `SELECT id FROM "User" WHERE email = 'new@x'`)).toEqual([{ id: 6 }])
    expect(totals(await importInto(url, model, file))).toMatchObject(nothing)
    const kept = await importInto(url, model, file, { keepExisting: true })
    expect(totals(kept)).toMatchObject(nothing)
  })

  test('what is the same is not touched, triggers rest, and the structure stays', async () => {
    const { model, sql } = await schemaOf(shop)
    const file = await exportOf(model, await databaseOf(sql, ann))
    const url = await databaseOf(
      sql,
      ann,
      `CREATE TABLE log (line text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO log VALUES (TG_TABLE_NAME || TG_OP); RETURN NULL; END $$;
      CREATE TRIGGER noting AFTER INSERT OR UPDATE OR DELETE ON "User" FOR EACH ROW EXECUTE FUNCTION note();
      CREATE TRIGGER always AFTER DELETE ON "Order" FOR EACH ROW EXECUTE FUNCTION note();
      CREATE TRIGGER never AFTER DELETE ON "Order" FOR EACH ROW EXECUTE FUNCTION note();
      ALTER TABLE "Order" ENABLE ALWAYS TRIGGER always; ALTER TABLE "Order" DISABLE TRIGGER never;
      COMMENT ON CONSTRAINT "Order_userId_fkey" ON "Order" IS 'it''s ours'`,
    )
    const structure = () =>
      query(
        url,
        `SELECT pg_get_constraintdef(oid) AS is, obj_description(oid) AS more FROM pg_constraint WHERE connamespace = 'public'::regnamespace
      UNION ALL SELECT tgname, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2`,
      )
    const before = await structure()
    const places = () => query(url, 'SELECT ctid::text, xmin::text FROM "User"')
    const rows = await places()
    await importInto(url, model, file, { mode: 'replace' })
    expect(await places()).toEqual(rows)
    await query(url, `DELETE FROM "User" WHERE id = 2; UPDATE "Order" SET text = 'other'; DELETE FROM log`)
    await importInto(url, model, file, { mode: 'replace' })
    expectSame(await exportOf(model, url), file)
    expect(await query(url, 'SELECT * FROM log')).toEqual([])
    expect(await structure()).toEqual(before)
  })

  test('unique values may change places', async () => {
    const { model, sql } = await schemaOf(shop)
    const file = await exportOf(model, await databaseOf(sql, ann))
    const url = await databaseOf(sql, `INSERT INTO "User" VALUES (2, 'ann@x', 'Ann'), (1, 'bob@x', NULL)`)
    await importInto(url, model, file, { mode: 'replace' })
    expectSame(await exportOf(model, url), file)
  })

  test('two rows that would have the same key are a conflict', async () => {
    const { model, sql } = await schemaOf(`${head}
model Row {
  id String @id
  no Int    @unique
}`)
    const file = await exportOf(model, await databaseOf(sql, `INSERT INTO "Row" VALUES ('a', 1), ('b', 2)`))
    const url = await databaseOf(sql, `INSERT INTO "Row" VALUES ('b', 1)`)
    const refusal = { code: 'IMPORT_CONFLICT', message: expect.stringContaining('same id: b') }
    await expect(importInto(url, model, file)).rejects.toMatchObject(refusal)
    expect(await query(url, 'SELECT * FROM "Row"')).toEqual([{ id: 'b', no: 1 }])
  })

  test('a table that the schema does not know keeps rows from going', async () => {
    const { model, sql } = await schemaOf(shop)
    const file = await exportOf(model, await databaseOf(sql, ann))
    const stranger = `CREATE TABLE stranger (of int REFERENCES "User" (id) ON DELETE CASCADE)`
    const url = await databaseOf(
      sql,
      `INSERT INTO "User" VALUES (9, 'zoe@x', NULL)`,
      stranger,
      'INSERT INTO stranger VALUES (9)',
    )
    const before = await exportOf(model, url)
    await expect(importInto(url, model, file, { mode: 'replace' })).rejects.toMatchObject({
      code: 'IMPORT_CONFLICT',
      message: expect.stringContaining('stranger'),
    })
    expectSame(await exportOf(model, url), before)
    expect(await query(url, 'SELECT "of" FROM stranger')).toEqual([{ of: 9 }])
    expect(totals(await importInto(url, model, file))).toMatchObject({ created: 4, removed: 0 })
    expect(await query(url, 'SELECT "of" FROM stranger')).toEqual([{ of: 9 }])
  })

  test('rows that the schema protects stay', async () => {
    const { model, sql } = await schemaOf(`${head}
/// @protected isAdmin
model User {
  id      Int     @id @default(autoincrement())
  email   String  @unique
  isAdmin Boolean @default(false)
}`)
    const file = await exportOf(model, await databaseOf(sql, `INSERT INTO "User" VALUES (1, 'ann@x', false)`))
    const url = await databaseOf(sql, `INSERT INTO "User" VALUES (1, 'root@x', true), (2, 'zoe@x', false)`)
    expect((await importInto(url, model, file, { mode: 'replace' })).models).toMatchObject([
      { created: 1, removed: 1, kept: 1 },
    ])
    expect(await query(url, 'SELECT email FROM "User" ORDER BY 1')).toEqual([{ email: 'ann@x' }, { email: 'root@x' }])
  })

  test('columns that only the database can fill, and those that nobody can', async () => {
    const { model } = await schemaOf(`${head}
model Row {
  id    Int    @id @default(autoincrement())
  name  String @unique
  key   String @default(dbgenerated("md5('x')"))
  no    Int    @default(autoincrement())
  at    DateTime @default(now())
}`)
    const tables = `CREATE TABLE "Row" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, key text NOT NULL DEFAULT md5('x'),
      no int GENERATED BY DEFAULT AS IDENTITY (START 50) NOT NULL, at timestamptz NOT NULL DEFAULT now(), twice text GENERATED ALWAYS AS (name || name) STORED)`
    const url = await databaseOf(tables, `INSERT INTO "Row" (name, key) VALUES ('old', 'k')`)
    const file = await exportOf(model, url)
    const bare = path('json')
    const { header: top, data: all } = readExport(file)
    top.models.Row!.fields = top.models.Row!.fields.filter(({ name }) => ['id', 'name'].includes(name))
    const rows = {
      Row: [
        { id: 1, name: 'old' },
        { id: 7, name: 'new' },
      ],
    }
    writeFileSync(
      bare,
      JSON.stringify({ format: 'bootkeeper', version: 1, header: top, data: rows, counts: { Row: 2 } }),
    )
    expect(all.Row).toHaveLength(1)
    expect(totals(await importInto(url, model, bare))).toMatchObject({ created: 1, unchanged: 1, skipped: 0 })
    expect(await query(url, 'SELECT id, name, key, no, twice FROM "Row" ORDER BY id')).toEqual([
      { id: 1, name: 'old', key: 'k', no: 50, twice: 'oldold' },
      { id: 7, name: 'new', key: '9dd4e461268c8034f5c8564e155c67a6', no: 51, twice: 'newnew' },
    ])
    await query(url, `INSERT INTO "Row" (name) VALUES ('next')`)
    expect(await query(url, `SELECT id FROM "Row" WHERE name = 'next'`)).toEqual([{ id: 8 }])
  })

  test('several schemas, one of them not public, with tables of the same name', async () => {
    const { model } = await schemaOf(`datasource db {
  provider = "postgresql"
  schemas  = ["a", "b"]
}
model One {
  id   Int    @id @default(autoincrement())
  name String @unique
  twos Two[]
  @@map("thing")
  @@schema("a")
}
model Two {
  id    Int  @id @default(autoincrement())
  one   One  @relation(fields: [oneId], references: [id])
  oneId Int
  @@map("thing")
  @@schema("b")
}`)
    const tables = `CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.thing (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
      CREATE TABLE b.thing (id serial PRIMARY KEY, "oneId" int NOT NULL REFERENCES a.thing)`
    const first = await databaseOf(
      tables,
      `INSERT INTO a.thing VALUES (3, 'x'); INSERT INTO b.thing VALUES (1, 3), (2, 3)`,
    )
    const file = await exportOf(model, `${first}?schema=a`)
    const url = `${await databaseOf(tables, `INSERT INTO a.thing VALUES (3, 'y')`)}?schema=a`
    await importInto(url, model, file)
    expect(totals(await importInto(url, model, file))).toMatchObject({ ...nothing, unchanged: 3 })
    await importInto(url, model, file, { mode: 'replace' })
    expectSame(await exportOf(model, url), file)
  })

  test('a circle of required references', async () => {
    const { model, sql } = await schemaOf(`${head}
model Egg {
  id    Int    @id @default(autoincrement())
  name  String @unique
  hen   Hen    @relation("laid", fields: [henId], references: [id])
  henId Int
  hens  Hen[]  @relation("hatched")
}
model Hen {
  id    Int    @id @default(autoincrement())
  name  String @unique
  egg   Egg    @relation("hatched", fields: [eggId], references: [id])
  eggId Int
  eggs  Egg[]  @relation("laid")
}`)
    const fill = `ALTER TABLE "Egg" DISABLE TRIGGER ALL; INSERT INTO "Egg" VALUES (1, 'e', 5); INSERT INTO "Hen" VALUES (5, 'h', 1); ALTER TABLE "Egg" ENABLE TRIGGER ALL`
    const file = await exportOf(model, await databaseOf(sql, fill))
    const url = await databaseOf(sql)
    await importInto(url, model, file, { strict: true })
    expectSame(await exportOf(model, url), file)
    await importInto(url, model, file, { mode: 'replace' })
    expectSame(await exportOf(model, url), file)
  })

  test('who owns the tables needs no other rights, and who does not is told', async () => {
    const { model, sql } = await schemaOf(shop)
    const file = await exportOf(model, await databaseOf(sql, ann))
    const admin = await databaseOf('CREATE ROLE owner LOGIN; CREATE ROLE guest LOGIN')
    await query(admin, 'CREATE DATABASE owned OWNER owner')
    const as = (user: string) => {
      const url = new URL(admin)
      url.pathname = '/owned'
      url.username = user
      return url.href
    }
    await query(as('owner'), 'CREATE SCHEMA own')
    const tables = `SET search_path = own; ${sql}; INSERT INTO "User" VALUES (1, 'zoe@x'); GRANT USAGE ON SCHEMA own TO guest;
      GRANT ALL ON ALL TABLES IN SCHEMA own TO guest; GRANT ALL ON ALL SEQUENCES IN SCHEMA own TO guest`
    await query(as('owner'), tables.replaceAll('"public".', ''))
    await importInto(`${as('owner')}?schema=own`, model, file, { mode: 'replace' })
    expectSame(await exportOf(model, `${as('owner')}?schema=own`), file)
    await query(as('owner'), 'DELETE FROM own."Order"')
    await expect(importInto(`${as('guest')}?schema=own`, model, file)).rejects.toMatchObject({
      message: expect.stringContaining('must be owner'),
      next: expect.stringContaining('owns the tables'),
    })
  })

  test('a table in partitions', async () => {
    const { model } = await schemaOf(`${head}
model Row {
  id   Int    @id
  name String
}`)
    const tables = `CREATE TABLE "Row" (id int PRIMARY KEY, name text NOT NULL) PARTITION BY RANGE (id);
      CREATE TABLE low PARTITION OF "Row" FOR VALUES FROM (0) TO (10); CREATE TABLE high PARTITION OF "Row" DEFAULT`
    const file = await exportOf(model, await databaseOf(tables, `INSERT INTO "Row" VALUES (1, 'a'), (20, 'b')`))
    const url = await databaseOf(tables, `INSERT INTO "Row" VALUES (1, 'x'), (20, 'b'), (30, 'c')`)
    expect(totals(await importInto(url, model, file, { mode: 'replace' }))).toMatchObject({ updated: 1, removed: 1 })
    expectSame(await exportOf(model, url), file)
  })

  test('a connection that breaks while it commits: the server says what became of it', async () => {
    const { model, sql } = await schemaOf(shop)
    const file = await exportOf(model, await databaseOf(sql, ann))
    for (const isForwarded of [true, false]) {
      const url = await databaseOf(sql)
      const proxy = await proxyThatBreaks(Number(new URL(url).port), isForwarded)
      const through = new URL(url)
      through.port = String(proxy.port)
      const attempt = importInto(through.href, model, file)
      if (isForwarded) expect(totals(await attempt)).toMatchObject({ created: 4 })
      else await expect(attempt).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE' })
      expect(proxy.hasBroken()).toBe(true)
      expect(await query(url, 'SELECT count(*)::int AS n FROM "Order"')).toEqual([{ n: isForwarded ? 2 : 0 }])
      await proxy.stop()
    }
  })

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

  test('a database without the tables is refused, and says what to do', async () => {
    const { model, sql } = await schemaOf(shop)
    const file = await exportOf(model, await databaseOf(sql, ann))
    const empty = await databaseOf()
    const refusal = { code: 'IMPORT_CONFLICT', next: expect.stringContaining('Start the app once') }
    await expect(importInto(empty, model, file)).rejects.toMatchObject(refusal)
    await expect(importInto(`${empty}_none`, model, file)).rejects.toMatchObject(refusal)
  })
})

/** Passes everything on until the import commits, then breaks off: before PostgreSQL hears of it, or after. */
async function proxyThatBreaks(port: number, isForwarded: boolean) {
  let hasBroken = false
  const proxy = createServer((client) => {
    const upstream = connect(port, '127.0.0.1')
    let isNear = false
    let isBreaking = false
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    client.on('data', (chunk) => {
      isNear ||= chunk.includes('pg_current_xact_id')
      isBreaking = isNear && !hasBroken && chunk.includes('COMMIT')
      hasBroken ||= isBreaking
      if (isBreaking && !isForwarded) end()
      else upstream.write(chunk)
    })
    upstream.on('data', (chunk) => (isBreaking ? end() : client.write(chunk)))
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  return {
    port: (proxy.address() as AddressInfo).port,
    hasBroken: () => hasBroken,
    stop: () => new Promise((resolve) => proxy.close(resolve)),
  }
}
