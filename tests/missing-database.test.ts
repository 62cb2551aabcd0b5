// A boot that finds no database: a first start, or data that went missing?
// Guarantees tested: while a backup holds rows nothing is made, nothing is replaced and nothing removed; the two
// commands of the message work; an export without rows never takes the place of one that has some.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { listBackups, removeBackup, rowsOf } from '../src/manifest.ts'
import { boot, type Finished, makeApp, ops, sha256, type TestApp } from './harness.ts'
import { describePostgres, query, startPostgres } from './postgres.ts'

const latest = (app: TestApp) => join(app.dir, 'data', 'backup_latest.json')

function run(app: TestApp, sql: string): void {
  const database = app.open()
  database.exec(sql)
  database.close()
}

function users(app: TestApp): unknown {
  const database = app.open()
  try {
    return database.prepare('SELECT count(*) FROM User').pluck().get()
  } finally {
    database.close()
  }
}

async function appWithRows(): Promise<TestApp> {
  const app = makeApp()
  await boot(app)
  run(app, "INSERT INTO User(name) VALUES ('john'), ('ann')")
  expect((await boot(app)).exitCode).toBe(0)
  return app
}

function refusal(result: Finished): { msg: string; next: string; code: string; restore: string[] } {
  expect(result.exitCode, result.output).toBe(65)
  const { msg, next = '' } = result.lines.find(({ code }) => code === 'DATABASE_MISSING')!
  const restore = /npx bootkeeper (restore \S+ --apply) to /.exec(next)?.[1]?.split(' ') ?? []
  return { msg, next, code: /ACCEPT_DATA_LOSS=([A-Z0-9-]+)/.exec(next)![1]!, restore }
}

test.each([
  ['deleted', (app: TestApp) => rmSync(app.database)],
  ['made anew by opening it', (app: TestApp) => writeFileSync(app.database, '')],
  [
    'replaced by a database without tables',
    (app: TestApp) => {
      rmSync(app.database)
      run(app, 'CREATE TABLE x (id); DROP TABLE x')
    },
  ],
  [
    'deleted without its log',
    (app: TestApp) => {
      rmSync(app.database)
      writeFileSync(`${app.database}-wal`, 'the rest of a log')
    },
  ],
])('a database that was %s while backups hold rows stops the boot, again and again', async (_, lose) => {
  const app = await appWithRows()
  const before = sha256(latest(app))
  const backups = app.files()
  lose(app)
  for (let round = 0; round < 3; round += 1) {
    const { msg } = refusal(await boot(app, ['true'], { KEEP_BOOT_BACKUPS: '1' }))
    expect(msg).toContain(`${app.state().pinned}, made `)
    expect(msg).toContain('holds 2 rows')
  }
  expect(sha256(latest(app))).toBe(before)
  expect(app.files()).toEqual(backups)
  const { restore } = refusal(await boot(app))
  expect((await ops(app, ...restore)).exitCode).toBe(0)
  expect((await boot(app)).exitCode).toBe(0)
  expect(users(app)).toBe(2)
})

test('the code of the message starts afresh, and what was left behind outlives retention', async () => {
  const app = await appWithRows()
  const old = app.state().pinned!
  const before = sha256(latest(app))
  rmSync(app.database)
  const { code } = refusal(await boot(app))
  expect(refusal(await boot(app, ['true'], { ACCEPT_DATA_LOSS: 'AAAA-BBBB' })).msg).toContain('is for another change')
  const env = { KEEP_BOOT_BACKUPS: '1', ACCEPT_DATA_LOSS: code }
  const fresh = await boot(app, ['true'], env)
  expect(fresh.exitCode, fresh.output).toBe(0)
  expect(fresh.step('copy')?.msg).toContain(`${old} is kept`)
  // Without a row the new export replaces nothing; with one it does.
  expect(fresh.step('export')?.msg).toContain('backup_latest.json keeps the rows it has')
  expect(sha256(latest(app))).toBe(before)
  for (const name of ['eve', 'bob', 'joe']) {
    run(app, `INSERT INTO User(name) VALUES ('${name}')`)
    expect((await boot(app, ['true'], env)).exitCode).toBe(0)
  }
  expect(JSON.parse(readFileSync(latest(app), 'utf8')).counts).toMatchObject({ User: 3 })
  expect((await listBackups(app.backups)).map(({ stem }) => stem)).toContain(old)
  // The code was for the old backup: the new data is not left behind by it.
  rmSync(app.database)
  expect(refusal(await boot(app, ['true'], env)).msg).toContain('holds 3 rows')
})

test('a first start, a data directory that is gone as a whole, and backups without a row are no loss', async () => {
  const app = makeApp()
  expect((await boot(app)).step('copy')?.msg).toBe('no database yet')
  expect((await boot(app)).exitCode).toBe(0)
  expect((await listBackups(app.backups)).map(rowsOf)).toEqual([0, 0])
  rmSync(app.database)
  expect((await boot(app)).step('copy')?.msg).toBe('no database yet')
  run(app, "INSERT INTO User(name) VALUES ('john')")
  await boot(app)
  rmSync(join(app.dir, 'data'), { recursive: true })
  expect((await boot(app)).exitCode).toBe(0)
})

test('DATABASE_URL that names another place, with the backups where they were', async () => {
  const app = await appWithRows()
  const { msg } = refusal(await boot(app, ['true'], { DATABASE_URL: 'file:./elsewhere/app.db' }))
  expect(msg).toContain('is DATABASE_URL another?')
  expect(existsSync(join(app.dir, 'elsewhere', 'app.db'))).toBe(false)
})

test('backup_latest.json alone counts, also one of an older app, and is set aside, not replaced', async () => {
  const source = await appWithRows()
  const app = makeApp()
  mkdirSync(join(app.dir, 'data'))
  renameSync(latest(source), latest(app))
  const bytes = readFileSync(latest(app))
  const { msg, code, restore } = refusal(await boot(app))
  expect(msg).toContain('backup_latest.json holds 2 rows')
  expect((await boot(app, ['true'], { ACCEPT_DATA_LOSS: code })).exitCode).toBe(0)
  const aside = readdirSync(join(app.dir, 'data')).find((name) => name.startsWith('backup_latest.left-behind-'))!
  expect(readFileSync(join(app.dir, 'data', aside)).equals(bytes)).toBe(true)

  rmSync(app.database)
  writeFileSync(latest(app), bytes)
  for (const backup of await listBackups(app.backups)) await removeBackup(app.backups, backup)
  expect((await ops(app, ...restore)).exitCode).toBe(0)
  expect(users(app)).toBe(2)

  const older = makeApp()
  mkdirSync(join(older.dir, 'data'))
  writeFileSync(latest(older), '{"movies": ["Dune"]}')
  expect(refusal(await boot(older)).msg).toContain('backup_latest.json holds data')
})

test('damaged backups are no reason to start empty: the boot stops, and the code is the only way on', async () => {
  const app = await appWithRows()
  rmSync(app.database)
  for (const file of app.files().filter((name) => /\.(db|json)$/.test(name) && !name.includes('manifest')))
    writeFileSync(join(app.backups, file), 'damaged')
  const { next, restore } = refusal(await boot(app))
  expect([restore, next.includes('npx bootkeeper verify says why')]).toEqual([[], true])
})

test('rows that an app removed, all of them: the latest export and the newest backup with rows stay', async () => {
  const app = await appWithRows()
  const old = app.state().pinned!
  const before = sha256(latest(app))
  run(app, 'DELETE FROM User')
  for (let round = 0; round < 4; round += 1) {
    run(app, `PRAGMA user_version = ${round + 1}`)
    const result = await boot(app, ['true'], { KEEP_BOOT_BACKUPS: '1' })
    expect(result.exitCode, result.output).toBe(0)
  }
  expect((await ops(app, 'export')).stdout).toContain('! backup_latest.json keeps the rows it has')
  expect(sha256(latest(app))).toBe(before)
  expect((await listBackups(app.backups)).map(({ stem }) => stem)).toContain(old)
})

describePostgres('PostgreSQL', () => {
  test('a server that was made anew, with or without the database, is refused, and restored into', async () => {
    const server = (await startPostgres())!
    try {
      const app = makeApp(undefined, 'postgresql')
      const url = await server.newDatabase()
      const name = url.split('/').at(-1)!
      app.env.DATABASE_URL = url
      await boot(app)
      await query(url, `INSERT INTO "User"(name) VALUES ('john')`)
      expect((await boot(app)).exitCode).toBe(0)
      for (const file of app.files())
        expect([file, statSync(join(app.backups, file)).mode & 0o777]).toEqual([file, 0o600])
      const before = sha256(latest(app))
      await query(server.url, `DROP DATABASE ${name}`)
      expect(refusal(await boot(app)).msg).toContain('There is no database')
      await query(server.url, `CREATE DATABASE ${name}`)
      expect(refusal(await boot(app)).msg).toContain('has no tables')
      expect(sha256(latest(app))).toBe(before)
      await query(server.url, `DROP DATABASE ${name}`)
      const { restore } = refusal(await boot(app))
      const restored = await ops(app, ...restore)
      expect(restored.exitCode, restored.stderr).toBe(0)
      expect(await query(url, 'SELECT name FROM "User"')).toEqual([{ name: 'john' }])
      expect((await boot(app)).exitCode).toBe(0)
    } finally {
      await server.stop()
    }
  })
})
