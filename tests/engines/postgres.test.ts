// The contract of engines, and the whole boot, on a real PostgreSQL server.
// Guarantees tested beyond the contract: what is special to a server: unreachable, missing database, enum values.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openPostgres } from '../../src/engines/postgres.ts'
import { baseModels, boot, makeApp, ops } from '../harness.ts'
import { describePostgres, query, startPostgres, type TestPostgres } from '../postgres.ts'
import { engineContract } from './contract.ts'

let server: TestPostgres

describePostgres('PostgreSQL', () => {
  beforeAll(async () => {
    server = (await startPostgres())!
  }, 60_000)
  afterAll(() => server?.stop())

  engineContract('PostgreSQL', async () => {
    const url = await server.newDatabase()
    return {
      engine: openPostgres(url, { busyMs: 2_000 }),
      run: async (sql) => void (await query(url, sql)),
      rows: async (sql) => (await query(url, sql)) as Record<string, unknown>[],
    }
  })

  test('boots: creates the database, follows the schema, refuses a loss until its code is given', async () => {
    const app = makeApp(baseModels, 'postgresql')
    const url = `${(await server.newDatabase()).replace(/test_\d+$/, '')}made_by_the_boot`
    app.env.DATABASE_URL = url
    const first = await boot(app)
    expect([first.exitCode, first.output.includes('"level":"error"')]).toEqual([0, false])
    await query(url, `INSERT INTO "User"(name, notes) VALUES ('john', 'likes'), ('ann', NULL)`)
    const second = await boot(app)
    expect([second.exitCode, second.step('copy')?.msg]).toEqual([0, expect.stringContaining('.dump')])
    expect([second.step('schema')?.state, second.step('export')?.state]).toEqual(['skipped', 'done'])
    const latest = JSON.parse(readFileSync(join(app.dir, 'data', 'backup_latest.json'), 'utf8'))
    expect(latest.counts).toMatchObject({ User: 2, Post: 0 })

    app.setSchema(baseModels.replace('  notes String?\n', ''))
    const refused = await boot(app)
    expect(refused.exitCode).toBe(3)
    expect(refused.output).toContain('column notes of table User: 1 row has a value')
    expect(await query(url, 'SELECT name, notes FROM "User" ORDER BY id')).toEqual([
      { name: 'john', notes: 'likes' },
      { name: 'ann', notes: null },
    ])
    const code = /ACCEPT_DATA_LOSS=([A-Z0-9-]+)/.exec(refused.output)![1]!
    const allowed = await boot(app, ['true'], { ACCEPT_DATA_LOSS: code })
    expect([allowed.exitCode, allowed.step('schema')?.state]).toEqual([0, 'done'])
    expect(await query(url, 'SELECT * FROM "User" ORDER BY id')).toEqual([
      { id: 1, name: 'john' },
      { id: 2, name: 'ann' },
    ])
    const stem = second.step('copy')!.msg.split('.')[0]!
    expect((await ops(app, 'restore', stem, '--apply')).exitCode).toBe(0)
    expect(await query(url, 'SELECT notes FROM "User" ORDER BY id')).toEqual([{ notes: 'likes' }, { notes: null }])
  })

  test('an app that does not come up on a changed schema gets the old database back', async () => {
    const app = makeApp(baseModels, 'postgresql')
    const url = await server.newDatabase()
    app.env.DATABASE_URL = url
    await boot(app)
    await query(url, `INSERT INTO "User"(name) VALUES ('john')`)
    app.setSchema(`${baseModels}\nmodel Extra {\n  id Int @id\n}\n`)
    const result = await boot(app, ['sh', '-c', 'exit 7'])
    expect([result.exitCode, result.output.includes('was put back')]).toEqual([7, true])
    expect(await query(url, `SELECT to_regclass('"Extra"') AS it`)).toEqual([{ it: null }])
    expect(await query(url, 'SELECT name FROM "User"')).toEqual([{ name: 'john' }])
  })

  test('an enum value that is added and used as a default in the same change', async () => {
    const models = (values: string, rest: string) =>
      `enum Mood { ${values} }\nmodel User {\n  id Int @id @default(autoincrement())\n  mood Mood${rest}\n}\n`
    const app = makeApp(models('GOOD\n BAD\n', ' @default(GOOD)').replace('{ GOOD', '{\n GOOD'), 'postgresql')
    const url = await server.newDatabase()
    app.env.DATABASE_URL = url
    expect((await boot(app)).exitCode).toBe(0)
    await query(url, 'INSERT INTO "User" DEFAULT VALUES')
    app.setSchema(models('GOOD\n BAD\n SO_SO\n', ' @default(SO_SO)').replace('{ GOOD', '{\n GOOD'))
    const result = await boot(app)
    expect([result.exitCode, result.output.includes('"level":"error"')]).toEqual([0, false])
    await query(url, 'INSERT INTO "User" DEFAULT VALUES')
    expect(await query(url, 'SELECT mood::text FROM "User" ORDER BY id')).toEqual([{ mood: 'GOOD' }, { mood: 'SO_SO' }])
  })

  test('a server that is not there is one sentence without the password', async () => {
    const app = makeApp(baseModels, 'postgresql')
    const result = await boot(app, ['true'], {
      DATABASE_URL: 'postgresql://joe:geheim@127.0.0.1:9/db',
      BUSY_WAIT_SECONDS: '0',
    })
    expect([result.exitCode, result.output.includes('DATABASE_UNREACHABLE')]).toEqual([69, true])
    expect(result.output).not.toContain('geheim')
  })

  test('a copy of a database in a schema of its own', async () => {
    const app = makeApp(baseModels, 'postgresql')
    const base = await server.newDatabase()
    app.env.DATABASE_URL = `${base}?schema=own`
    expect((await boot(app)).exitCode).toBe(0)
    await query(base, `INSERT INTO own."User"(name) VALUES ('john')`)
    const { stdout, exitCode } = await ops(app, 'backup', '--json')
    expect(exitCode).toBe(0)
    await query(base, 'DELETE FROM own."User"')
    expect((await ops(app, 'restore', JSON.parse(stdout).id, '--apply')).exitCode).toBe(0)
    expect(await query(base, 'SELECT name FROM own."User"')).toEqual([{ name: 'john' }])
  })
})
