// The last look at what a restore puts back: copies with the faults that a copy's own check does not see.
// Guarantees tested: what is not sound replaces nothing; what can be mended is mended and said; what was already so in
// the database is said and put back.

import { chmodSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { openSqlite } from '../src/engines/sqlite.ts'
import { formatBytes } from '../src/log.ts'
import { copyOf, readManifest, updateManifest } from '../src/manifest.ts'
import { boot, makeApp, makeFolder, ops, sha256, type TestApp } from './harness.ts'

async function appWith(sql: string): Promise<{ app: TestApp; stem: string }> {
  const app = makeApp()
  expect((await boot(app)).exitCode).toBe(0)
  const database = app.open()
  database.unsafeMode()
  database.pragma('foreign_keys = OFF')
  database.pragma('writable_schema = ON')
  database.exec(sql)
  database.close()
  const { stdout, stderr } = await ops(app, 'backup', '--json')
  const result = JSON.parse(stdout) as { id: string; error?: { message: string } }
  expect(result.error, stderr).toBeUndefined()
  return { app, stem: result.id }
}

function checks(app: TestApp): unknown[] {
  const database = app.open()
  try {
    return [
      database.pragma('integrity_check', { simple: true }),
      database.prepare('SELECT name FROM User ORDER BY name').pluck().all(),
    ]
  } finally {
    database.close()
  }
}

test('an index that does not agree with its table is made anew, and that is said', async () => {
  const { app, stem } = await appWith(`
    INSERT INTO User(name, notes) VALUES ('ann', 'a'), ('john', 'b');
    CREATE INDEX by_notes ON User(name);
    UPDATE sqlite_master SET sql = 'CREATE INDEX by_notes ON User(notes)' WHERE name = 'by_notes'`)
  expect(checks(app)[0]).not.toBe('ok')
  const { exitCode, stdout, stderr } = await ops(app, 'restore', stem, '--apply')
  expect(exitCode, stderr).toBe(0)
  expect(stdout).toContain('! Indexes did not agree with their tables and were made anew')
  expect(checks(app)).toEqual(['ok', ['ann', 'john']])
})

test('a unique index that the rows break replaces nothing, and the export is named as the other way', async () => {
  const { app, stem } = await appWith(`
    INSERT INTO User(name, notes) VALUES ('ann', 'same'), ('john', 'same');
    CREATE UNIQUE INDEX by_notes ON User(name);
    UPDATE sqlite_master SET sql = 'CREATE UNIQUE INDEX by_notes ON User(notes)' WHERE name = 'by_notes'`)
  const before = sha256(app.database)
  const { exitCode, stderr } = await ops(app, 'restore', stem, '--apply')
  expect([exitCode, stderr.includes('BACKUP_DAMAGED')]).toEqual([65, true])
  expect(stderr).toContain('The database is as it was')
  const command = new RegExp(`npx bootkeeper (restore ${stem} --export --apply) to put`).exec(stderr)![1]!
  expect(sha256(app.database)).toBe(before)
  const database = app.open()
  database.exec('DROP INDEX by_notes')
  database.close()
  expect((await ops(app, ...command.split(' '))).exitCode).toBe(0)
  expect(checks(app)).toEqual(['ok', ['ann', 'john']])
})

test('a copy with other counts than its manifest says replaces nothing', async () => {
  const { app, stem } = await appWith(`INSERT INTO User(name) VALUES ('ann')`)
  const manifest = await readManifest(app.backups, stem)
  const { counts } = copyOf(manifest)!
  expect(counts).toEqual({ Post: 0, User: 1 })
  counts!.User = 7
  await updateManifest(app.backups, manifest)
  const before = sha256(app.database)
  const { exitCode, stderr } = await ops(app, 'restore', stem, '--apply')
  expect([exitCode, stderr]).toEqual([65, expect.stringContaining('table User has 1 row, its manifest says 7')])
  expect(sha256(app.database)).toBe(before)
})

test('references that were broken when the backup was made are said, and put back as they were', async () => {
  const { app, stem } = await appWith(`
    INSERT INTO User(id, name) VALUES (1, 'ann');
    INSERT INTO Post(title, authorId) VALUES ('kept', 1), ('orphan', 9), ('another', 9)`)
  const { exitCode, stdout, stderr } = await ops(app, 'restore', stem, '--apply')
  expect(exitCode, stderr).toBe(0)
  expect(stdout).toContain('! 2 of Post refer to a User that is not there; so it was when the backup was made.')
  const database = app.open()
  expect(database.prepare('SELECT count(*) FROM Post').pluck().get()).toBe(3)
  database.close()
})

test('references that an import would have broken replace nothing', async () => {
  const folder = makeFolder()
  const make = (name: string, sql: string) => {
    const database = new Database(join(folder, name))
    database.pragma('foreign_keys = OFF')
    database.exec(`CREATE TABLE a (id INTEGER PRIMARY KEY, b INTEGER REFERENCES a(id)); ${sql}`)
    database.close()
    return join(folder, name)
  }
  const live = make('app.db', 'INSERT INTO a VALUES (1, 1)')
  const before = sha256(live)
  const engine = openSqlite(`file:${live}`, { busyMs: 1_000 })
  const broken = engine.putBack(make('new.db', 'INSERT INTO a VALUES (1, 2)'), 'before-restore', {
    wholeReferences: true,
  })
  await expect(broken).rejects.toMatchObject({ code: 'BACKUP_DAMAGED', message: /1 of a refers to a a that is not/ })
  expect(sha256(live)).toBe(before)
  await engine.close()
})

test('what is set aside is for its owner alone, and its size and its older ones are said; nothing is deleted', async () => {
  const { app, stem } = await appWith(`INSERT INTO User(name) VALUES ('ann')`)
  chmodSync(app.database, 0o644)
  const asides: string[] = []
  for (const older of [0, 1, 2]) {
    // The second time it is damaged and has a log: then both are set aside.
    if (older === 1) {
      writeFileSync(app.database, Buffer.alloc(10_000, 'x'))
      writeFileSync(`${app.database}-wal`, Buffer.alloc(5_000, 'y'))
    }
    const { exitCode, stdout, stderr } = await ops(app, 'restore', stem, '--apply')
    expect(exitCode, stderr).toBe(0)
    const [, aside, size] = /The file that was there: (\S+) \((.+)\)\n {2}Bootkeeper never deletes it/.exec(stdout)!
    const set = readdirSync(dirname(aside!)).filter((name) => name.startsWith(basename(aside!)))
    const bytes = set.reduce((sum, name) => sum + statSync(join(dirname(aside!), name)).size, 0)
    expect(size).toBe(formatBytes(bytes))
    for (const name of set) expect(statSync(join(dirname(aside!), name)).mode & 0o777).toBe(0o600)
    if (older > 0) expect(stdout).toMatch(/Beside it: \d older files? like it, .+ in all\./)
    asides.push(aside!)
    expect(asides.every((path) => existsSync(path))).toBe(true)
    expect(statSync(app.database).mode & 0o777).toBe(0o644)
  }
  const result = JSON.parse((await ops(app, 'restore', stem, '--apply', '--json')).stdout)
  expect(result.asideBytes).toBe(statSync(result.aside).size)
})
