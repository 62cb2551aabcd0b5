// The doctor, on apps that are well and on apps that are ill in one way each.
// Guarantees tested: each illness is a line of its own with what to run, and the exit code says which; the other checks
// run all the same; nothing is changed, in whatever journal mode, beside a running app or without a data directory.

import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { Manifest } from '../src/manifest.ts'
import { readManifest, updateManifest } from '../src/manifest.ts'
import { baseModels, boot, makeApp, makeFolder, ops, poll, root, startBoot, type TestApp } from './harness.ts'
import { describePostgres, startPostgres } from './postgres.ts'

interface Finding {
  check: string
  verdict: 'ok' | 'warn' | 'fail'
  text: string
  next?: string
  code?: string
}

async function examine(app: TestApp, ...words: string[]) {
  const before = snapshot(app)
  const { exitCode, stdout, stderr } = await ops(app, 'doctor', '--json', ...words)
  expect([stderr, snapshot(app)]).toEqual(['', before])
  const { findings, verdict } = JSON.parse(stdout) as { findings: Finding[]; verdict: string }
  // Whatever is ill has something to run.
  for (const finding of findings)
    expect([finding, finding.next !== undefined]).toEqual([finding, finding.verdict !== 'ok'])
  const of = (check: string) => findings.filter((finding) => finding.check === check)
  const ill = findings
    .filter((finding) => finding.verdict !== 'ok')
    .map((finding) => `${finding.check} ${finding.verdict}`)
  return { exitCode, verdict, of, ill, findings }
}

/** Every name, size and time under the app's own folder. */
function snapshot(app: TestApp): string[] {
  const look = (folder: string): string[] =>
    readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.name === 'node_modules') return []
      if (entry.isDirectory()) return [path, ...look(path)]
      const { size, mtimeMs, ino } = statSync(path)
      // SQLite's own index of a log is every reader's to write.
      return [entry.name.endsWith('-shm') ? path : `${path} ${size} ${mtimeMs} ${ino}`]
    })
  return look(app.dir).sort()
}

async function wellApp(): Promise<{ app: TestApp; stem: string }> {
  const app = makeApp()
  expect((await boot(app)).exitCode).toBe(0)
  const database = app.open()
  database.exec("INSERT INTO User(name) VALUES ('ann'), ('john'); INSERT INTO Post(title, authorId) VALUES ('one', 1)")
  database.close()
  const { id } = JSON.parse((await ops(app, 'backup', '--json')).stdout) as { id: string }
  expect((await ops(app, 'verify', '--drill')).exitCode).toBe(0)
  expect((await ops(app, 'verify')).exitCode).toBe(0)
  return { app, stem: id }
}

async function change(app: TestApp, stem: string, how: Partial<Manifest>): Promise<void> {
  await updateManifest(app.backups, { ...(await readManifest(app.backups, stem)), ...how })
}

function daysAgo(days: number): string {
  return new Date(Date.now() - days * 86_400_000).toISOString()
}

const everyCheck = [
  ...['settings', 'versions', 'directory', 'disk space', 'lock', 'leftovers', 'tools', 'database', 'schema', 'client'],
  ...['boots', 'backups', 'retention', 'latest export', 'last verify', 'last drill', 'encryption'],
]

test('a well app: every line is well, in every journal mode and beside a running app, and nothing is changed', async () => {
  const { app } = await wellApp()
  for (const mode of ['DELETE', 'WAL']) {
    const database = app.open()
    database.pragma(`journal_mode = ${mode}`)
    database.close()
    const found = await examine(app)
    expect([found.exitCode, found.verdict, found.ill, found.findings.map(({ check }) => check)]).toEqual([
      0,
      'ok',
      [],
      everyCheck,
    ])
    expect(found.of('database')[0]!.text).toContain(`journal mode ${mode.toLowerCase()}`)
    expect((await examine(app, '--full')).of('database')[0]!.text).toContain('integrity_check ok')
  }
  const open = app.open()
  open.exec("INSERT INTO User(name) VALUES ('in the log')")
  const running = startBoot(app, ['sleep', '60'], { READY_AFTER_SECONDS: '0' })
  await running.until((line) => line.step === 'launch')
  // Ready, and the state that says so is on disk.
  await poll(() => app.state().attempts === 0, 'the app to be ready')
  await poll(() => !readdirSync(join(app.dir, 'data', '.bootkeeper')).some((name) => name.startsWith('.')), 'its state')
  // It removes older backups then, and takes the lock of commands for it.
  const holder = join(app.dir, 'data', '.bootkeeper', 'ops.json')
  await poll(() => JSON.parse(readFileSync(holder, 'utf8') || '{}').pid === running.child.pid, 'it to have pruned')
  const beside = await examine(app)
  expect([beside.exitCode, beside.of('lock')[0]!.text]).toEqual([
    0,
    expect.stringMatching(/in use by a boot, or the app .*process \d+/),
  ])
  open.close()
  // Asked, so that the app ends too: killed, it would leave the app behind, which holds its output open.
  running.child.kill('SIGTERM')
  await running.ended
  const { stdout } = await ops(app, 'doctor')
  expect(stdout).not.toContain('\x1b')
}, 240_000)

test('before the first start nothing is ill, and nothing is made', async () => {
  const app = makeApp()
  const found = await examine(app)
  expect([found.exitCode, found.ill, found.findings.map(({ check }) => check)]).toEqual([0, [], everyCheck])
  expect(existsSync(join(app.dir, 'data'))).toBe(false)
})

test('settings: a wrong one is named, and secrets are masked', async () => {
  const app = makeApp()
  app.env.SCHEMA_MODE = 'pull'
  const found = await examine(app)
  expect([found.exitCode, found.ill, found.of('settings')[0]!.text]).toEqual([
    78,
    ['settings fail'],
    expect.stringContaining('SCHEMA_MODE is "pull", but takes push, deploy or none'),
  ])
  expect(found.of('versions')).toHaveLength(1)
  app.env.SCHEMA_MODE = 'none'
  app.env.DATABASE_URL = 'postgresql://app:geheim@127.0.0.1:1/app?sslpassword=geheim'
  app.env.BUSY_WAIT_SECONDS = '0'
  const shown = await ops(app, 'doctor', '--settings')
  expect(shown.exitCode).toBe(69)
  expect(shown.stdout).toContain('postgresql://***@127.0.0.1:1/app?sslpassword=***')
  expect(shown.stdout + shown.stderr).not.toContain('geheim')
  expect(JSON.stringify((await examine(app)).findings)).not.toContain('geheim')
})

test('the database: damaged, missing, with broken references, another schema', async () => {
  const { app, stem } = await wellApp()
  const good = readFileSync(app.database)

  const references = app.open()
  references.pragma('foreign_keys = OFF')
  references.exec("INSERT INTO Post(title, authorId) VALUES ('orphan', 99)")
  references.close()
  expect((await examine(app)).ill).toEqual([])
  const full = await examine(app, '--full')
  expect([full.exitCode, full.ill]).toEqual([0, ['database warn']])
  expect(full.of('database')[0]!.text).toContain('1 of Post refers to a User that is not there')

  const bad = Buffer.from(good)
  bad.fill(0x55, 4096)
  writeFileSync(app.database, bad)
  const damaged = await examine(app)
  expect([damaged.exitCode, damaged.ill[0]]).toEqual([65, 'database fail'])
  expect(damaged.of('database')[0]).toMatchObject({
    code: 'DATABASE_CORRUPT',
    next: expect.stringContaining(`restore ${stem} --apply`),
  })
  expect(damaged.findings.map(({ check }) => check)).toEqual(everyCheck)

  writeFileSync(app.database, 'This is no database at all, but a text of some length. '.repeat(20))
  const none = await examine(app)
  expect([none.exitCode, none.ill]).toEqual([65, ['database fail', 'schema warn']])

  rmSync(app.database)
  const missing = await examine(app)
  expect([missing.exitCode, missing.of('database')[0]]).toEqual([
    65,
    expect.objectContaining({ code: 'DATABASE_MISSING', next: expect.stringContaining(`restore ${stem} --apply`) }),
  ])
  expect(existsSync(app.database)).toBe(false)

  writeFileSync(app.database, good)
  app.setSchema(baseModels.replace('notes String?', 'notes String?\n  mood String?'))
  const other = await examine(app)
  expect([other.exitCode, other.ill]).toEqual([0, ['schema warn']])
  expect(other.of('schema')[0]!.text).toContain('1 statement')
  rmSync(join(app.dir, 'prisma', 'schema.prisma'))
  const noSchema = await examine(app)
  expect([noSchema.exitCode, noSchema.of('schema')[0]!.code]).toEqual([78, 'SCHEMA_NOT_FOUND'])
}, 240_000)

test('the backups: old, damaged, missing, never verified or drilled, and what lies about', async () => {
  const { app, stem } = await wellApp()
  const path = join(app.backups, `${stem}.manifest.json`)
  const manifest = readFileSync(path)
  const others = app.files().filter((name) => name.endsWith('.manifest.json') && !name.startsWith(`${stem}.`))
  for (const name of others) {
    const other = name.replace('.manifest.json', '')
    await change(app, other, { createdAt: daysAgo(20), lastCheck: { at: daysAgo(40) } })
  }
  // A drill of a backup that is gone counts; the drill that made this app well must not, here.
  const record = join(app.dir, 'data/.bootkeeper/last-drill.json')
  expect(JSON.parse(readFileSync(record, 'utf8'))).toMatchObject({ stem })
  rmSync(record)
  const cases: [Partial<Manifest>, string, number, string, RegExp][] = [
    [{ createdAt: daysAgo(8) }, 'backups', 0, 'warn', /8 days old/],
    [{ lastCheck: { at: daysAgo(31) } }, 'last verify', 0, 'warn', /31 days ago/],
    [{ lastDrill: { at: daysAgo(91) } }, 'last drill', 0, 'warn', /91 days ago/],
    [
      { lastDrill: { at: daysAgo(1), problem: 'it broke' } },
      'last drill',
      65,
      'fail',
      /could not be restored: it broke/,
    ],
    [{ lastCheck: { at: daysAgo(1), problem: 'x.db is gone.' } }, 'backups', 65, 'fail', /x\.db is gone/],
  ]
  for (const [how, check, exitCode, verdict, text] of cases) {
    await change(app, stem, how)
    const found = await examine(app)
    expect([check, found.exitCode, found.of(check)[0]]).toEqual([
      check,
      exitCode,
      expect.objectContaining({ verdict, text: expect.stringMatching(text) }),
    ])
    writeFileSync(path, manifest)
  }
  await change(app, stem, { lastDrill: undefined })
  expect((await examine(app)).of('last drill')[0]).toMatchObject({
    verdict: 'warn',
    next: 'Run npx bootkeeper verify --drill: it restores the newest one into a scratch database.',
  })
  writeFileSync(path, manifest.toString().replace('manual', 'Manual'))
  const damaged = await examine(app)
  expect([damaged.exitCode, damaged.of('backups')[0]!.text]).toEqual([
    65,
    expect.stringContaining(`${stem}.manifest.json is damaged`),
  ])
  writeFileSync(path, manifest)
  rmSync(join(app.backups, `${stem}.json`))
  expect((await examine(app)).of('backups')[0]!.text).toContain(`${stem}.json is missing`)

  const latest = join(app.dir, 'data', 'backup_latest.json')
  writeFileSync(latest, readFileSync(latest).subarray(0, -30))
  writeFileSync(join(app.backups, '.backup_x.db.0123abcd.partial'), 'half')
  writeFileSync(join(app.backups, 'backup_2020-01-01T00-00-00Z.db'), 'whose?')
  writeFileSync(`${app.database}.before-restore-2026-01-01T00-00-00Z`, 'was here')
  const about = await examine(app)
  expect(about.of('latest export')[0]).toMatchObject({ verdict: 'fail', code: 'EXPORT_DAMAGED' })
  expect(about.of('leftovers').map(({ text }) => text)).toEqual([
    '1 unfinished file of a killed process',
    expect.stringContaining('backup_2020-01-01T00-00-00Z.db'),
    expect.stringMatching(/^1 file that a restore set aside beside the database, 8 B/),
  ])
  rmSync(app.backups, { recursive: true })
  mkdirSync(app.backups)
  expect((await examine(app)).of('backups')[0]).toMatchObject({
    code: 'BACKUP_NOT_FOUND',
    next: 'Run npx bootkeeper backup.',
  })
}, 240_000)

test('retention: how many backups there are, and what would go; a backup of a part leaves nothing strange about', async () => {
  const { app } = await wellApp()
  expect((await ops(app, 'backup', '--tables', 'Post')).exitCode).toBe(0)
  const number = app.files().filter((name) => /Z\S*\.manifest\.json$/.test(name)).length
  const well = await examine(app)
  expect([well.ill, well.of('retention')[0]!.text]).toEqual([
    [],
    expect.stringMatching(`^${number} backups, .*; by the policies none of them would go$`),
  ])
  app.env.RETENTION = 'last=1'
  expect((await ops(app, 'backup', '--reason', 'pruned')).exitCode).toBe(0)
  app.env.RETENTION = 'all'
  for (let i = 0; i < 2; i += 1) expect((await ops(app, 'backup')).exitCode).toBe(0)
  app.env.RETENTION = 'last=1'
  const would = JSON.parse((await ops(app, 'prune', '--json')).stdout) as { backups: { keep: boolean }[] }
  const going = would.backups.filter(({ keep }) => !keep).length
  expect(going).toBeGreaterThan(0)
  const found = await examine(app)
  expect([found.exitCode, found.of('retention')[0]]).toEqual([
    0,
    {
      check: 'retention',
      verdict: 'ok',
      text: expect.stringMatching(`^${would.backups.length} backups, .*; by the policies ${going} would go, `),
    },
  ])
}, 240_000)

test('with recipients alone: nobody has read what is inside, until somebody brings the key', async () => {
  const app = makeApp()
  const folder = makeFolder()
  const { recipient } = JSON.parse((await ops(app, 'keygen', '--json', join(folder, 'key.txt'))).stdout) as {
    recipient: string
  }
  app.env.BACKUP_AGE_RECIPIENTS = recipient
  expect((await boot(app)).exitCode).toBe(0)
  const unread = await examine(app)
  const next = 'Run npx bootkeeper verify --identity FILE with the key to them, here or where the key is.'
  expect([unread.exitCode, unread.of('backups')[0], unread.of('retention')[0]]).toEqual([
    0,
    expect.objectContaining({ verdict: 'warn', text: expect.stringContaining('nobody has read'), next }),
    expect.objectContaining({ verdict: 'warn', text: expect.stringContaining('none counts as verified'), next }),
  ])
  expect((await ops(app, 'verify', '--identity', join(folder, 'key.txt'))).exitCode).toBe(0)
  expect((await ops(app, 'backup')).exitCode).toBe(0)
  expect((await ops(app, 'verify', '--drill', '--identity', join(folder, 'key.txt'))).exitCode).toBe(0)
  expect((await ops(app, 'verify', '--identity', join(folder, 'key.txt'))).exitCode).toBe(0)
  const read = await examine(app)
  // What was decrypted is gone again.
  expect(read.of('leftovers')[0]!.text).toBe('none')
  for (const check of ['backups', 'retention', 'encryption']) expect(read.of(check)[0]!.verdict, check).toBe('ok')
}, 240_000)

test('tools: a program that the compression needs, and one that only older backups need', async () => {
  const app = makeApp()
  app.env.BACKUP_COMPRESSION = 'bzip2'
  expect((await boot(app)).exitCode).toBe(0)
  expect((await examine(app)).of('tools')[0]).toMatchObject({ verdict: 'ok', text: 'the program bzip2 is there' })
  const path = process.env.PATH
  process.env.PATH = join(root, 'no-such-folder')
  try {
    const without = await examine(app)
    expect([without.exitCode, without.of('tools')[0]]).toEqual([
      69,
      expect.objectContaining({ code: 'TOOL_MISSING', next: expect.stringContaining('apt-get install bzip2') }),
    ])
    app.env.BACKUP_COMPRESSION = 'gzip'
    expect((await examine(app)).of('tools')[0]).toMatchObject({
      verdict: 'warn',
      text: '1 file of backups cannot be read here without the program bzip2',
    })
  } finally {
    process.env.PATH = path
  }
}, 240_000)

test('a check that throws is a line, and the others run', async () => {
  const { app } = await wellApp()
  const state = join(app.dir, 'data', '.bootkeeper', 'state.json')
  rmSync(state)
  mkdirSync(state)
  const found = await examine(app)
  expect([found.exitCode, found.of('boots')[0]!.code]).toEqual([74, 'IO'])
  expect(new Set(found.findings.map(({ check }) => check))).toEqual(new Set(everyCheck))
}, 240_000)

test.runIf(process.getuid?.() === 0)(
  'folders of another user are named with the command that gives them back',
  async () => {
    const { app } = await wellApp()
    chownSync(app.dir, 65_534, 65_534)
    chmodSync(join(app.dir, 'data'), 0o755)
    chmodSync(app.backups, 0o700)
    app.env.BOOTKEEPER_TEST_UID = '65534'
    const { exitCode, stdout, stderr } = await ops(app, 'doctor', '--json')
    expect([exitCode, stderr]).toEqual([77, ''])
    const { findings } = JSON.parse(stdout) as { findings: Finding[] }
    const directory = findings.find(({ check }) => check === 'directory')
    expect(directory).toMatchObject({
      verdict: 'fail',
      code: 'DATA_DIR_NOT_WRITABLE',
      next: expect.stringContaining('sudo chown -R 65534:65534'),
    })
    expect(findings.find(({ check }) => check === 'backups')).toMatchObject({
      verdict: 'fail',
      code: 'FILE_NOT_READABLE',
    })
    expect(new Set(findings.map(({ check }) => check))).toEqual(new Set(everyCheck))
  },
  240_000,
)

describePostgres('on PostgreSQL', () => {
  const server = startPostgres()
  afterAll(async () => (await server)?.stop())

  test('server, tools and schema are looked at, and with --full every row is read', async () => {
    const app = makeApp(undefined, 'postgresql')
    app.env.DATABASE_URL = await (await server)!.newDatabase()
    expect((await boot(app)).exitCode).toBe(0)
    expect((await ops(app, 'backup')).exitCode).toBe(0)
    const found = await examine(app, '--full')
    expect([found.exitCode, found.ill]).toEqual([0, ['last verify warn', 'last drill warn']])
    expect(found.of('database')[0]!.text).toMatch(/PostgreSQL \d+.*every row was read/)
    expect(found.of('schema')[0]!.text).toContain('are in step')
    app.setSchema(baseModels.replace('notes String?', 'notes String?\n  mood String?'))
    expect((await examine(app)).of('schema')[0]).toMatchObject({
      verdict: 'warn',
      text: expect.stringContaining('1 statement'),
    })
  }, 240_000)
})
