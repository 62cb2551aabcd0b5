// `import --only` and what `inspect` says of the people in a file, as an operator runs them.
// Guarantees tested: every format can be imported in part; the words are those that inspect gives; what cannot be chosen
// is refused with a sentence and a database as it was; inspect of any number of people takes the same memory.

import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { contents, golden, mediaApp, zoe } from './console/media-app.ts'
import { boot, makeApp, makeFolder, ops, root, sha256, type TestApp } from './harness.ts'

const userNames = (app: TestApp) =>
  contents(app)
    .User!.map((row) => (row as { username: string }).username)
    .sort()

async function imported(app: TestApp, ...words: string[]) {
  const { exitCode, stdout, stderr } = await ops(app, 'import', ...words, '--apply', '--json')
  expect(exitCode, stderr + stdout).toBe(0)
  return JSON.parse(stdout)
}

test('of an older file: one user, several, the settings, both; and what is there stays', async () => {
  const file = golden('all-users')
  const app = await mediaApp(zoe)
  const before = contents(app)
  const { users, parts } = JSON.parse((await ops(app, 'inspect', file, '--json')).stdout)
  expect(parts).toEqual({ settings: true, users: true })
  expect(users.map(({ only }: { only: string }) => only)).toEqual(['User:john', 'User:data', 'User:mary'])

  const dry = await ops(app, 'import', file, '--only', 'User:mary')
  expect(dry.stdout).toContain('Of it only: User:mary. All other rows stay as they are.')
  expect(dry.stdout).toContain(`To do it: npx bootkeeper import ${file} --only User:mary --apply`)
  expect(contents(app)).toEqual(before)
  const done = await imported(app, file, '--only', 'User:mary')
  expect(done).toMatchObject({ only: ['User:mary'] })
  expect(userNames(app)).toEqual(['mary', 'zoe'])
  const after = contents(app)
  expect(after.SystemConfig).toEqual([])
  for (const table of ['User', 'Media', 'UserMedia'])
    for (const row of before[table]!) expect(after[table]).toContainEqual(row)

  await imported(app, file, '--only', 'settings')
  expect(contents(app)).toEqual({ ...after, SystemConfig: contents(app).SystemConfig })
  expect(contents(app).SystemConfig).toMatchObject([{ jellyfinUrl: expect.stringContaining('http') }])

  await imported(app, file, '--only', 'settings,User:john', '--only', 'User:data')
  expect(userNames(app)).toEqual(['data', 'john', 'mary', 'zoe'])
  // Nothing is left to come but the rest, which is nothing.
  const all = JSON.parse((await ops(app, 'import', file, '--json')).stdout)
  for (const { model, created, updated } of all.report.models) expect([model, created, updated]).toEqual([model, 0, 0])
})

test('of a current export, a part of one, a copy without lines, and one in which a user is named oddly', async () => {
  const odd = `INSERT INTO "User" (id, username) VALUES (8, 'Doe, Jane'), (9, '#7'), (10, 'o''hara');
    INSERT INTO "UserMedia" (id, "userId", "mediaId", status) VALUES (20, 8, 3, 'BLOCKED'), (21, 9, 3, 'WATCHLIST')`
  const app = await mediaApp(`${zoe}${odd}`)
  const folder = makeFolder()
  const file = join(folder, 'all.json')
  await ops(app, 'export', file)
  const inspected = JSON.parse((await ops(app, 'inspect', file, '--json')).stdout)
  expect(inspected.users).toEqual([
    { name: 'zoe', entries: { 'UserMedia.WATCHED': 1 }, only: 'User:zoe' },
    { name: 'Doe, Jane', entries: { 'UserMedia.BLOCKED': 1 }, only: 'User:Doe, Jane' },
    { name: '#7', entries: { 'UserMedia.WATCHLIST': 1 }, only: 'User:##7' },
    { name: "o'hara", entries: {}, only: "User:o'hara" },
  ])
  expect(inspected).toMatchObject({ parts: { settings: false, users: true }, counts: { User: 4, UserMedia: 3 } })
  expect((await ops(app, 'inspect', file)).stdout).toMatch(
    /user +UserMedia\.WATCHED +UserMedia\.BLOCKED +UserMedia\.WATCHLIST\n +zoe +1 +0 +0\n[\s\S]*model +rows\n/,
  )
  const pretty = join(folder, 'pretty.json')
  writeFileSync(pretty, JSON.stringify(JSON.parse(readFileSync(file, 'utf8')), null, 2))
  for (const [path, word, name] of [
    [file, 'User:Doe\\, Jane', 'Doe, Jane'],
    [pretty, 'User:##7', '#7'],
    [file, 'User:#7', 'zoe'],
    [pretty, `User:o'hara`, `o'hara`],
  ] as const) {
    const other = await mediaApp()
    await imported(other, path, '--only', word)
    expect(userNames(other)).toEqual([name])
  }
  // A backup of a part, and of it a part.
  const { id } = JSON.parse((await ops(app, 'backup', '--scope', 'Media:#3', '--json')).stdout)
  const other = await mediaApp()
  const path = join(app.backups, `${id}.json`)
  await imported(other, path, '--only', 'User:zoe')
  expect(userNames(other)).toEqual(['zoe'])
  expect(contents(other).UserMedia).toHaveLength(1)
  const { stderr } = await ops(other, 'import', path, '--only', 'User:kim')
  expect(stderr).toContain('✖ NOT_IN_FILE  The file has no User "kim". It has "zoe", "Doe, Jane", "#7".')
})

test('lists of a user who is named at the import, and a schema without annotations', async () => {
  const app = await mediaApp()
  await imported(app, golden('payload-flat'), '--user', 'kim', '--only', 'User:kim')
  expect(userNames(app)).toEqual(['kim'])
  expect((await ops(app, 'import', golden('payload-flat'), '--only', 'User:kim')).stderr).toContain('USER_NEEDED')

  const plain = makeApp()
  expect((await boot(plain)).exitCode).toBe(0)
  const database = plain.open()
  database.exec(`INSERT INTO User(name) VALUES ('ann'), ('john'); INSERT INTO Post(title, authorId) VALUES ('one', 1)`)
  database.close()
  const file = join(makeFolder(), 'plain.json')
  await ops(plain, 'export', file)
  const inspected = JSON.parse((await ops(plain, 'inspect', file, '--json')).stdout)
  expect(inspected.users).toBeUndefined()
  expect(inspected.parts).toEqual({ settings: false, users: false })
  const other = makeApp()
  expect((await boot(other)).exitCode).toBe(0)
  await imported(other, file, '--only', 'User:ann')
  expect(contents(other).Post).toHaveLength(1)
  expect((await ops(other, 'import', file, '--only', 'settings')).stderr).toContain('marks no model as settings')
})

test('what cannot be chosen is refused, and nothing is changed', async () => {
  const app = await mediaApp(zoe)
  const before = sha256(app.database)
  const file = golden('multi-user-2.4.1')
  for (const [words, code, said] of [
    [['--only', 'User:nobody'], 65, 'The file has no User "nobody". It has "john".'],
    [['--only', 'Usr:john'], 64, '"Usr". Did you mean User?'],
    [['--only', 'john'], 64, 'not "john"'],
    [['--only', 'User:john,'], 64, '--only takes words with commas between them'],
    [['--only', 'User:john', '--mode', 'replace'], 64, '--only goes with --mode merge only'],
  ] as const)
    for (const apply of [[], ['--apply']]) {
      const { exitCode, stderr, stdout } = await ops(app, 'import', file, ...words, ...apply)
      expect([words, exitCode, stdout]).toEqual([words, code, ''])
      expect(stderr).toContain(said)
    }
  const noSettings = await ops(app, 'import', golden('multi-user-no-settings'), '--only', 'settings')
  expect(noSettings.stderr).toContain('✖ NOT_IN_FILE  The file has no settings.')
  expect(sha256(app.database)).toBe(before)
  // There is nothing that a part could be added to.
  const empty = makeApp()
  const missing = await ops(empty, 'import', file, '--only', 'settings', '--apply')
  expect(missing.exitCode).not.toBe(0)
  expect(missing.stdout).toBe('')
})

test('inspect names two hundred people, counts the others, and takes the same memory for half a million', async () => {
  const app = await mediaApp()
  const fill = (count: number) => {
    const database = app.open()
    database.exec(`DELETE FROM "User"; INSERT INTO "Media" (id, title) VALUES (1, 'one') ON CONFLICT DO NOTHING;
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
        INSERT INTO "User" (id, username) SELECT i, 'user ' || i FROM n;
      INSERT INTO "UserMedia" ("userId", "mediaId", status) SELECT id, 1, 'WATCHED' FROM "User"`)
    database.close()
  }
  const peak = async (count: number) => {
    fill(count)
    const file = join(app.dir, `${count}.json`)
    execFileSync(process.execPath, [join(root, 'bin/bootkeeper.js'), 'export', file], { cwd: app.dir })
    const model = join(app.dir, 'data/.bootkeeper/data-model.json')
    const script = `
      const { People } = await import(${JSON.stringify(pathToFileURL(join(root, 'dist/src/import-people.js')).href)})
      const { openSource } = await import(${JSON.stringify(pathToFileURL(join(root, 'dist/src/formats/source.js')).href)})
      const { readFileSync } = await import('node:fs')
      const { model } = JSON.parse(readFileSync(${JSON.stringify(model)}, 'utf8'))
      const source = await openSource(${JSON.stringify(file)}, {})
      const people = new People(model, source.header)
      for await (const batch of source.batches()) people.add(batch)
      const { users, moreUsers } = people.found
      globalThis.gc()
      const { heapUsed } = process.memoryUsage()
      console.log(JSON.stringify({ users, moreUsers, heapUsed, isIncomplete: people.isIncomplete }))`
    const { stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', script], {
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
    return JSON.parse(stdout)
  }
  const small = await peak(1_000)
  const large = await peak(500_000)
  expect(small.users).toHaveLength(200)
  expect(large.users).toEqual(small.users)
  expect(large.users[199]).toEqual({ name: 'user 200', entries: { 'UserMedia.WATCHED': 1 }, only: 'User:user 200' })
  expect([small.moreUsers, large.moreUsers]).toEqual([800, 499_800])
  expect(large.heapUsed - small.heapUsed).toBeLessThan(8_000_000)
}, 120_000)

test('people whose rows come after those that refer to them are counted all the same', async () => {
  const app = makeApp(`
model Entry {
  id     Int    @id
  kind   Kind
  owner  Zed    @relation(fields: [ownerId], references: [id])
  ownerId Int
}
model Other {
  id     Int    @id
  owner  Zed?   @relation(fields: [ownerId], references: [id])
  ownerId Int?
}
enum Kind {
  GOOD
  BAD
}
/// @user
model Zed {
  id     Int    @id @default(autoincrement())
  entries Entry[]
  others  Other[]
}`)
  expect((await boot(app)).exitCode).toBe(0)
  const database = app.open()
  database.exec(`INSERT INTO Zed VALUES (1), (2);
    INSERT INTO Entry VALUES (1, 'GOOD', 1), (2, 'BAD', 1), (3, 'GOOD', 1); INSERT INTO Other VALUES (1, 2), (2, NULL)`)
  database.close()
  const file = join(makeFolder(), 'zed.json')
  await ops(app, 'export', file)
  // Without a natural key they are told by their ids.
  expect(JSON.parse((await ops(app, 'inspect', file, '--json')).stdout).users).toEqual([
    { name: '#1', entries: { 'Entry.GOOD': 2, 'Entry.BAD': 1 }, only: 'Zed:#1' },
    { name: '#2', entries: { Other: 1 }, only: 'Zed:#2' },
  ])
})
