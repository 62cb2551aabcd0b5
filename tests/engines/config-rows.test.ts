// The row of settings on both engines: read, changed, made; types, names and what is refused.
// Guarantees tested: what is stored is what Prisma would store; nothing is written where one value is wrong, or where the
// row is not as it was shown.

import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Model } from '../../src/data-model.ts'
import { type ConfigTarget, readConfigRows, saveConfigRows, settingsFields } from '../../src/engines/config-rows.ts'
import { readDataModel } from '../../src/prisma/data-model.ts'
import { boot, makeApp, type TestApp } from '../harness.ts'
import { postgresMissing, query, startPostgres, type TestPostgres } from '../postgres.ts'

const schema = (isPostgres: boolean) => `
enum Level {
  LOW
  HIGH @map("high up")
  @@map("levels")
}
/// @config
model AppSettings {
  id        Int      @id @default(autoincrement()) @map("settings_id")
  title     String   @default("My app") @map("app_title")
  note      String?${isPostgres ? ' @db.VarChar(20)' : ''}
  count     Int?
  big       BigInt?
  ratio     Float?
  price     Decimal?
  isOn      Boolean  @default(true) @map("is_on")
  level     Level    @default(HIGH)
  since     DateTime?${isPostgres ? ' @db.Timestamptz(3)' : ''}
  extra     Json?
  picture   Bytes?
  /// @secret
  key       String?
  createdAt DateTime @default(now())
  updatedAt DateTime @updatedAt
  @@map("app settings")
}
/// @config
model Mail {
  id   String @id @default(cuid())
  host String
  port Int    @default(25)
  ${isPostgres ? 'tags String[]\n  day DateTime? @db.Date\n  token String? @db.Uuid' : ''}
}
`

interface Engine {
  target: ConfigTarget
  app: TestApp
  models: Model[]
  rows(sql: string): Promise<Record<string, unknown>[]>
}

const now = new Date('2026-11-21T18:00:00.000Z')
let server: TestPostgres | undefined
const engines: Record<string, Engine> = {}

async function open(kind: 'sqlite' | 'postgresql'): Promise<Engine> {
  const content = schema(kind === 'postgresql')
  const app = makeApp(content, kind)
  const url = kind === 'postgresql' ? await server!.newDatabase() : undefined
  if (url) app.env.DATABASE_URL = url
  const { exitCode, output } = await boot(app)
  expect(exitCode, output).toBe(0)
  const { models } = await readDataModel([
    { path: 'schema.prisma', content: `datasource db {\n  provider = "${kind}"\n}\n${content}` },
  ])
  return {
    app,
    models: models.filter(({ isConfig }) => isConfig),
    target: { engine: kind, database: url ?? app.database, busyMs: 2_000 },
    async rows(sql) {
      if (url) return await query(url, sql)
      const database = app.open()
      try {
        return database.prepare(sql).all() as Record<string, unknown>[]
      } finally {
        database.close()
      }
    },
  }
}

beforeAll(async () => {
  server = await startPostgres()
  engines.sqlite = await open('sqlite')
  if (server) engines.postgresql = await open('postgresql')
}, 120_000)
afterAll(async () => await server?.stop())

const kinds = (['sqlite', 'postgresql'] as const).filter((kind) => kind === 'sqlite' || !postgresMissing)

describe.each(kinds)('%s', (kind) => {
  const engine = () => engines[kind]!
  const app = () => engine().models[0]!
  const mail = () => engine().models[1]!
  const all = `SELECT * FROM "app settings"`
  const read = async () => (await readConfigRows(engine().target, [app()]))[0]!
  const run = async (sql: string) => {
    if (kind === 'postgresql') return void (await query(engine().target.database, sql))
    const database = engine().app.open()
    database.exec(sql)
    database.close()
  }
  const save = async (values: Record<string, string | boolean | null>) =>
    await saveConfigRows(engine().target, [{ model: app(), expected: await read(), values }], now)

  test('what a form has: no keys, no times that set themselves, no bytes, no lists', () => {
    const names = settingsFields(app()).map(({ name }) => name)
    const wanted = ['title', 'note', 'count', 'big', 'ratio', 'price', 'isOn', 'level', 'since', 'extra', 'key']
    expect(names).toEqual(wanted)
    expect(settingsFields(mail()).map(({ name }) => name)).toEqual([
      ...['host', 'port'],
      ...(kind === 'postgresql' ? ['day', 'token'] : []),
    ])
  })

  test('a row that is not there is made with the defaults, and only with what it needs', async () => {
    expect(await read()).toBeNull()
    expect(await save({ note: 'hello' })).toEqual({ kind: 'saved' })
    const [row, ...others] = await engine().rows(all)
    expect(others).toEqual([])
    expect(row).toMatchObject({ settings_id: 1, app_title: 'My app', note: 'hello', level: 'high up', count: null })
    expect(await read()).toMatchObject({ title: 'My app', isOn: true, level: 'HIGH', note: 'hello' })
    const time = (name: string) => new Date(String(row![name])).toISOString()
    if (kind === 'sqlite')
      expect([row!.createdAt, row!.updatedAt]).toEqual(Array(2).fill('2026-11-21T18:00:00.000+00:00'))
    else expect(typeof time('createdAt')).toBe('string')

    const attempt = (values: Record<string, string>) =>
      saveConfigRows(engine().target, [{ model: mail(), expected: null, values }], now)
    expect(await attempt({ port: '26' })).toEqual({
      kind: 'refused',
      problems: [{ model: 'Mail', field: 'host', message: 'This is required.' }],
    })
    expect(await engine().rows('SELECT * FROM "Mail"')).toEqual([])
    expect(await attempt({ host: 'mail.test' })).toEqual({ kind: 'saved' })
    const [made] = await engine().rows('SELECT * FROM "Mail"')
    expect(made).toMatchObject({ id: expect.stringMatching(/^c[a-z0-9]{24}$/), host: 'mail.test', port: 25 })
  })

  test('each type is stored as Prisma would, and nothing else of the row is touched', async () => {
    const [before] = await engine().rows(all)
    const values = {
      ...{ title: `It's "quoted"; DROP TABLE`, note: null, count: ' -42 ', big: '9007199254740993' },
      ...{ ratio: '1e-3', price: '12.50', isOn: false, level: 'LOW', since: '2026-11-21T20:30:00+02:00' },
      ...{ extra: '{"a": [1, null]}', key: 'made-up-key' },
    }
    expect(await save(values)).toEqual({ kind: 'saved' })
    const [stored] = await engine().rows(all)
    expect(stored).toMatchObject({ settings_id: before!.settings_id, app_title: values.title, note: null, count: -42 })
    expect(stored!.createdAt).toEqual(before!.createdAt)
    expect(Number(stored!.ratio)).toBe(0.001)
    expect(Number(stored!.price)).toBe(12.5)
    expect(stored!.level).toBe('LOW')
    if (kind === 'sqlite') expect(stored).toMatchObject({ is_on: 0, since: '2026-11-21T18:30:00.000+00:00' })
    else {
      expect(stored!.is_on).toBe(false)
      expect((stored!.since as Date).toISOString()).toBe('2026-11-21T18:30:00.000Z')
      expect(stored!.extra).toEqual({ a: [1, null] })
    }
    expect(await read()).toMatchObject({
      ...{ title: values.title, note: null, count: -42, big: '9007199254740993', ratio: 0.001, price: '12.5' },
      ...{ isOn: false, level: 'LOW', key: 'made-up-key' },
    })
    expect(JSON.parse(String((await read()).extra))).toEqual({ a: [1, null] })
    if (kind === 'sqlite') expect(stored!.updatedAt).toBe('2026-11-21T18:00:00.000+00:00')
    // One field alone leaves the others.
    expect(await save({ count: '7' })).toEqual({ kind: 'saved' })
    expect((await engine().rows(all))[0]).toEqual({ ...stored, count: 7, updatedAt: expect.anything() })
  })

  const wrong: [field: string, typed: string | boolean | null, message: string][] = [
    ['title', null, 'This is required.'],
    ['title', '', 'This is required.'],
    ['note', 'a\0b', 'A text cannot hold a NUL character.'],
    ['count', '1.5', 'Type a whole number.'],
    ['count', '2147483648', 'Type a number from -2147483648 to 2147483647.'],
    ['count', '-2147483649', 'Type a number from -2147483648 to 2147483647.'],
    ['big', '9223372036854775808', 'Type a number of fewer digits.'],
    ['ratio', '1e999', 'Type a number, such as 12.5.'],
    ['price', '12,50', 'Type a number, such as 12.5.'],
    ['price', 'NaN', 'Type a number, such as 12.5.'],
    ['isOn', 'maybe', 'Choose yes or no.'],
    ['isOn', null, 'This is required.'],
    ['level', 'MIDDLE', 'Choose one of the list.'],
    ['level', 'high up', 'Choose one of the list.'],
    ['since', 'tomorrow', 'Type a date and time, such as 2026-11-21T18:30:00Z.'],
    ['since', '2026-13-41T00:00:00Z', 'Type a date and time, such as 2026-11-21T18:30:00Z.'],
    ['since', '2026-02-30T00:00:00Z', 'Type a date and time, such as 2026-11-21T18:30:00Z.'],
    ['since', '2026-11-21T18:30:00', 'Type a date and time, such as 2026-11-21T18:30:00Z.'],
    ['extra', '{a: 1}', 'This is not JSON. A text needs quotation marks; members have commas between.'],
  ]

  test('what does not fit is told at its field, all of it at once, and nothing is written', async () => {
    const before = await engine().rows(all)
    const fields = [...new Set(wrong.map(([field]) => field))]
    for (let round = 0; round < 4; round += 1) {
      // Of each field one that is wrong, beside one that is right.
      const cases = fields
        .map((field) => wrong.filter((each) => each[0] === field)[round])
        .filter((each) => each !== undefined)
      const outcome = await save({ ...Object.fromEntries(cases), key: 'another' })
      const problems = cases.map(([field, , message]) => ({ model: 'AppSettings', field, message }))
      expect(outcome).toEqual({ kind: 'refused', problems })
    }
    expect(await engine().rows(all)).toEqual(before)
    // The limits themselves are fine.
    expect(await save({ count: '2147483647' })).toEqual({ kind: 'saved' })
    expect(await save({ count: '-2147483648', big: '-9223372036854775808' })).toEqual({ kind: 'saved' })
  })

  test('a row that changed since is left alone; of two at once one is saved', async () => {
    const shown = await read()
    const change = (note: string) => [{ model: app(), expected: shown, values: { note } }]
    const outcomes = await Promise.all([1, 2].map((i) => saveConfigRows(engine().target, change(`tab ${i}`), now)))
    expect(outcomes.map((outcome) => outcome.kind).sort()).toEqual(['changed', 'saved'])
    const [row] = await engine().rows(all)
    expect(row!.note).toBe(`tab ${outcomes[0]!.kind === 'saved' ? 1 : 2}`)
    // Two models are one transaction: a wrong one keeps the other from being written.
    const [first, second] = await readConfigRows(engine().target, [app(), mail()])
    const outcome = await saveConfigRows(
      engine().target,
      [
        { model: app(), expected: first!, values: { note: 'both' } },
        { model: mail(), expected: { ...second, host: 'another' }, values: { port: '1' } },
      ],
      now,
    )
    expect(outcome).toEqual({ kind: 'changed' })
    expect(await engine().rows(all)).toEqual([row])
  })

  test('of two at once that would make the row, one does', async () => {
    const mine = { model: mail(), expected: null, values: { host: 'new.test' } }
    await run('DELETE FROM "Mail"')
    const outcomes = await Promise.all([1, 2].map(() => saveConfigRows(engine().target, [mine], now)))
    expect(outcomes.map((outcome) => outcome.kind).sort()).toEqual(['changed', 'saved'])
    expect(await engine().rows('SELECT * FROM "Mail"')).toHaveLength(1)
  })

  if (kind === 'postgresql')
    test('an app that has the row locked is waited for, and then left alone', async () => {
      const other = new pg.Client({ connectionString: engine().target.database })
      await other.connect()
      try {
        await other.query(`BEGIN; UPDATE "app settings" SET note = 'of the app'`)
        const mine = { model: engine().models[0]!, expected: await read(), values: { note: 'mine' } }
        const busy = saveConfigRows({ ...engine().target, busyMs: 300 }, [mine], now)
        await expect(busy).rejects.toMatchObject({ code: 'DATABASE_BUSY' })
        const waiting = saveConfigRows(engine().target, [mine], now)
        await other.query('COMMIT')
        expect(await waiting).toEqual({ kind: 'changed' })
        expect(await read()).toMatchObject({ note: 'of the app' })
      } finally {
        await other.end()
      }
    })

  test('a table that is not there is said to be so', async () => {
    const model = { ...app(), table: 'elsewhere' }
    await expect(readConfigRows(engine().target, [model])).rejects.toMatchObject({
      code: 'SETTINGS_REFUSED',
      message: expect.stringContaining('no table "elsewhere"'),
      next: expect.stringContaining('Start the app once'),
    })
  })

  if (kind === 'postgresql')
    test('what only PostgreSQL knows: lengths, its own types, dates', async () => {
      const attempt = async (values: Record<string, string>) => {
        const [expected] = await readConfigRows(engine().target, [mail()])
        return await saveConfigRows(engine().target, [{ model: mail(), expected: expected!, values }], now)
      }
      expect(await save({ note: 'a text of more than twenty characters' })).toMatchObject({
        problems: [{ field: 'note', message: 'The field cannot hold a text that does not fit character varying(20).' }],
      })
      expect(await attempt({ token: 'no uuid' })).toMatchObject({
        problems: [
          { field: 'token', message: expect.stringMatching(/^PostgreSQL does not take it: invalid input syntax/) },
        ],
      })
      expect(JSON.stringify(await attempt({ token: 'no uuid' }))).not.toContain('no uuid')
      expect(await attempt({ day: 'Saturday' })).toMatchObject({
        problems: [{ field: 'day', message: 'Type a date, such as 2026-11-21.' }],
      })
      const token = '00000000-0000-4000-8000-00000000abcd'
      expect(await attempt({ day: '2026-11-21', token: token.toUpperCase() })).toEqual({ kind: 'saved' })
      expect((await readConfigRows(engine().target, [mail()]))[0]).toMatchObject({ day: '2026-11-21', token })
    })
})
