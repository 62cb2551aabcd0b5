import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import Database from 'better-sqlite3'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { planPush } from '../../src/prisma/schema-engine.ts'
import { askEngine, extra, makeProject, migrateDev, schema, user, userWithoutName } from './project.ts'

const timeout = 120_000

const opened: Database.Database[] = []
afterAll(() => {
  for (const db of opened) db.close()
})

function open(path: string): Database.Database {
  const db = new Database(path)
  opened.push(db)
  return db
}

const firstMigration = `CREATE TABLE "User" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "email" TEXT NOT NULL);
CREATE UNIQUE INDEX "User_email_key" ON "User"("email");
INSERT INTO "User" ("email") VALUES ('a;b');`

const history = {
  'prisma/migrations/migration_lock.toml': 'provider = "sqlite"\n',
  'prisma/migrations/1_first/migration.sql': firstMigration,
}

describe.concurrent('the CLI on SQLite', () => {
  test('push, generate, validate and diff', { timeout }, async () => {
    const project = await makeProject({ 'prisma/schema.prisma': schema('sqlite', ''), 'prisma/deep/user.prisma': user })
    const url = `file:${project.path('data/app.db')}`
    const pushed = await project.prisma(['db', 'push'], { url })
    expect(pushed).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('now in sync') })
    expect((await project.prisma(['db', 'push'], { url })).stdout).toContain('already in sync')
    expect(await project.prisma(['generate'])).toMatchObject({ exitCode: 0 })
    expect(existsSync(project.path('generated/client.ts'))).toBe(true)
    expect(await project.prisma(['validate'])).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('are valid'),
    })

    const db = open(project.path('data/app.db'))
    db.exec("INSERT INTO User (email, name) VALUES ('a@b.c', 'Ada')")
    await project.write('prisma/deep/user.prisma', userWithoutName)
    const diff = ['migrate', 'diff', '--from-config-datasource', '--to-schema', 'prisma', '--script', '--exit-code']
    const shown = await project.prisma(diff, { url })
    expect(shown.exitCode).toBe(2)
    const files = [{ path: 'schema.prisma', content: schema('sqlite', userWithoutName) }]
    const plan = await planPush({ url, files })
    expect(shown.stdout.trim()).toBe(plan.sql.trim())
    const refused = await project.prisma(['db', 'push'], { url })
    expect(refused.exitCode).toBe(1)
    expect(refused.stdout + refused.stderr).toContain(plan.warnings[0])
    expect(db.prepare('SELECT name FROM User').pluck().all()).toEqual(['Ada'])
  })

  test('an invalid schema: the words of Prisma, and no exception', { timeout }, async () => {
    const project = await makeProject({ 'prisma/schema.prisma': schema('sqlite', user.replace('String?', 'Strin')) })
    const invalid = await project.prisma(['validate'])
    expect(invalid).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('Type "Strin" is neither') })
  })

  test('schema files are compared without a database', { timeout }, async () => {
    const project = await makeProject({ 'prisma/schema.prisma': schema('sqlite', user) })
    const diff = ['migrate', 'diff', '--from-empty', '--to-schema', 'prisma', '--script']
    expect((await project.prisma(diff)).stdout).toContain('CREATE TABLE "User"')
    await project.write('prisma/schema.prisma', schema('postgresql', user))
    expect((await project.prisma(diff)).stdout).toContain('"id" SERIAL NOT NULL')
  })

  test('deploy and status, from no history to a failed migration', { timeout }, async () => {
    const project = await makeProject({ 'prisma/schema.prisma': schema('sqlite', userWithoutName), ...history })
    const url = `file:${project.path('app.db')}`
    open(project.path('app.db'))
    const before = await project.prisma(['migrate', 'status'], { url })
    expect(before).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('not yet been applied') })
    expect(await project.prisma(['migrate', 'deploy'], { url })).toMatchObject({ exitCode: 0 })
    expect((await project.prisma(['migrate', 'status'], { url })).stdout).toContain('up to date')
    expect(open(project.path('app.db')).prepare('SELECT email FROM User').pluck().all()).toEqual(['a;b'])

    await project.write('prisma/migrations/2_second/migration.sql', 'INSERT INTO "Nowhere" VALUES (1);')
    const failed = await project.prisma(['migrate', 'deploy'], { url })
    expect(failed.exitCode).toBe(1)
    expect(failed.stderr).toMatch(/P3018[\s\S]*Migration name: 2_second[\s\S]*no such table: Nowhere/)
    const resolved = await project.prisma(['migrate', 'resolve', '--rolled-back', '2_second'], { url })
    expect(resolved).toMatchObject({ exitCode: 0 })
  })

  test('dev and diff replay migrations of many statements on a shadow database', { timeout }, async () => {
    const project = await makeProject({ 'prisma/schema.prisma': schema('sqlite', user), ...history })
    const url = `file:${project.path('app.db')}`
    const diff = ['migrate', 'diff', '--from-migrations', 'prisma/migrations', '--to-schema', 'prisma', '--script']
    const replayed = await project.prisma(diff, { url })
    expect(replayed).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('ADD COLUMN "name" TEXT') })
    const output = await migrateDev(project, 'second', url)
    expect(output).toContain('in sync with your schema')
    const db = open(project.path('app.db'))
    expect(db.prepare('SELECT migration_name FROM _prisma_migrations').pluck().all()).toHaveLength(2)
  })

  test('pull and execute', { timeout }, async () => {
    const project = await makeProject({ 'prisma/schema.prisma': schema('sqlite', ''), 'more.sql': firstMigration })
    const url = `file:${project.path('app.db')}`
    expect(await project.prisma(['db', 'execute', '--file', 'more.sql'], { url })).toMatchObject({ exitCode: 0 })
    const pulled = await project.prisma(['db', 'pull', '--print'], { url })
    expect(pulled.stdout).toContain('model User {')
  })

  test('a reset leaves an empty database that migrations can start on', { timeout }, async () => {
    const project = await makeProject({})
    open(project.path('app.db')).exec(`${firstMigration} CREATE TABLE "odd ""name" (id INTEGER PRIMARY KEY)`)
    const filter = { externalTables: [], externalEnums: [] }
    const [answer] = await askEngine(project.directory, 'file:./app.db', [{ method: 'reset', params: { filter } }])
    expect(answer).toMatchObject({ result: {} })
    expect(open(project.path('app.db')).prepare('SELECT * FROM sqlite_master').all()).toEqual([])
  })

  test('a locked database is said to be locked', { timeout }, async () => {
    const project = await makeProject({ 'prisma/schema.prisma': schema('sqlite', user) })
    open(project.path('app.db')).exec('CREATE TABLE t (id); BEGIN EXCLUSIVE')
    const url = `file:${project.path('app.db')}?socket_timeout=0.2`
    const busy = await project.prisma(['db', 'push'], { url })
    expect(busy).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('P1008') })
    expect(busy.stderr).toContain('database is locked')
  })

  test('`url` wins over a config that names another database, and keeps its paths', { timeout }, async () => {
    const project = await makeProject({
      'db/models/schema.prisma': schema('sqlite', `${userWithoutName}\n${extra}`),
      'db/history/migration_lock.toml': 'provider = "sqlite"\n',
      'db/history/1_first/migration.sql': firstMigration,
      'prisma.config.ts': `import type { PrismaConfig } from 'prisma/config'
      export default {
        schema: './db/models',
        migrations: { path: './db/history' },
        datasource: { url: 'file:./fixed.db' },
      } satisfies PrismaConfig`,
    })
    const deployed = await project.prisma(['migrate', 'deploy'], { url: 'file:./copy.db' })
    expect(deployed).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('1_first') })
    const pushed = await project.prisma(['db', 'push', '--config=prisma.config.ts'], { url: 'file:./copy.db' })
    expect(pushed).toMatchObject({ exitCode: 0 })
    expect(existsSync(project.path('fixed.db'))).toBe(false)
    const tables = open(project.path('copy.db'))
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
      .pluck()
      .all()
    expect(tables).toEqual(expect.arrayContaining(['User', 'Extra', '_prisma_migrations']))
  })

  test('an abort ends the whole process group and rejects with its reason', { timeout }, async () => {
    const project = await makeProject({
      'prisma/schema.prisma': `generator slow {
      provider = "sh ./slow.sh"
    }
    datasource db {
      provider = "sqlite"
    }
    ${user}`,
      // Deaf to SIGTERM, as a stuck generator may be.
      'slow.sh': "trap '' TERM\necho $$ > slow.pid\nwhile :; do sleep 0.1; done\n",
    })
    const controller = new AbortController()
    const reason = new Error('the boot was stopped')
    const running = project.prisma(['generate'], { signal: controller.signal })
    running.catch(() => {})
    await vi.waitUntil(() => existsSync(project.path('slow.pid')), { timeout: 30_000 })
    const pid = Number(readFileSync(project.path('slow.pid'), 'utf8'))
    controller.abort(reason)
    await expect(running).rejects.toBe(reason)
    await vi.waitUntil(() => !isAlive(pid), { timeout: 5000 })
    await expect(project.prisma(['generate'], { signal: controller.signal })).rejects.toBe(reason)
  })
})

/** A zombie is dead: where nobody reaps orphans, its number stays. */
function isAlive(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' })
  return stdout.trim() !== '' && !stdout.trim().startsWith('Z')
}
