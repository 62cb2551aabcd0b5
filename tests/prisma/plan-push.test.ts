import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type PushPlan, planPush } from '../../src/prisma/schema-engine.ts'
import { describePostgres, query, startPostgres, type TestPostgres } from '../postgres.ts'
import { extra, repository, schema, user, userWithoutName, userWithRequiredAge } from './project.ts'

type Provider = Parameters<typeof schema>[0]

function plan(provider: Provider, url: string, models: string): Promise<PushPlan> {
  return planPush({ url, files: [{ path: 'prisma/schema.prisma', content: schema(provider, models) }] })
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bootkeeper-plan-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

describe('SQLite', () => {
  async function databaseWithRows(
    journal: 'delete' | 'wal' = 'delete',
  ): Promise<{ path: string; db: Database.Database }> {
    const path = join(await temporaryFolder(), 'app.db')
    const { sql } = await plan('sqlite', `file:${path}`, user)
    const db = new Database(path)
    onTestFinished(() => void db.close())
    db.pragma(`journal_mode = ${journal}`)
    db.exec(sql)
    db.exec("INSERT INTO User (email, name) VALUES ('a@b.c', 'Ada'), ('d@e.f', 'Grace')")
    return { path, db }
  }

  test('shows the SQL, the warnings and what cannot be done, and leaves every byte as it was', async () => {
    const { path, db } = await databaseWithRows()
    db.close()
    const before = sha256(path)
    const lossy = await plan('sqlite', `file:${path}`, userWithoutName)
    expect(lossy.sql).toContain('INSERT INTO "new_User" ("email", "id") SELECT "email", "id" FROM "User"')
    expect(lossy.warnings).toEqual([expect.stringContaining('drop the column `name`')])
    expect(lossy.warnings[0]).toContain('2 non-null values')
    const impossible = await plan('sqlite', `file:${path}`, userWithRequiredAge)
    expect(impossible.unexecutable).toEqual([expect.stringContaining('required column `age`')])
    // Free of warnings: this one the engine would run.
    const harmless = await plan('sqlite', `file:${path}`, `${user}\n${extra}`)
    expect(harmless).toEqual({ sql: expect.stringContaining('CREATE TABLE "Extra"'), warnings: [], unexecutable: [] })
    expect(await plan('sqlite', `file:${path}`, user)).toEqual({ sql: '', warnings: [], unexecutable: [] })
    expect(sha256(path)).toBe(before)
    expect(await readdir(join(path, '..'))).toEqual(['app.db'])
  })

  test('reads rows that are only in the WAL, and neither checkpoints nor removes it', async () => {
    const { path } = await databaseWithRows('wal')
    const before = [sha256(path), sha256(`${path}-wal`)]
    const { warnings } = await plan('sqlite', `file:${path}`, userWithoutName)
    expect(warnings).toHaveLength(1)
    expect([sha256(path), sha256(`${path}-wal`)]).toEqual(before)
  })

  test('a missing file counts as empty and is not created', async () => {
    const folder = await temporaryFolder()
    const { sql, warnings } = await plan('sqlite', `file:${join(folder, 'data/app.db')}`, user)
    expect(sql).toContain('CREATE TABLE "User"')
    expect(warnings).toEqual([])
    expect(await readdir(folder)).toEqual([])
  })

  test('the SQL is what a push of Prisma comes to', async () => {
    const { path, db } = await databaseWithRows()
    const models = `${userWithoutName}\n${extra}`
    const { sql } = await plan('sqlite', `file:${path}`, models)
    db.exec(sql)
    db.close()
    expect(await plan('sqlite', `file:${path}`, models)).toEqual({ sql: '', warnings: [], unexecutable: [] })
  })

  test('external tables are left alone', async () => {
    const { path, db } = await databaseWithRows()
    db.exec('CREATE TABLE bookkeeping (id INTEGER PRIMARY KEY)')
    const files = [{ path: 'schema.prisma', content: schema('sqlite', user) }]
    expect((await planPush({ url: `file:${path}`, files })).sql).toContain('DROP TABLE "bookkeeping"')
    const filter = { externalTables: ['bookkeeping'], externalEnums: [] }
    expect((await planPush({ url: `file:${path}`, files, filter })).sql).toBe('')
  })

  test('a schema in several files is one schema', async () => {
    const folder = await temporaryFolder()
    const files = [
      { path: 'prisma/schema.prisma', content: schema('sqlite', '') },
      { path: 'prisma/models/user.prisma', content: user },
      { path: 'prisma/models/post.prisma', content: 'model Post {\n  id Int @id\n}' },
    ]
    const { sql } = await planPush({ url: `file:${join(folder, 'app.db')}`, files })
    expect(sql).toContain('CREATE TABLE "User"')
    expect(sql).toContain('CREATE TABLE "Post"')
  })

  test('an invalid schema is SCHEMA_INVALID, with the place and the words of Prisma', async () => {
    const { path } = await databaseWithRows()
    const invalid = plan('sqlite', `file:${path}`, user.replace('String?', 'Strin'))
    await expect(invalid).rejects.toMatchObject({ code: 'SCHEMA_INVALID' })
    await expect(invalid).rejects.toThrow(/Type "Strin" is neither a built-in type[\s\S]*prisma\/schema\.prisma:13/)
    await expect(invalid).rejects.not.toThrow(/schema_engine_wasm|RPC/)
  })

  test('a locked database is DATABASE_BUSY, and the next plan works', async () => {
    const { path, db } = await databaseWithRows()
    db.exec('BEGIN EXCLUSIVE')
    const busy = plan('sqlite', `file:${path}?socket_timeout=0.1`, user)
    await expect(busy).rejects.toMatchObject({ code: 'DATABASE_BUSY', message: expect.stringContaining(path) })
    db.exec('ROLLBACK')
    expect((await plan('sqlite', `file:${path}`, user)).sql).toBe('')
  })

  test('a file that is no database is DATABASE_CORRUPT', async () => {
    const path = join(await temporaryFolder(), 'app.db')
    await writeFile(path, 'this is a text, and long enough for a header')
    await expect(plan('sqlite', `file:${path}`, user)).rejects.toMatchObject({ code: 'DATABASE_CORRUPT' })
  })

  test('a url of another kind is refused', async () => {
    await expect(plan('sqlite', 'mysql://root@localhost/app', user)).rejects.toMatchObject({ code: 'PRISMA_FAILED' })
  })

  test('the process ends by itself afterwards, and is quick', { timeout: 20_000 }, async () => {
    const { path } = await databaseWithRows()
    const program = `import { planPush } from ${JSON.stringify(join(repository, 'src/prisma/schema-engine.ts'))}
      const started = performance.now()
      const { sql } = await planPush(${JSON.stringify({ url: `file:${path}`, files: [{ path: 's.prisma', content: schema('sqlite', userWithoutName) }] })})
      console.log(JSON.stringify({ ms: Math.round(performance.now() - started), sql }))`
    const { stdout } = await execa(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
      cwd: repository,
      timeout: 15_000,
    })
    const { ms, sql } = JSON.parse(stdout) as { ms: number; sql: string }
    expect(sql).toContain('RedefineTables')
    expect(ms).toBeLessThan(3000)
  })
})

describePostgres('PostgreSQL', () => {
  let server: TestPostgres
  beforeAll(async () => {
    server = (await startPostgres())!
  }, 30_000)
  afterAll(() => server?.stop())

  test('shows the SQL, the warnings and what cannot be done, and uses up no transaction id', async () => {
    const url = await server.newDatabase()
    const { sql } = await plan('postgresql', url, user)
    await query(url, sql)
    await query(url, `INSERT INTO "User" (email, name) VALUES ('a@b.c', 'Ada')`)
    const before = await nextTransactionId(url)
    const lossy = await plan('postgresql', url, userWithoutName)
    expect(lossy.sql).toContain('ALTER TABLE "User" DROP COLUMN "name"')
    expect(lossy.warnings).toEqual([expect.stringContaining('drop the column `name`')])
    const impossible = await plan('postgresql', url, userWithRequiredAge)
    expect(impossible.unexecutable).toEqual([expect.stringContaining('required column `age`')])
    const harmless = await plan('postgresql', url, `${user}\n${extra}`)
    expect(harmless).toEqual({ sql: expect.stringContaining('CREATE TABLE "Extra"'), warnings: [], unexecutable: [] })
    expect(await plan('postgresql', url, user)).toEqual({ sql: '', warnings: [], unexecutable: [] })
    expect(await nextTransactionId(url)).toBe(before)
  })

  test('a missing database, or schema in it, counts as empty and is not created', async () => {
    const missing = new URL(server.url)
    missing.pathname = '/nowhere'
    expect((await plan('postgresql', missing.href, user)).sql).toContain('CREATE TABLE "User"')
    const url = await server.newDatabase()
    expect((await plan('postgresql', `${url}?schema=tenant`, user)).sql).toContain('CREATE TABLE "User"')
    expect(await query(url, "SELECT 1 FROM pg_database WHERE datname = 'nowhere'")).toEqual([])
    expect(await query(url, "SELECT 1 FROM pg_namespace WHERE nspname = 'tenant'")).toEqual([])
  })

  test('a server that is not there is DATABASE_UNREACHABLE', async () => {
    const refused = plan('postgresql', 'postgresql://postgres@127.0.0.1:1/app', user)
    await expect(refused).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE' })
    await expect(refused).rejects.toThrow('127.0.0.1:1')
  })

  test('no session is left behind', async () => {
    const url = await server.newDatabase()
    await plan('postgresql', url, user)
    const sessions = `SELECT 1 FROM pg_stat_activity WHERE application_name = 'prisma-schema-engine'`
    await expect.poll(() => query(url, sessions)).toEqual([])
  })
})

async function nextTransactionId(url: string): Promise<string | undefined> {
  const [row] = await query<{ id: string }>(url, 'SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS id')
  return row?.id
}

function sha256(path: string): string {
  return existsSync(path) ? createHash('sha256').update(readFileSync(path)).digest('hex') : 'no such file'
}
