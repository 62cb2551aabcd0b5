// What an operator meets at night: a full disk, a read-only volume, somebody else's files, a locked database.
// Guarantees tested: a sentence with a code and what to run; the database as it was; every listed backup whole; nothing
// temporary after the next boot.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { listBackups, verifyFile } from '../src/manifest.ts'
import { baseModels, boot, makeApp, ops, root, sha256, type TestApp } from './harness.ts'

const isRoot = process.getuid?.() === 0
const whyNot =
  'NOT TESTED: full and read-only disks need root, to mount a small tmpfs. Run the tests as root to test them.'
if (!isRoot) {
  if (process.env.CI) throw new Error(whyNot)
  process.stderr.write(`${whyNot}\n`)
}

const mounts: string[] = []
afterEach(() => {
  for (const mount of mounts.splice(0)) spawnSync('umount', ['-l', mount])
})

function mountSmall(path: string, options: string): void {
  mkdirSync(path, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path])
  mounts.push(path)
}

function fill(app: TestApp, rows: number): void {
  const database = app.open()
  const insert = database.prepare('INSERT INTO User(name, notes) VALUES (?, ?)')
  database.transaction(() => {
    for (let i = 0; i < rows; i += 1) insert.run(`user ${i} ${Math.random()}`, 'n'.repeat(500))
  })()
  database.close()
}

async function requireBackupsWhole(app: TestApp): Promise<number> {
  const backups = await listBackups(app.backups)
  for (const { files } of backups) for (const file of files) await verifyFile(app.backups, file)
  return backups.length
}

function requireSound(app: TestApp, rows: number): void {
  const database = app.open()
  expect(database.pragma('integrity_check', { simple: true })).toBe('ok')
  expect(database.prepare('SELECT count(*) AS n FROM User').get()).toEqual({ n: rows })
  database.close()
}

function temporaryFiles(app: TestApp): string[] {
  return ['data', 'data/backups', 'data/.bootkeeper'].flatMap((folder) =>
    readdirSync(join(app.dir, folder)).filter((name) => name.includes('.partial')),
  )
}

describe.runIf(isRoot)('a small disk', () => {
  test('a disk without room for the copy is told before anything is written', async () => {
    const app = makeApp()
    mountSmall(join(app.dir, 'data'), 'size=3m')
    expect((await boot(app)).exitCode).toBe(0)
    fill(app, 3_000)
    const before = sha256(app.database)
    const result = await boot(app)
    expect(result.exitCode).toBe(73)
    expect(result.lines.find((line) => line.code === 'DISK_FULL')?.msg).toMatch(/needs .* but .* has .* free/)
    expect(sha256(app.database)).toBe(before)
    await requireBackupsWhole(app)
    requireSound(app, 3_000)
  })

  // At every size between "room for nothing" and "room for all", so that the disk fills in each step in turn.
  test('a disk that fills on the way: refused or done, never between', async () => {
    const outcomes = new Set<number | null>()
    const sizes = process.env.SOAK ? Array.from({ length: 40 }, (_, i) => 100 + i * 100) : [200, 1_400, 2_600, 3_200]
    for (const leftKb of sizes) {
      const app = makeApp()
      mountSmall(join(app.dir, 'data'), 'size=12m')
      await boot(app)
      fill(app, 1_500)
      await boot(app)
      const database = app.open()
      database.exec("UPDATE User SET notes = notes || 'changed'")
      database.close()
      const { bavail, bsize } = statfsSync(join(app.dir, 'data'))
      const ballast = bavail * bsize - leftKb * 1000
      writeFileSync(join(app.dir, 'data', 'ballast'), Buffer.alloc(Math.max(0, ballast)))
      const before = sha256(app.database)
      app.setSchema(
        baseModels.replace('notes String?', 'notes String?\n  more  String @default("m")\n  even  Int @default(1)'),
      )
      const result = await boot(app)
      outcomes.add(result.exitCode)
      if (result.exitCode !== 0) {
        expect([leftKb, result.exitCode, result.output.includes('DISK_FULL')]).toEqual([leftKb, 73, true])
        expect(sha256(app.database)).toBe(before)
      }
      requireSound(app, 1_500)
      await requireBackupsWhole(app)
      rmSync(join(app.dir, 'data', 'ballast'))
      const next = await boot(app)
      expect(next.exitCode).toBe(0)
      requireSound(app, 1_500)
      expect(temporaryFiles(app)).toEqual([])
      spawnSync('umount', ['-l', mounts.pop()!])
    }
    expect(outcomes).toContain(73)
  }, 900_000)

  test('a read-only volume is one sentence', async () => {
    const app = makeApp()
    mountSmall(join(app.dir, 'data'), 'size=3m')
    await boot(app)
    const before = sha256(app.database)
    execFileSync('mount', ['-o', 'remount,ro', join(app.dir, 'data')])
    const result = await boot(app)
    expect(result.exitCode).toBe(77)
    expect(result.output).toContain('is on a read-only file system')
    expect(sha256(app.database)).toBe(before)
  })

  test('a directory of another user is named with the chown to run', async () => {
    const app = makeApp()
    await boot(app)
    chmodSync(app.dir, 0o755)
    chownSync(join(app.dir, 'data'), 0, 0)
    chmodSync(join(app.dir, 'data'), 0o755)
    // A user that owns nothing here.
    const result = await boot(app, ['true'], { BOOTKEEPER_TEST_UID: '65534' })
    expect(result.exitCode).toBe(77)
    const line = result.lines.find(({ code }) => code === 'DATA_DIR_NOT_WRITABLE')!
    expect(line.msg).toContain('cannot be written by user 65534')
    expect(line.next).toContain(`sudo chown -R 65534:65534`)
  })

  test('a user that the system has no name for boots like any other', async () => {
    const app = makeApp()
    chownSync(app.dir, 54_321, 54_321)
    const result = await boot(app, ['true'], { BOOTKEEPER_TEST_UID: '54321' })
    expect([result.exitCode, result.output.includes('"level":"error"')]).toEqual([0, false])
    const [manifest] = await listBackups(app.backups)
    expect(manifest?.by.user).toBe('54321')
  })
})

test.runIf(isRoot)('a file that this user cannot read is named as such, with the chown to run', async () => {
  const app = makeApp()
  app.env.BOOTKEEPER_TEST_UID = '65534'
  execFileSync('chown', ['-R', '65534:65534', app.dir])
  expect((await boot(app)).exitCode).toBe(0)
  const { stdout } = await ops(app, 'backup', '--json')
  const { id, files } = JSON.parse(stdout) as { id: string; files: { role: string; path: string }[] }
  const [copy, exported] = ['copy', 'export'].map((role) => files.find((file) => file.role === role)!.path)
  const closed = join(app.dir, 'closed')
  mkdirSync(closed, { mode: 0o700 })
  copyFileSync(exported!, join(closed, 'inside.json'))
  for (const path of [copy!, exported!]) {
    chownSync(path, 0, 0)
    chmodSync(path, 0o600)
  }
  for (const [path, ...words] of [
    [exported!, 'import', exported!],
    [exported!, 'inspect', exported!],
    [exported!, 'diff', exported!],
    [exported!, 'restore', exported!, '--apply'],
    [exported!, 'verify', exported!],
    [exported!, 'restore', id, '--export', '--apply'],
    [copy!, 'restore', id, '--apply'],
    [join(closed, 'inside.json'), 'import', join(closed, 'inside.json')],
  ] as [string, ...string[]][]) {
    const { exitCode, stderr } = await ops(app, ...words)
    expect([words, exitCode, stderr]).toEqual([words, 77, expect.stringMatching(/^✖ FILE_NOT_READABLE {2}/)])
    expect(stderr).toContain(`${path} cannot be read by user 65534.`)
    expect(stderr).toContain(`sudo chown 65534:65534 ${path} `)
  }
  chownSync(join(app.dir, 'prisma', 'schema.prisma'), 0, 0)
  chmodSync(join(app.dir, 'prisma', 'schema.prisma'), 0o600)
  const result = await boot(app)
  expect([result.exitCode, result.output.includes('schema.prisma cannot be read')]).toEqual([77, true])
})

test('a data directory that cannot be made is named, on a file system without room for folders as well', async () => {
  const app = makeApp()
  const file = join(app.dir, 'a-file')
  writeFileSync(file, '')
  for (const directory of ['/proc/bootkeeper', join(file, 'data')]) {
    const result = await boot(app, ['true'], { DATA_DIR: directory })
    expect(result.exitCode, directory).toBe(77)
    expect(
      result.lines.find(({ code }) => code === 'DATA_DIR_NOT_WRITABLE'),
      directory,
    ).toBeDefined()
  }
})

test('a database that another process keeps locked: 75, and nothing touched', async () => {
  const app = makeApp()
  await boot(app)
  const other = app.open()
  other.exec('BEGIN EXCLUSIVE')
  const result = await boot(app, ['true'], { BUSY_WAIT_SECONDS: '0.2' })
  other.exec('ROLLBACK')
  other.close()
  expect(result.exitCode).toBe(75)
  expect(result.lines.some(({ code }) => code === 'DATABASE_BUSY')).toBe(true)
})

test('a schema that Prisma does not accept is one error with its place, and nothing is touched', async () => {
  const app = makeApp()
  await boot(app)
  const before = sha256(app.database)
  app.setSchema('model Broken {\n  id Int @id\n  other Missing\n}\n')
  const result = await boot(app)
  expect(result.exitCode).toBe(65)
  const error = result.lines.find(({ code }) => code === 'SCHEMA_INVALID')!
  expect(error.msg).toContain('Missing')
  expect(result.output).not.toContain('    at ')
  expect(sha256(app.database)).toBe(before)
})

test('a client that cannot be generated after a schema change puts the old database back', async () => {
  const app = makeApp()
  await boot(app)
  fill(app, 3)
  await boot(app)
  const before = sha256(app.database)
  app.setSchema(
    `${baseModels}\nmodel Extra {\n  id Int @id\n}\n\ngenerator broken {\n  provider = "no-such-generator"\n  output = "../made"\n}\n`,
  )
  const result = await boot(app)
  expect([result.exitCode, result.output.includes('CLIENT_NOT_GENERATED')]).toEqual([70, true])
  expect(result.output).toContain('The database is as it was before the schema change')
  expect(sha256(app.database)).toBe(before)
})

test('no schema at all is SCHEMA_NOT_FOUND', async () => {
  const app = makeApp()
  rmSync(join(app.dir, 'prisma'), { recursive: true })
  const result = await boot(app)
  expect([result.exitCode, result.output.includes('SCHEMA_NOT_FOUND')]).toEqual([78, true])
})

test('a state file full of garbage is no state: the boot does everything again and removes no backup', async () => {
  const app = makeApp()
  await boot(app)
  fill(app, 1)
  await boot(app)
  const files = app.files()
  writeFileSync(join(app.dir, 'data', '.bootkeeper', 'state.json'), '{"version":1,"attempts":"many"')
  expect((await boot(app, ['true'], { KEEP_BOOT_BACKUPS: '1' })).exitCode).toBe(0)
  expect(app.files()).toEqual(expect.arrayContaining(files))
})

test('a backup with a flipped byte is found by verify, and is not restored', async () => {
  const app = makeApp()
  await boot(app)
  fill(app, 50)
  await boot(app)
  const stem = app.state().pinned!
  const path = join(app.backups, `${stem}.db`)
  const bytes = readFileSync(path)
  bytes[bytes.length >> 1]! ^= 1
  writeFileSync(path, bytes)
  const verified = await ops(app, 'verify', stem)
  expect([verified.exitCode, verified.stdout]).toEqual([
    65,
    expect.stringContaining(`${stem}.db does not match its checksum`),
  ])
  const before = sha256(app.database)
  const restored = await ops(app, 'restore', stem, '--apply')
  expect([restored.exitCode, restored.stderr.includes('BACKUP_DAMAGED')]).toEqual([65, true])
  expect(sha256(app.database)).toBe(before)
})

test('every ops command called wrongly is one sentence and exit 64', async () => {
  const app = makeApp()
  for (const words of [
    ['lists'],
    ['list', '--jsn'],
    ['restore'],
    ['restore', 'a', 'b'],
    ['backup', 'now'],
    ['verify', 'a', 'b'],
    ['export', '--to', 'x'],
    ['health', 'x'],
    ['generate', 'x'],
  ]) {
    const { exitCode, stderr, stdout } = await ops(app, ...words)
    expect([words, exitCode, stdout]).toEqual([words, 64, ''])
    expect(stderr).toMatch(/^✖ USAGE {2}.+\n {4}data: .+\n {4}next: .+\n$/)
  }
})

test('backup and export print one object with --json, whose files are there with those checksums', async () => {
  const app = makeApp()
  await boot(app)
  fill(app, 10)
  for (const name of ['backup', 'export']) {
    const { exitCode, stdout } = await ops(app, name, '--json')
    expect(exitCode).toBe(0)
    const result = JSON.parse(stdout) as {
      id: string
      status: string
      files: { path: string; bytes: number; sha256: string }[]
    }
    expect(result.status).toBe('completed')
    for (const file of result.files)
      expect([sha256(file.path), statSync(file.path).mode & 0o777]).toEqual([file.sha256, 0o600])
  }
  const listed = JSON.parse((await ops(app, 'list', '--json')).stdout) as { trigger: string }[]
  expect(listed.filter(({ trigger }) => trigger === 'manual')).toHaveLength(2)
})

test('a reader that went away: every command ends its work, quietly, with the exit code of a closed pipe', async () => {
  const app = makeApp()
  await boot(app)
  fill(app, 10)
  const { id } = JSON.parse((await ops(app, 'backup', '--json')).stdout) as { id: string }
  for (const words of [
    ['list'],
    ['list', '--json'],
    ['list', '--help'],
    ['--help'],
    ['verify'],
    ['inspect', id],
    ['diff', id],
    ['import', id],
    ['restore', id],
    ['restore', id, '--export', '--apply'],
    ['restore', id, '--apply'],
    ['backup'],
    ['export'],
    ['generate'],
  ]) {
    const child = spawn(process.execPath, [join(root, 'bin', 'bootkeeper.js'), ...words], { cwd: app.dir })
    child.stdout.destroy()
    let said = ''
    child.stderr.on('data', (chunk) => (said += chunk))
    expect([words, await once(child, 'close'), said]).toEqual([words, [141, null], ''])
  }
  const manual = (await listBackups(app.backups)).filter(({ trigger }) => trigger === 'manual')
  expect(manual).toHaveLength(3)
  await requireBackupsWhole(app)
  requireSound(app, 10)
  // A failure is one all the same.
  const failing = spawn(process.execPath, [join(root, 'bin', 'bootkeeper.js'), 'restore', 'none'], { cwd: app.dir })
  failing.stdout.destroy()
  failing.stderr.destroy()
  expect(await once(failing, 'close')).toEqual([65, null])
})
