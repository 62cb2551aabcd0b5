// A disk that is full at each write of a backup in turn: the check for room, the export, backup_latest.json, manifests,
// the log and its head. Guarantees tested: a clear error; the backup is not listed as good, but as failed; every backup
// that was there before is there and whole; the log is sound.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { listBackups, verifyFile } from '../src/manifest.ts'
import { verifyLog } from '../src/operation-log-check.ts'
import { boot, makeApp, ops, type TestApp } from './harness.ts'

const isRoot = process.getuid?.() === 0
if (!isRoot && process.env.CI) throw new Error('NOT TESTED: full disks need root, to mount a small tmpfs.')

const mounts: string[] = []
afterEach(() => {
  for (const mount of mounts.splice(0)) spawnSync('umount', ['-l', mount])
})

const rows = 2_200

async function appOnSmallDisk(): Promise<TestApp> {
  const app = makeApp()
  const data = join(app.dir, 'data')
  mkdirSync(data)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', data])
  mounts.push(data)
  expect((await boot(app)).exitCode).toBe(0)
  const database = app.open()
  const insert = database.prepare('INSERT INTO User(name, notes) VALUES (?, ?)')
  database.transaction(() => {
    for (let i = 0; i < rows; i += 1) insert.run(`user ${i}`, 'n'.repeat(500))
  })()
  database.close()
  return app
}

function leave(app: TestApp, kb: number): void {
  const { bavail, bsize } = statfsSync(join(app.dir, 'data'))
  writeFileSync(join(app.dir, 'data', 'ballast'), Buffer.alloc(Math.max(0, bavail * bsize - kb * 1024)))
}

const freeKb = (app: TestApp) => {
  const { bavail, bsize } = statfsSync(join(app.dir, 'data'))
  return (bavail * bsize) / 1024
}

interface Listed {
  id: string
  status: string
  verified: boolean
  error?: { code: string }
}

async function list(app: TestApp): Promise<Listed[]> {
  const { stdout, stderr, exitCode } = await ops(app, 'list', '--json')
  expect(exitCode, stdout + stderr).toBe(0)
  return JSON.parse(stdout)
}

describe.runIf(isRoot)('a disk that is full', () => {
  test('at each write of a backup: failed, said, nothing good lost', async () => {
    const app = await appOnSmallDisk()
    const before = freeKb(app)
    expect((await ops(app, 'backup')).exitCode).toBe(0)
    // What a whole backup takes; the next ones replace backup_latest.json, which needs room for both.
    const needed = before - freeKb(app)
    const good = (await listBackups(app.backups)).map(({ stem }) => stem)
    const steps = process.env.SOAK ? Array.from({ length: 120 }, (_, i) => (needed * 1.2 * i) / 120) : []
    const latest = needed / 3
    const sizes = [0, 8, 40, 1_500, 2_600, needed - latest - 8, needed - latest + 8, needed - 60, needed - 12, needed]
    let [failed, done] = [0, 0]
    const said = new Set<string>()
    for (const kb of [...sizes, needed + 200, ...steps]) {
      leave(app, kb)
      const { exitCode, stderr } = await ops(app, 'backup')
      expect([kb, [0, 73].includes(exitCode ?? -1), stderr]).toEqual([kb, true, stderr])
      if (exitCode === 73) expect(stderr).toMatch(/✖ DISK_FULL {2}.+\n {4}data: .+\n {4}next: .+\n$/)
      // Shown also while the disk is full.
      const [newest] = await list(app)
      rmSync(join(app.dir, 'data', 'ballast'))
      const [later] = await list(app)
      expect([kb, later]).toEqual([kb, newest])
      expect([kb, newest?.status, newest?.error?.code]).toEqual(
        exitCode === 0 ? [kb, 'completed', undefined] : [kb, 'failed', 'DISK_FULL'],
      )
      if (exitCode === 0) done += 1
      else failed += 1
      if (exitCode === 73) said.add(stderr.split('\n')[0]!.replaceAll(/\/\S+\/|\d\S*/g, ''))
      const present = await listBackups(app.backups)
      for (const { files } of present) for (const file of files) await verifyFile(app.backups, file)
      const stems = present.map(({ stem }) => stem)
      expect(stems).toEqual(expect.arrayContaining(good))
      expect(await verifyLog(join(app.dir, 'data', '.bootkeeper'))).not.toHaveProperty('problem')
      // Room for the next one.
      for (const stem of stems.filter((each) => !good.includes(each)))
        for (const name of readdirSync(app.backups).filter((each) => each.startsWith(`${stem}.`)))
          rmSync(join(app.backups, name))
    }
    process.stdout.write(`a full disk: ${failed} backups failed, ${done} got through\n${[...said].join('\n')}\n`)
    expect(failed).toBeGreaterThan(5)
    // Refused before it began, and failed on the way.
    expect(said.size).toBeGreaterThan(1)
    expect(done).toBeGreaterThan(0)
  }, 900_000)

  test('at a boot: it fails, and removes nothing', async () => {
    const app = await appOnSmallDisk()
    const change = (n: number) => {
      const database = app.open()
      database.exec(`UPDATE User SET notes = 'changed ${n}' WHERE id = ${n}`)
      database.close()
    }
    for (const n of [1, 2]) {
      change(n)
      expect((await boot(app)).exitCode).toBe(0)
    }
    const files = app.files()
    for (const kb of [0, 30, 300, 2_000]) {
      change(3 + kb)
      leave(app, kb)
      const { exitCode, output } = await boot(app, ['true'], { KEEP_BOOT_BACKUPS: '1' })
      expect([kb, exitCode, output.includes('DISK_FULL')]).toEqual([kb, 73, true])
      expect(app.files()).toEqual(files)
      rmSync(join(app.dir, 'data', 'ballast'))
    }
    const failed = (await list(app)).filter(({ status }) => status === 'failed')
    expect(failed.map(({ error }) => error?.code)).toContain('DISK_FULL')
    expect(await verifyLog(join(app.dir, 'data', '.bootkeeper'))).not.toHaveProperty('problem')
  }, 300_000)

  test('before the log was ever written: the error is that of the backup', async () => {
    const app = await appOnSmallDisk()
    leave(app, 0)
    const { exitCode, stderr } = await ops(app, 'backup')
    expect([exitCode, stderr]).toEqual([73, expect.stringMatching(/✖ DISK_FULL {2}/)])
    expect((await list(app)).every(({ status }) => status !== 'running')).toBe(true)
  })
})
