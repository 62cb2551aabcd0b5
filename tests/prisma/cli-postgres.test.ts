import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { describePostgres, query, startPostgres, type TestPostgres } from '../postgres.ts'
import { askEngine, extra, makeProject, migrateDev, schema, user, userWithoutName } from './project.ts'

const timeout = 120_000

// Each of these breaks under a splitter at `;`.
const firstMigration = `CREATE TABLE "User" ("id" SERIAL NOT NULL, "email" TEXT NOT NULL, CONSTRAINT "User_pkey" PRIMARY KEY ("id"));
CREATE UNIQUE INDEX "User_email_key" ON "User"("email");
CREATE FUNCTION greeting() RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; RETURN 'hello; world'; END; $$;
DO $body$ BEGIN INSERT INTO "User" ("email") VALUES ('from; DO'); END; $body$;
INSERT INTO "User" ("email") VALUES ('a;b'); -- the end; really`

const history = {
  'prisma/migrations/migration_lock.toml': 'provider = "postgresql"\n',
  'prisma/migrations/1_first/migration.sql': firstMigration,
}

describePostgres.concurrent('the CLI on PostgreSQL', () => {
  let server: TestPostgres
  beforeAll(async () => {
    server = (await startPostgres())!
  }, 30_000)
  afterAll(() => server?.stop())

  function inSchema(models: string): Record<string, string> {
    return { 'prisma/schema.prisma': schema('postgresql', models) }
  }

  test('push creates the database and its schema; generate, validate and diff', { timeout }, async () => {
    const project = await makeProject(inSchema(user))
    const url = new URL(server.url)
    url.pathname = '/made_by_push'
    const tenant = `${url}?schema=tenant`
    const pushed = await project.prisma(['db', 'push'], { url: tenant })
    expect(pushed).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('now in sync') })
    const found = await query(url.href, `SELECT table_schema FROM information_schema.tables WHERE table_name = 'User'`)
    expect(found).toEqual([{ table_schema: 'tenant' }])
    expect((await project.prisma(['db', 'push'], { url: tenant })).stdout).toContain('already in sync')
    expect(await project.prisma(['generate'], { url: tenant })).toMatchObject({ exitCode: 0 })
    expect(await project.prisma(['validate'], { url: tenant })).toMatchObject({ exitCode: 0 })
    await project.write('prisma/schema.prisma', schema('postgresql', userWithoutName))
    const diff = ['migrate', 'diff', '--from-config-datasource', '--to-schema', 'prisma', '--script', '--exit-code']
    expect(await project.prisma(diff, { url: tenant })).toMatchObject({
      exitCode: 2,
      stdout: expect.stringContaining('DROP COLUMN "name"'),
    })
  })

  test('deploy runs functions, DO blocks and strings with semicolons; status; CONCURRENTLY', { timeout }, async () => {
    const project = await makeProject({ ...inSchema(userWithoutName), ...history })
    const url = await server.newDatabase()
    expect((await project.prisma(['migrate', 'status'], { url })).exitCode).toBe(1)
    await project.write(
      'prisma/migrations/2_index/migration.sql',
      `CREATE INDEX CONCURRENTLY "a;b" ON "User"("id");\nCREATE INDEX CONCURRENTLY c ON "User"("email");`,
    )
    expect(await project.prisma(['migrate', 'deploy'], { url })).toMatchObject({ exitCode: 0 })
    expect((await project.prisma(['migrate', 'status'], { url })).stdout).toContain('up to date')
    expect(await query(url, 'SELECT email FROM "User" ORDER BY id')).toEqual([{ email: 'from; DO' }, { email: 'a;b' }])
    expect(await query(url, 'SELECT greeting() AS said')).toEqual([{ said: 'hello; world' }])
  })

  test('a migration that fails leaves nothing of itself, and the words of the database', { timeout }, async () => {
    const project = await makeProject({ ...inSchema(userWithoutName), ...history })
    const url = await server.newDatabase()
    await project.write(
      'prisma/migrations/2_second/migration.sql',
      `CREATE TABLE half (id int);\nINSERT INTO half VALUES (1);\nSELECT 'seven'::int;`,
    )
    const failed = await project.prisma(['migrate', 'deploy'], { url })
    expect(failed.exitCode).toBe(1)
    expect(failed.stderr).toMatch(/P3018[\s\S]*2_second[\s\S]*22P02[\s\S]*invalid input syntax for type integer/)
    expect(await query(url, "SELECT to_regclass('half') AS half")).toEqual([{ half: null }])
  })

  test('kinds of error that the wasm engine does not know keep their message', { timeout }, async () => {
    const project = await makeProject({ ...inSchema(user), 'bad.sql': `SELECT 'seven'::int;` })
    const url = await server.newDatabase()
    const failed = await project.prisma(['db', 'execute', '--file', 'bad.sql'], { url })
    expect(failed).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('invalid input syntax for type integer'),
    })
    expect(failed.stderr).not.toContain('unknown variant')
  })

  test('"char" and vector columns do not break introspection', { timeout }, async () => {
    const project = await makeProject(inSchema(''))
    const url = await server.newDatabase()
    await query(
      url,
      `CREATE TABLE odd (id int PRIMARY KEY, letter "char" DEFAULT 'x', names name[], vector oidvector);
       CREATE TABLE child (id int PRIMARY KEY, odd_id int REFERENCES odd ON DELETE CASCADE)`,
    )
    const pulled = await project.prisma(['db', 'pull', '--print'], { url })
    expect(pulled.exitCode).toBe(0)
    expect(pulled.stdout).toMatch(/model odd \{[\s\S]*letter/)
    expect(pulled.stdout).toContain('onDelete: Cascade')
  })

  test('a shadow database is never the main one, and is dropped', { timeout }, async () => {
    const project = await makeProject({ ...inSchema(user), ...history })
    const url = await server.newDatabase()
    expect(await project.prisma(['migrate', 'deploy'], { url })).toMatchObject({ exitCode: 0 })
    await query(url, `CREATE VIEW keep AS SELECT 1; UPDATE "User" SET email = 'kept' WHERE id = 1`)
    const diff = ['migrate', 'diff', '--from-migrations', 'prisma/migrations', '--to-schema', 'prisma', '--script']
    expect(await project.prisma(diff, { url })).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('ADD COLUMN     "name" TEXT'),
    })
    expect(await migrateDev(project, 'second', url)).toContain('in sync with your schema')
    expect(await query(url, 'SELECT email, name FROM "User" ORDER BY id')).toEqual([
      { email: 'kept', name: null },
      { email: 'a;b', name: null },
    ])
    expect(await query(url, 'SELECT * FROM keep')).toHaveLength(1)
    expect(await query(url, "SELECT datname FROM pg_database WHERE datname LIKE '%shadow%'")).toEqual([])
  })

  test('a push waits for the lock of Migrate, and gives up in time', { timeout }, async () => {
    const project = await makeProject(inSchema(extra))
    const url = await server.newDatabase()
    const locks = `SELECT 1 FROM pg_locks JOIN pg_database d ON d.oid = database
      WHERE locktype = 'advisory' AND datname = current_database()`
    const holder = new pg.Client({ connectionString: url })
    await holder.connect()
    try {
      await holder.query('SELECT pg_advisory_lock(72707369)')
      const refused = await project.prisma(['db', 'push'], { url, env: { BOOTKEEPER_PUSH_LOCK_SECONDS: '0.3' } })
      expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('P1002') })
      expect(await query(url, `SELECT to_regclass('"Extra"') AS made`)).toEqual([{ made: null }])
      const waiting = project.prisma(['db', 'push'], { url, env: { BOOTKEEPER_PUSH_LOCK_SECONDS: '30' } })
      await vi.waitUntil(async () => (await query(url, `${locks} AND NOT granted`)).length === 1, { timeout: 30_000 })
      await holder.query('SELECT pg_advisory_unlock(72707369)')
      expect(await waiting).toMatchObject({ exitCode: 0 })
    } finally {
      await holder.end()
    }
    expect(await query(url, locks)).toEqual([])
  })

  test('a reset empties the database', { timeout }, async () => {
    const url = await server.newDatabase()
    await query(url, firstMigration)
    const filter = { externalTables: [], externalEnums: [] }
    const project = await makeProject({})
    const [answer] = await askEngine(project.directory, url, [{ method: 'reset', params: { filter } }])
    expect(answer).toMatchObject({ result: {} })
    expect(await query(url, `SELECT to_regclass('"User"') AS user_table`)).toEqual([{ user_table: null }])
  })

  test('a server that is not there: P1001 and exit code 1', { timeout }, async () => {
    const project = await makeProject(inSchema(user))
    const failed = await project.prisma(['db', 'push'], { url: 'postgresql://postgres@127.0.0.1:1/app' })
    expect(failed).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('P1001') })
  })
})
