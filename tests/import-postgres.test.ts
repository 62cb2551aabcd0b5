// db:import, db:restore and db:diff on PostgreSQL, as an operator runs them: also when they are killed, and while an
// app goes on writing.

import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listBackups, removeBackup, verifyFile } from '../src/manifest.ts'
import { baseModels, boot, makeApp, ops, root, type TestApp } from './harness.ts'
import { describePostgres, query, startPostgres, type TestPostgres } from './postgres.ts'
import { randomFrom, seed } from './random.ts'

let server: TestPostgres
beforeAll(async () => {
  server = (await startPostgres()) as TestPostgres
}, 60_000)
afterAll(async () => await server?.stop())

async function appWith(rows: string): Promise<{ app: TestApp; url: string }> {
  const app = makeApp(baseModels, 'postgresql')
  const url = await server.newDatabase()
  app.env.DATABASE_URL = url
  const { exitCode, output } = await boot(app)
  expect(exitCode, output).toBe(0)
  await query(url, rows)
  return { app, url }
}

async function exportFile(app: TestApp): Promise<string> {
  const { stdout, stderr } = await ops(app, 'export', '--json')
  expect(stderr).toBe('')
  return (JSON.parse(stdout) as { files: { path: string }[] }).files[0]!.path
}

const names = async (url: string) =>
  (await query<{ name: string }>(url, 'SELECT name FROM "User" ORDER BY name')).map(({ name }) => name)

const ann = `INSERT INTO "User" (name) VALUES ('ann'); INSERT INTO "Post" (title, "authorId") VALUES ('hello', 1)`

describePostgres('commands on PostgreSQL', () => {
  test('import is a dry run, then it is done, with a backup from before', async () => {
    const file = await exportFile((await appWith(ann)).app)
    const { app, url } = await appWith(`INSERT INTO "User" (name) VALUES ('zoe')`)
    const dry = await ops(app, 'import', file)
    expect(dry).toMatchObject({ exitCode: 0, stderr: '' })
    expect(dry.stdout).toMatch(/User +1 +1 /)
    expect(dry.stdout).toContain(`To do it: npx bootkeeper import ${file} --apply`)
    expect(await names(url)).toEqual(['zoe'])
    const done = await ops(app, 'import', file, '--apply', '--json')
    expect(done.exitCode, done.stderr).toBe(0)
    const { before, ...rest } = JSON.parse(done.stdout)
    expect(rest).toMatchObject({ applied: true, into: 'present', report: { models: [{ created: 1, kept: 1 }, {}] } })
    expect(await names(url)).toEqual(['ann', 'zoe'])
    expect((await boot(app)).step('schema')?.state).toBe('skipped')
    expect((await ops(app, 'restore', before, '--apply')).exitCode).toBe(0)
    expect(await names(url)).toEqual(['zoe'])
  })

  test('--only takes one row with all that hangs on it; every other row stays as it is', async () => {
    const bob = `INSERT INTO "User" (name) VALUES ('bob'); INSERT INTO "Post" (title, "authorId") VALUES ('hi', 2)`
    const file = await exportFile((await appWith(`${ann}; ${bob}`)).app)
    const { app, url } = await appWith(`INSERT INTO "User" (name, notes) VALUES ('zoe', 'x'), ('ann', 'mine')`)
    const { exitCode, stderr } = await ops(app, 'import', file, '--only', 'User:bob', '--apply')
    expect(exitCode, stderr).toBe(0)
    expect(await query(url, 'SELECT id, name, notes FROM "User" ORDER BY id')).toEqual([
      { id: 1, name: 'zoe', notes: 'x' },
      { id: 2, name: 'ann', notes: 'mine' },
      { id: 3, name: 'bob', notes: null },
    ])
    expect(await query(url, 'SELECT title, "authorId" FROM "Post"')).toEqual([{ title: 'hi', authorId: 3 }])
    const unknown = await ops(app, 'import', file, '--only', 'User:kim')
    expect(unknown.stderr).toContain('✖ NOT_IN_FILE  The file has no User "kim". It has "ann", "bob".')
  })

  test('restore --export puts an export back, and diff says what differs', async () => {
    const { app, url } = await appWith(ann)
    const stem = JSON.parse((await ops(app, 'backup', '--json')).stdout).id as string
    const file = await exportFile(app)
    expect((await ops(app, 'diff', file)).stdout).toContain('✔ The same.')
    await query(url, `UPDATE "User" SET notes = 'other'; INSERT INTO "User" (name) VALUES ('bob'); DELETE FROM "Post"`)
    const diff = JSON.parse((await ops(app, 'diff', file, '--json')).stdout)
    expect(diff).toMatchObject({
      same: false,
      report: {
        models: [
          { model: 'User', updated: 1, removed: 1 },
          { model: 'Post', created: 1 },
        ],
      },
    })
    const second = await exportFile(app)
    const two = JSON.parse((await ops(app, 'diff', file, second, '--json')).stdout)
    expect(two.report.models).toMatchObject([{ created: 1, updated: 1 }, { removed: 1 }])
    expect(await names(url)).toEqual(['ann', 'bob'])
    expect((await ops(app, 'restore', stem)).exitCode).toBe(0)
    const restored = await ops(app, 'restore', file, '--export', '--apply')
    expect(restored.exitCode, restored.stderr).toBe(0)
    expect(await query(url, 'SELECT name, notes FROM "User"')).toEqual([{ name: 'ann', notes: null }])
    expect(await query(url, 'SELECT title FROM "Post"')).toEqual([{ title: 'hello' }])
    expect((await ops(app, 'diff', file)).stdout).toContain('✔ The same.')
  })

  test('an empty database, and a server that is not there, are one error each', async () => {
    const file = await exportFile((await appWith(ann)).app)
    const app = makeApp(baseModels, 'postgresql')
    const empty = await ops({ ...app, env: { DATABASE_URL: await server.newDatabase() } }, 'restore', file, '--apply')
    expect(empty.exitCode).toBe(65)
    expect(empty.stderr).toContain('IMPORT_CONFLICT')
    expect(empty.stderr).toContain('Start the app once')
    const env = { DATABASE_URL: 'postgresql://joe:geheim@127.0.0.1:9/db', BUSY_WAIT_SECONDS: '0' }
    const nowhere = await ops({ ...app, env }, 'import', file)
    expect([nowhere.exitCode, nowhere.stderr.includes('DATABASE_UNREACHABLE')]).toEqual([69, true])
    expect(nowhere.stderr).not.toContain('geheim')
  })

  test('a table that somebody keeps locked is DATABASE_BUSY', async () => {
    const file = await exportFile((await appWith(ann)).app)
    const { app, url } = await appWith(`INSERT INTO "User" (name) VALUES ('zoe')`)
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    try {
      await client.query('BEGIN; LOCK TABLE "User" IN ROW EXCLUSIVE MODE')
      const env = { ...app.env, BUSY_WAIT_SECONDS: '1' }
      const result = await ops({ ...app, env }, 'import', file, '--apply')
      expect([result.exitCode, result.stderr.includes('DATABASE_BUSY')]).toEqual([75, true])
    } finally {
      await client.end()
    }
    expect(await names(url)).toEqual(['zoe'])
  })
})

const manyUsers = `INSERT INTO "User" (name, notes) SELECT 'new ' || n, repeat('y', 300) FROM generate_series(1, 2000) n;
  INSERT INTO "Post" (title, "authorId") SELECT 'post ' || n, 1 + n % 2000 FROM generate_series(1, 20000) n`

describePostgres('an import into PostgreSQL that is disturbed', () => {
  const kills = Number(process.env.KILLS ?? (process.env.SOAK ? 300 : 8))

  test(`${kills} imports that are killed leave the database as it was, or as the file says`, async () => {
    const random = randomFrom(seed)
    const file = await exportFile((await appWith(manyUsers)).app)
    const { app, url } = await appWith(`INSERT INTO "User" (name) VALUES ('old 1'), ('old 2')`)
    const structure = () =>
      query(
        url,
        `SELECT conname, pg_get_constraintdef(oid) AS is FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1`,
      )
    const whole = await structure()
    let applied = 0
    let locked = 0
    // The first one ends by itself, and tells how long the tables are locked. The others are killed in that time.
    for (let count = 0; count <= kills; count++) {
      await query(url, `TRUNCATE "Post", "User"; INSERT INTO "User" (name) VALUES ('old 1'), ('old 2')`)
      const mode = random() < 0.5 ? 'merge' : 'replace'
      const words = [join(root, 'bin/bootkeeper.js'), 'import', file, '--apply', '--mode', mode]
      const env = { ...process.env, ...app.env }
      const child = spawn(process.execPath, words, { cwd: app.dir, env, detached: true, stdio: 'ignore' })
      const ended = new Promise((resolve) => child.once('close', resolve))
      await tablesAreLocked(url, true)
      const begun = Date.now()
      if (count === 0) {
        await tablesAreLocked(url, false)
        locked = Date.now() - begun
      } else setTimeout(() => killGroup(child), locked * random() * 1.2)
      await ended
      await othersAreGone(url)
      const [found] = await query<{ users: number; posts: number }>(
        url,
        'SELECT (SELECT count(*)::int FROM "User") AS users, (SELECT count(*)::int FROM "Post") AS posts',
      )
      const after = { users: mode === 'merge' ? 2002 : 2000, posts: 20_000 }
      expect([{ users: 2, posts: 0 }, after], `kill ${count}, seed ${seed}, ${mode}`).toContainEqual(found)
      expect(await structure()).toEqual(whole)
      if (count > 0 && found?.posts !== 0) applied++
      for (const backup of await listBackups(app.backups)) {
        for (const each of backup.files) await verifyFile(app.backups, each)
        if (backup.trigger === 'pre-restore') await removeBackup(app.backups, backup)
      }
    }
    process.stdout.write(`seed ${seed}: ${kills} kills of an import, ${applied} of them after it was done\n`)
    expect(applied).toBeLessThan(kills)
    // What a kill leaves of a line of the log is swept by the next boot.
    const left = readdirSync(join(app.dir, 'data', '.bootkeeper')).filter((name) => !/^\.(operations|ops)\./.test(name))
    expect(left.filter((name) => /import|etilqs|partial/.test(name))).toEqual([])
  }, 3_600_000)

  test('an app that goes on writing loses nothing, and sees all of it or nothing', async () => {
    const file = await exportFile((await appWith(manyUsers)).app)
    const { app, url } = await appWith(`INSERT INTO "User" (name) VALUES ('old 1')`)
    const writer = new pg.Client({ connectionString: url })
    const reader = new pg.Client({ connectionString: url })
    await Promise.all([writer.connect(), reader.connect()])
    let isRunning = true
    let written = 0
    const seen = new Set<number>()
    const writing = (async () => {
      for (; isRunning; written++) {
        // As an app does: it reads, then writes, in one transaction.
        await writer.query('BEGIN')
        await writer.query('SELECT count(*) FROM "Post"')
        await writer.query('INSERT INTO "User" (name) VALUES ($1)', [`live ${written}`])
        await writer.query(`UPDATE "User" SET notes = $1 WHERE name = 'old 1'`, [`${written}`])
        await writer.query('COMMIT')
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    })()
    const reading = (async () => {
      while (isRunning) {
        seen.add(Number((await reader.query('SELECT count(*) FROM "Post"')).rows[0].count))
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })()
    const result = await ops(app, 'import', file, '--apply')
    isRunning = false
    await Promise.all([writing, reading])
    await Promise.all([writer.end(), reader.end()])
    expect(result.exitCode, result.stderr).toBe(0)
    expect(written).toBeGreaterThan(10)
    expect([...seen].sort()).toEqual([0, 20_000])
    expect(await query(url, `SELECT count(*)::int AS n FROM "User" WHERE name LIKE 'live %'`)).toEqual([{ n: written }])
    expect(await query(url, `SELECT notes FROM "User" WHERE name = 'old 1'`)).toEqual([{ notes: `${written - 1}` }])
    expect(await query(url, 'SELECT count(*)::int AS n FROM "User"')).toEqual([{ n: 2001 + written }])
  }, 120_000)
})

async function tablesAreLocked(url: string, wanted: boolean): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const sql = `SELECT EXISTS (SELECT 1 FROM pg_locks JOIN pg_database d ON d.oid = database
    WHERE mode = 'AccessExclusiveLock' AND granted AND locktype = 'relation' AND datname = current_database()) AS found`
  for (const until = Date.now() + 30_000; Date.now() < until; ) {
    if ((await client.query(sql)).rows[0].found === wanted) break
    await new Promise((resolve) => setTimeout(resolve, 3))
  }
  await client.end()
}

/** A server notices that its client is gone when it next writes to it. */
async function othersAreGone(url: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const found = await query(
      url,
      `SELECT 1 FROM pg_stat_activity WHERE application_name = 'bootkeeper' AND datname = current_database()`,
    )
    if (found.length === 0) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function killGroup({ pid }: ChildProcess): void {
  try {
    process.kill(-(pid as number), 'SIGKILL')
  } catch {
    // It ended by itself.
  }
}
