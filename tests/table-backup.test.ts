// Backups of tables by the real command, and the programs beside them, run as a user would: type-checked by tsc, tried,
// applied. Guarantees tested: counts match; a dry run changes nothing; deleted rows come back as they were, under their
// ids, and all others stay; a wrong word or a kill leaves nothing behind.

import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { boot, makeApp, ops, poll, root, sha256, type TestApp } from './harness.ts'
import { describePostgres, query, startPostgres, type TestPostgres } from './postgres.ts'

const run = promisify(execFile)

const models = `
model User {
  id       Int       @id @default(autoincrement())
  name     String    @unique
  password String?   /// @secret
  mods     Mod[]
  comments Comment[]
}
model Mod {
  id          Int       @id @default(autoincrement())
  title       String
  contentType String    @map("content_type")
  price       Float?
  size        BigInt    @default(9007199254740993)
  at          DateTime  @default(now())
  author      User      @relation(fields: [authorId], references: [id])
  authorId    Int
  comments    Comment[]
  tags        Tag[]
  @@map("mods")
}
model Comment {
  id    Int    @id @default(autoincrement())
  text  String
  mod   Mod    @relation(fields: [modId], references: [id], onDelete: Cascade)
  modId Int
  by    User?  @relation(fields: [byId], references: [id])
  byId  Int?
  @@index([modId])
}
model Tag {
  id    Int    @id @default(autoincrement())
  label String @unique
  mods  Mod[]
}
`

const fill = (mods: number) => `
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
    INSERT INTO "User" (name) SELECT 'user ' || i FROM n;
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${mods})
    INSERT INTO mods (title, content_type, price, at, authorId)
    SELECT 'mod ' || i, CASE i % 3 WHEN 0 THEN 'furniture' ELSE 'car' END, i / 7.0, '2026-01-01T00:00:00.000+00:00', 1 + i % 100 FROM n;
  INSERT INTO Comment (text, modId, byId) SELECT 'about ' || id, id, authorId FROM mods WHERE id % 10 = 0;`

async function appWith(mods: number): Promise<TestApp> {
  const app = makeApp(models)
  expect((await boot(app)).exitCode).toBe(0)
  inDatabase(app, (database) => database.exec(fill(mods)))
  return app
}

function inDatabase<Result>(app: TestApp, use: (database: Database.Database) => Result): Result {
  const database = app.open()
  try {
    database.pragma('foreign_keys = on')
    return use(database)
  } finally {
    database.close()
  }
}

/** Every value of a table, with its storage class, as a number of rows and a checksum: a diff of these tables is long. */
const contentOf = (app: TestApp, table: string, where = 'true') =>
  inDatabase(app, (database) => {
    const columns = database.prepare(`SELECT name FROM pragma_table_info('${table}')`).pluck().all() as string[]
    const text = columns.map((name) => `typeof("${name}") || quote("${name}")`).join(' || ')
    const key = columns.includes('id') ? 'id' : columns.map((name) => `"${name}"`).join(', ')
    const hash = createHash('sha256')
    let rows = 0
    for (const row of database
      .prepare(`SELECT ${text} FROM "${table}" WHERE ${where} ORDER BY ${key}`)
      .pluck()
      .iterate()) {
      hash.update(`${row}\n`)
      rows++
    }
    return `${rows} ${hash.digest('hex')}`
  })

async function backUp(app: TestApp, ...words: string[]) {
  const { exitCode, stdout, stderr } = await ops(app, 'backup', ...words, '--json')
  expect([exitCode, stderr]).toEqual([0, ''])
  const made = JSON.parse(stdout) as {
    id: string
    rows: number
    files: { role: string; path: string; sha256: string }[]
  }
  const file = (role: string) => made.files.find((each) => each.role === role)!
  for (const { path, sha256: expected } of made.files) expect(sha256(path)).toBe(expected)
  return { ...made, data: file('export').path, script: file('script').path }
}

const script = (app: TestApp, path: string, ...words: string[]) =>
  run('npx', ['tsx', path, ...words], {
    cwd: app.dir,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...app.env },
    maxBuffer: 1e8,
  })

/** From the folder of the app, with what a strict project has. */
async function typeCheck(app: TestApp): Promise<string> {
  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { typeRoots: [join(root, 'node_modules/@types')] },
    include: ['data/backups/*.ts'],
    exclude: [],
  }
  writeFileSync(join(app.dir, 'tsconfig.json'), JSON.stringify(config))
  const { stdout } = await run('npx', ['tsc', '--noEmit', '-p', '.'], { cwd: app.dir }).catch(
    (error) => error as { stdout: string },
  )
  return stdout
}

describe.each([5_432, 50_000, 500_000])('a table of %i rows', (rows) => {
  test('is backed up, and comes back', async () => {
    const app = await appWith(rows)
    const made = await backUp(app, '--tables', 'Mod', '--reason', 'before cleanup')
    expect(made.rows).toBe(rows)
    const lines = readFileSync(made.data, 'latin1').split('\n')
    expect(lines.includes(`"counts": {"Mod":${rows}},`)).toBe(true)
    expect(lines.filter((line) => line.startsWith('{"id":')).length).toBe(rows)
    expect(await typeCheck(app)).toBe('')

    const before = contentOf(app, 'mods')
    // As a cleanup does it: comments go with their mods.
    inDatabase(app, (database) =>
      database.exec(
        "DELETE FROM mods WHERE content_type = 'furniture'; UPDATE mods SET title = 'spoilt' WHERE id % 100 = 1",
      ),
    )
    const spoilt = contentOf(app, 'mods')
    const comments = contentOf(app, 'Comment')
    expect(spoilt).not.toEqual(before)
    const dry = await script(app, made.script)
    expect(dry.stdout).toContain('In the backup: Mod 1, Mod 2, Mod 3, …')
    expect(dry.stdout).toContain(`Comment (${Math.floor(rows / 10)})`)
    expect(dry.stdout).toContain('Nothing was changed.')
    expect(contentOf(app, 'mods')).toEqual(spoilt)

    const done = JSON.parse((await script(app, made.script, '--restore', '--json')).stdout)
    const gone = Math.floor(rows / 3)
    expect(done.report.models).toMatchObject([{ model: 'Mod', rows, created: gone, skipped: 0, removed: 0, kept: 0 }])
    expect(contentOf(app, 'mods')).toEqual(before)
    expect(contentOf(app, 'Comment')).toEqual(comments)
    expect(app.files()).toContain(`${done.before}.manifest.json`)
  }, 400_000)
})

describe('a part', () => {
  let app: TestApp
  beforeAll(async () => {
    app = await appWith(300)
    inDatabase(app, (database) =>
      database.exec(`INSERT INTO Tag (label) VALUES ('a'), ('b'), ('unused');
        INSERT INTO "_ModToTag" SELECT id, 1 + id % 2 FROM mods WHERE id <= 20`),
    )
  })

  test('is the rows of a filter, with what hangs on them named; db:restore puts them back and leaves all others', async () => {
    const shown = await ops(
      app,
      'backup',
      '--tables',
      'mods',
      '--where',
      '{"contentType":"furniture"}',
      '--reason',
      'before cleanup',
    )
    expect(shown.stdout).toContain('100 rows, about')
    expect(shown.stdout).toContain('in one go')
    expect(shown.stdout).toContain('! Not in it: 10 of Comment, which refer to these rows.')
    const id = /✔ (\S+)/.exec(shown.stdout)![1]!
    expect(id).toMatch(/^backup_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(-\d+)?_mod$/)
    const summary = JSON.parse(readFileSync(join(app.backups, 'backup_manifest.json'), 'utf8'))
    expect(summary.backups).toMatchObject([
      {
        id,
        table: 'Mod',
        recordCount: 100,
        filter: { contentType: 'furniture' },
        reason: 'before cleanup',
        checksum: sha256(join(app.backups, `${id}.json`)),
        schemaVersion: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    ])
    const others = "content_type <> 'furniture'"
    const [before, untouched] = [contentOf(app, 'mods', `NOT ${others}`), contentOf(app, 'mods', others)]
    inDatabase(app, (database) =>
      database.exec(
        `PRAGMA foreign_keys = off; DELETE FROM mods WHERE NOT ${others} AND id > 100; UPDATE mods SET title = 'x' WHERE id < 100 AND NOT ${others}`,
      ),
    )
    const restored = await ops(app, 'restore', id, '--apply')
    expect([restored.exitCode, restored.stderr]).toEqual([0, ''])
    expect(restored.stdout).toMatch(/Mod +100 +67 +33 +200/)
    expect(contentOf(app, 'mods', `NOT ${others}`)).toEqual(before)
    expect(contentOf(app, 'mods', others)).toEqual(untouched)
    const verified = await ops(app, 'verify', id)
    expect(verified.exitCode).toBe(0)
  })

  test('is one row and all that hangs on it, which comes back when all of that is gone', async () => {
    const made = await backUp(app, '--scope', 'user:user 7')
    const { data, header } = JSON.parse(readFileSync(made.data, 'utf8'))
    expect(header.scope).toMatchObject({ where: { name: 'user 7' }, whole: true })
    expect(header.scope.models[0]).toBe('User')
    expect(data.Mod.map(({ id }: { id: number }) => id)).toEqual([6, 106, 206])
    expect(data.Tag).toEqual([{ id: 1, label: 'a' }])
    expect(data._ModToTag).toHaveLength(1)
    expect(await typeCheck(app)).toBe('')
    const tables = ['User', 'mods', 'Comment', 'Tag', '_ModToTag']
    const before = tables.map((table) => contentOf(app, table))
    inDatabase(app, (database) =>
      database.exec(
        `DELETE FROM mods WHERE authorId = 7; DELETE FROM Comment WHERE byId = 7; DELETE FROM "User" WHERE id = 7`,
      ),
    )
    const after = await script(app, made.script, '--restore')
    expect(after.stdout).toContain('✔')
    expect(tables.map((table) => contentOf(app, table))).toEqual(before)
  })

  test('of several tables has all of their rows', async () => {
    const made = await backUp(app, '--tables', 'Tag, comment')
    expect(made.id).toMatch(/_tag_and_1_more$/)
    expect(JSON.parse(readFileSync(made.data, 'utf8')).counts).toEqual({ Comment: 30, Tag: 3 })
  })

  test('a filter that fits no row makes a backup of none', async () => {
    expect(await backUp(app, '--tables', 'Mod', '--where', '{"title":"nothing"}')).toMatchObject({ rows: 0 })
  })

  test.for([
    [['--tables', 'Mosd'], 'The schema has no table "Mosd". Did you mean'],
    [['--tables', 'Mod,'], '--tables takes names with commas between them'],
    [['--where', '{}'], '--where goes with --tables'],
    [['--tables', 'Mod', '--where', '{'], '--where takes JSON'],
    [['--tables', 'Mod', '--where', '[]'], 'A filter of Mod is an object'],
    [['--tables', 'Mod', '--where', '{"title":5}'], 'Mod.title takes a string, not 5.'],
    [['--tables', 'Mod', '--scope', 'User:x'], '--scope and --tables do not go together.'],
    [['--scope', 'User'], '--scope takes MODEL:KEY or FIELD:VALUE'],
    [['--scope', 'User:nobody'], 'No row of User fits {"name":"nobody"}.'],
    [['--scope', 'Mod:x'], 'Mod.id is of the type Int, which "x" is not.'],
    [['--scope', 'colour:red'], 'No model, table or field is called "colour".'],
    [['--scope', 'id:5'], 'have a field "id": name the model, such as --tables '],
  ] as [string[], string][])('%j is one clear sentence and exit 64', async ([words, sentence]) => {
    const log = () => readFileSync(join(app.dir, 'data/.bootkeeper/operations.jsonl'), 'utf8')
    const [files, logged] = [app.files(), log()]
    const { exitCode, stderr, stdout } = await ops(app, 'backup', ...words)
    expect([exitCode, stdout]).toEqual([64, ''])
    // A typing mistake is no backup that failed.
    expect(log()).toBe(logged)
    expect(stderr).toContain(sentence)
    expect(stderr).not.toContain('    at ')
    expect(app.files()).toEqual(files)
  })

  test('on another database its rows go in too, and it is said that it is another one', async () => {
    const made = await backUp(app, '--tables', 'Tag')
    const other = join(app.dir, 'data/other.db')
    copyFileSync(app.database, other)
    const env = { ...app.env, DATABASE_URL: `file:${other}` }
    for (const words of [[], ['--restore']]) {
      const { stdout } = await script({ ...app, env }, made.script, ...words)
      expect(stdout).toContain(`! It is a backup of another database: ${app.database}.`)
      expect((await script(app, made.script, ...words)).stdout).not.toContain('another database')
    }
  })

  test('a program whose backup is gone, or with wrong words, says so', async () => {
    const made = await backUp(app, '--tables', 'Tag')
    const failed = (...words: string[]) =>
      script(app, made.script, ...words).then(
        () => undefined,
        (error) => error as { code: number; stderr: string },
      )
    expect(await failed('--apply')).toMatchObject({
      code: 64,
      stderr: expect.stringMatching(/Unknown option '--apply'\.\n.*\n {4}next: Run npx tsx \S+_restore\.ts --help\.\n/),
    })
    const text = readFileSync(made.script, 'utf8')
    const copy = made.script.replace('_restore.ts', '_other.ts')
    writeFileSync(copy, text.replaceAll('_tag.json', '_none.json'))
    expect(await script(app, copy).catch((error) => error)).toMatchObject({
      code: 65,
      stderr: expect.stringContaining('There is no file'),
    })
    writeFileSync(copy, text.replace('restore-tables', 'moved'))
    const moved = await script(app, copy).catch((error) => error)
    expect(moved).toMatchObject({
      code: 69,
      stderr: expect.stringContaining(`npx bootkeeper restore ${made.id} --apply`),
    })
    expect(moved.stderr).not.toContain('    at ')
  })

  test('is no database: where that is gone, it is not put in its place', async () => {
    const empty = makeApp(models)
    expect((await boot(empty)).exitCode).toBe(0)
    const made = await backUp(empty, '--tables', 'Tag')
    const { rmSync } = await import('node:fs')
    for (const ending of ['', '-wal', '-shm']) rmSync(empty.database + ending, { force: true })
    const { exitCode, stderr } = await ops(empty, 'restore', made.id, '--apply')
    expect(exitCode).not.toBe(0)
    expect(stderr).toContain('only a part of one')
    expect(existsSync(empty.database)).toBe(false)
  })
})

test('kill -9 in the middle leaves nothing that is listed, and the next boot sweeps the rest', async () => {
  const app = await appWith(200_000)
  const before = app.files()
  const child = spawn(process.execPath, [join(root, 'bin/bootkeeper.js'), 'backup', '--tables', 'Mod'], {
    cwd: app.dir,
    stdio: 'ignore',
    env: { PATH: process.env.PATH, HOME: process.env.HOME },
  })
  await poll(() => readdirSync(app.backups).some((name) => name.startsWith('.')), 'the file to be begun')
  child.kill('SIGKILL')
  await new Promise((resolve) => child.once('close', resolve))
  expect(app.files().filter((name) => !name.startsWith('.'))).toEqual(before)
  expect((await boot(app)).exitCode).toBe(0)
  expect(app.files().filter((name) => name.startsWith('.'))).toEqual([])
}, 200_000)

describePostgres('on PostgreSQL', () => {
  let server: TestPostgres
  beforeAll(async () => {
    server = (await startPostgres()) as TestPostgres
  })
  afterAll(() => server?.stop())

  test('rows of a filter, and one row with all that hangs on it, come back', async () => {
    const app = makeApp(models, 'postgresql')
    app.env.DATABASE_URL = await server.newDatabase()
    expect((await boot(app)).exitCode).toBe(0)
    const ask = (sql: string) => query<Record<string, unknown>>(app.env.DATABASE_URL!, sql)
    await ask(`INSERT INTO "User" (name) SELECT 'user ' || i FROM generate_series(1, 20) i;
      INSERT INTO mods (title, content_type, price, at, "authorId") SELECT 'mod ' || i, CASE i % 3 WHEN 0 THEN 'furniture' ELSE 'car' END, i / 7.0, '2026-01-01', 1 + i % 20 FROM generate_series(1, 3000) i;
      INSERT INTO "Comment" (text, "modId", "byId") SELECT 'about ' || id, id, "authorId" FROM mods WHERE id % 10 = 0`)
    const made = await backUp(
      app,
      '--tables',
      'Mod',
      '--where',
      '{"contentType":"furniture","author":{"name":{"not":"user 1"}}}',
    )
    expect(made.rows).toBe(950)
    const one = await backUp(app, '--scope', 'User:user 5')
    const all = async () =>
      JSON.stringify([
        await ask('SELECT * FROM mods ORDER BY id'),
        await ask('SELECT * FROM "Comment" ORDER BY id'),
        await ask('SELECT * FROM "User" ORDER BY id'),
      ])
    const before = await all()
    await ask(
      `DELETE FROM "Comment" WHERE "modId" IN (SELECT id FROM mods WHERE "authorId" = 5) OR "byId" = 5; DELETE FROM mods WHERE "authorId" = 5; DELETE FROM "User" WHERE id = 5`,
    )
    expect((await script(app, one.script)).stdout).toContain('Nothing was changed.')
    await script(app, one.script, '--restore')
    expect(await all()).toBe(before)
    await ask(`UPDATE mods SET title = 'spoilt' WHERE content_type = 'furniture' AND "authorId" <> 1`)
    const { exitCode, stdout, stderr } = await ops(app, 'restore', made.id, '--apply', '--json')
    expect([exitCode, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout).report.models).toMatchObject([{ model: 'Mod', updated: 950, kept: 2050 }])
    expect(await all()).toBe(before)
  }, 200_000)
})
