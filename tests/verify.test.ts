// Verify and drill, on backups of a real app.
// Guarantees tested: any flipped byte of any file of a backup is found and its file named; what cannot be read is not
// called damaged; a drill restores for real, leaves nothing behind, also when it was killed, and never touches the live
// database; the results are kept, but not at the price of a failure.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { readConfig } from '../src/config.ts'
import { copyOf, exportOf, readManifest, updateManifest } from '../src/manifest.ts'
import { listVerifiable, verifyBackup, verifyExportFile } from '../src/verify.ts'
import { boot, makeApp, ops, poll, root, sha256, type TestApp } from './harness.ts'
import { describePostgres, query, startPostgres } from './postgres.ts'
import { randomFrom, seed } from './random.ts'

const random = randomFrom(seed)
console.log(`SEED=${seed}`)

async function appWithBackup(rows = 50): Promise<{ app: TestApp; stem: string }> {
  const app = makeApp()
  expect((await boot(app)).exitCode).toBe(0)
  const database = app.open()
  const [user, post] = ['User(name, notes)', 'Post(title, authorId)'].map((into) =>
    database.prepare(`INSERT INTO ${into} VALUES (?, ?)`),
  )
  for (let i = 1; i <= rows; i += 1) {
    user!.run(`user ${i}`, 'é'.repeat(i % 7))
    post!.run(`post ${i}`, i)
  }
  database.close()
  const { stdout, stderr } = await ops(app, 'backup', '--json')
  const { id } = JSON.parse(stdout) as { id: string }
  expect(id, stderr).toBeDefined()
  return { app, stem: id }
}

function configOf(app: TestApp) {
  return readConfig([], { DATA_DIR: join(app.dir, 'data'), DATABASE_URL: `file:${app.database}` })
}

/** Calls `look` while one byte of the file is another one. */
async function withFlip(path: string, at: number, look: () => Promise<void>): Promise<void> {
  const good = readFileSync(path)
  const bad = Buffer.from(good)
  bad[at] = good[at]! ^ (1 + Math.floor(random() * 255))
  writeFileSync(path, bad)
  try {
    await look()
  } finally {
    writeFileSync(path, good)
  }
}

test('any flipped byte of any file of a backup is found, and the file is named', async () => {
  const { app, stem } = await appWithBackup()
  const config = configOf(app)
  expect(await verifyBackup(config, stem)).toEqual({ id: stem, ok: true, notes: [] })
  const names = readdirSync(app.backups).filter((name) => name.startsWith(`${stem}.`))
  expect(names.map((name) => name.slice(stem.length)).sort()).toEqual(['.db', '.json', '.manifest.json'])
  for (const name of names) {
    const path = join(app.backups, name)
    const size = readFileSync(path).length
    const isManifest = name.endsWith('.manifest.json')
    const positions = isManifest
      ? Array.from({ length: size }, (_, at) => at)
      : [0, size - 1, ...Array.from({ length: 200 }, () => Math.floor(random() * size))]
    for (const at of positions)
      await withFlip(path, at, async () => {
        const { ok, code, problem } = await verifyBackup(config, stem)
        expect([name, at, ok, code, problem]).toEqual([
          name,
          at,
          false,
          'BACKUP_DAMAGED',
          expect.stringContaining(name),
        ])
      })
  }
  const kept = await readManifest(app.backups, stem)
  expect(kept.lastCheck?.problem).toMatch(/\.db|\.json/)
  expect((await verifyBackup(config, stem)).ok).toBe(true)
  expect((await readManifest(app.backups, stem)).lastCheck?.problem).toBeUndefined()
}, 240_000)

test('any flipped byte of backup_latest.json is found, also one that leaves it valid JSON', async () => {
  const { app } = await appWithBackup()
  const config = configOf(app)
  const path = join(app.dir, 'data', 'backup_latest.json')
  const text = readFileSync(path, 'latin1')
  const positions = [
    0,
    text.length - 1,
    text.indexOf('é'),
    ...Array.from({ length: 6 }, () => Math.floor(random() * text.length)),
  ]
  for (const at of positions.filter((each) => each >= 0))
    await withFlip(path, at, async () => {
      const { ok, code, problem } = await verifyExportFile(config, path)
      expect([at, ok, code, problem]).toEqual([at, false, 'EXPORT_DAMAGED', expect.any(String)])
    })
  writeFileSync(path, text.replace('"format": ', '"format":\t'), 'latin1')
  const { exitCode, stdout } = await ops(app, 'verify')
  expect([exitCode, stdout]).toEqual([65, expect.stringContaining(`✖ ${path}  `)])
}, 240_000)

test('all of them: damaged manifests, missing files and files of another user are told apart, and the rest is verified', async () => {
  const { app, stem } = await appWithBackup()
  const { id: second } = JSON.parse((await ops(app, 'backup', '--json')).stdout) as { id: string }
  const { id: third } = JSON.parse((await ops(app, 'export', '--json')).stdout) as { id: string }
  const manifest = join(app.backups, `${second}.manifest.json`)
  writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('manual', 'Manual'))
  rmSync(join(app.backups, `${third}.json`))
  const { exitCode, stdout } = await ops(app, 'verify', '--json')
  const found = JSON.parse(stdout) as { id: string; ok: boolean; problem?: string; code?: string }[]
  expect(exitCode).toBe(65)
  expect(found.map(({ id }) => id)).toEqual(await listVerifiable(configOf(app)))
  const of = (id: string) => found.find((each) => each.id === id)
  expect(of(stem)?.ok).toBe(true)
  expect(of(second)?.problem).toContain(`${second}.manifest.json is not as it was written`)
  expect(of(third)?.problem).toContain(`${third}.json is missing`)
  expect(of(join(app.dir, 'data', 'backup_latest.json'))?.ok).toBe(true)
}, 240_000)

test('counts that are not those of the manifest are found, though every byte has its checksum', async () => {
  const { app, stem } = await appWithBackup()
  for (const part of [copyOf, exportOf]) {
    const manifest = await readManifest(app.backups, stem)
    const file = part(manifest)!
    file.counts!.User! += 1
    await updateManifest(app.backups, manifest)
    const { ok, problem } = await verifyBackup(configOf(app), stem)
    expect([ok, problem]).toEqual([false, expect.stringMatching(/User/)])
    expect(problem).toContain(file.name)
    file.counts!.User! -= 1
    await updateManifest(app.backups, manifest)
  }
}, 240_000)

test('without backups it says so', async () => {
  const app = makeApp()
  const { exitCode, stdout } = await ops(app, 'verify')
  expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/^There are no backups in .*: nothing to verify\.\n$/)])
  expect((await ops(app, 'verify', '--drill')).exitCode).toBe(65)
})

test.runIf(process.getuid?.() === 0)(
  'a folder that may only be read is verified all the same, and nothing is marked',
  async () => {
    const { app, stem } = await appWithBackup()
    const database = app.open()
    database.pragma('journal_mode = WAL')
    database.close()
    const { id: inWal } = JSON.parse((await ops(app, 'backup', '--json')).stdout) as { id: string }
    execFileSync('chown', ['-R', '65534:65534', app.dir])
    chownSync(app.backups, 0, 0)
    chmodSync(app.backups, 0o755)
    for (const name of readdirSync(app.backups)) chmodSync(join(app.backups, name), 0o444)
    const manifests = [stem, inWal].map((id) => sha256(join(app.backups, `${id}.manifest.json`)))
    app.env.BOOTKEEPER_TEST_UID = '65534'
    const { exitCode, stdout, stderr } = await ops(app, 'verify')
    expect([exitCode, stderr]).toEqual([0, ''])
    for (const id of [stem, inWal]) expect(stdout).toContain(`✔ ${id}\n`)
    expect(stdout).toContain('The result could not be kept in the manifest')
    expect([stem, inWal].map((id) => sha256(join(app.backups, `${id}.manifest.json`)))).toEqual(manifests)
    chmodSync(join(app.backups, `${stem}.db`), 0)
    const unreadable = await ops(app, 'verify', '--json')
    const found = JSON.parse(unreadable.stdout) as { id: string; code?: string }[]
    expect([unreadable.exitCode, found.find(({ id }) => id === stem)?.code]).toEqual([77, 'FILE_NOT_READABLE'])
  },
  240_000,
)

test('a drill restores the newest backup, compares it, keeps the date, and leaves the live database and folder alone', async () => {
  const { app, stem } = await appWithBackup(300)
  const before = [sha256(app.database), readdirSync(join(app.dir, 'data')), JSON.stringify(app.state())]
  const { exitCode, stdout, stderr } = await ops(app, 'verify', '--drill')
  expect([exitCode, stderr]).toEqual([0, ''])
  expect(stdout).toContain(`✔ ${stem}\n    restored copy: 600 rows, SQLite`)
  expect(stdout).toContain('restored export: 600 rows imported and compared')
  expect([sha256(app.database), readdirSync(join(app.dir, 'data')), JSON.stringify(app.state())]).toEqual(before)
  expect(leftovers(app)).toEqual([])
  const { lastDrill } = await readManifest(app.backups, stem)
  expect(lastDrill).toEqual({ at: expect.stringMatching(/^20/) })
}, 240_000)

test('a drill of a backup that does not restore fails, and says so ever after', async () => {
  const { app, stem } = await appWithBackup()
  const manifest = await readManifest(app.backups, stem)
  copyOf(manifest)!.counts!.User = 7
  await updateManifest(app.backups, manifest)
  const { exitCode, stdout } = await ops(app, 'verify', '--drill', stem)
  expect([exitCode, stdout]).toEqual([65, expect.stringContaining('table User has 50 rows, its manifest says 7')])
  expect((await readManifest(app.backups, stem)).lastDrill?.problem).toContain('its manifest says 7')
  expect(leftovers(app)).toEqual([])
}, 240_000)

test('what a killed drill left is swept by the next one', async () => {
  const { app, stem } = await appWithBackup(2_000)
  const before = sha256(app.database)
  let killedInside = 0
  for (let turn = 0; turn < 3; turn += 1) {
    const drill = spawn(process.execPath, [join(root, 'bin', 'bootkeeper.js'), 'verify', '--drill', stem], {
      cwd: app.dir,
      stdio: 'ignore',
    })
    const ended = once(drill, 'close')
    await poll(() => drill.exitCode !== null || leftovers(app).length > 0, 'the drill to begin')
    await new Promise((resolve) => setTimeout(resolve, random() * 1_500))
    drill.kill('SIGKILL')
    await ended
    if (leftovers(app).length > 0) killedInside += 1
  }
  expect(killedInside).toBeGreaterThan(0)
  expect((await ops(app, 'verify', '--drill', stem)).exitCode).toBe(0)
  expect(leftovers(app).filter((name) => name.startsWith('.drill.'))).toEqual([])
  expect(sha256(app.database)).toBe(before)
  // A kill while the log or the catalogue was written leaves its temporary file to the next boot.
  expect((await boot(app)).exitCode).toBe(0)
  expect(leftovers(app)).toEqual([])
}, 240_000)

function leftovers(app: TestApp): string[] {
  const stateDir = join(app.dir, 'data', '.bootkeeper')
  return existsSync(stateDir) ? readdirSync(stateDir).filter((name) => name.startsWith('.')) : []
}

describePostgres('on PostgreSQL', () => {
  const server = startPostgres()
  afterAll(async () => (await server)?.stop())

  test('verify, drill, a role that may not make databases, and nothing left on the server', async () => {
    const postgres = (await server)!
    const url = await postgres.newDatabase()
    const app = makeApp(undefined, 'postgresql')
    app.env.DATABASE_URL = url
    expect((await boot(app)).exitCode).toBe(0)
    await query(url, `INSERT INTO "User"(name) SELECT 'user ' || i FROM generate_series(1, 500) i`)
    await query(url, `INSERT INTO "Post"(title, "authorId") SELECT 'post', id FROM "User"`)
    const { id } = JSON.parse((await ops(app, 'backup', '--json')).stdout) as { id: string }
    const verified = await ops(app, 'verify', id)
    expect([verified.exitCode, verified.stdout]).toEqual([0, `✔ ${id}\n`])
    const databases = () => query<{ name: string }>(postgres.url, 'SELECT datname AS name FROM pg_database ORDER BY 1')
    const before = await databases()

    const drilled = await ops(app, 'verify', '--drill')
    expect([drilled.exitCode, drilled.stderr]).toEqual([0, ''])
    expect(drilled.stdout).toContain('every row was read')
    expect(drilled.stdout).toContain('restored export: 1000 rows imported and compared')
    expect(await databases()).toEqual(before)
    expect((await readManifest(app.backups, id)).lastDrill?.problem).toBeUndefined()

    // Of a drill that was killed.
    const child = spawn(process.execPath, [join(root, 'bin', 'bootkeeper.js'), 'verify', '--drill'], {
      cwd: app.dir,
      env: { ...process.env, ...app.env },
      stdio: 'ignore',
    })
    const ended = once(child, 'close')
    for (let more = before.length; more === before.length && child.exitCode === null; )
      more = (await databases()).length
    child.kill('SIGKILL')
    await ended
    expect((await databases()).length).toBe(before.length + 1)
    await query(
      postgres.url,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'bootkeeper_drill_%'`,
    )
    expect((await ops(app, 'verify', '--drill')).exitCode).toBe(0)
    expect(await databases()).toEqual(before)

    const name = new URL(url).pathname.slice(1)
    await query(
      url,
      `CREATE ROLE plain LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO plain; GRANT ALL ON DATABASE ${name} TO plain`,
    )
    app.env.DATABASE_URL = url.replace('postgres@', 'plain@')
    const refused = await ops(app, 'verify', '--drill')
    expect([refused.exitCode, refused.stderr]).toEqual([77, expect.stringMatching(/^✖ SCRATCH_NOT_ALLOWED {2}/)])
    expect(refused.stderr).toContain('ALTER ROLE "plain" CREATEDB')
    expect((await readManifest(app.backups, id)).lastDrill?.problem).toBeUndefined()
  }, 300_000)
})
