// docs/recovery.md, disaster by disaster: each is made to happen to a real app, and the commands of the page are run as
// they stand there. Guarantees tested: what the page says that one sees is seen, and the rows are back afterwards.

import { execFileSync, spawn } from 'node:child_process'
import {
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { baseModels, boot, makeApp, makeFolder, ops, root, type TestApp } from './harness.ts'
import { describePostgres, query, startPostgres } from './postgres.ts'

interface Block {
  disaster: string
  kind: 'run' | 'see'
  /** That a command of the block may end with. */
  exitCode: number
  text: string
}

const page = readFileSync(join(root, 'docs/recovery.md'), 'utf8')
const blocks: Block[] = [
  ...page.matchAll(/^<!-- test: (\w+): (run|see)(?: (\d+))? -->\n```\w+\n([\s\S]*?)^```$/gm),
].map(([, disaster, kind, exitCode, text]) => ({
  disaster: disaster!,
  kind: kind as Block['kind'],
  exitCode: Number(exitCode ?? 0),
  text: text!,
}))
const isRoot = process.getuid?.() === 0
const mounts: string[] = []
afterEach(() => {
  for (const mount of mounts.splice(0)) execFileSync('umount', ['-l', mount])
})

/** An app with three rows and two backups, as after `npm install`: with the command in node_modules/.bin. */
async function disasterApp(
  models = baseModels,
  env: Record<string, string> = {},
  provider?: 'postgresql',
): Promise<TestApp> {
  return await disasterAppIn(Object.assign(makeApp(models, provider), { env }))
}

async function disasterAppIn(app: TestApp): Promise<TestApp> {
  const modules = join(app.dir, 'node_modules')
  rmSync(modules)
  mkdirSync(join(modules, '.bin'), { recursive: true })
  for (const name of readdirSync(join(root, 'node_modules')))
    if (!name.startsWith('.')) symlinkSync(join(root, 'node_modules', name), join(modules, name))
  symlinkSync(root, join(modules, 'bootkeeper'))
  symlinkSync('../bootkeeper/bin/bootkeeper.js', join(modules, '.bin', 'bootkeeper'))
  writeFileSync(join(app.dir, 'server.js'), '// The app of the page.\n')
  expect((await boot(app)).exitCode).toBe(0)
  return app
}

async function fill(app: TestApp): Promise<string> {
  const database = app.open()
  database.exec("INSERT INTO User(name) VALUES ('ann'), ('john'); INSERT INTO Post(title, authorId) VALUES ('one', 1)")
  database.close()
  return await backup(app)
}

async function backup(app: TestApp): Promise<string> {
  const { stdout, stderr } = await ops(app, 'backup', '--json')
  const { id } = JSON.parse(stdout) as { id: string }
  expect(id, stderr + stdout).toBeDefined()
  return id
}

function rows(app: TestApp): unknown[] {
  const database = app.open()
  try {
    return [
      database.pragma('integrity_check', { simple: true }),
      ...['SELECT count(*) FROM User', 'SELECT count(*) FROM Post'].map((sql) => database.prepare(sql).pluck().get()),
    ]
  } finally {
    database.close()
  }
}

function readRows(app: TestApp, sql: string): unknown[] {
  const database = app.open()
  try {
    return database.prepare(sql).all()
  } finally {
    database.close()
  }
}

function posts(app: TestApp): { id: number; title: string }[] {
  return readRows(app, 'SELECT id, title FROM Post ORDER BY id') as { id: number; title: string }[]
}

function change(app: TestApp, sql: string): void {
  const database = app.open()
  database.exec(sql)
  database.close()
}

function recipientIn(app: TestApp, file: string): string {
  return /public key: (\S+)/.exec(readFileSync(join(app.dir, file), 'utf8'))![1]!
}

const allRows = ['ok', 2, 1]

/**
 * Goes through the blocks of a disaster. `seen`: what was printed when it happened. `words`: what stands on the page for
 * what is another text each time.
 */
async function follow(
  app: TestApp,
  disaster: string,
  seen: string,
  stem: string,
  words: Record<string, string> = {},
): Promise<string> {
  const own = blocks.filter((block) => block.disaster === disaster)
  expect(own.length, disaster).toBeGreaterThan(1)
  let output = seen
  for (const { kind, exitCode, text } of own) {
    if (kind === 'see') {
      for (const line of text.trimEnd().split('\n'))
        expect(normal(output, app, words), `${disaster}: ${line}`).toContain(normal(line, app, {}))
      continue
    }
    let command = text.replaceAll('backup_2026-11-20T10-30-00Z', stem)
    for (const [written, meant] of Object.entries(words)) command = command.replaceAll(written, meant)
    const ran = await shell(app, command)
    output = ran.output
    expect([ran.exitCode, output]).toEqual([exitCode, output])
  }
  return output
}

async function shell(app: TestApp, text: string): Promise<{ exitCode: number | null; output: string }> {
  const { PATH, HOME } = process.env
  const uid = Number(app.env.BOOTKEEPER_TEST_UID ?? Number.NaN)
  // chown is root's; what follows is the app's user's.
  const as = Number.isNaN(uid) || text.startsWith('chown') ? {} : { uid, gid: uid }
  const child = spawn('bash', ['-euc', text], {
    ...as,
    cwd: app.dir,
    env: {
      PATH,
      HOME: 'uid' in as ? app.dir : HOME,
      PORT: '0',
      LOG_FORMAT: 'pretty',
      READY_AFTER_SECONDS: '0',
      ...app.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  return { exitCode: await new Promise((resolve) => child.once('close', resolve)), output }
}

/** Without what is another one each time: names, times, folders, codes. */
function normal(text: string, app: TestApp, words: Record<string, string>): string {
  let plain = text.replaceAll(app.dir, '/app')
  for (const [written, meant] of Object.entries(words)) plain = plain.replaceAll(meant, written)
  return plain
    .replace(/backup_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(-\d+)?/g, 'STEM')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z/g, 'TIME')
}

test('every disaster of the page is tried', () => {
  const source = readFileSync(join(root, 'tests/recovery.test.ts'), 'utf8')
  const followed = [...source.matchAll(/follow\(\w+, '(\w+)'|of \['(machine)', '(file)'\]/g)]
  const names = followed.flatMap((found) => found.slice(1).filter(Boolean))
  expect([...new Set(blocks.map(({ disaster }) => disaster))].sort()).toEqual(names.sort())
})

const pretty = { LOG_FORMAT: 'pretty' }

test('the database was deleted', async () => {
  const app = await disasterApp()
  const stem = await fill(app)
  rmSync(app.database)
  await follow(app, 'deleted', (await boot(app, ['true'], pretty)).output, stem)
  expect(rows(app)).toEqual(allRows)
  expect((await boot(app)).exitCode).toBe(0)
})

test('the database is damaged', async () => {
  const app = await disasterApp()
  const stem = await fill(app)
  const bytes = readFileSync(app.database)
  bytes.fill(0x55, 4096, 12_288)
  writeFileSync(app.database, bytes)
  const failed = await boot(app, ['true'], pretty)
  expect(failed.exitCode).toBe(65)
  // One line, however much SQLite complains of.
  expect(failed.output).toMatch(/DATABASE_CORRUPT {2}\S+ is damaged: [^\n]+\.\n {4}data: /)
  const refused = await ops(app, 'backup')
  expect([refused.exitCode, refused.stderr]).toEqual([65, expect.stringContaining(`restore ${stem} --apply`)])
  await follow(app, 'damaged', failed.output, stem)
  expect(rows(app)).toEqual(allRows)
  expect((await boot(app)).exitCode).toBe(0)
})

test('the database was replaced by an empty one', async () => {
  const app = await disasterApp()
  const stem = await fill(app)
  writeFileSync(app.database, '')
  const database = app.open()
  database.exec('CREATE TABLE t (a); DROP TABLE t')
  database.close()
  const latest = readFileSync(join(app.dir, 'data', 'backup_latest.json'))
  await follow(app, 'emptied', (await boot(app, ['true'], pretty)).output, stem)
  expect(rows(app)).toEqual(allRows)
  expect(readFileSync(join(app.dir, 'data', 'backup_latest.json'))).toEqual(latest)
})

test('the app does not come up after an upgrade', async () => {
  const app = await disasterApp()
  const stem = await fill(app)
  expect((await boot(app)).exitCode).toBe(0)
  app.setSchema(baseModels.replace('notes String?', 'notes String?\n  mood String?'))
  const failed = await boot(app, ['false'], pretty)
  expect(failed.exitCode).toBe(1)
  app.setSchema(baseModels)
  expect((await boot(app)).exitCode).toBe(0)
  await follow(app, 'upgrade', failed.output, stem)
  expect(rows(app)).toEqual(allRows)
})

test('a schema change was refused', async () => {
  const app = await disasterApp()
  const stem = await fill(app)
  const database = app.open()
  database.exec("UPDATE User SET notes = 'n'")
  database.close()
  app.setSchema(baseModels.replace('notes String?', ''))
  const refused = await boot(app, ['true'], pretty)
  expect(refused.exitCode).toBe(3)
  expect(rows(app)).toEqual(allRows)
  const code = /ACCEPT_DATA_LOSS=(\S{4}-\S{4})/.exec(refused.output)![1]!
  await follow(app, 'refused', refused.output, stem, { 'RK4W-9FQA': code })
  expect(rows(app)).toEqual(allRows)
})

test.runIf(isRoot)('the disk is full', async () => {
  const app = makeApp()
  rmSync(join(app.dir, 'data'), { recursive: true, force: true })
  mkdirSync(join(app.dir, 'data'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', join(app.dir, 'data')])
  mounts.push(join(app.dir, 'data'))
  const own = await disasterAppIn(app)
  await fill(own)
  const listed = own.files()
  const ballast = join(own.dir, 'data', 'ballast')
  // All but less than a copy needs.
  execFileSync('bash', ['-c', `head -c 16m /dev/zero > '${ballast}' || truncate -s -200K '${ballast}'`], {
    stdio: 'ignore',
  })
  const failed = await ops(own, 'backup')
  expect(failed.exitCode).toBe(73)
  expect(own.files()).toEqual(listed)
  const ill = await ops(own, 'doctor')
  expect([ill.exitCode, ill.stdout]).toEqual([73, expect.stringMatching(/✖ disk space .*\n.*next: Free some space/)])
  rmSync(ballast)
  await follow(own, 'full', failed.stderr, 'none')
  expect(rows(own)).toEqual(allRows)
})

test('wrong rows were deleted', async () => {
  const app = await disasterApp()
  const stem = await fill(app)
  const database = app.open()
  database.exec(
    "DELETE FROM Post; UPDATE User SET notes = 'newer' WHERE name = 'ann'; INSERT INTO User(name) VALUES ('new')",
  )
  database.close()
  await follow(app, 'rows', '', stem)
  expect(rows(app)).toEqual(['ok', 3, 1])
  const after = app.open()
  expect(after.prepare("SELECT notes FROM User WHERE name = 'ann'").pluck().get()).toBe('newer')
  after.close()
})

test('wrong rows of one table were changed or deleted', async () => {
  const app = await disasterApp()
  await fill(app)
  change(app, "INSERT INTO Post(title, authorId) VALUES ('two', 2)")
  const taken = await ops(app, 'backup', '--tables', 'Post', '--json')
  const { id } = JSON.parse(taken.stdout) as { id: string }
  change(app, "DELETE FROM Post WHERE id = 1; UPDATE Post SET title = 'wrong'; UPDATE User SET notes = 'newer'")
  await follow(app, 'table', '', id.replace('_post', ''))
  expect(posts(app)).toEqual([
    { id: 1, title: 'one' },
    { id: 2, title: 'two' },
  ])
  expect(readRows(app, 'SELECT DISTINCT notes FROM User')).toEqual([{ notes: 'newer' }])

  writeFileSync(
    join(app.dir, 'cleanup.mjs'),
    `import Database from 'better-sqlite3'\nnew Database('data/app.db').exec('DELETE FROM Post')\n`,
  )
  const guarded = await ops(app, 'guard', 'cleanup.mjs')
  expect([guarded.exitCode, posts(app)], guarded.stderr).toEqual([0, []])
  change(app, "INSERT INTO Post(id, title, authorId) VALUES (7, 'later', 1)")
  await follow(app, 'guarded', '', /(backup_\S+)_post: 2 rows/.exec(guarded.stderr)![1]!)
  expect(posts(app).map(({ id }) => id)).toEqual([1, 2, 7])
}, 240_000)

test('the key was lost', async () => {
  const app = await disasterApp()
  await fill(app)
  expect((await ops(app, 'keygen', 'key.txt')).exitCode).toBe(0)
  Object.assign(app.env, { BACKUP_AGE_RECIPIENTS: recipientIn(app, 'key.txt'), BACKUP_AGE_IDENTITY_FILE: 'key.txt' })
  const stem = await backup(app)
  const lost = readFileSync(join(app.dir, 'key.txt'))
  rmSync(join(app.dir, 'key.txt'))
  const refused = await ops(app, 'restore', stem, '--apply')
  expect([refused.exitCode, rows(app)]).toEqual([78, allRows])
  await follow(app, 'key', '', stem)
  expect(rows(app)).toEqual(allRows)

  const settings = { BACKUP_AGE_RECIPIENTS: recipientIn(app, 'new-key.txt'), BACKUP_AGE_IDENTITY_FILE: 'new-key.txt' }
  Object.assign(app.env, settings)
  const other = await ops(app, 'restore', stem, '--apply')
  expect([other.exitCode, other.stderr, rows(app)]).toEqual([65, expect.stringContaining('DECRYPTION_FAILED'), allRows])
  writeFileSync(join(app.dir, 'old-key.txt'), lost)
  const found = await ops(app, 'restore', stem, '--identity', 'old-key.txt')
  expect([found.exitCode, found.stdout]).toEqual([0, expect.stringContaining('it was read back and is good')])
  // The next disaster.
  const newest = app.files().findLast((name) => name.endsWith('.manifest.json'))!
  rmSync(app.database)
  expect((await ops(app, 'restore', newest.replace('.manifest.json', ''), '--apply')).exitCode).toBe(0)
  expect(rows(app)).toEqual(allRows)
}, 240_000)

test('the passphrase was forgotten', async () => {
  const app = await disasterApp()
  await fill(app)
  const file = join(app.dir, 'passphrase.txt')
  writeFileSync(file, 'the right one\n')
  app.env.BACKUP_AGE_PASSPHRASE_FILE = 'passphrase.txt'
  const stem = await backup(app)
  writeFileSync(file, 'what it may have been\n')
  const refused = await ops(app, 'restore', stem, '--apply')
  expect([refused.exitCode, rows(app)]).toEqual([65, allRows])
  await follow(app, 'passphrase', '', stem)
  expect(rows(app)).toEqual(allRows)
}, 240_000)

test('the whole machine is gone', async () => {
  const old = await disasterApp()
  const stem = await fill(old)
  const nas = mkdtempSync(join(makeFolder(), 'nas-'))
  cpSync(old.backups, join(nas, 'backups'), { recursive: true })
  cpSync(join(old.dir, 'data', 'backup_latest.json'), join(nas, 'backup_latest.json'))
  for (const disaster of ['machine', 'file']) {
    rmSync(join(old.dir, 'data'), { recursive: true })
    await follow(old, disaster, '', stem, { '/mnt/nas': nas })
    expect(rows(old)).toEqual(allRows)
    expect((await boot(old)).exitCode).toBe(0)
  }
})

test('backups are damaged', async () => {
  const app = await disasterApp()
  const stem = await fill(app)
  const path = join(app.backups, `${stem}.db`)
  const bytes = readFileSync(path)
  bytes[5_000]! ^= 1
  writeFileSync(path, bytes)
  await follow(app, 'rotten', '', stem)
  expect(rows(app)).toEqual(allRows)
})

test('the wrong backup was restored', async () => {
  const app = await disasterApp()
  // Of the database that the first start made.
  expect((await boot(app)).exitCode).toBe(0)
  const older = app.state().pinned!
  await fill(app)
  const wrong = await ops(app, 'restore', older, '--apply')
  expect([wrong.exitCode, rows(app)]).toEqual([0, ['ok', 0, 0]])
  const before = /until now: (backup_\S+)/.exec(wrong.stdout)![1]!
  await follow(app, 'undo', wrong.stdout, before)
  expect(rows(app)).toEqual(allRows)
})

test('the container restarts again and again', async () => {
  const app = await disasterApp()
  expect((await boot(app)).exitCode).toBe(0)
  const stem = await fill(app)
  const pinned = app.state().pinned
  expect(pinned).toBeDefined()
  for (let turn = 0; turn < 4; turn += 1) expect((await boot(app, ['false'])).exitCode).toBe(1)
  expect(app.state().pinned).toBe(pinned)
  expect(app.files()).toEqual(expect.arrayContaining([`${stem}.db`, `${pinned}.manifest.json`]))
  await follow(app, 'loop', '', stem)
  expect(rows(app)).toEqual(allRows)
})

test.runIf(isRoot)('permission denied after the volume was moved', async () => {
  const app = await disasterApp()
  const stem = await fill(app)
  app.env.BOOTKEEPER_TEST_UID = '65534'
  chownSync(app.dir, 65_534, 65_534)
  const refused = await boot(app, ['true'], pretty)
  expect(refused.exitCode).toBe(77)
  await follow(app, 'moved', refused.output, stem, {
    'sudo chown -R 1000:1000': 'chown -R 65534:65534',
    'user 1000': 'user 65534',
  })
  expect((await boot(app)).exitCode).toBe(0)
  expect(rows(app)).toEqual(allRows)
})

describePostgres('on PostgreSQL', () => {
  const servers = [startPostgres(), startPostgres()]
  const stopped = new Set<number>()
  afterAll(async () => {
    for (const [at, server] of servers.entries()) if (!stopped.has(at)) await (await server)?.stop()
  })

  test('the server is gone', async () => {
    const [first, second] = await Promise.all(servers)
    const url = await first!.newDatabase()
    const app = await disasterApp(baseModels, { DATABASE_URL: url, BUSY_WAIT_SECONDS: '1' }, 'postgresql')
    await query(url, `INSERT INTO "User"(name) VALUES ('ann'), ('john')`)
    const stem = await backup(app)
    await first!.stop()
    stopped.add(0)
    const failed = await boot(app, ['true'], pretty)
    expect(failed.exitCode).toBe(69)
    const doctor = await ops(app, 'doctor')
    expect([doctor.exitCode, doctor.stdout]).toEqual([69, expect.stringMatching(/✖ database .*PostgreSQL at/)])
    const next = new URL(second!.url)
    next.pathname = '/app'
    await follow(app, 'server', failed.output, stem, { 'postgresql://USER:PASSWORD@NEW-SERVER:5432/NAME': next.href })
    expect(await query(next.href, 'SELECT name FROM "User" ORDER BY 1')).toEqual([{ name: 'ann' }, { name: 'john' }])
    app.env.DATABASE_URL = next.href
    expect((await boot(app)).exitCode).toBe(0)
  }, 240_000)
})
