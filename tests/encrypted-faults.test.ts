// Encrypted backups where it is harder: a disk that fills up while one is made, and PostgreSQL, whose dumps differ from
// run to run. Guarantees tested: what fails is DISK_FULL, lists nothing and leaves the database as it was; a change that
// fails on PostgreSQL is put back without a key.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../src/config.ts'
import { newIdentity } from '../src/encryption.ts'
import { copyOf, listBackups } from '../src/manifest.ts'
import { verifyContent } from '../src/stored-file.ts'
import { baseModels, boot, makeApp, ops, sha256 } from './harness.ts'
import { describePostgres, query, startPostgres, type TestPostgres } from './postgres.ts'

const isRoot = process.getuid?.() === 0
const whyNot = 'NOT TESTED: full disks need root, to mount a small tmpfs. Run the tests as root to test them.'
if (!isRoot) {
  if (process.env.CI) throw new Error(whyNot)
  process.stderr.write(`${whyNot}\n`)
}

describe.runIf(isRoot)('a small disk', () => {
  test.each(['none', 'gzip'])(
    'that fills on the way, %s: told before or in between, nothing listed, nothing changed',
    async (compression) => {
      const { identity, recipient } = await newIdentity()
      const env = { BACKUP_AGE_RECIPIENTS: recipient, BACKUP_AGE_IDENTITY: identity, BACKUP_COMPRESSION: compression }
      const app = makeApp()
      const data = join(app.dir, 'data')
      mkdirSync(data)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', data])
      onTestFinished(() => void spawnSync('umount', ['-l', data]))
      Object.assign(app.env, env)
      expect((await boot(app)).exitCode).toBe(0)
      const database = app.open()
      const insert = database.prepare('INSERT INTO User(name, notes) VALUES (?, ?)')
      database.transaction(() => {
        // Random: compressed it is more than the half that is reckoned with.
        for (let i = 0; i < 3_000; i += 1)
          insert.run(`user ${i}`, `${Math.random()}${Math.random()}`.repeat(20).slice(i % 30))
      })()
      database.close()
      const before = sha256(app.database)
      const listed = (await listBackups(app.backups)).length
      const messages = new Set<string>()
      for (const leftKb of [500, 1_500, 3_500, 4_500, 5_500]) {
        const { bavail, bsize } = statfsSync(data)
        writeFileSync(join(data, 'ballast'), Buffer.alloc(Math.max(0, bavail * bsize - leftKb * 1000)))
        const { exitCode, stderr } = await ops(app, 'backup')
        rmSync(join(data, 'ballast'))
        if (exitCode === 0) break
        expect([leftKb, exitCode, stderr]).toEqual([leftKb, 73, expect.stringContaining('DISK_FULL')])
        messages.add(/needs .* but .* has/.test(stderr) ? 'before' : 'between')
        expect(sha256(app.database)).toBe(before)
        // Where the copy was made and the export was not, the copy is a backup.
        const config = readConfig([], { DATA_DIR: data, ...env })
        for (const { files } of await listBackups(app.backups))
          for (const file of files) await verifyContent(config, file)
        const left = ['data', 'data/backups', 'data/.bootkeeper'].flatMap((folder) =>
          readdirSync(join(app.dir, folder)),
        )
        expect(left.filter((name) => name.includes('.partial'))).toEqual([])
      }
      expect(messages).toContain('before')
      expect((await ops(app, 'backup')).exitCode).toBe(0)
      expect((await listBackups(app.backups)).length).toBeGreaterThan(listed)
    },
    240_000,
  )
})

let server: TestPostgres
beforeAll(async () => {
  server = (await startPostgres()) as TestPostgres
}, 60_000)
afterAll(async () => await server?.stop())

describePostgres('PostgreSQL', () => {
  test('with recipients alone a failed change is put back, and the dump is restored with the key', async () => {
    const { identity, recipient } = await newIdentity()
    const app = makeApp(baseModels, 'postgresql')
    const url = await server.newDatabase()
    Object.assign(app.env, { DATABASE_URL: url, BACKUP_AGE_RECIPIENTS: recipient, BACKUP_COMPRESSION: 'gzip' })
    const names = async () => (await query<{ name: string }>(url, 'SELECT name FROM "User"')).map(({ name }) => name)
    const tables = async () => await query(url, `SELECT 1 FROM information_schema.tables WHERE table_name = 'Extra'`)
    expect((await boot(app)).exitCode).toBe(0)
    await query(url, `INSERT INTO "User" (name) VALUES ('ann')`)
    expect((await boot(app)).exitCode).toBe(0)
    const copy = copyOf((await listBackups(app.backups)).at(-1)!)!
    expect(copy).toMatchObject({ name: expect.stringMatching(/\.dump\.age$/), encryption: 'age', readBack: 'bytes' })
    expect(copy.compression).toBeUndefined()

    // Once with a copy of this boot, once with one of an earlier boot, of which no plain one is left.
    app.setSchema(`${baseModels}\nmodel Extra {\n  id Int @id\n}\n`)
    for (let round = 0; round < 2; round += 1) {
      const failed = await boot(app, ['sh', '-c', 'exit 7'])
      expect([failed.exitCode, failed.output]).toEqual([7, expect.stringContaining('was put back')])
      expect([await names(), await tables()]).toEqual([['ann'], []])
      expect(readdirSync(join(app.dir, 'data', '.bootkeeper')).filter((name) => name.startsWith('backup_'))).toEqual([])
    }
    app.setSchema(baseModels)
    const { stdout } = await ops(app, 'backup', '--json')
    await query(url, `DELETE FROM "User"`)
    const { id } = JSON.parse(stdout) as { id: string }
    expect((await ops(app, 'restore', id, '--apply')).exitCode).toBe(78)
    expect(await names()).toEqual([])
    app.env.BACKUP_AGE_IDENTITY = identity
    const restored = await ops(app, 'restore', id, '--apply')
    expect([restored.exitCode, await names()]).toEqual([0, ['ann']])
  }, 240_000)
})
