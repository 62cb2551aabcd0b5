// The restore in the console, by real HTTP: every format, the undo, and everything that can go wrong on the way.
// Guarantees tested: what is confirmed is what happens; whatever goes wrong ends in a clear message and an intact
// database; a file of any size passes through little memory.

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import type { Operation, OperationOf } from '../../src/console/contract.ts'
import { openTestConsole, type TestConsole } from '../console.ts'
import { boot, killHard, makeFolder, ops, poll, type TestApp } from '../harness.ts'
import { contents, golden, mediaApp, zoe } from './media-app.ts'

const uploadsOf = (app: TestApp) => readdirSync(join(app.dir, 'data/.bootkeeper/console/uploads'))

async function opened(rows = zoe, env: Record<string, string> = {}, words: string[] = []) {
  const app = await mediaApp(rows)
  const console = await openTestConsole(app, env, words)
  await console.claim()
  return { app, console }
}

async function planned(
  console: TestConsole,
  upload: string,
  more: { mode?: 'merge' | 'replace'; userName?: string } = {},
) {
  const { mode = 'replace', ...rest } = more
  const operation = await console.operate<'plan'>({
    kind: 'plan',
    source: { upload },
    mode,
    keepExisting: false,
    ...rest,
  })
  if (operation.state !== 'done') throw new Error(JSON.stringify(operation.error))
  return operation
}

async function restored(console: TestConsole, plan: OperationOf<'plan'>): Promise<OperationOf<'restore'>> {
  return await console.operate<'restore'>({ kind: 'restore', plan: plan.id, code: plan.result!.confirmation.code })
}

const sum = (operation: OperationOf<'plan'>, kind: 'created' | 'updated' | 'removed') =>
  operation.result!.report.models.reduce((total, model) => total + model[kind], 0)

test.each([
  { name: 'multi-user-2.4.1', format: 'multi-user' },
  { name: 'single-user', format: 'single-user' },
  { name: 'payload-nested', format: 'payload', userName: 'john' },
  { name: 'database-json', format: 'database-json' },
  { name: 'the current format', format: 'bootkeeper 1' },
])('$name: inspected, planned, restored, undone', async ({ name, format, userName }) => {
  const { app, console } = await opened()
  let path = golden(name)
  if (format === 'bootkeeper 1') {
    const other = await mediaApp(zoe.replaceAll('zoe', 'kim').replaceAll('Star Wars', 'Dune'))
    path = join(makeFolder(), 'other.json')
    await ops(other, 'export', path)
  }
  const before = contents(app)
  const upload = await console.upload(path)
  const inspected = await console.operate<'inspect'>({ kind: 'inspect', source: { upload } })
  const { file } = inspected.result!
  expect(file.format.toLowerCase()).toContain(format.split(' ')[0])
  expect(file.users?.some((user) => user.name === null) ?? false).toBe(userName !== undefined)
  const plan = await planned(console, upload, userName ? { userName } : {})
  expect(contents(app)).toEqual(before)
  expect(sum(plan, 'created')).toBeGreaterThan(0)
  const done = await restored(console, plan)
  expect(done.error).toBeUndefined()
  const { before: safety } = done
  const after = contents(app)
  expect(after).not.toEqual(before)
  const names = after.User!.map((row) => (row as { username: string }).username)
  if (format !== 'bootkeeper 1') expect(names.length).toBeGreaterThan(0)
  else expect(names).toEqual(['kim'])
  expect(app.files()).toContain(`${safety}.manifest.json`)
  // The same file again has nothing left to do.
  expect(sum(await planned(console, upload, { mode: 'merge', ...(userName ? { userName } : {}) }), 'created')).toBe(0)
  const undone = await console.operate<'undo'>({ kind: 'undo', restore: done.id })
  expect(undone.error).toBeUndefined()
  expect(contents(app)).toEqual(before)
  expect(undone.result!.restored).toBe(safety)
  // The undo can be undone, too.
  const again = await console.operate<'undo'>({ kind: 'undo', restore: undone.id })
  expect(again.error).toBeUndefined()
  expect(contents(app)).toEqual(after)
  expect(await console.stop()).toBe(0)
  const { exitCode, output } = await boot(app)
  expect(exitCode, output).toBe(0)
})

test('compressed files, and a backup that is here already', async () => {
  const { app, console } = await opened('')
  const folder = makeFolder()
  const text = readFileSync(golden('multi-user-2.4.1'))
  writeFileSync(join(folder, 'a.json.gz'), gzipSync(text))
  execFileSync('zstd', ['-q', golden('multi-user-2.4.1'), '-o', join(folder, 'b.json.zst')])
  for (const name of readdirSync(folder)) {
    const upload = await console.upload(join(folder, name))
    const { result } = await console.operate<'inspect'>({ kind: 'inspect', source: { upload } })
    expect(result!.file.users!.length).toBeGreaterThan(0)
  }
  const backup = await console.operate<'backup'>({ kind: 'backup' })
  const { backups } = (await console.call('GET', '/api/backups?limit=50')).body
  expect(backups[0]).toMatchObject({
    stem: backup.result!.stem,
    hasExport: true,
    why: 'manual: asked for in the console',
  })
  const source = { backup: backup.result!.stem }
  expect((await console.operate<'plan'>({ kind: 'plan', source, mode: 'replace', keepExisting: false })).state).toBe(
    'done',
  )
  const ticket = (await console.call('POST', '/api/tickets', source)).body.path
  const download = await fetch(`${console.url}${ticket}`)
  expect(await download.text()).toBe(readFileSync(join(app.backups, `${backup.result!.stem}.json`), 'utf8'))
  expect((await fetch(`${console.url}${ticket}`)).status).toBe(401)
  await console.stop()
})

const wrong = [
  ['a picture', () => randomBytes(5_000), 'FORMAT_UNKNOWN'],
  ['a text', () => Buffer.from('hello, this is no backup'), 'FORMAT_UNKNOWN'],
  ['JSON of something else', () => Buffer.from('{"name":"x","dependencies":{}}'), 'FORMAT_UNKNOWN'],
  ['a file cut short', () => readFileSync(golden('multi-user-2.4.1')).subarray(0, 700), 'FORMAT_UNKNOWN'],
  [
    'a gzip file cut short',
    () => gzipSync(readFileSync(golden('multi-user-2.4.1'))).subarray(0, 300),
    'EXPORT_DAMAGED',
  ],
  ['JSON nested too deep', () => Buffer.from('['.repeat(200_000)), 'FORMAT_UNKNOWN'],
] as const

test('a wrong file, or a damaged one, is said to be so by its own name, and nothing changes', async () => {
  const { app, console } = await opened()
  const before = contents(app)
  for (const [name, bytes, code] of wrong) {
    const path = join(makeFolder(), 'my backup.json')
    writeFileSync(path, bytes())
    const upload = await console.upload(path)
    for (const operation of [
      await console.operate<'inspect'>({ kind: 'inspect', source: { upload } }),
      await console.operate<'plan'>({ kind: 'plan', source: { upload }, mode: 'replace', keepExisting: false }),
    ]) {
      const { state, error } = operation as Operation
      expect([name, state, error?.code]).toEqual([name, 'failed', code])
      expect(error!.message).toMatch(/“my backup.json”|^The file/)
      expect(JSON.stringify(error)).not.toContain(app.dir)
      expect(`${error!.safe} ${error!.next}`.length).toBeGreaterThan(40)
    }
  }
  // A current export with one byte changed.
  const path = join(makeFolder(), 'export.json')
  await ops(app, 'export', path)
  writeFileSync(path, readFileSync(path, 'utf8').replace('Star Wars', 'Star Wors'))
  const { error } = await console.operate<'inspect'>({
    kind: 'inspect',
    source: { upload: await console.upload(path) },
  })
  expect(error).toMatchObject({ code: 'EXPORT_DAMAGED' })
  expect(contents(app)).toEqual(before)
  await console.stop()
})

test('a plan is done only with its own code, once, and not when the data has changed meanwhile', async () => {
  const { app, console } = await opened()
  const before = contents(app)
  const upload = await console.upload(golden('multi-user-2.4.1'))
  const plan = await planned(console, upload)
  const other = await planned(console, upload)
  const attempt = async (id: string, code: string) =>
    (await console.call('POST', '/api/operations', { kind: 'restore', plan: id, code })).body.error?.code
  expect(await attempt(plan.id, 'AAA-AAA')).toBe('PLAN_CHANGED')
  expect(await attempt(plan.id, other.result!.confirmation.code)).toBe('PLAN_CHANGED')
  expect(await attempt('plan-nothing', 'AAA-AAA')).toBe('REQUEST_REFUSED')
  for (let i = 0; i < 3; i += 1) expect(await attempt(plan.id, 'AAA-AAA')).toBe('PLAN_CHANGED')
  // Five wrong ones: the right one is over, too.
  expect(await attempt(plan.id, plan.result!.confirmation.code)).toBe('PLAN_CHANGED')
  const database = app.open()
  database.exec(`INSERT INTO "User" (username) VALUES ('new')`)
  database.close()
  const late = await restored(console, other)
  expect(late).toMatchObject({ state: 'failed', error: { code: 'PLAN_CHANGED' } })
  expect(contents(app).User).toHaveLength(before.User!.length + 1)
  const fresh = await planned(console, upload)
  expect(sum(fresh, 'removed')).toBe(sum(other, 'removed') + 1)
  const typed = fresh.result!.confirmation.code.toLowerCase().replace('-', ' ')
  const done = await console.operate<'restore'>({ kind: 'restore', plan: fresh.id, code: ` ${typed} ` })
  expect(done.state).toBe('done')
  expect(await attempt(fresh.id, fresh.result!.confirmation.code)).toBe('PLAN_CHANGED')
  await console.stop()
})

test('two tabs: one restores, the other is told what runs, and later that its plan is over', async () => {
  const { app, console } = await opened()
  const path = join(makeFolder(), 'large.json')
  writeFileSync(path, JSON.stringify(large(20_000)))
  const upload = await console.upload(path)
  const [first, second] = [await planned(console, upload), await planned(console, upload)]
  const start = (plan: OperationOf<'plan'>) =>
    console.call('POST', '/api/operations', { kind: 'restore', plan: plan.id, code: plan.result!.confirmation.code })
  const one = await start(first)
  const two = await start(second)
  expect([one.status, two.status, two.body.error.code]).toEqual([200, 409, 'LOCK_HELD'])
  expect(two.body.error).toMatchObject({ running: one.body.id, message: expect.stringContaining('large.json') })
  expect((await console.settled(one.body.id)).state).toBe('done')
  const after = contents(app)
  const three = await start(second)
  expect((await console.settled(three.body.id)).error?.code).toBe('PLAN_CHANGED')
  expect(contents(app)).toEqual(after)
  await console.stop()
})

test.each(['SIGKILL', 'SIGTERM'] as const)(
  '%s in the middle of a restore: whole or not at all, and said so after',
  async (signal) => {
    const { app, console } = await opened()
    const before = contents(app)
    const path = join(makeFolder(), 'large.json')
    writeFileSync(path, JSON.stringify(large(60_000)))
    const upload = await console.upload(path)
    const plan = await planned(console, upload)
    const { body } = await console.call('POST', '/api/operations', {
      kind: 'restore',
      plan: plan.id,
      code: plan.result!.confirmation.code,
    })
    const record = join(app.dir, `data/.bootkeeper/console/operations/${body.id}.json`)
    // While it writes: the backup of what was there is made.
    await poll(() => JSON.parse(readFileSync(record, 'utf8')).steps[2].state === 'running', 'the last step')
    if (signal === 'SIGKILL') killHard(console.boot.child)
    else console.boot.child.kill(signal)
    await console.boot.ended
    const next = await openTestConsole(app)
    await next.signIn()
    const operation = (await next.call('GET', `/api/operations/${body.id}`)).body
    expect(operation).toMatchObject({ state: 'failed', error: { code: 'INTERRUPTED' } })
    expect(operation.steps[2].state).toBe('failed')
    expect(operation.before).toMatch(/^backup_/)
    const isBefore = JSON.stringify(contents(app)) === JSON.stringify(before)
    const again = await planned(next, upload)
    // Either nothing of it happened, and the plan is what it was, or all of it did, and nothing is left.
    expect(again.result!.report.models).toEqual(isBefore ? plan.result!.report.models : expect.anything())
    if (!isBefore) expect(sum(again, 'created')).toBe(0)
    expect((await restored(next, again)).state).toBe('done')
    // Also from the one that was cut short there is a way back.
    const undone = await next.operate<'undo'>({ kind: 'undo', restore: body.id })
    expect(undone.error).toBeUndefined()
    expect(contents(app)).toEqual(before)
    await next.stop()
  },
)

test('beside a running app the restore and its undo go into the same file, in one transaction each', async () => {
  const app = await mediaApp(zoe)
  const before = contents(app)
  // An app that keeps the database open.
  const script = `const d = new (require('better-sqlite3'))(process.argv[1]); setInterval(() => d.prepare('SELECT 1').get(), 50); console.log('app is up')`
  const port = String(20_000 + Math.floor(Math.random() * 20_000))
  const console = await openTestConsole(app, { CONSOLE_PORT: port, READY_AFTER_SECONDS: '0' }, [
    process.execPath,
    '-e',
    script,
    app.database,
  ])
  await console.claim()
  expect((await console.call('GET', '/api/overview')).body.appRuns).toBe(true)
  const plan = await planned(console, await console.upload(golden('multi-user-2.4.1')))
  const done = await restored(console, plan)
  expect(done.error).toBeUndefined()
  expect(contents(app)).not.toEqual(before)
  const undone = await console.operate<'undo'>({ kind: 'undo', restore: done.id })
  expect(undone.error).toBeUndefined()
  expect(contents(app)).toEqual(before)

  // A row that cannot go in as a row: the undo would take it away, so it is left to the copy, with the app stopped.
  const database = app.open()
  database.exec(
    `PRAGMA foreign_keys = OFF; INSERT INTO "UserMedia" (id, "userId", "mediaId", status) VALUES (50, 99, 3, 'WATCHED')`,
  )
  database.close()
  const withOrphan = contents(app)
  const next = await restored(console, await planned(console, await console.upload(golden('multi-user-2.4.1'))))
  expect(next.error).toBeUndefined()
  const between = contents(app)
  const refused = await console.operate<'undo'>({ kind: 'undo', restore: next.id })
  expect(refused.error).toMatchObject({
    code: 'IMPORT_INCOMPLETE',
    next: `Stop the app, and run npx bootkeeper restore ${next.before} --apply: that puts the copy back as it is.`,
  })
  expect(contents(app)).toEqual(between)
  await console.stop()
  expect((await ops(app, 'restore', next.before!, '--apply')).exitCode).toBe(0)
  expect(contents(app)).toEqual(withOrphan)
})

test('an upload that is cut off leaves nothing; one that is too large is refused before it is sent', async () => {
  const { app, console } = await opened(zoe, { UPLOAD_LIMIT_MB: '3' })
  const head = (more: string) =>
    `POST /api/uploads HTTP/1.1\r\nHost: localhost:${console.port}\r\nOrigin: ${console.url}\r\nCookie: ${console.cookie}\r\nX-Bootkeeper-Token: ${console.token}\r\nContent-Type: application/octet-stream\r\n${more}\r\n\r\n`
  const socket = connect(console.port, '127.0.0.1')
  socket.write(head('Content-Length: 2000000'))
  socket.write(Buffer.alloc(900_000))
  await poll(() => uploadsOf(app).length > 0, 'the upload to begin')
  socket.destroy()
  await poll(() => uploadsOf(app).length === 0, 'what arrived to be gone')
  await console.boot.until(({ code }) => code === 'UPLOAD_CUT_OFF')

  const announced = connect(console.port, '127.0.0.1')
  announced.write(head('Content-Length: 3000001'))
  const answer = await new Promise<string>((resolve) => announced.once('data', (data) => resolve(String(data))))
  expect(answer).toContain('413')
  expect(answer).toContain('larger than 3.0 MB')
  announced.destroy()

  // Without a length it is counted.
  const chunked = connect(console.port, '127.0.0.1')
  chunked.on('error', () => undefined)
  chunked.write(head('Transfer-Encoding: chunked'))
  const block = Buffer.alloc(500_000)
  const said = new Promise<string>((resolve) => chunked.once('data', (data) => resolve(String(data))))
  for (let i = 0; i < 8; i += 1)
    chunked.write(Buffer.concat([Buffer.from(`${block.length.toString(16)}\r\n`), block, Buffer.from('\r\n')]))
  expect(await said).toContain('413')
  chunked.destroy()
  await poll(() => uploadsOf(app).length === 0, 'what arrived to be gone')

  // What a killed server left behind is swept by the next boot.
  const left = connect(console.port, '127.0.0.1')
  left.on('error', () => undefined)
  left.write(head('Content-Length: 2000000'))
  left.write(Buffer.alloc(900_000))
  await poll(() => uploadsOf(app).length > 0, 'the upload to begin')
  killHard(console.boot.child)
  await console.boot.ended
  expect(uploadsOf(app)).toHaveLength(1)
  const next = await openTestConsole(app)
  await next.signIn()
  await next.call('GET', '/api/overview')
  expect(uploadsOf(app)).toHaveLength(0)
  await next.stop()
})

test('two gigabytes pass through less than 256 MB of memory', async () => {
  const { app, console } = await opened('')
  const block = randomBytes(1 << 20)
  const blocks = 2_048
  const status = await new Promise<number>((resolve, reject) => {
    const request = httpRequest(
      {
        ...{ port: console.port, host: '127.0.0.1', method: 'POST', path: '/api/uploads' },
        headers: {
          ...{ host: `localhost:${console.port}`, origin: console.url, cookie: console.cookie },
          ...{ 'x-bootkeeper-token': console.token, 'content-type': 'application/octet-stream' },
          'content-length': blocks * block.length,
        },
      },
      (response) => resolve(response.resume().statusCode!),
    )
    request.on('error', reject)
    let sent = 0
    const more = () => {
      while (sent < blocks) {
        sent += 1
        if (!request.write(block)) return void request.once('drain', more)
      }
      request.end()
    }
    more()
  })
  expect(status).toBe(201)
  const peakKb = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${console.boot.child.pid}/status`, 'utf8'))![1])
  expect(peakKb).toBeLessThan(256 * 1024)
  expect(existsSync(join(app.dir, 'data/.bootkeeper/console/uploads'))).toBe(true)
  await console.stop()
}, 240_000)

function large(count: number) {
  const movies = Array.from({ length: count }, (_, i) => ({
    title: `Film ${i}`,
    tmdb_id: 1_000 + i,
    media_type: 'movie',
  }))
  return {
    version: '2.4.1',
    exported_at: '2025-11-25T12:00:00.000Z',
    system_config: null,
    users: [
      { username: 'john', data: { movies, series: [], watchlist: { movies: [], series: [] }, do_not_recommend: [] } },
    ],
  }
}
