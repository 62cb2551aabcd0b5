// The backups in the console, by real HTTP: what is said of each, verify and drill, pin, delete, and the restore of one
// that has only a raw copy.
// Guarantees tested: what retention keeps cannot be deleted; a raw copy goes the same way as a file, whatever its schema,
// and leaves nothing behind, also after kill -9.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { BackupList, Source } from '../../src/console/contract.ts'
import { copyOf, readManifest } from '../../src/manifest.ts'
import { openTestConsole, type TestConsole } from '../console.ts'
import { baseModels, boot, killHard, makeApp, makeFolder, ops, poll, type TestApp } from '../harness.ts'
import { contents, golden, mediaApp, zoe } from './media-app.ts'

async function listed(console: TestConsole, limit = 100): Promise<BackupList> {
  const { status, body } = await console.call('GET', `/api/backups?limit=${limit}`)
  expect(status, JSON.stringify(body)).toBe(200)
  return body
}

async function viewOf(console: TestConsole, stem: string) {
  return (await listed(console)).backups.find((each) => each.stem === stem)!
}

async function taken(console: TestConsole): Promise<string> {
  return (await console.operate<'backup'>({ kind: 'backup' })).result!.stem
}

async function planOf(console: TestConsole, source: Source) {
  const plan = await console.operate<'plan'>({ kind: 'plan', source, mode: 'replace', keepExisting: false })
  expect(plan.error).toBeUndefined()
  return plan
}

async function restored(console: TestConsole, source: Source) {
  const plan = await planOf(console, source)
  const { code } = plan.result!.confirmation
  const done = await console.operate<'restore'>({ kind: 'restore', plan: plan.id, code })
  expect(done.error).toBeUndefined()
  return done
}

const leftovers = (app: TestApp) =>
  readdirSync(join(app.dir, 'data/.bootkeeper')).filter((name) => name.includes('backup_'))

test('each backup with its checks; verified, drilled, pinned, deleted; what retention keeps stays', async () => {
  const app = await mediaApp(zoe)
  const console = await openTestConsole(app)
  await console.claim()
  const [first, second, third] = [await taken(console), await taken(console), await taken(console)]
  const { total, backups } = await listed(console, 2)
  expect([total, backups.map(({ stem }) => stem)]).toEqual([5, [third, second]])
  for (const limit of ['0', '-1', '1.5', 'all', '']) {
    const { status } = await console.call('GET', `/api/backups?limit=${limit}`)
    expect([limit, status]).toEqual([limit, 403])
  }
  expect(await viewOf(console, first)).toMatchObject({
    ...{ condition: 'verified', hasCopy: true, hasExport: true, isWhole: true, isPinned: false, isEncrypted: false },
    why: 'manual: asked for in the console',
  })
  expect(await viewOf(console, first)).not.toHaveProperty('checkedAt')

  const verified = await console.operate<'verify'>({ kind: 'verify', backup: first, drill: false })
  expect([verified.state, verified.steps.length, verified.result]).toEqual(['done', 1, { notes: [] }])
  const before = contents(app)
  const drilled = await console.operate<'verify'>({ kind: 'verify', backup: first, drill: true })
  expect(drilled.error).toBeUndefined()
  expect(drilled.result!.restored!.join()).toMatch(/copy: .*export: /)
  expect(contents(app)).toEqual(before)
  const { checkedAt, drilledAt } = await viewOf(console, first)
  expect([Date.parse(checkedAt!), Date.parse(drilledAt!)].every((at) => Date.now() - at < 60_000)).toBe(true)
  const { lastDrill } = (await console.call('GET', '/api/overview')).body
  expect(lastDrill).toEqual({ stem: first, at: drilledAt })

  const files = app.files()
  const remove = (backup: string) => console.call('POST', '/api/removals', { backup })
  const refused = async (backup: string) => {
    const { status, body } = await remove(backup)
    expect(app.files()).toEqual(files)
    return [status, body.error.code, body.error.message]
  }
  const pinnedByBoot = (await listed(console)).backups.find(({ isPinnedByBoot }) => isPinnedByBoot)!
  expect(pinnedByBoot.keptBecause).toBe('the newest that the app came up on')
  expect(await refused(pinnedByBoot.stem)).toEqual([
    422,
    'BACKUP_KEPT',
    `${pinnedByBoot.stem} is kept: the newest that the app came up on.`,
  ])
  expect(await viewOf(console, third)).toMatchObject({ keptBecause: 'the last verified one of its kind' })
  expect(await refused(third)).toEqual([422, 'BACKUP_KEPT', `${third} is kept: the last verified one of its kind.`])
  expect((await console.call('POST', '/api/pins', { backup: first, pinned: true })).status).toBe(200)
  expect(await viewOf(console, first)).toMatchObject({ isPinned: true, keptBecause: 'pinned' })
  expect((await refused(first))[1]).toBe('BACKUP_KEPT')
  expect((await remove('backup_none')).body.error.code).toBe('BACKUP_NOT_FOUND')
  expect((await console.call('POST', '/api/pins', { backup: 'backup_none', pinned: true })).status).toBe(404)
  expect((await console.call('POST', '/api/pins', { backup: first, pinned: false })).status).toBe(200)
  expect(await viewOf(console, first)).not.toHaveProperty('keptBecause')
  const { status, body } = await remove(first)
  expect([status, body.removed, body.freedBytes > 0]).toEqual([200, [first], true])
  expect(app.files().filter((name) => name.startsWith(`${first}.`))).toEqual([])
  // That a restore was practised stays true.
  expect((await console.call('GET', '/api/overview')).body.lastDrill).toMatchObject({ stem: first, at: drilledAt })
  expect(await viewOf(console, first)).toBeUndefined()
  const log = JSON.parse((await ops(app, 'log', '--json')).stdout) as { action: string; ids: string[] }[]
  expect(log.filter(({ action }) => action === 'pin' || action === 'prune').map(({ ids }) => ids)).toEqual([
    [first],
    [first],
    [first],
  ])
  // An ops command is at work: the console waits a little, then says so.
  const busy = await console.call('POST', '/api/operations', { kind: 'verify', backup: second, drill: true })
  const meanwhile = await console.call('POST', '/api/operations', { kind: 'backup' })
  expect([busy.status, meanwhile.status, meanwhile.body.error.code]).toEqual([200, 409, 'LOCK_HELD'])
  await console.settled(busy.body.id)
  await console.stop()
})

test('a damaged backup fails its check and is told apart from then on; one without a manifest is no backup', async () => {
  const app = await mediaApp(zoe)
  const console = await openTestConsole(app)
  await console.claim()
  const [first, second] = [await taken(console), await taken(console)]
  const path = join(app.backups, `${first}.json`)
  writeFileSync(path, readFileSync(path, 'utf8').replace('Star Wars', 'Star Wors'))
  writeFileSync(join(app.backups, `${second}.manifest.json`), '{}')
  const { state, error } = await console.operate<'verify'>({ kind: 'verify', backup: first, drill: true })
  expect([state, error!.code]).toEqual(['failed', 'BACKUP_DAMAGED'])
  expect(error!.message).toContain(`${first}.json does not match its checksum`)
  expect(error!.safe).toContain('The database was only read')
  const list = await listed(console)
  expect(list.backups.find(({ stem }) => stem === first)).toMatchObject({
    condition: 'damaged',
    problem: expect.stringContaining('does not match its checksum'),
  })
  expect(list.backups.map(({ stem }) => stem)).not.toContain(second)
  expect(list.others).toMatchObject([{ id: second, status: 'damaged', error: { code: 'BACKUP_DAMAGED' } }])
  expect((await console.call('POST', '/api/removals', { backup: second })).body.error.code).toBe('BACKUP_DAMAGED')
  await console.stop()
})

test.each(['plain', 'encrypted'])(
  'a backup that has only a raw copy, %s: looked into, planned, restored',
  async (how) => {
    const app = await mediaApp(zoe)
    if (how === 'encrypted') {
      const file = join(makeFolder(), 'passphrase')
      writeFileSync(file, 'correct horse battery staple')
      app.env.BACKUP_AGE_PASSPHRASE_FILE = file
    }
    const before = contents(app)
    const console = await openTestConsole(app)
    await console.claim()
    const { before: stem } = await restored(console, { upload: await console.upload(golden('multi-user-2.4.1')) })
    expect(contents(app)).not.toEqual(before)
    const view = await viewOf(console, stem!)
    expect(view).toMatchObject({ hasCopy: true, hasExport: false, isEncrypted: how === 'encrypted' })
    const source = { backup: stem! }
    const inspected = await console.operate<'inspect'>({ kind: 'inspect', source })
    expect(inspected.error).toBeUndefined()
    expect(inspected.steps.map(({ state }) => state)).toEqual(['done', 'done'])
    expect(inspected.result!.file.counts).toMatchObject({ User: 1, Media: 1, UserMedia: 1 })
    expect(inspected.result!.file).toMatchObject({ title: 'Raw copy of the database', createdAt: view.createdAt })
    expect(leftovers(app)).toEqual([])
    const done = await restored(console, source)
    expect(contents(app)).toEqual(before)
    expect(done.before).toBeTruthy()
    expect(leftovers(app)).toEqual([])
    // A copy that is damaged is never read out.
    const { name } = copyOf(await readManifest(app.backups, stem!))!
    const bytes = readFileSync(join(app.backups, name))
    bytes[bytes.length - 100]! ^= 1
    writeFileSync(join(app.backups, name), bytes)
    const damaged = await console.operate<'inspect'>({ kind: 'inspect', source })
    expect(damaged.error).toMatchObject({ code: 'BACKUP_DAMAGED' })
    expect(contents(app)).toEqual(before)
    expect(leftovers(app)).toEqual([])
    await console.stop()
  },
)

test('a raw copy of an older schema and one of a newer schema go through the same plan', async () => {
  const app = makeApp()
  expect((await boot(app)).exitCode).toBe(0)
  const run = (sql: string) => {
    const database = app.open()
    database.exec(sql)
    database.close()
  }
  run(`INSERT INTO User (id, name) VALUES (4, 'ann'); INSERT INTO Post (id, title, authorId) VALUES (2, 'Old', 4)`)
  expect((await boot(app)).exitCode).toBe(0)
  const older = await rawOnly(app)
  app.setSchema(`${baseModels.replace('notes String?', 'notes String?\n  mood String?\n  tags Tag[]')}
model Tag {
  id Int @id @default(autoincrement())
  name String
  user User @relation(fields: [userId], references: [id])
  userId Int
}
`)
  const console = await openTestConsole(app)
  await console.claim()
  run(`INSERT INTO Tag (name, userId) VALUES ('x', 4); UPDATE User SET name = 'bob', mood = 'good'`)
  const inspected = await console.operate<'inspect'>({ kind: 'inspect', source: { backup: older } })
  expect(inspected.error).toBeUndefined()
  expect(inspected.result!.file.counts).toEqual({ User: 1, Post: 1 })
  const plan = await planOf(console, { backup: older })
  expect(plan.result!.report.notInFile).toContainEqual({ model: 'User', fields: expect.arrayContaining(['mood']) })
  await restored(console, { backup: older })
  expect(contents(app).User).toMatchObject([{ name: 'ann' }])
  expect(contents(app).Post).toMatchObject([{ title: 'Old' }])

  // What the schema of today does not know.
  run(
    `ALTER TABLE User ADD COLUMN shoe TEXT; UPDATE User SET shoe = '44'; CREATE TABLE Extra (a); INSERT INTO Extra VALUES (1), (2)`,
  )
  const newer = await rawOnly(app, console)
  run(`ALTER TABLE User DROP COLUMN shoe; DROP TABLE Extra; DELETE FROM Post; DELETE FROM User`)
  const seen = await console.operate<'inspect'>({ kind: 'inspect', source: { backup: newer } })
  expect(seen.error).toBeUndefined()
  expect(JSON.stringify(seen.result!.file.leftBehind)).toContain('Extra')
  const wanted = await planOf(console, { backup: newer })
  expect(JSON.stringify(wanted.result!.report.notInSchema)).toContain('shoe')
  await restored(console, { backup: newer })
  expect(contents(app).User).toMatchObject([{ name: 'ann' }])
  expect(contents(app).Post).toHaveLength(1)
  await console.stop()
})

test('kill -9 while a copy is read out leaves nothing after the next boot', async () => {
  const app = await mediaApp('')
  const database = app.open()
  database.exec(`
    INSERT INTO "User" (id, username) VALUES (1, 'ann');
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000)
    INSERT INTO "Media" (id, "tmdbId", "mediaType", title) SELECT i, i, 'movie', 'Film ' || i FROM n`)
  database.close()
  const stem = await rawOnly(app)
  const before = contents(app)
  const console = await openTestConsole(app)
  await console.claim()
  const source = { backup: stem }
  const { status } = await console.call('POST', '/api/operations', { kind: 'inspect', source })
  expect(status).toBe(200)
  await poll(
    () => leftovers(app).some((name) => name.startsWith(`.${stem}.json.`)),
    'the file that is made of the copy',
  )
  killHard(console.boot.child)
  await console.boot.ended
  expect(leftovers(app).length).toBeGreaterThan(0)
  const next = await openTestConsole(app)
  expect(leftovers(app)).toEqual([])
  expect(contents(app)).toEqual(before)
  await next.signIn()
  expect((await restored(next, source)).error).toBeUndefined()
  expect(leftovers(app)).toEqual([])
  await next.stop()
})

/** A backup of the database as it is now that has no export: what a replacement by the same takes first. */
async function rawOnly(app: TestApp, running?: TestConsole): Promise<string> {
  const file = join(makeFolder(), 'same.json')
  if (running) {
    await ops(app, 'export', file)
    return (await restored(running, { upload: await running.upload(file) })).before!
  }
  expect((await ops(app, 'export', file)).exitCode).toBe(0)
  const { stdout } = await ops(app, 'import', file, '--mode', 'replace', '--apply', '--json')
  const { before } = JSON.parse(stdout) as { before: string }
  expect((await readManifest(app.backups, before)).files.map(({ role }) => role)).toEqual(['copy'])
  return before
}
