// The import into SQLite: what an export says is what the database holds afterwards, in an empty one, in one with other
// ids, and twice.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { afterAll, describe, expect, test } from 'vitest'
import type { DataModel } from '../../src/data-model.ts'
import type { ImportOptions, ImportReport } from '../../src/engines/engine-import.ts'
import { serialKey } from '../../src/engines/import-mapping.ts'
import { exportSqlite } from '../../src/engines/sqlite-export.ts'
import { stageImport } from '../../src/engines/sqlite-import.ts'
import { openExportWriter } from '../../src/formats/bootkeeper.ts'
import { openSource } from '../../src/formats/source.ts'
import { readDataModel } from '../../src/prisma/data-model.ts'
import { planPush } from '../../src/prisma/schema-engine.ts'
import { seed } from '../random.ts'
import { hardRows, hardSchema, header, sqliteTables } from './export-fixtures.ts'
import { fillRandomly, randomSchema } from './random-schema.ts'
import { realSchemas } from './real-schemas.ts'

const directory = mkdtempSync(join(tmpdir(), 'bootkeeper-import-'))
process.env.SQLITE_TMPDIR = directory
afterAll(() => rmSync(directory, { recursive: true, force: true }))
let made = 0

const path = (ending: string) => join(directory, `${++made}.${ending}`)

function databaseOf(sql: string, fill: (database: Database.Database) => void = () => undefined): string {
  const file = path('db')
  const database = new Database(file)
  database.pragma('journal_mode = wal')
  database.pragma('synchronous = off')
  database.exec(sql)
  database.transaction(() => fill(database))()
  database.close()
  return file
}

function exportOf(model: DataModel, databasePath: string): string {
  const target = path('json')
  exportSqlite({ databasePath, model, header, target, openWriter: openExportWriter })
  return target
}

type How = Partial<Pick<ImportOptions, 'mode' | 'keepExisting' | 'strict'> & { apply: boolean }>

async function importInto(databasePath: string, model: DataModel, file: string, how: How = {}): Promise<ImportReport> {
  const source = await openSource(file, { userName: 'john' })
  const { apply = true, ...rest } = how
  const options = { mode: 'merge', keepExisting: false, strict: false, ...rest } as const
  const staged = await stageImport({ databasePath, model, source, busyMs: 1000, now: new Date(0), ...options }, apply)
  try {
    const plan = staged.plan()
    if (!apply) return plan
    const report = await staged.apply()
    // Nothing came between.
    expect(report).toEqual(plan)
    return report
  } finally {
    staged.close()
  }
}

/** The data alone: header and checksum tell when, and how the database was made. */
function canonicalHash(file: string): string {
  const text = readFileSync(file, 'utf8')
  const data = text.slice(text.indexOf('\n"data": {'), text.lastIndexOf('\n"sha256"'))
  return createHash('sha256').update(data).digest('hex')
}

const totals = ({ models }: ImportReport) => {
  const sum = (name: 'created' | 'updated' | 'unchanged' | 'skipped' | 'removed') =>
    models.reduce((total, model) => total + model[name], 0)
  return {
    created: sum('created'),
    updated: sum('updated'),
    unchanged: sum('unchanged'),
    skipped: sum('skipped'),
    removed: sum('removed'),
  }
}

async function schemaOf(...contents: string[]): Promise<{ model: DataModel; sql: string }> {
  const files = contents.map((content, index) => ({ path: `schema-${index}.prisma`, content }))
  const [model, { sql }] = await Promise.all([readDataModel(files), planPush({ url: `file:${path('none')}`, files })])
  return { model, sql }
}

describe('round trips', () => {
  const schemas = Number(process.env.SCHEMAS ?? (process.env.SOAK ? 1000 : 25))
  const dataSets = process.env.SOAK ? 10 : 3

  test(`${schemas} random schemas with ${dataSets} sets of rows each come back as they were (seed ${seed})`, async () => {
    for (let number = 0; number < schemas; number++) {
      const schemaSeed = (seed + number) >>> 0
      const schema = randomSchema(schemaSeed)
      const { model, sql } = await schemaOf(schema)
      for (let set = 0; set < dataSets; set++) {
        const where = `SEED=${schemaSeed} SCHEMAS=1, rows ${set}\n${schema}`
        const first = databaseOf(sql, (database) => fillRandomly(database, model, schemaSeed + 7 * set, 12))
        const file = exportOf(model, first)
        const second = databaseOf(sql)
        const report = await importInto(second, model, file).catch((error) => {
          throw new Error(`${where}\n${error.stack}`)
        })
        const again = exportOf(model, second)
        expect(totals(report), where).toMatchObject({ updated: 0, unchanged: 0, skipped: 0, removed: 0 })
        if (canonicalHash(again) !== canonicalHash(file))
          expect(readFileSync(again, 'utf8'), where).toBe(readFileSync(file, 'utf8'))
        // The same file again changes nothing, in either mode.
        for (const mode of ['merge', 'replace'] as const) {
          const repeated = await importInto(second, model, file, { mode, apply: mode === 'replace' })
          const shown = JSON.stringify(repeated.models.filter(({ created }) => created > 0))
          expect(totals(repeated), `${where} ${mode} ${shown}`).toMatchObject({
            created: 0,
            updated: 0,
            skipped: 0,
            removed: 0,
            unchanged: totals(report).created,
          })
        }
        expect(canonicalHash(exportOf(model, second)), where).toBe(canonicalHash(file))
        for (const each of [first, second, file, again]) rmSync(each, { force: true })
      }
    }
  }, 7_200_000)

  test.each(Object.entries(realSchemas))(
    'a schema as of a real app: %s',
    async (_, contents) => {
      const { model, sql } = await schemaOf(...contents)
      for (const set of [1, 2, 3]) {
        const first = databaseOf(sql, (database) => fillRandomly(database, model, seed + set, 25))
        const file = exportOf(model, first)
        const second = databaseOf(sql)
        const report = await importInto(second, model, file)
        expect(totals(report)).toMatchObject({ updated: 0, unchanged: 0, skipped: 0 })
        expect(canonicalHash(exportOf(model, second))).toBe(canonicalHash(file))
        expect(totals(await importInto(second, model, file))).toMatchObject({ created: 0, updated: 0 })
        const busy = databaseOf(sql, (database) => fillRandomly(database, model, seed + set + 100, 25))
        await importInto(busy, model, file, { mode: 'replace' })
        expect(canonicalHash(exportOf(model, busy))).toBe(canonicalHash(file))
      }
    },
    60_000,
  )

  test('everything that makes an export hard, but for references to rows that are not there', async () => {
    const model = await readDataModel([{ path: 'schema.prisma', content: hardSchema('sqlite') }])
    const first = databaseOf(sqliteTables, (database) => database.exec(hardRows))
    const target = databaseOf(sqliteTables)
    const report = await importInto(target, model, exportOf(model, first))
    expect(report.emptied).toEqual([{ model: 'User', field: 'boss', rows: 1 }])
    expect(report.skipped).toMatchObject([
      { model: 'Post', reason: 'its author is neither in the file nor in the database', rows: 1 },
      { model: 'Note', rows: 2 },
    ])
    const database = new Database(first)
    database.pragma('foreign_keys = off')
    database.exec(
      `UPDATE "users" SET boss_id = NULL WHERE boss_id = 99; DELETE FROM "Post" WHERE id = 13; DELETE FROM "Note" WHERE id > 1`,
    )
    database.close()
    const file = exportOf(model, first)
    expect(canonicalHash(exportOf(model, target))).toBe(canonicalHash(file))
    await expect(
      importInto(
        databaseOf(sqliteTables),
        model,
        exportOf(
          model,
          databaseOf(sqliteTables, (each) => each.exec(hardRows)),
        ),
        { strict: true },
      ),
    ).rejects.toMatchObject({ code: 'IMPORT_INCOMPLETE' })
  })

  const merges = Number(process.env.SCHEMAS ?? (process.env.SOAK ? 1000 : 40))
  test(`${merges} merges into databases with other rows and ids (seed ${seed})`, async () => {
    let conflicts = 0
    for (let number = 0; number < merges; number++) {
      const schemaSeed = (seed + number) >>> 0
      const schema = randomSchema(schemaSeed)
      const where = `SEED=${schemaSeed} SCHEMAS=1\n${schema}`
      const { model, sql } = await schemaOf(schema)
      const file = exportOf(
        model,
        databaseOf(sql, (database) => fillRandomly(database, model, schemaSeed, 10)),
      )
      const target = databaseOf(sql, (database) => fillRandomly(database, model, schemaSeed + 1, 10))
      const before = canonicalHash(exportOf(model, target))
      try {
        await importInto(target, model, file)
      } catch (error) {
        expect(error, where).toMatchObject({ code: 'IMPORT_CONFLICT' })
        expect(canonicalHash(exportOf(model, target)), where).toBe(before)
        conflicts++
        continue
      }
      const after = exportOf(model, target)
      expect(new Database(target, { readonly: true }).pragma('foreign_key_check'), where).toEqual([])
      for (const [name, rows] of Object.entries(namedRows(model, after, file)))
        expect(rows.missing, `${name} ${where}`).toEqual([])
      expect(totals(await importInto(target, model, file)), where).toMatchObject({ created: 0, updated: 0, skipped: 0 })
      expect(canonicalHash(exportOf(model, target)), where).toBe(canonicalHash(after))
    }
    expect(conflicts).toBeLessThan(merges / 2)
  }, 7_200_000)
})

/** Rows of `file`, without ids that are no natural keys and references by them, that `after` does not have as often. */
function namedRows(model: DataModel, after: string, file: string): Record<string, { missing: string[] }> {
  const read = (from: string) =>
    JSON.parse(readFileSync(from, 'utf8')).data as Record<string, Record<string, unknown>[]>
  const [all, wanted] = [read(after), read(file)]
  const result: Record<string, { missing: string[] }> = {}
  for (const each of model.models) {
    // A row that is told by another key keeps the primary key that it has in the database.
    const isKey = each.naturalKey.every((part) => each.primaryKey.includes(part.name)) && !serialKey(each)
    const ids = isKey ? [] : each.primaryKey
    const plain = (row: Record<string, unknown>) =>
      JSON.stringify(row, (key, value) =>
        ids.includes(key) || (typeof value === 'object' && value !== null && '#' in value) ? undefined : value,
      )
    const there = (all[each.name] ?? []).map(plain)
    const missing = (wanted[each.name] ?? []).map(plain).filter((row) => {
      const at = there.indexOf(row)
      if (at >= 0) there.splice(at, 1)
      return at < 0
    })
    result[each.name] = { missing }
  }
  return result
}

const shop = (user: string, rest = '') => `
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
const plainShop = shop('name String @unique')

async function filled(schema: string, inserts: string) {
  const { model, sql } = await schemaOf(schema)
  const database = databaseOf(sql, (each) => each.exec(inserts))
  return { model, sql, database, file: exportOf(model, database) }
}

function rowsOf(database: string, sql: string): unknown[] {
  const open = new Database(database, { readonly: true })
  try {
    return open.prepare(sql).raw().all()
  } finally {
    open.close()
  }
}

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
    await importInto(target, model, payload, { mode: 'replace' })
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

describe('what is wrong with a file', () => {
  test('cut off at any byte, or with any byte changed, it is refused', async () => {
    const { model, sql, file } = await filled(
      plainShop,
      `INSERT INTO "User" VALUES (1, 'ann'), (2, 'bob'); INSERT INTO "Order" VALUES (1, 10, 2)`,
    )
    const bytes = readFileSync(file)
    const target = databaseOf(sql, (database) => database.exec(`INSERT INTO "User" VALUES (7, 'zoe')`))
    const before = readFileSync(target)
    const broken = path('json')
    const refused = async (content: Buffer, what: string) => {
      writeFileSync(broken, content)
      const error = await importInto(target, model, broken).then(
        () => undefined,
        (thrown) => thrown,
      )
      expect(
        ['EXPORT_DAMAGED', 'FORMAT_UNKNOWN', 'IMPORT_INVALID', 'IMPORT_OTHER_APP'],
        `${what}: ${error?.stack}`,
      ).toContain(error?.code)
    }
    for (let end = 0; end < bytes.length; end += 1 + Math.floor(end / 97))
      await refused(bytes.subarray(0, end), `the first ${end}`)
    for (let at = 3; at < bytes.length; at += 11) {
      const changed = Buffer.from(bytes)
      changed[at] = changed[at]! ^ 1
      await refused(changed, `byte ${at}`)
    }
    expect(readFileSync(target).equals(before)).toBe(true)
  }, 60_000)

  test('a wrong value is named with its line and field', async () => {
    const { model, sql, file } = await filled(
      plainShop,
      `INSERT INTO "User" VALUES (1, 'ann'); INSERT INTO "Order" VALUES (1, 10, 1)`,
    )
    const lines = readFileSync(file, 'utf8').split('\n')
    const line = lines.findIndex((each) => each.startsWith('{"id":1,"no"'))
    const cases: [string, string][] = [
      ['{"id":1,"no":"ten","user":"ann"}', `line ${line + 1}: Order.no should be a number, not "ten".`],
      ['{"id":1,"no":10,"user":true}', `line ${line + 1}: Order.user should be a reference, not true or false.`],
      [
        `{"id":1,"no":10,"user":${'['.repeat(50)}1${']'.repeat(50)}}`,
        `line ${line + 1}: Order.user is nested too deep`,
      ],
      ['{"id":1,"no":{"a":1},"user":"ann"}', `line ${line + 1}: Order.no should be a number, not an object.`],
      ['{"id":1,"no":10,"user":"ann"', `line ${line + 1} is neither a row nor the end of a model`],
      ['{"id":1,"no":,"user":"ann"}', `line ${line + 1} is not JSON`],
    ]
    for (const [row, message] of cases) {
      const content = [...lines.slice(0, line), row, ...lines.slice(line + 1)].join('\n')
      const wrong = path('json')
      writeFileSync(wrong, content)
      await expect(importInto(databaseOf(sql), model, wrong), row.slice(0, 60)).rejects.toThrow(message)
    }
  })

  test('compressed files are read, damaged ones refused', async () => {
    const { model, sql, file } = await filled(plainShop, `INSERT INTO "User" VALUES (1, 'ann')`)
    for (const [tool, ending] of [
      ['gzip', 'gz'],
      ['zstd', 'zst'],
      ['bzip2', 'bz2'],
    ] as const) {
      const packed = `${file}.${ending}`
      writeFileSync(packed, execFileSync(tool, ['-c', file]))
      const target = databaseOf(sql)
      await importInto(target, model, packed)
      expect(canonicalHash(exportOf(model, target)), tool).toBe(canonicalHash(file))
      const bytes = readFileSync(packed)
      writeFileSync(packed, bytes.subarray(0, bytes.length - 9))
      await expect(importInto(databaseOf(sql), model, packed), tool).rejects.toMatchObject({ code: 'EXPORT_DAMAGED' })
    }
    const encrypted = path('age')
    writeFileSync(encrypted, 'age-encryption.org/v1\n-> X25519 abc')
    await expect(importInto(databaseOf(sql), model, encrypted)).rejects.toThrow('is encrypted with age')
  })

  test('an export that a formatter reformatted is read; one of a newer version is not', async () => {
    const { model, sql, file } = await filled(plainShop, `INSERT INTO "User" VALUES (1, 'ann')`)
    const pretty = path('json')
    writeFileSync(pretty, JSON.stringify(JSON.parse(readFileSync(file, 'utf8')), null, 2))
    const target = databaseOf(sql)
    await importInto(target, model, pretty)
    expect(canonicalHash(exportOf(model, target))).toBe(canonicalHash(file))
    const newer = path('json')
    writeFileSync(newer, readFileSync(file, 'utf8').replace('"version": 1', '"version": 2'))
    await expect(importInto(target, model, newer)).rejects.toThrow('has version 2 of the export format')
  })
})

describe('older formats', () => {
  test('replace keeps what the file does not say of a row that it names, and settles', async () => {
    const { model, sql } = await schemaOf(readFileSync(new URL('../../prisma/schema.prisma', import.meta.url), 'utf8'))
    const target = databaseOf(sql, (database) =>
      database.exec(`INSERT INTO "User" (id, username, createdAt) VALUES (7, 'john', 'then'), (8, 'gone', 'then');
        INSERT INTO "Media" (id, tmdbId, title) VALUES (3, 348, 'Alien');
        INSERT INTO "UserMedia" (userId, mediaId, status, addedAt) VALUES (7, 3, 'WATCHED', 'then'), (8, 3, 'WATCHED', 'then')`),
    )
    const payload = path('json')
    writeFileSync(payload, '{"movies": [{"tmdb_id": 348, "title": "Alien"}, "Dune"]}')
    for (const counts of [
      { created: 2, removed: 2, unchanged: 2, updated: 1 },
      { created: 0, removed: 0, unchanged: 5, updated: 0 },
    ])
      expect(totals(await importInto(target, model, payload, { mode: 'replace' }))).toMatchObject(counts)
    expect(rowsOf(target, 'SELECT id, username, createdAt FROM "User"')).toEqual([[7, 'john', 'then']])
    expect(rowsOf(target, 'SELECT userId, mediaId, addedAt FROM "UserMedia" WHERE mediaId = 3')).toEqual([
      [7, 3, 'then'],
    ])
  })

  test('a title that stands in for none does not replace one', async () => {
    const { model, sql } = await schemaOf(readFileSync(new URL('../../prisma/schema.prisma', import.meta.url), 'utf8'))
    const target = databaseOf(sql, (database) =>
      database.exec(`INSERT INTO "Media" (tmdbId, mediaType, title) VALUES (348, 'movie', 'Alien')`),
    )
    const payload = path('json')
    writeFileSync(payload, '{"movies": [{"tmdb_id": 348, "year": 1979}, {"tmdb_id": 5}]}')
    await importInto(target, model, payload)
    expect(rowsOf(target, 'SELECT tmdbId, title, releaseYear FROM "Media" ORDER BY 1')).toEqual([
      [5, 'TMDB 5', null],
      [348, 'Alien', '1979'],
    ])
  })

  const golden = new URL('../formats/golden/', import.meta.url)
  const files = readdirSync(golden).filter((name) => !name.endsWith('.expected.json'))

  test.each(files)('%s goes into the bundled schema, and a second time changes nothing', async (name) => {
    const { model, sql } = await schemaOf(readFileSync(new URL('../../prisma/schema.prisma', import.meta.url), 'utf8'))
    const target = databaseOf(sql)
    const file = fileURLToPath(new URL(name, golden))
    const first = await importInto(target, model, file)
    const expected = JSON.parse(readFileSync(new URL(name.replace('.json', '.expected.json'), golden), 'utf8')) as {
      rows: Record<string, unknown[]>
    }
    const rows = Object.values(expected.rows).reduce((sum, each) => sum + each.length, 0)
    expect(first.skipped).toEqual([])
    expect(totals(first)).toMatchObject({ created: rows, updated: 0, skipped: 0 })
    const hash = canonicalHash(exportOf(model, target))
    const second = await importInto(target, model, file)
    expect(totals(second)).toMatchObject({ created: 0, updated: 0, unchanged: rows })
    expect(canonicalHash(exportOf(model, target))).toBe(hash)
  })
})
