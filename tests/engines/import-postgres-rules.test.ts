// What an import into PostgreSQL does to rows that are there, and what it leaves alone: ids, sequences, triggers, keys
// that change places, protected rows; a connection that breaks.

import { type AddressInfo, connect, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { describePostgres, query } from '../postgres.ts'
import {
  ann,
  databaseOf,
  expectSame,
  exportOf,
  head,
  importInto,
  nothing,
  schemaOf,
  shop,
  totals,
} from './postgres-imports.ts'

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
