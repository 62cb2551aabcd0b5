// The boot as a whole, by real processes on real databases: what each step does, skips and refuses.
// Guarantees tested: nothing is touched before a verified copy; a refused change leaves every byte; a restart loop
// never replaces a good backup.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { baseModels, boot, makeApp, ops, poll, sha256, startBoot, type TestApp } from './harness.ts'

const noNotes = baseModels.replace('  notes String?\n', '')

async function bootedApp(): Promise<TestApp> {
  const app = makeApp()
  expect((await boot(app)).exitCode).toBe(0)
  const database = app.open()
  database.exec("INSERT INTO User(name, notes) VALUES ('john', 'likes films'), ('ann', NULL)")
  database.close()
  return app
}

test('a first boot runs six named steps, then serves, and a later one says what it skipped', async () => {
  const app = makeApp()
  const first = startBoot(app)
  const launched = await first.until((line) => line.step === 'launch' && line.state === 'done')
  const names = first.lines.filter((line) => line.state).map((line) => line.step)
  expect(names).toEqual(['prepare', 'copy', 'schema', 'client', 'export', 'launch'])
  const url = /http:\S+/.exec(launched.msg)![0]
  const health = await fetch(`${url}/health`)
  expect([health.status, await health.json()]).toEqual([200, { status: 'ok' }])
  expect(await (await fetch(url)).text()).toContain('test-app is up')
  expect((await fetch(`${url}/%2e%2e%2fpackage.json`)).status).toBe(404)
  const latest = JSON.parse(readFileSync(join(app.dir, 'data', 'backup_latest.json'), 'utf8'))
  expect(latest.format).toBe('bootkeeper')
  await poll(() => app.state().attempts === 0, 'the boot to be marked ready')
  first.child.kill('SIGTERM')
  expect(await first.ended).toEqual({ exitCode: 0, signal: null })

  await boot(app)
  const later = await boot(app)
  expect(later.exitCode).toBe(0)
  for (const name of ['copy', 'schema', 'export']) expect([name, later.step(name)?.state]).toEqual([name, 'skipped'])
  expect(app.files().filter((file) => file.endsWith('.db'))).toHaveLength(1)
})

test('removing a column that has values is refused until its code is given, and the code is good for once', async () => {
  const app = await bootedApp()
  await boot(app)
  app.setSchema(noNotes)
  const before = sha256(app.database)

  const refused = await boot(app)
  expect(refused.exitCode).toBe(3)
  expect(sha256(app.database)).toBe(before)
  const error = refused.lines.find((line) => line.code === 'DATA_LOSS_REFUSED')!
  expect(error.msg).toContain('column notes of table User: 1 row has a value')
  expect(refused.output).toContain('DROP TABLE \\"User\\"')
  const code = /ACCEPT_DATA_LOSS=([A-Z0-9-]+)/.exec(error.next!)![1]!

  const general = await boot(app, ['true'], { ACCEPT_DATA_LOSS: 'true' })
  expect(general.exitCode).toBe(78)
  expect(general.output).toContain('it allows exactly that change, once')

  const other = await boot(app, ['true'], { ACCEPT_DATA_LOSS: 'AAAA-BBBB' })
  expect(other.exitCode).toBe(3)
  expect(other.output).toContain('AAAA-BBBB, is for another change')
  expect(sha256(app.database)).toBe(before)

  const allowed = await boot(app, ['true'], { ACCEPT_DATA_LOSS: code })
  expect(allowed.output).toContain('Allowed by ACCEPT_DATA_LOSS, this once')
  expect(allowed.exitCode).toBe(0)
  const database = app.open()
  expect(database.prepare('SELECT * FROM User ORDER BY id').all()).toEqual([
    { id: 1, name: 'john' },
    { id: 2, name: 'ann' },
  ])
  // The same loss again, after the column came back with a value: the spent code does not fit.
  database.close()
  app.setSchema(baseModels)
  await boot(app)
  const again = app.open()
  again.exec("UPDATE User SET notes = 'back' WHERE name = 'john'")
  again.close()
  app.setSchema(noNotes)
  expect((await boot(app, ['true'], { ACCEPT_DATA_LOSS: code })).exitCode).toBe(3)
})

test('a column without a value and an empty table may go without a code, and are named', async () => {
  const app = makeApp(`${baseModels}\nmodel Extra {\n  id Int @id\n}\n`)
  await boot(app)
  app.setSchema(noNotes)
  const result = await boot(app)
  expect(result.exitCode).toBe(0)
  expect(result.output).toContain('table Extra, which is empty')
})

test('a change that existing rows do not fit is refused with the reason and every byte kept', async () => {
  const app = await bootedApp()
  await boot(app)
  app.setSchema(baseModels.replace('notes String?', 'notes String?\n  age   Int'))
  const before = sha256(app.database)
  const result = await boot(app)
  expect(result.exitCode).toBe(65)
  expect(result.lines.some((line) => line.code === 'SCHEMA_UNEXECUTABLE' && line.msg.includes('age'))).toBe(true)
  expect(sha256(app.database)).toBe(before)
})

test('a unique constraint that the rows break is refused after it was tried on the copy', async () => {
  const app = await bootedApp()
  const database = app.open()
  database.exec("INSERT INTO Post(title, authorId) VALUES ('same', 1), ('same', 2)")
  database.close()
  app.setSchema(baseModels.replace('title    String', 'title    String @unique'))
  const result = await boot(app)
  expect(result.exitCode).toBe(65)
  expect(result.output).toContain('UNIQUE constraint failed')
  const after = app.open()
  expect(after.prepare('SELECT count(*) AS n FROM Post').get()).toEqual({ n: 2 })
  after.close()
})

test('text that would become unreadable numbers counts as a loss', async () => {
  const app = await bootedApp()
  app.setSchema(baseModels.replace('notes String?', 'notes Int?'))
  const result = await boot(app)
  expect(result.exitCode).toBe(3)
  expect(result.output).toContain('column notes of table User: 1 value would change or become unreadable')
})

test('a trigger on a table that Prisma rebuilds is still there afterwards', async () => {
  const app = await bootedApp()
  const database = app.open()
  database.exec(
    'CREATE TRIGGER shout AFTER INSERT ON User BEGIN UPDATE User SET name = upper(name) WHERE id = new.id; END',
  )
  database.close()
  app.setSchema(baseModels.replace('name  String  @unique', 'name  String  @unique @default("x")'))
  const result = await boot(app)
  expect(result.exitCode).toBe(0)
  const after = app.open()
  after.exec("INSERT INTO User(name) VALUES ('eve')")
  expect(after.prepare("SELECT count(*) AS n FROM User WHERE name = 'EVE'").get()).toEqual({ n: 1 })
  after.close()
})

test('a database whose structure was changed by hand is brought back in step', async () => {
  const app = await bootedApp()
  await boot(app)
  const database = app.open()
  database.exec('CREATE INDEX by_hand ON Post(title)')
  database.close()
  const result = await boot(app)
  expect(result.step('schema')?.state).toBe('done')
  const after = app.open()
  expect(after.prepare("SELECT 1 FROM sqlite_master WHERE name = 'by_hand'").get()).toBeUndefined()
  after.close()
})

test('a boot loop with a schema that cannot be pushed leaves the pinned copy and at most one more', async () => {
  const app = await bootedApp()
  await boot(app)
  const pinned = app.state().pinned!
  const before = sha256(join(app.backups, `${pinned}.db`))
  const database = app.open()
  database.exec("INSERT INTO User(name) VALUES ('a week later')")
  database.close()
  app.setSchema(baseModels.replace('notes String?', 'notes String?\n  age   Int'))
  const copies = () => app.files().filter((file) => file.endsWith('.db')).length
  const copiesBefore = copies()
  const rounds = Number(process.env.SOAK ? 200 : 12)
  for (let i = 0; i < rounds; i += 1) expect((await boot(app)).exitCode).toBe(65)
  expect(sha256(join(app.backups, `${pinned}.db`))).toBe(before)
  expect(copies() - copiesBefore).toBeLessThanOrEqual(1)
  expect(app.state()).toMatchObject({ attempts: rounds, pinned })
}, 900_000)

test('an app that writes and dies at each boot fills neither the disk nor the place of the first copy', async () => {
  const app = await bootedApp()
  await boot(app)
  const pinned = app.state().pinned!
  const dies = [
    process.execPath,
    '-e',
    `
    const db = require('better-sqlite3')('data/app.db'); db.prepare("INSERT INTO User(name) VALUES (?)").run(String(Math.random())); process.exit(9)`,
  ]
  await boot(app, dies)
  const [first] = app.files().filter((file) => file.endsWith('.db') && !file.startsWith(pinned))
  for (let i = 0; i < 5; i += 1) expect((await boot(app, dies)).exitCode).toBe(9)
  const copies = app.files().filter((file) => file.endsWith('.db'))
  expect(copies).toContain(`${pinned}.db`)
  if (first) expect(copies).toContain(first)
  expect(copies.length).toBeLessThanOrEqual(3)
})

test('a corrupt database stops the boot, names the good copy, and the command it prints restores it', async () => {
  const app = await bootedApp()
  await boot(app)
  const stem = app.state().pinned!
  const good = readFileSync(app.database)
  const bad = Buffer.from(good)
  bad.fill(0x5a, 4096, 3 * 4096)
  writeFileSync(app.database, bad)
  const result = await boot(app)
  expect(result.exitCode).toBe(65)
  const error = result.lines.find((line) => line.code === 'DATABASE_CORRUPT')!
  expect(error.next).toContain(`npx bootkeeper restore ${stem} --apply`)
  expect(readFileSync(app.database).equals(bad)).toBe(true)
  expect(app.files().filter((file) => file.endsWith('.db'))).toEqual([`${stem}.db`])

  const dry = await ops(app, 'restore', stem)
  expect([dry.exitCode, dry.stdout.includes('Nothing was changed')]).toEqual([0, true])
  expect(readFileSync(app.database).equals(bad)).toBe(true)
  const restored = await ops(app, 'restore', stem, '--apply')
  expect(restored.stderr).toBe('')
  expect(restored.exitCode).toBe(0)
  const database = app.open()
  expect(database.pragma('integrity_check', { simple: true })).toBe('ok')
  expect(database.prepare('SELECT count(*) AS n FROM User').get()).toEqual({ n: 2 })
  database.close()
  // The damaged bytes are kept.
  const aside = /The file that was there: (\S+)/.exec(restored.stdout)![1]!
  expect(readFileSync(aside).equals(bad)).toBe(true)
  expect((await boot(app)).exitCode).toBe(0)
})

test('two boots on one data directory: the second leaves with 75, or waits its turn', async () => {
  const app = makeApp()
  const first = startBoot(app)
  await first.until((line) => line.step === 'launch')
  const second = await boot(app)
  expect(second.exitCode).toBe(75)
  expect(second.output).toContain('The data directory is in use by')
  const third = startBoot(app, ['true'], { LOCK_WAIT_SECONDS: '30' })
  await third.until((line) => line.msg.startsWith('Waiting for the data directory'))
  first.child.kill('SIGTERM')
  expect((await third.ended).exitCode).toBe(0)
})

test('an app that does not come up on a changed schema gets the old database back', async () => {
  const app = await bootedApp()
  await boot(app)
  app.setSchema(`${baseModels}\nmodel Extra {\n  id Int @id\n}\n`)
  const result = await boot(app, ['sh', '-c', 'exit 7'])
  expect(result.exitCode).toBe(7)
  expect(result.output).toContain('was put back')
  const database = app.open()
  expect(database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'Extra'").get()).toBeUndefined()
  expect(database.prepare('SELECT count(*) AS n FROM User').get()).toEqual({ n: 2 })
  database.close()
  const good = await boot(app)
  expect(good.exitCode).toBe(0)
  const after = app.open()
  expect(after.prepare("SELECT 1 AS there FROM sqlite_master WHERE name = 'Extra'").get()).toEqual({ there: 1 })
  after.close()
})

test('an unknown setting value stops with the variable, the value and what is accepted', async () => {
  const app = makeApp()
  for (const [name, value, expected] of [
    ['SCHEMA_MODE', 'pull', 'push, deploy or none'],
    ['PORT', 'http', 'a port from 0 to 65535'],
    ['DATABASE_URL', 'mysql://u:secret@h/db', 'file:PATH for SQLite'],
    ['KEEP_BOOT_BACKUPS', '0', 'a whole number from 1'],
  ] as const) {
    const result = await boot(app, ['true'], { [name]: value })
    expect(result.exitCode).toBe(78)
    expect(result.output).toContain(`${name} is `)
    expect(result.output).toContain(expected)
    expect(result.output).not.toContain('secret')
  }
  expect(existsSync(join(app.dir, 'data'))).toBe(false)
})

test('maintenance mode stays up with one page that says what to do', async () => {
  const app = await bootedApp()
  await boot(app)
  app.setSchema(noNotes)
  const result = startBoot(app, ['true'], { ON_BOOT_FAILURE: 'maintenance' })
  const line = await result.until(({ msg }) => msg.startsWith('Maintenance mode'))
  const url = /http:\S+\d/.exec(line.msg)![0]
  const page = await fetch(url)
  const html = await page.text()
  expect(page.status).toBe(503)
  expect(html).toContain('DATA_LOSS_REFUSED')
  expect(html).toContain('The database is as it was')
  // Anybody may see it: what the data is called, and what would allow its loss, is in the log only.
  for (const inside of ['notes', 'User', 'ACCEPT_DATA_LOSS=', app.dir]) expect(html).not.toContain(inside)
  expect(result.output()).toContain('ACCEPT_DATA_LOSS=')
  expect((await fetch(`${url}/health`)).status).toBe(503)
  result.child.kill('SIGTERM')
  expect((await result.ended).exitCode).toBe(3)
})
