// SCHEMA_MODE=deploy and none: migrations through the same copy, gate and swap as a push.
// Guarantees tested: a migration that loses data is refused like any other change; a newer database is left alone.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { boot, makeApp, sha256, type TestApp } from './harness.ts'

const deploy = { SCHEMA_MODE: 'deploy' }
const models = 'model Thing {\n  id   Int     @id @default(autoincrement())\n  name String\n  old  String?\n}\n'

function addMigration(app: TestApp, name: string, sql: string): void {
  const folder = join(app.dir, 'prisma', 'migrations', name)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'migration.sql'), sql)
  writeFileSync(join(app.dir, 'prisma', 'migrations', 'migration_lock.toml'), 'provider = "sqlite"\n')
}

function makeMigratedApp(): TestApp {
  const app = makeApp(models)
  addMigration(
    app,
    '1_init',
    'CREATE TABLE "Thing" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "name" TEXT NOT NULL, "old" TEXT);',
  )
  return app
}

test('migrations are applied once, then skipped', async () => {
  const app = makeMigratedApp()
  const first = await boot(app, ['true'], deploy)
  expect([first.exitCode, first.step('schema')?.msg]).toEqual([0, 'prisma migrate deploy: 1 migration applied'])
  expect((await boot(app, ['true'], deploy)).step('schema')?.state).toBe('skipped')
  addMigration(app, '2_more', 'ALTER TABLE "Thing" ADD COLUMN "more" TEXT;')
  app.setSchema(models.replace('old  String?', 'old  String?\n  more String?'))
  expect((await boot(app, ['true'], deploy)).step('schema')?.msg).toContain('1 migration applied')
})

test('a migration that loses values is refused, and a failing one leaves every byte', async () => {
  const app = makeMigratedApp()
  await boot(app, ['true'], deploy)
  const database = app.open()
  database.exec("INSERT INTO Thing(name, old) VALUES ('a', 'kept')")
  database.close()
  const before = sha256(app.database)
  addMigration(app, '2_drop', 'ALTER TABLE "Thing" DROP COLUMN "old";')
  app.setSchema(models.replace('  old  String?\n', ''))
  const refused = await boot(app, ['true'], deploy)
  expect([refused.exitCode, refused.output.includes('column old of table Thing: 1 row has a value')]).toEqual([3, true])
  expect(sha256(app.database)).toBe(before)
  const code = /ACCEPT_DATA_LOSS=([A-Z0-9-]+)/.exec(refused.output)![1]!
  expect((await boot(app, ['true'], { ...deploy, ACCEPT_DATA_LOSS: code })).exitCode).toBe(0)

  const now = sha256(app.database)
  addMigration(app, '3_broken', 'CREATE TABLE "Half" ("id" INTEGER); INSERT INTO "Nowhere" VALUES (1);')
  const failed = await boot(app, ['true'], deploy)
  expect([failed.exitCode, failed.output.includes('SCHEMA_CHANGE_FAILED')]).toEqual([65, true])
  expect(sha256(app.database)).toBe(now)
})

test('a database with migrations that this version does not have is left alone', async () => {
  const app = makeMigratedApp()
  addMigration(app, '2_more', 'ALTER TABLE "Thing" ADD COLUMN "more" TEXT;')
  await boot(app, ['true'], deploy)
  rmSync(join(app.dir, 'prisma', 'migrations', '2_more'), { recursive: true })
  const before = sha256(app.database)
  const result = await boot(app, ['true'], deploy)
  expect([result.exitCode, result.output.includes('DATABASE_NEWER')]).toEqual([65, true])
  expect(sha256(app.database)).toBe(before)
})

test('SCHEMA_MODE=none copies and exports, and leaves the schema alone', async () => {
  const app = makeMigratedApp()
  await boot(app, ['true'], deploy)
  const result = await boot(app, ['true'], { SCHEMA_MODE: 'none' })
  expect([result.exitCode, result.step('schema')?.state, result.step('copy')?.state]).toEqual([0, 'skipped', 'done'])
})
