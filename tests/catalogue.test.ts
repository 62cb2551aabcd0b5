// The catalogue, and the commands that show it and the operation log, on real apps.
// Guarantees tested: it says what manifests and log say, whatever became of its own file; what failed, was cancelled,
// was killed or is gone is shown as that; a changed log is exit code 65.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { tablesSql, tablesVersion } from '../src/catalogue/tables.ts'
import { runPrisma } from '../src/prisma/cli.ts'
import { baseModels, boot, makeApp, ops, poll, root, type TestApp } from './harness.ts'

interface Listed {
  id: string
  stem?: string
  status: string
  trigger: string
  reason: string
  verified: boolean
  removed: boolean
  pinnedByBoot: boolean
  rows?: number
  files: { name: string }[]
  error?: { code: string }
}

interface Seen {
  action: string
  status: string
  ids: string[]
  precededBy?: string
  metadata?: { reason?: string; rows?: { model: string; created: number }[]; because?: { code: string } }
  error?: { code: string }
  by: { user: string; host: string }
}

async function list(app: TestApp, ...words: string[]): Promise<Listed[]> {
  const { stdout, stderr, exitCode } = await ops(app, 'list', '--json', ...words)
  expect(exitCode, stdout + stderr).toBe(0)
  return JSON.parse(stdout)
}

async function log(app: TestApp, ...words: string[]): Promise<Seen[]> {
  return JSON.parse((await ops(app, 'log', '--json', ...words)).stdout)
}

async function backup(app: TestApp, ...words: string[]): Promise<string> {
  const { stdout, stderr } = await ops(app, 'backup', '--json', ...words)
  const { id } = JSON.parse(stdout) as { id: string }
  expect(id, stdout + stderr).toBeDefined()
  return id
}

async function bootedApp(): Promise<TestApp> {
  const app = makeApp()
  expect((await boot(app)).exitCode).toBe(0)
  addUser(app, 'ann')
  return app
}

function addUser(app: TestApp, name: string): void {
  const database = app.open()
  database.prepare('INSERT INTO User(name) VALUES (?)').run(name)
  database.close()
}

const inState = (app: TestApp, name: string) => join(app.dir, 'data', '.bootkeeper', name)

test('its tables are what Prisma makes of its schema', async () => {
  const words = ['migrate', 'diff', '--from-empty', '--to-schema', 'src/catalogue/schema.prisma', '--script']
  const { stdout, stderr, exitCode } = await runPrisma(words, { cwd: root, url: 'file:/nowhere/none.db' })
  expect(exitCode, stderr).toBe(0)
  expect(tablesSql.trim()).toBe(stdout.trim())
})

test('what is listed is what manifests and log say, and the filters choose from it', async () => {
  const app = await bootedApp()
  const first = await backup(app, '--reason', 'the first')
  const second = await backup(app, '--reason', 'the second')
  addUser(app, 'john')
  await boot(app)
  const all = await list(app)
  expect(all.map(({ status }) => status)).toEqual(all.map(() => 'completed'))
  expect(all.find(({ id }) => id === second)).toMatchObject({
    reason: 'the second',
    trigger: 'manual',
    verified: true,
    rows: 1,
  })
  expect(all[0]).toMatchObject({ id: app.state().pinned, pinnedByBoot: true, trigger: 'boot' })
  expect((await list(app, '--trigger', 'manual')).map(({ id }) => id)).toEqual([second, first])
  expect((await list(app, '--trigger', 'manual', '--limit', '1')).map(({ id }) => id)).toEqual([second])
  expect(await list(app, '--status', 'failed')).toEqual([])
  const manifest = JSON.parse(readFileSync(join(app.backups, `${first}.manifest.json`), 'utf8'))
  delete manifest.sha256
  expect(all.find(({ id }) => id === first)).toMatchObject(manifest)
  const { stdout } = await ops(app, 'list')
  expect(stdout).toMatch(new RegExp(`^${second} .* ago  copy .*, export .* verified.*manual: the second$`, 'm'))
  expect(stdout).toMatch(/, pinned +boot$/m)
})

test('a backup that is gone stays known: in the catalogue, and anew from the log', async () => {
  const app = await bootedApp()
  const gone = await backup(app, '--reason', 'to be deleted')
  await list(app)
  rmSync(join(app.backups, `${gone}.manifest.json`))
  expect((await list(app)).map(({ id }) => id)).not.toContain(gone)
  const [removed] = await list(app, '--status', 'removed')
  expect(removed).toMatchObject({ id: gone, verified: false, removed: true, files: [{}, {}] })
  const rebuilt = await ops(app, 'catalogue', 'rebuild', '--json')
  expect(JSON.parse(rebuilt.stdout)).toMatchObject({ removed: 1, failed: 0, damaged: 0 })
  const [fromLog] = await list(app, '--status', 'removed')
  expect(fromLog).toMatchObject({ id: gone, reason: 'to be deleted', trigger: 'manual', verified: false, files: [] })
})

test('a manifest that was edited is shown as damaged, and not as a good backup', async () => {
  const app = await bootedApp()
  const stem = await backup(app)
  const path = join(app.backups, `${stem}.manifest.json`)
  writeFileSync(path, readFileSync(path, 'utf8').replace('asked for', 'asked fur'))
  const found = (await list(app)).find(({ id }) => id === stem)
  expect(found).toMatchObject({ verified: false, error: { code: 'BACKUP_DAMAGED' } })
  expect((await ops(app, 'list')).stdout).toMatch(new RegExp(`^${stem} .* damaged `, 'm'))
})

test('a catalogue that is missing, damaged, cut, of another version or full of garbage is made anew', async () => {
  const app = await bootedApp()
  await backup(app, '--reason', 'kept')
  const path = inState(app, 'catalogue.db')
  const good = await list(app)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  const bytes = readFileSync(path)
  const flipped = Buffer.from(bytes)
  flipped.fill(0xff, 4096, 8192)
  const harms: [string, () => void][] = [
    ['missing', () => rmSync(path)],
    ['pages overwritten', () => writeFileSync(path, flipped)],
    ['cut', () => writeFileSync(path, bytes.subarray(0, 5000))],
    ['garbage', () => writeFileSync(path, 'no database at all '.repeat(500))],
    ['empty', () => writeFileSync(path, '')],
    [
      'another version',
      () => {
        const database = new Database(path)
        database.exec('DROP TABLE File')
        database.pragma(`user_version = ${tablesVersion + 1}`)
        database.close()
      },
    ],
    // SQLite would play it into the file.
    ['a journal of another file', () => writeFileSync(`${path}-journal`, Buffer.alloc(4096, 1))],
  ]
  for (const [name, harm] of harms) {
    harm()
    expect([name, await list(app)]).toEqual([name, good])
    const database = new Database(path, { readonly: true })
    expect([name, database.pragma('quick_check', { simple: true })]).toEqual([name, 'ok'])
    expect(database.pragma('user_version', { simple: true })).toBe(tablesVersion)
    database.close()
  }
  // Where it cannot be made, the list is shown all the same, and rebuild says why not.
  rmSync(path)
  rmSync(`${path}-journal`, { force: true })
  mkdirSync(join(path, 'in the way'), { recursive: true })
  const { stdout, stderr } = await ops(app, 'list', '--json')
  expect(JSON.parse(stdout)).toEqual(good)
  expect(stderr).toContain('! The catalogue could not be written')
  expect((await ops(app, 'catalogue', 'rebuild')).exitCode).toBe(74)
}, 240_000)

test('a restore, an import and what failed of them are in the log, with the backup that preceded each', async () => {
  const app = await bootedApp()
  const stem = await backup(app)
  addUser(app, 'john')
  const restored = JSON.parse((await ops(app, 'restore', stem, '--apply', '--json')).stdout) as { before: string }
  // Something that the import can change back.
  const changed = app.open()
  changed.exec(`UPDATE "User" SET notes = 'other'`)
  changed.close()
  expect((await ops(app, 'import', stem, '--apply')).exitCode).toBe(0)
  // A dry run does nothing, and says so nowhere.
  expect((await ops(app, 'restore', stem)).exitCode).toBe(0)
  const broken = join(app.dir, 'broken.json')
  writeFileSync(broken, readFileSync(join(app.backups, `${stem}.json`), 'utf8').replace('ann', 'eve'))
  expect((await ops(app, 'import', broken, '--apply')).exitCode).toBe(65)
  const [failed, imported, restore, ...earlier] = await log(app)
  expect(earlier.map(({ action }) => action)).toEqual(['backup'])
  expect(restore).toMatchObject({ action: 'restore', status: 'completed', ids: [stem], precededBy: restored.before })
  expect(imported).toMatchObject({
    action: 'import',
    status: 'completed',
    precededBy: expect.stringMatching(/^backup_/),
  })
  expect(imported?.metadata?.rows).toContainEqual(expect.objectContaining({ model: 'User', created: 0 }))
  expect(failed).toMatchObject({ action: 'import', status: 'failed', ids: [broken], error: { code: 'EXPORT_DAMAGED' } })
  expect(await log(app, '--action', 'restore')).toEqual([restore])
  expect(await log(app, '--limit', '1')).toEqual([failed])
  expect(await log(app, '--since', '2100-01-01')).toEqual([])
  // It is no part of the database that was put back.
  await list(app)
  const database = new Database(inState(app, 'catalogue.db'), { readonly: true })
  expect(database.prepare('SELECT action, status, precededBy FROM Restore ORDER BY at').all()).toMatchObject([
    { action: 'restore', status: 'completed', precededBy: restored.before },
    { action: 'import', status: 'completed' },
    { action: 'import', status: 'failed', precededBy: null },
  ])
  database.close()
}, 240_000)

/** A backup that has said that it runs, and stands still. */
async function stoppedBackup(app: TestApp): Promise<ChildProcess> {
  const path = inState(app, 'operations.jsonl')
  const before = existsSync(path) ? statSync(path).size : 0
  const child = spawn(process.execPath, [join(root, 'bin', 'bootkeeper.js'), 'backup'], {
    cwd: app.dir,
    stdio: 'ignore',
  })
  await poll(() => existsSync(path) && statSync(path).size > before, 'a line in the log')
  child.kill('SIGSTOP')
  return child
}

test('a backup runs while its process lives, has failed once that was killed, and was cancelled by Ctrl-C', async () => {
  const app = await bootedApp()
  const killed = await stoppedBackup(app)
  expect((await list(app, '--status', 'running')).map(({ status }) => status)).toEqual(['running'])
  expect((await log(app))[0]?.status).toBe('running')
  killed.kill('SIGKILL')
  await once(killed, 'close')
  expect((await log(app))[0]).toMatchObject({ status: 'failed', error: { code: 'KILLED' } })
  expect((await list(app, '--status', 'failed')).map(({ error }) => error?.code)).toEqual(['KILLED'])
  const stopped = await stoppedBackup(app)
  // The lock is held again, by somebody else: that does not bring the killed one back.
  expect((await log(app)).map(({ status }) => status)).toEqual(['running', 'failed'])
  stopped.kill('SIGINT')
  stopped.kill('SIGCONT')
  expect((await once(stopped, 'close'))[1]).toBe('SIGINT')
  expect((await log(app))[0]).toMatchObject({ status: 'cancelled', error: { code: 'SIGINT' } })
  expect((await list(app, '--status', 'cancelled')).length).toBe(1)
  expect((await ops(app, 'log', '--verify')).exitCode).toBe(0)
}, 240_000)

test('boots write what they back up, put back and remove', async () => {
  const app = await bootedApp()
  const lines = ['1', '2', '3'].map((n) => ({ KEEP_BOOT_BACKUPS: '1', N: n }))
  for (const env of lines) {
    addUser(app, `user ${env.N}`)
    expect((await boot(app, ['true'], env)).exitCode).toBe(0)
  }
  const removed = (await log(app, '--action', 'prune')).flatMap(({ ids }) => ids)
  expect(removed.length).toBeGreaterThan(0)
  const gone = await list(app, '--status', 'removed')
  expect(gone.map(({ id }) => id).sort()).toEqual(removed.sort())
  app.setSchema(baseModels.replace('notes String?', 'notes String?\n  more String?'))
  expect((await boot(app, ['false'])).exitCode).not.toBe(0)
  const [last] = await log(app, '--action', 'boot-restore')
  expect(last).toMatchObject({ status: 'completed', metadata: { because: { code: 'APP_NOT_READY' } } })
  expect(last?.ids).toEqual([app.state().pinned])
}, 240_000)

test('a log in which a line was edited or removed is exit code 65, with the line', async () => {
  const app = await bootedApp()
  await backup(app)
  await backup(app)
  const path = inState(app, 'operations.jsonl')
  expect(JSON.parse((await ops(app, 'log', '--verify', '--json')).stdout)).toEqual({ ok: true, lines: 4 })
  const good = readFileSync(path, 'utf8')
  const texts = good.split('\n').slice(0, -1)
  for (const [text, line] of [
    [good.replace('asked for', 'asked fro'), 1],
    [`${texts.toSpliced(1, 1).join('\n')}\n`, 2],
    [`${texts.slice(0, 3).join('\n')}\n`, 4],
    ['', 1],
  ] as const) {
    writeFileSync(path, text)
    const { exitCode, stderr } = await ops(app, 'log', '--verify')
    expect([exitCode, stderr]).toEqual([
      65,
      expect.stringMatching(`^✖ LOG_CHANGED  Line ${line} of operations.jsonl: `),
    ])
    expect((await ops(app, 'log')).exitCode).toBe(0)
  }
})

test('list, log and catalogue called wrongly are one sentence and exit 64', async () => {
  const app = makeApp()
  for (const words of [
    ['list', '--limit', '0'],
    ['list', '--limit', 'many'],
    ['list', '--trigger', 'me'],
    ['list', '--status', 'good'],
    ['list', 'x'],
    ['log', '--limit', '-1'],
    ['log', '--since', 'yesterday'],
    ['log', '--since', '2026-13-40'],
    ['log', '--since', '999999d9'],
    ['log', '--action', 'A B'],
    ['log', '--verify', '--limit', '3'],
    ['catalogue'],
    ['catalogue', 'drop'],
    ['catalogue', 'rebuild', 'all'],
  ]) {
    const { exitCode, stderr, stdout } = await ops(app, ...words)
    expect([words, exitCode, stdout]).toEqual([words, 64, ''])
    expect(stderr).toMatch(/^✖ USAGE {2}.+\n {4}data: .+\n {4}next: .+\n$/)
  }
  for (const words of [['list'], ['log'], ['log', '--verify'], ['catalogue', 'rebuild']])
    expect([words, (await ops(app, ...words)).exitCode]).toEqual([words, 0])
})
