// The console of a boot that failed, by real HTTP: real boots on a damaged database, a missing one, one whose change was
// refused, and a full disk. Guarantees tested: strangers learn the kind of failure only; who is signed in gets a backup
// back and starts again, and that start is good; whatever cannot be read is left out, and no call fails because of it.

import { execFileSync, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { openTestConsole, send, type TestConsole } from '../console.ts'
import { baseModels, boot, killHard, makeApp, poll, sha256, startBoot, type TestApp } from '../harness.ts'
import { contents, golden, mediaApp, zoe } from './media-app.ts'
import { freePort } from './page-steps.ts'

const maintenance = { ON_BOOT_FAILURE: 'maintenance' }
const mounts: string[] = []
afterEach(() => {
  for (const mount of mounts.splice(0)) spawnSync('umount', ['-l', mount])
})

/** An app that came up with rows, and a backup of them. */
async function upApp(): Promise<TestApp> {
  const app = await mediaApp(zoe)
  expect((await boot(app)).exitCode).toBe(0)
  return app
}

function damage(app: TestApp): void {
  const size = readFileSync(app.database).length
  writeFileSync(app.database, 'This is no database any more. '.repeat(size / 30))
}

async function newestBackup(console: TestConsole): Promise<string> {
  const { status, body } = await console.call('GET', '/api/backups?limit=10')
  expect(status, JSON.stringify(body)).toBe(200)
  return body.backups.find(({ hasCopy }: { hasCopy: boolean }) => hasCopy).stem
}

async function putBack(console: TestConsole, backup: string) {
  const checked = await console.operate<'check-copy'>({ kind: 'check-copy', backup })
  expect(checked.error).toBeUndefined()
  const { code } = checked.result!.confirmation
  const done = await console.operate<'put-back'>({ kind: 'put-back', plan: checked.id, code })
  expect(done.error).toBeUndefined()
  return { checked: checked.result!, done }
}

async function startedAgain(console: TestConsole): Promise<void> {
  const up = console.boot.until(({ step, state }) => step === 'launch' && state === 'done')
  expect((await console.call('POST', '/api/start-again', {})).status).toBe(200)
  await up
}

test('a damaged database: a backup is put back from the page, and the same process boots and is up', async () => {
  const app = await upApp()
  const before = contents(app)
  damage(app)
  const damaged = readFileSync(app.database)
  const PORT = await freePort()
  const console = await openTestConsole(app, { ...maintenance, PORT })

  // A stranger: what kind of failure it is, in the page and for a health check, and nothing else.
  const stranger = await send(console.port, 'GET', '/', undefined, { host: `localhost:${console.port}` })
  expect(stranger.status).toBe(503)
  expect(stranger.body).toContain('DATABASE_CORRUPT')
  const publicName = await send(console.port, 'GET', '/', undefined, { host: 'films.example.com' })
  expect([publicName.status, publicName.body.includes('DATABASE_CORRUPT')]).toEqual([503, true])
  for (const page of [stranger.body, publicName.body])
    for (const inside of [app.dir, 'app.db', 'backup_2']) expect(page).not.toContain(inside)
  const health = await send(console.port, 'GET', '/health', undefined, { host: 'films.example.com' })
  expect([health.status, health.body]).toEqual([503, { status: 'maintenance', code: 'DATABASE_CORRUPT' }])
  for (const [method, path] of [
    ['GET', '/api/overview'],
    ['GET', '/api/backups?limit=5'],
    ['POST', '/api/operations'],
    ['POST', '/api/start-again'],
  ] as const)
    expect([path, (await console.call(method, path, method === 'POST' ? {} : undefined)).status]).toEqual([path, 401])

  await console.claim()
  const overview = (await console.call('GET', '/api/overview')).body
  expect(overview.failure).toMatchObject({ code: 'DATABASE_CORRUPT', step: 'copy' })
  expect(overview.failure.message).toContain('app.db is damaged')
  expect(overview.failure.next).toContain('backup_')
  expect(overview.boots[0]).toMatchObject({ outcome: 'failed', code: 'DATABASE_CORRUPT' })
  expect(overview.database).toMatchObject({ engine: 'sqlite', sizeBytes: damaged.length })
  expect((await console.call('GET', '/')).status).toBe(503)

  const stem = await newestBackup(console)
  const attempt = async (plan: string, code: string) =>
    (await console.call('POST', '/api/operations', { kind: 'put-back', plan, code })).body.error?.code
  const looked = await console.operate<'check-copy'>({ kind: 'check-copy', backup: stem })
  expect(looked.result).toMatchObject({ stem, present: 'database', into: app.database })
  expect(await attempt(looked.id, 'AAA-AAA')).toBe('PLAN_CHANGED')
  expect(await attempt('check-copy-none', 'AAA-AAA')).toBe('REQUEST_REFUSED')
  expect(readFileSync(app.database).equals(damaged)).toBe(true)
  const { done } = await putBack(console, stem)
  expect(done.result).toMatchObject({ restored: stem, aside: expect.stringContaining('before-restore') })
  expect(readFileSync(done.result!.aside!).equals(damaged)).toBe(true)
  expect(contents(app)).toEqual(before)
  // What the failure advised is over, and the page must not say it any more.
  expect(overview.isMended).toBe(undefined)
  expect((await console.call('GET', '/api/overview')).body).toMatchObject({
    isMended: true,
    restores: [{ id: done.id, kind: 'put-back', subject: stem }],
  })

  await startedAgain(console)
  await poll(() => app.state().attempts === 0, 'the boot to be ready')
  expect((await send(console.port, 'GET', '/health', undefined, { host: 'localhost' })).status).toBe(200)
  // The session is good for the console that is up now.
  const after = (await console.call('GET', '/api/overview')).body
  expect([after.failure, after.boots[0].outcome]).toEqual([undefined, 'ready'])
  expect((await console.call('POST', '/api/start-again', {})).body.error.code).toBe('REQUEST_REFUSED')
  const refused = await console.call('POST', '/api/operations', { kind: 'check-copy', backup: stem })
  expect(refused.body.error.code).toBe('REQUEST_REFUSED')
  expect(contents(app)).toEqual(before)
  expect(await console.stop()).toBe(0)
}, 120_000)

test('a missing database: its copy, its export and a file bring it back; the app then starts, and its end is passed on', async () => {
  const app = await upApp()
  const before = contents(app)
  const gone = () => {
    for (const ending of ['', '-wal', '-shm']) rmSync(app.database + ending, { force: true })
  }
  gone()
  const console = await openTestConsole(app, { ...maintenance, READY_AFTER_SECONDS: '0' }, [
    ...['sh', '-c', 'sleep 1; exit 7'],
  ])
  await console.claim()
  const { failure, database } = (await console.call('GET', '/api/overview')).body
  expect([failure.code, database.sizeBytes]).toEqual(['DATABASE_MISSING', undefined])
  const stem = await newestBackup(console)
  const { checked, done } = await putBack(console, stem)
  expect(checked.present).toBe('none')
  expect([done.before, done.result!.aside]).toEqual([undefined, undefined])
  expect(contents(app)).toEqual(before)

  const users = (at: TestApp) => contents(at).User
  for (const source of [{ backup: stem }, { upload: await console.upload(golden('multi-user-2.4.1')) }]) {
    gone()
    const plan = await console.operate<'plan'>({ kind: 'plan', source, mode: 'replace', keepExisting: false })
    expect(plan.error).toBeUndefined()
    expect(plan.result!.into).toBe('new')
    expect(existsSync(app.database)).toBe(false)
    const request = { kind: 'restore', plan: plan.id, code: plan.result!.confirmation.code } as const
    const restored = await console.operate<'restore'>(request)
    expect(restored.error).toBeUndefined()
    expect(users(app)).toHaveLength(1)
  }
  // Undo, of a restore over something.
  await putBack(console, stem)
  const last = await putBack(console, stem)
  const undone = await console.operate<'undo'>({ kind: 'undo', restore: last.done.id })
  expect(undone.error).toBeUndefined()
  expect(contents(app)).toEqual(before)
  expect((await console.call('POST', '/api/start-again', {})).status).toBe(200)
  expect((await console.boot.ended).exitCode).toBe(7)
  expect(contents(app)).toEqual(before)
}, 120_000)

test('a start that fails again comes back with what is wrong now; a refused loss is shown in full only to who is signed in', async () => {
  const app = makeApp()
  await boot(app)
  const database = app.open()
  database.exec("INSERT INTO User(name, notes) VALUES ('ann', 'secret words')")
  database.close()
  await boot(app)
  const before = sha256(app.database)
  app.setSchema(baseModels.replace('  notes String?\n', ''))
  const PORT = await freePort()
  const console = await openTestConsole(app, { ...maintenance, PORT })
  await console.claim()
  const { failure } = (await console.call('GET', '/api/overview')).body
  expect(failure).toMatchObject({ code: 'DATA_LOSS_REFUSED', step: 'schema' })
  expect(`${failure.message} ${failure.next}`).toContain('ACCEPT_DATA_LOSS=')
  app.setSchema('model Broken {')
  const again = console.boot.until(({ code }) => code === 'SCHEMA_INVALID')
  expect((await console.call('POST', '/api/start-again', {})).status).toBe(200)
  await again
  const now = await poll(
    () => console.boot.lines.filter(({ msg }) => msg.startsWith('Maintenance mode')).length === 2,
    'the page to be back',
  )
  expect(now).toBe(true)
  const overview = (await console.call('GET', '/api/overview')).body
  expect(overview.failure.code).toBe('SCHEMA_INVALID')
  expect((await console.call('GET', '/api/backups?limit=5')).status).toBe(200)
  expect(sha256(app.database)).toBe(before)
  console.boot.child.kill('SIGTERM')
  expect((await console.boot.ended).exitCode).toBe(65)
  expect(sha256(app.database)).toBe(before)
})

test('what is there changes between the look and the code: nothing is done; kill -9 on the way leaves one or the other', async () => {
  const app = await upApp()
  const before = contents(app)
  renameSync(app.database, `${app.database}.elsewhere`)
  const console = await openTestConsole(app, maintenance)
  await console.claim()
  const stem = await newestBackup(console)
  const looked = await console.operate<'check-copy'>({ kind: 'check-copy', backup: stem })
  renameSync(`${app.database}.elsewhere`, app.database)
  const { code } = looked.result!.confirmation
  const done = await console.operate<'put-back'>({ kind: 'put-back', plan: looked.id, code })
  expect(done.error).toMatchObject({ code: 'PLAN_CHANGED' })
  expect(contents(app)).toEqual(before)
  const next = await console.operate<'check-copy'>({ kind: 'check-copy', backup: stem })
  const request = { kind: 'put-back', plan: next.id, code: next.result!.confirmation.code } as const
  expect((await console.call('POST', '/api/operations', request)).status).toBe(200)
  killHard(console.boot.child)
  await console.boot.ended
  const good = await boot(app)
  expect(good.exitCode, good.output).toBe(0)
  expect(contents(app)).toEqual(before)
  expect(readdirSync(join(app.dir, 'data')).filter((name) => name.includes('.partial'))).toEqual([])
})

test.skipIf(process.getuid?.() !== 0)(
  'a full disk: the page comes up, says what is wrong, and starts again once there is room',
  async () => {
    const app = makeApp()
    const data = join(app.dir, 'data')
    mkdirSync(data)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', data])
    mounts.push(data)
    const insert = (name: string) => {
      const database = app.open()
      database.prepare('INSERT INTO User(name) VALUES (?)').run(name)
      database.close()
    }
    expect((await boot(app)).exitCode).toBe(0)
    insert('ann')
    const first = await openTestConsole(app)
    await first.claim()
    await first.stop()
    insert('bob')
    const { bavail, bsize } = statfsSync(data)
    const ballast = join(data, 'ballast')
    writeFileSync(ballast, Buffer.alloc(bavail * bsize))
    const PORT = await freePort()
    const console = await openTestConsole(app, { ...maintenance, PORT })
    await console.signIn()
    const overview = await console.call('GET', '/api/overview')
    expect([overview.status, overview.body.failure?.code]).toEqual([200, 'DISK_FULL'])
    expect((await console.call('GET', '/api/backups?limit=5')).body.total).toBeGreaterThan(0)
    const stem = await newestBackup(console)
    // What the boot's own reserve gave up, too.
    expect(() => {
      for (;;) appendFileSync(ballast, Buffer.alloc(4096))
    }).toThrow('ENOSPC')
    const refused = await console.call('POST', '/api/operations', { kind: 'check-copy', backup: stem })
    expect([refused.status, refused.body.error?.code]).toEqual([507, 'DISK_FULL'])
    rmSync(ballast)
    await startedAgain(console)
    expect(await console.stop()).toBe(0)
  },
)

test.skipIf(process.getuid?.() !== 0)('a folder that cannot be written: one page without a door', async () => {
  const app = makeApp()
  mkdirSync(join(app.dir, 'data'))
  const failed = startBoot(app, [], { ...maintenance, BOOTKEEPER_TEST_UID: '65534' })
  const { msg } = await failed.until((line) => line.msg.startsWith('Maintenance mode'))
  const url = /http:\S+\d/.exec(msg)![0]
  const page = await fetch(url)
  const html = await page.text()
  expect([page.status, html.includes('DATA_DIR_NOT_WRITABLE'), html.includes(app.dir)]).toEqual([503, true, false])
  expect((await fetch(`${url}/api/overview`)).status).toBe(404)
  expect(await (await fetch(`${url}/health`)).json()).toEqual({ status: 'maintenance', code: 'DATA_DIR_NOT_WRITABLE' })
  expect(failed.output()).not.toContain('Set it up')
  expect(readdirSync(join(app.dir, 'data'))).toEqual([])
  failed.child.kill('SIGTERM')
  expect((await failed.ended).exitCode).toBe(77)
})
