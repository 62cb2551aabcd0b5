// Which backup a damaged database is to be replaced by, as the message names it after real boots, restores and imports.
// Guarantees tested: what was in use comes before what a restore replaced; the message says when and why it was made.

import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { listBackups } from '../src/manifest.ts'
import { boot, makeApp, makeFolder, ops, type TestApp } from './harness.ts'

async function bootWith(app: TestApp, name: string): Promise<string> {
  const database = app.open()
  database.exec(`INSERT INTO User(name) VALUES ('${name}')`)
  database.close()
  expect((await boot(app)).exitCode).toBe(0)
  return app.state().pinned!
}

async function idOf(result: Promise<{ stdout: string; stderr: string }>): Promise<string> {
  const { stdout, stderr } = await result
  expect(stderr).toBe('')
  return JSON.parse(stdout).id
}

/** What the boot says with a damaged database; the database is as it was afterwards. */
async function advice(app: TestApp): Promise<string> {
  const good = readFileSync(app.database)
  writeFileSync(app.database, Buffer.from(good).fill(0x5a, 4096, 3 * 4096))
  const result = await boot(app)
  writeFileSync(app.database, good)
  return result.lines.find(({ code }) => code === 'DATABASE_CORRUPT')!.next!
}

async function madeAt(app: TestApp, stem: string): Promise<string> {
  return (await listBackups(app.backups)).find((each) => each.stem === stem)!.createdAt
}

test('after a restore it is the backup that was restored, not what it replaced nor what is older than it', async () => {
  const app = makeApp()
  await boot(app)
  const wanted = await bootWith(app, 'wanted')
  const unwanted = await bootWith(app, 'unwanted')
  expect(await advice(app)).toContain(`restore ${unwanted} --apply to put back`)
  expect((await ops(app, 'restore', wanted, '--apply')).exitCode).toBe(0)
  const replaced = (await listBackups(app.backups)).find(({ trigger }) => trigger === 'pre-restore')!
  expect(await advice(app)).toBe(
    `Run npx bootkeeper restore ${wanted} --apply to put back the good backup that was in use last, made ${await madeAt(app, wanted)} (boot, 1 row).`,
  )
  // Somebody's own backup since then is newer.
  const own = await idOf(ops(app, 'backup', '--reason', 'by hand', '--json'))
  expect(await advice(app)).toMatch(
    new RegExp(`restore ${own} --apply .*, made \\S+ \\(manual: by hand, \\d rows?\\)\\.$`),
  )
  // And so is what a boot makes of later rows.
  const later = await bootWith(app, 'later')
  expect(await advice(app)).toContain(`restore ${later} --apply`)

  // Without the state nobody knows what was put back: then by age, and what is newer but was replaced is named.
  for (const stem of [later, own]) rmSync(join(app.backups, `${stem}.db`))
  rmSync(join(app.dir, 'data', '.bootkeeper', 'state.json'))
  const text = await advice(app)
  expect(text).toContain(`restore ${unwanted} --apply`)
  expect(text).toContain(
    `Newer, but what was replaced then: ${replaced.stem}, made ${replaced.createdAt} (pre-restore: before the restore of ${wanted}, 2 rows); that one instead: npx bootkeeper restore ${replaced.stem} --apply`,
  )
})

test('the export of a backup that was put back counts as that backup', async () => {
  const app = makeApp()
  await boot(app)
  const older = await bootWith(app, 'older')
  const newer = await bootWith(app, 'newer')
  expect((await ops(app, 'restore', older, '--apply')).exitCode).toBe(0)
  expect(await advice(app)).toContain(`restore ${older} --apply to put back`)
  expect((await ops(app, 'restore', newer, '--export', '--apply')).exitCode).toBe(0)
  expect(await advice(app)).toContain(`restore ${newer} --apply to put back`)
})

test('a newer export without a copy is named, and one that nothing but it is left is put back', async () => {
  const app = makeApp()
  await boot(app)
  const copied = await bootWith(app, 'john')
  const exported = await idOf(ops(app, 'export', '--json'))
  const text = await advice(app)
  expect(text).toContain(`restore ${copied} --apply`)
  expect(text).toMatch(
    new RegExp(
      `Newer, but an export alone: ${exported}, made \\S+ \\(manual: asked for, 1 row\\); that one instead: npx bootkeeper restore ${exported} --apply`,
    ),
  )
  rmSync(join(app.backups, `${copied}.db`))
  const bad = readFileSync(app.database).fill(0x5a, 4096, 3 * 4096)
  expect(await advice(app)).toContain(`restore ${exported} --apply`)
  writeFileSync(app.database, bad)
  expect((await ops(app, 'restore', exported, '--apply')).exitCode).toBe(0)
  const database = app.open()
  expect(database.prepare('SELECT name FROM User').pluck().all()).toEqual(['john'])
  database.close()
})

test('what was there before an import was in use, and is not passed over for what is older', async () => {
  const app = makeApp()
  await boot(app)
  await boot(app)
  const folder = makeFolder()
  for (const name of ['first', 'second']) {
    const other = makeApp()
    await boot(other)
    await bootWith(other, name)
    copyFileSync(join(other.dir, 'data', 'backup_latest.json'), join(folder, `${name}.json`))
    expect((await ops(app, 'import', join(folder, `${name}.json`), '--apply')).exitCode).toBe(0)
  }
  const before = (await listBackups(app.backups)).findLast(({ trigger }) => trigger === 'pre-restore')!
  expect(await advice(app)).toMatch(
    new RegExp(
      `^Run npx bootkeeper restore ${before.stem} --apply to put back the newest good backup, made \\S+ \\(pre-restore: before the import of \\S+second\\.json, 1 row\\)\\.$`,
    ),
  )
})
