// Copies of SQLite databases in every state that a cp gets wrong: a log never checkpointed, a writer at work, a hot
// journal. Guarantees tested: each copy is sound and holds every row that was committed before it began.

import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, expect, test } from 'vitest'
import type { Engine } from '../../src/engines/engine.ts'
import { openSqlite } from '../../src/engines/sqlite.ts'
import { BootkeeperError } from '../../src/errors.ts'
import { makeFolder, poll, root } from '../harness.ts'

const rounds = process.env.SOAK ? 100 : 10
const engines: Engine[] = []
const writers = new Set<ChildProcess>()
afterAll(async () => {
  for (const writer of writers) writer.kill('SIGKILL')
  for (const engine of engines) await engine.close()
})

function engineFor(path: string): Engine {
  const engine = openSqlite(`file:${path}`, { busyMs: 20_000 })
  engines.push(engine)
  return engine
}

function makeDatabase(path: string, mode: 'wal' | 'delete', rows: number): Database.Database {
  const database = new Database(path)
  database.pragma(`journal_mode = ${mode}`)
  database.exec('CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT)')
  const insert = database.prepare('INSERT INTO t(text) VALUES (?)')
  database.transaction(() => {
    for (let i = 0; i < rows; i += 1) insert.run('y'.repeat(300))
  })()
  return database
}

function startWriter(path: string, mode: string) {
  const child = spawn(process.execPath, [join(root, 'tests', 'fixtures', 'writer.js'), path, mode], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  writers.add(child)
  let committed = 0
  child.stdout.on('data', (chunk: Buffer) => {
    committed = Number(chunk.toString().trimEnd().split('\n').at(-1))
  })
  return { child, committed: () => committed }
}

/** Opens the copy as anybody would, and gives its number of rows. */
function requireGood(path: string): number {
  for (const ending of ['-wal', '-shm', '-journal']) expect(existsSync(path + ending)).toBe(false)
  const copy = new Database(path)
  try {
    expect(copy.pragma('integrity_check', { simple: true })).toBe('ok')
    return (copy.prepare('SELECT count(*) AS n FROM t').get() as { n: number }).n
  } finally {
    copy.close()
  }
}

test.each(['wal', 'delete'] as const)(
  'a writer in %s mode is copied without a row lost',
  async (mode) => {
    const folder = makeFolder()
    const path = join(folder, 'app.db')
    makeDatabase(path, mode, 2_000).close()
    const writer = startWriter(path, mode)
    await poll(() => writer.committed() > 2_010, 'the writer')
    const engine = engineFor(path)
    for (let i = 0; i < rounds; i += 1) {
      const before = writer.committed()
      const partial = join(folder, `copy-${i}.db`)
      await engine.copy(partial)
      expect(requireGood(partial)).toBeGreaterThanOrEqual(before)
      rmSync(partial)
    }
    expect(writer.committed()).toBeGreaterThan(2_010 + rounds)
    writer.child.kill('SIGKILL')
  },
  600_000,
)

test.each([false, true])(
  '10 000 rows that are only in the -wal are in the copy (with a writer: %s)',
  async (withWriter) => {
    for (let i = 0; i < Math.ceil(rounds / (withWriter ? 5 : 1)); i += 1) {
      const folder = makeFolder()
      const path = join(folder, 'app.db')
      makeDatabase(path, 'wal', 0).close()
      const database = new Database(path)
      database.pragma('wal_autocheckpoint = 0')
      const insert = database.prepare('INSERT INTO t(text) VALUES (?)')
      for (let row = 0; row < 10_000; row += 100)
        database.transaction(() => {
          for (let j = 0; j < 100; j += 1) insert.run('only in the log')
        })()
      expect(statSync(path).size).toBeLessThan(10_000)
      const writer = withWriter ? startWriter(path, 'wal') : undefined
      if (writer) await poll(() => writer.committed() > 10_000, 'the writer')
      const before = Math.max(10_000, writer?.committed() ?? 0)
      const partial = join(folder, 'copy.db')
      const engine = engineFor(path)
      await engine.copy(partial)
      expect(requireGood(partial)).toBeGreaterThanOrEqual(before)
      writer?.child.kill('SIGKILL')
      await engine.close()
      database.close()
      rmSync(folder, { recursive: true })
    }
  },
  600_000,
)

test('a -wal that a killed process left is in the copy, and is left as it was', async () => {
  for (let i = 0; i < rounds; i += 1) {
    const folder = makeFolder()
    const live = join(folder, 'live.db')
    const database = makeDatabase(live, 'wal', 0)
    database.pragma('wal_autocheckpoint = 0')
    for (let row = 0; row < 50 + i; row += 1) database.exec("INSERT INTO t(text) VALUES ('a')")
    // What a kill leaves: the file and its log, and nobody who has them open.
    const path = join(folder, 'app.db')
    for (const ending of ['', '-wal']) copyFileSync(live + ending, path + ending)
    const before = [path, `${path}-wal`].map((file) => `${statSync(file).size} ${statSync(file).mtimeMs}`)
    const partial = join(folder, 'copy.db')
    const engine = engineFor(path)
    const copy = await engine.copy(partial)
    expect(requireGood(partial)).toBe(50 + i)
    expect([path, `${path}-wal`].map((file) => `${statSync(file).size} ${statSync(file).mtimeMs}`)).toEqual(before)
    expect(await engine.signature()).toBe(copy.source)
    await engine.close()
    database.close()
  }
}, 600_000)

test('a hot journal is rolled back before the copy, which holds what was committed', async () => {
  for (let i = 0; i < rounds; i += 1) {
    const folder = makeFolder()
    const live = join(folder, 'live.db')
    const database = makeDatabase(live, 'delete', 3_000)
    database.pragma('cache_size = 10')
    database.exec('BEGIN')
    // More than the cache: pages of an unfinished transaction are in the file already.
    database.exec("UPDATE t SET text = 'never committed' || id")
    const path = join(folder, 'app.db')
    for (const ending of ['', '-journal']) copyFileSync(live + ending, path + ending)
    database.exec('ROLLBACK')
    database.close()
    const engine = engineFor(path)
    const partial = join(folder, 'copy.db')
    await engine.copy(partial)
    expect(requireGood(partial)).toBe(3_000)
    const copy = new Database(partial)
    expect(copy.prepare("SELECT count(*) AS n FROM t WHERE text LIKE 'never%'").get()).toEqual({ n: 0 })
    copy.close()
    await engine.close()
  }
}, 600_000)

test('a copy changes nothing: the signature before and after is the same, and no file appears', async () => {
  const folder = makeFolder()
  const path = join(folder, 'app.db')
  makeDatabase(path, 'wal', 100).close()
  const engine = engineFor(path)
  const signature = await engine.signature()
  const first = await engine.copy(join(folder, 'one.db'))
  await engine.structure()
  const second = await engine.copy(join(folder, 'two.db'))
  expect([first.source, second.source, await engine.signature()]).toEqual([signature, signature, signature])
  expect(first.sha256).toBe(second.sha256)
  // Opening a WAL database makes an empty log anew: that is no write.
  await new Promise((resolve) => setTimeout(resolve, 80))
  expect((await engine.copy(join(folder, 'three.db'))).settled).toBe(true)
  expect(readdirSync(folder).filter((name) => !/^app\.db(-wal|-shm)?$/.test(name))).toEqual([
    'one.db',
    'three.db',
    'two.db',
  ])
})

test('a write by anybody changes the signature', async () => {
  const folder = makeFolder()
  const path = join(folder, 'app.db')
  const database = makeDatabase(path, 'wal', 10)
  const engine = engineFor(path)
  const seen = new Set<string>()
  for (let i = 0; i < 20; i += 1) {
    seen.add(await engine.signature())
    await new Promise((resolve) => setTimeout(resolve, 12))
    database.exec("UPDATE t SET text = text || 'z' WHERE id = 1")
  }
  expect(seen.size).toBe(20)
  database.close()
})

test.each([
  ['garbage', Buffer.from('this is no database at all, but long enough to look like a file')],
  ['a damaged page', undefined],
])('%s is not copied: DATABASE_CORRUPT, and nothing is left', async (_name, content) => {
  const folder = makeFolder()
  const path = join(folder, 'app.db')
  const database = makeDatabase(path, 'delete', 2_000)
  database.close()
  if (content) writeFileSync(path, content)
  else {
    const handle = openSync(path, 'r+')
    writeSync(handle, Buffer.alloc(4096, 0xee), 0, 4096, 8 * 4096)
    closeSync(handle)
  }
  const error = await engineFor(path)
    .copy(join(folder, 'copy.db'))
    .catch((thrown) => thrown)
  expect(error).toBeInstanceOf(BootkeeperError)
  expect(error.code).toBe('DATABASE_CORRUPT')
  expect(readdirSync(folder)).not.toContain('copy.db')
})

test('a database that another process keeps locked is DATABASE_BUSY', async () => {
  const folder = makeFolder()
  const path = join(folder, 'app.db')
  const database = makeDatabase(path, 'delete', 10)
  database.exec('BEGIN EXCLUSIVE')
  const engine = openSqlite(`file:${path}`, { busyMs: 200 })
  engines.push(engine)
  const error = await engine.copy(join(folder, 'copy.db')).catch((thrown) => thrown)
  expect(String(error.code)).toMatch(/BUSY/)
  database.exec('ROLLBACK')
  database.close()
})

test('a change is not adopted while another process has the database open, in either journal mode', async () => {
  for (const mode of ['wal', 'delete'] as const) {
    const folder = makeFolder()
    const path = join(folder, 'app.db')
    makeDatabase(path, mode, 10).close()
    // In a process of its own: a copy in this one would cancel its locks.
    const other = spawn(process.execPath, [join(root, 'tests', 'fixtures', 'reader.js'), path], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    writers.add(other)
    await new Promise((resolve) => other.stdout.once('data', resolve))
    const engine = openSqlite(`file:${path}`, { busyMs: 300 })
    engines.push(engine)
    const before = join(folder, 'copy.db')
    const copy = await engine.copy(before)
    const rehearsal = await engine.rehearse(before, copy.source)
    await rehearsal.apply('CREATE TABLE added(id INTEGER)')
    const error = await rehearsal.adopt().catch((thrown) => thrown)
    expect([mode, error?.code]).toEqual([mode, 'DATABASE_BUSY'])
    await rehearsal.discard()
    other.kill('SIGKILL')
    const now = new Database(path)
    expect(now.prepare("SELECT 1 FROM sqlite_master WHERE name = 'added'").get()).toBeUndefined()
    now.close()
  }
})

test('a change is not adopted over rows that were written after the copy', async () => {
  for (const mode of ['wal', 'delete'] as const) {
    const folder = makeFolder()
    const path = join(folder, 'app.db')
    const other = makeDatabase(path, mode, 10)
    const engine = engineFor(path)
    const before = join(folder, 'copy.db')
    const copy = await engine.copy(before)
    const rehearsal = await engine.rehearse(before, copy.source)
    await rehearsal.apply('CREATE TABLE added(id INTEGER)')
    await new Promise((resolve) => setTimeout(resolve, 20))
    other.exec("INSERT INTO t(text) VALUES ('late')")
    other.close()
    const error = await rehearsal.adopt().catch((thrown) => thrown)
    expect([mode, error?.code]).toEqual([mode, 'DATABASE_BUSY'])
    await rehearsal.discard()
    const now = new Database(path)
    expect(now.prepare('SELECT count(*) AS n FROM t').get()).toEqual({ n: 11 })
    now.close()
  }
})

test('adopting keeps the journal mode, the permissions and every row of a log that was not checkpointed', async () => {
  const folder = makeFolder()
  const live = join(folder, 'live.db')
  const writer = makeDatabase(live, 'wal', 0)
  writer.pragma('wal_autocheckpoint = 0')
  writer.exec("INSERT INTO t(text) VALUES ('in the log')")
  const path = join(folder, 'app.db')
  for (const ending of ['', '-wal']) copyFileSync(live + ending, path + ending)
  writer.close()
  chmodSync(path, 0o640)
  const engine = engineFor(path)
  const before = join(folder, 'copy.db')
  const copy = await engine.copy(before)
  const rehearsal = await engine.rehearse(before, copy.source)
  await rehearsal.apply('CREATE TABLE added(id INTEGER)')
  expect(await rehearsal.losses()).toEqual([])
  await rehearsal.adopt()
  const now = new Database(path)
  expect(now.pragma('journal_mode', { simple: true })).toBe('wal')
  expect(now.prepare('SELECT text FROM t').all()).toEqual([{ text: 'in the log' }])
  expect(now.prepare('SELECT count(*) AS n FROM added').get()).toEqual({ n: 0 })
  now.close()
  expect(statSync(path).mode & 0o777).toBe(0o640)
})
