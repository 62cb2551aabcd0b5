// db:export into a file, compressed where asked, by the real programs, on a real small disk.
// Guarantees tested: every command that reads exports reads it; what fails leaves no file, and one that was there stays.

import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { boot, makeApp, makeFolder, ops, sha256, type TestApp } from './harness.ts'

const isRoot = process.getuid?.() === 0
let app: TestApp

beforeAll(async () => {
  app = makeApp()
  expect((await boot(app)).exitCode).toBe(0)
  fill(app, 3_000)
})

function fill(app: TestApp, rows: number): void {
  const database = app.open()
  const insert = database.prepare('INSERT INTO User(name, notes) VALUES (?, ?)')
  database.transaction(() => {
    // Random, so that it does not compress to nothing.
    for (let i = 0; i < rows; i += 1) insert.run(`user ${i}`, `${Math.random()} é 😀`.repeat(20))
  })()
  database.close()
}

function leftIn(...folders: string[]): string[] {
  return folders.flatMap((folder) => readdirSync(folder)).filter((name) => name.includes('.partial'))
}

/** A folder of programs in front of the usual ones. */
function withPrograms(scripts: Record<string, string>): string {
  const folder = makeFolder()
  for (const [name, text] of Object.entries(scripts)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`)
    chmodSync(join(folder, name), 0o755)
  }
  return `${folder}:${process.env.PATH}`
}

async function withPath(path: string, ...words: string[]) {
  app.env.PATH = path
  try {
    return await ops(app, ...words)
  } finally {
    delete app.env.PATH
  }
}

describe.each([
  ['gzip', '.gz', ['gzip', '-dc']],
  ['zstd', '.zst', ['zstd', '-dc']],
  ['bzip2', '.bz2', ['bzip2', '-dc']],
] as const)('%s', (compression, ending, [program, ...words]) => {
  test('by name and by option: the program of that name, import, inspect, verify and diff read it', async () => {
    const folder = makeFolder()
    const path = join(folder, `app.json${ending}`)
    const backups = app.files()
    const { exitCode, stdout, stderr } = await ops(app, 'export', path, '--json')
    expect(exitCode, stderr).toBe(0)
    const [file] = JSON.parse(stdout).files as { path: string; bytes: number; sha256: string }[]
    expect(file).toEqual({ role: 'export', path, bytes: statSync(path).size, sha256: sha256(path) })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect([app.files(), leftIn(folder, join(app.dir, 'data/.bootkeeper'))]).toEqual([backups, []])

    const text = execFileSync(program, [...words, path], { encoding: 'utf8', maxBuffer: 1e9 })
    expect(JSON.parse(text).counts).toEqual({ User: 3_000, Post: 0 })
    expect(text.length).toBeGreaterThan(2 * statSync(path).size)
    expect(JSON.parse((await ops(app, 'inspect', path, '--json')).stdout).counts).toEqual({ User: 3_000, Post: 0 })
    expect((await ops(app, 'diff', path)).stdout).toContain('✔ The same.')
    expect((await ops(app, 'verify', path)).stdout).toBe(`✔ ${path}\n`)
    const other = makeApp()
    expect((await ops(other, 'restore', path, '--apply')).exitCode).toBe(0)
    const imported = other.open()
    expect(imported.prepare('SELECT count(*) FROM User').pluck().get()).toBe(3_000)
    imported.close()

    const named = await ops(app, 'export', '--compress', compression)
    const own = new RegExp(`✔ (${app.dir}/data/export_\\S+\\.json\\${ending}), `).exec(named.stdout)![1]!
    expect((await ops(app, 'verify', own)).exitCode).toBe(0)

    writeFileSync(path, readFileSync(path).subarray(0, -100))
    const damaged = await ops(app, 'verify', path)
    expect([damaged.exitCode, damaged.stdout.startsWith(`✖ ${path}`)]).toEqual([65, true])
  })
})

test('of a damaged database no export is listed, and the latest stays', async () => {
  const damaged = makeApp()
  expect((await boot(damaged)).exitCode).toBe(0)
  fill(damaged, 500)
  expect((await ops(damaged, 'backup')).exitCode).toBe(0)
  const database = damaged.open()
  database.pragma('wal_checkpoint(TRUNCATE)')
  const page = database
    .prepare("SELECT rootpage FROM sqlite_master WHERE name = 'User_name_key'")
    .pluck()
    .get() as number
  const size = database.pragma('page_size', { simple: true }) as number
  database.close()
  // An index: the rows themselves can all be read.
  const bytes = readFileSync(damaged.database)
  writeFileSync(damaged.database, bytes.fill(0xa5, (page - 1) * size, page * size))
  const latest = join(damaged.dir, 'data', 'backup_latest.json')
  const [before, listed] = [sha256(latest), damaged.files()]
  const { exitCode, stderr } = await ops(damaged, 'export')
  expect([exitCode, stderr]).toEqual([65, expect.stringContaining('DATABASE_CORRUPT')])
  expect(stderr).toContain('to put back the newest good backup')
  expect([sha256(latest), damaged.files()]).toEqual([before, listed])
})

test('a program that is not there is told before anything is written', async () => {
  const folder = makeFolder()
  const { exitCode, stderr } = await withPath('/nonexistent', 'export', join(folder, 'a.json.bz2'))
  expect([exitCode, stderr]).toEqual([69, expect.stringContaining('The program bzip2 is needed to write this file')])
  expect(stderr).toContain('apt-get install bzip2')
  expect(readdirSync(folder)).toEqual([])
})

test.each([
  ['is killed', 'head -c 5000 >/dev/null; kill -9 $$', 'ended by SIGKILL'],
  ['fails', 'cat >/dev/null; echo "bzip2: out of luck" >&2; exit 3', 'out of luck'],
  ['writes less than it should', '/bin/bzip2 -c | head -c 9000', 'does not read back'],
  ['writes something else', 'sed s/user/abuser/ | /bin/bzip2 -c', 'does not read back'],
])('a compressor that %s leaves no file, and the one that was there', async (_, script, reason) => {
  const folder = makeFolder()
  const path = join(folder, 'a.json.bz2')
  expect((await ops(app, 'export', path)).exitCode).toBe(0)
  const before = sha256(path)
  const programs = withPrograms({ bzip2: `[ "$1" = -c ] || exec /bin/bzip2 "$@"\n${script}` })
  const result = await withPath(programs, 'export', path)
  expect(result.stderr).toMatch(new RegExp(`^✖ EXPORT_FAILED  .*${reason}`))
  expect(result.stderr).toContain('No file was written, and one that was there stays.')
  expect([sha256(path), readdirSync(folder), leftIn(join(app.dir, 'data/.bootkeeper'))]).toEqual([
    before,
    ['a.json.bz2'],
    [],
  ])
})

test.runIf(isRoot).each(['a.json.gz', 'a.json.zst', 'a.json'])('a full disk leaves no %s', async (name) => {
  const folder = makeFolder()
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', folder])
  onTestFinished(() => void spawnSync('umount', ['-l', folder]))
  const { exitCode, stderr } = await ops(app, 'export', join(folder, name))
  expect([exitCode, stderr]).toEqual([73, expect.stringContaining('DISK_FULL')])
  expect([readdirSync(folder), leftIn(join(app.dir, 'data/.bootkeeper'))]).toEqual([[], []])
})

test('a name that promises another compression is refused', async () => {
  const app = makeApp()
  await boot(app)
  const result = await ops(app, 'export', 'mine.json.xz')
  expect(result.exitCode).toBe(64)
  expect(result.stderr).toContain('.gz, .zst or .bz2')
  expect(existsSync(join(app.dir, 'mine.json.xz'))).toBe(false)
})

test('only an export gives way to an export, and nothing of Bootkeeper’s own', async () => {
  const folder = makeFolder()
  const photo = join(folder, 'photo.json.gz')
  writeFileSync(photo, 'a photo')
  mkdirSync(join(folder, 'folder.json'))
  const before = sha256(app.database)
  const own = app.files().find((name) => name.endsWith('.json') && !name.includes('manifest'))!
  for (const path of [
    photo,
    join(folder, 'folder.json'),
    app.database,
    join(app.backups, own),
    'data/backup_latest.json',
    'no/such/folder.json',
  ]) {
    const { exitCode, stderr } = await ops(app, 'export', path)
    expect([path, exitCode, stderr.startsWith('✖ USAGE')]).toEqual([path, 64, true])
  }
  for (const words of [
    ['--compress', 'rar'],
    ['x.json.gz', '--compress', 'zstd'],
    ['a', 'b'],
  ])
    expect([words, (await ops(app, 'export', ...words)).exitCode]).toEqual([words, 64])
  expect([readFileSync(photo, 'utf8'), sha256(app.database)]).toEqual(['a photo', before])
  const path = join(folder, 'export.json')
  for (let round = 0; round < 2; round += 1) expect((await ops(app, 'export', path)).exitCode).toBe(0)
  expect([statSync(path).mode & 0o777, existsSync(join(folder, 'x.json.gz'))]).toEqual([0o600, false])
})
