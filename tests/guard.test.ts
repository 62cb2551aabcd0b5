// The guard on real scripts with a real generated client: five that destroy in different ways, five that do not.
// Guarantees tested: the verdicts are right; the rows are the same again after the command that the guard prints; exit
// code, words, output and signals are the script's; without a backup nothing is run.

import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { listBackups, type Manifest } from '../src/manifest.ts'
import { boot, makeApp, ops, poll, root, type TestApp } from './harness.ts'

let app: TestApp
let untouched: string

beforeAll(async () => {
  app = makeApp()
  cpSync(join(root, 'tests/fixtures/guard'), join(app.dir, 'scripts'), { recursive: true })
  renameSync(join(app.dir, 'scripts/schema.prisma'), join(app.dir, 'prisma/schema.prisma'))
  // The boot makes the tables and the client, which the scripts import from beside them.
  const schema = readFileSync(join(app.dir, 'prisma/schema.prisma'), 'utf8')
  writeFileSync(join(app.dir, 'prisma/schema.prisma'), schema.replace('../generated', '../scripts/generated'))
  const { exitCode, output } = await boot(app)
  expect(exitCode, output).toBe(0)
  const database = app.open()
  database.exec(`
    INSERT INTO User (id, email, active, seenAt) VALUES
      (1, 'ann@x', 1, '2026-01-01T00:00:00.000+00:00'), (2, 'bob@x', 0, NULL), (3, 'cy@x', 0, NULL), (9, 'di@x', 1, NULL);
    INSERT INTO posts (id, title, score, authorId) VALUES
      (1, 'one', 0.1, 1), (2, 'two', 2.5, 2), (3, 'three', 3, 2), (7, 'seven "x" ü', 1e-9, 9);
    INSERT INTO Comment (id, text, postId, byId) VALUES (1, 'a', 1, 2), (2, 'b', 2, 1), (3, 'c', 2, NULL), (8, 'd', 7, 3);
    INSERT INTO Tag (id, name) VALUES (1, 'red'), (2, 'blue');
    INSERT INTO _PostToTag (A, B) VALUES (1, 1), (2, 1), (2, 2);
    INSERT INTO Event (id, kind, size) VALUES (1, 'debug', 9007199254740993), (2, 'login', 2), (5, 'debug', 3);
  `)
  database.close()
  untouched = join(app.dir, 'untouched.db')
  cpSync(app.database, untouched)
}, 120_000)

beforeEach(() => {
  for (const ending of ['-wal', '-shm', '-journal']) rmSync(app.database + ending, { force: true })
  cpSync(untouched, app.database)
})

const tables = ['User', 'posts', 'Comment', 'Tag', '_PostToTag', 'Event']

function rows(): Record<string, unknown[]> {
  const database = app.open()
  database.defaultSafeIntegers()
  try {
    return Object.fromEntries(
      tables.map((table) => [table, database.prepare(`SELECT * FROM "${table}" ORDER BY 1, 2`).all()]),
    )
  } finally {
    database.close()
  }
}

async function newest(): Promise<Manifest> {
  return (await listBackups(app.backups)).at(-1)!
}

/** The command that was printed last, as words for `ops`. */
function printedRestore(text: string): string[] {
  const found = [...text.matchAll(/npx bootkeeper (restore \S+ --apply)/g)].at(-1)
  expect(found, text).toBeDefined()
  return found![1]!.split(' ')
}

test.each([
  { words: ['delete-inactive.ts'], models: ['User', 'Post', 'Comment', '_PostToTag'], says: /2 removed/ },
  { words: ['purge-events.mjs'], models: ['Event'], says: /2 removed/ },
  { words: ['raw-in-transaction.ts', '3'], models: ['Post', 'Comment', '_PostToTag'], says: /^$/ },
  { words: ['nested-writes.ts'], models: ['Post', '_PostToTag', 'Comment', 'User'], says: /^$/ },
  { words: ['by-name.ts', 'comment', 'event'], models: 'everything', says: /comment: 4\nevent: 3/ },
])(
  'destructive: $words.0 is run after a backup, and its rows come back',
  async ({ words, models, says }) => {
    const before = rows()
    const [name, ...rest] = words
    const { exitCode, stdout, stderr } = await ops(app, 'guard', `scripts/${name}`, ...rest)
    expect([exitCode, stdout], stderr).toEqual([0, expect.stringMatching(says)])
    expect(stderr).toContain(`! scripts/${name} may change or remove `)
    const after = rows()
    expect(after).not.toEqual(before)

    const { trigger, reason, scope, files } = await newest()
    expect({ trigger, reason }).toEqual({ trigger: 'guard', reason: `before scripts/${name}` })
    if (models === 'everything') expect([scope, files.map(({ role }) => role)]).toEqual([models, ['copy', 'export']])
    else expect([...(scope as { models: string[] }).models].sort()).toEqual([...models].sort())

    const restore = await ops(app, ...printedRestore(stderr))
    expect(restore.exitCode, restore.stderr).toBe(0)
    expect(rows()).toEqual(before)
  },
  120_000,
)

test.each([
  { words: ['report.ts'], exitCode: 0, says: /^4 3 one\n$/ },
  { words: ['seed.ts'], exitCode: 0, says: /^true\n$/ },
  { words: ['count-raw.ts', '1'], exitCode: 0, says: /^3\n$/ },
  { words: ['write-csv.ts'], exitCode: 0, says: /^4\n$/ },
  { words: ['check.mjs'], exitCode: 7, says: /^0\n$/ },
])(
  'not destructive: $words.0 is just run',
  async ({ words: [name, ...rest], exitCode, says }) => {
    const files = app.files()
    const result = await ops(app, 'guard', `scripts/${name}`, ...rest)
    expect([result.exitCode, result.stdout], result.stderr).toEqual([exitCode, expect.stringMatching(says)])
    expect(result.stderr).toMatch(/was read: it removes and changes no rows\. No backup is needed\./)
    expect(app.files()).toEqual(files)
  },
  60_000,
)

test('what went and what changed is counted, and --json is one object', async () => {
  const { exitCode, stdout, stderr } = await ops(app, 'guard', '--json', 'scripts/raw-in-transaction.ts')
  expect([exitCode, stderr]).toEqual([0, ''])
  const result = JSON.parse(stdout)
  expect(result).toMatchObject({
    script: 'scripts/raw-in-transaction.ts',
    destructive: true,
    exitCode: 0,
    signal: null,
    restored: null,
    rows: {
      Post: { before: 4, after: 2, removed: 2, changed: 2, added: 0 },
      Comment: { before: 4, after: 1, removed: 3, changed: 0 },
      _PostToTag: { before: 3, after: 0, removed: 3 },
    },
  })
  expect(result.findings).toEqual([
    expect.objectContaining({ file: 'scripts/raw-in-transaction.ts', line: 5, what: 'SQL UPDATE posts SET TITLE' }),
    expect.objectContaining({ file: 'scripts/raw-in-transaction.ts', line: 6, what: 'SQL DELETE FROM posts WHERE' }),
  ])
  expect(result.backup.files.map(({ role }: { role: string }) => role)).toEqual(['export', 'script'])
  expect(result.restore).toBe(`npx bootkeeper restore ${result.backup.id} --apply`)
}, 60_000)

test('where no row went, there is nothing to put back', async () => {
  const before = rows()
  const { exitCode, stderr } = await ops(app, 'guard', 'scripts/by-name.ts')
  expect([exitCode, rows()]).toEqual([0, before])
  expect(stderr).toMatch(/No row went or changed\.\n {2}Its backup stays for now: backup_\S+\n$/)
}, 60_000)

test('a dry run says what was found, and runs nothing', async () => {
  const before = rows()
  const files = app.files()
  const { exitCode, stdout } = await ops(app, 'guard', '--dry-run', 'scripts/by-name.ts', 'event')
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/may change or remove anything:\n {4}scripts\/by-name\.ts:\d+ {2}.*deleteMany.*cannot be told/)
  const json = JSON.parse((await ops(app, 'guard', '--dry-run', '--json', 'scripts/report.ts')).stdout)
  expect(json).toMatchObject({ destructive: false, models: [], findings: [], backup: null, exitCode: null })
  expect([rows(), app.files()]).toEqual([before, files])
}, 60_000)

test('a script that fails keeps its exit code, and the restore is offered, or done where that was asked', async () => {
  const before = rows()
  const failed = await ops(app, 'guard', 'scripts/by-name.ts', 'event', 'nothing')
  expect(failed.exitCode).toBe(1)
  expect(failed.stderr).toContain('✖ scripts/by-name.ts ended with exit code 1.')
  expect(failed.stderr).toMatch(/Event +3 → 0 rows: 3 gone/)
  expect(rows().Event).toEqual([])
  const [logged] = JSON.parse((await ops(app, 'log', '--action', 'guard', '--limit', '1', '--json')).stdout)
  expect(logged).toMatchObject({ status: 'failed', error: { code: 'EXIT_1', message: 'Ended with exit code 1.' } })
  expect((await ops(app, ...printedRestore(failed.stderr))).exitCode).toBe(0)
  expect(rows()).toEqual(before)

  const undone = await ops(app, 'guard', '--restore-on-failure', 'scripts/by-name.ts', 'event', 'nothing')
  expect([undone.exitCode, undone.stdout], undone.stderr).toEqual([1, 'event: 3\n'])
  expect(undone.stderr).toContain('The rows are again what they were in')
  expect(rows()).toEqual(before)
}, 120_000)

test('a signal reaches the script, whose exit code counts; a kill is said', async () => {
  const before = rows()
  const start = () => {
    const child = spawn(process.execPath, [join(root, 'bin/bootkeeper.js'), 'guard', 'scripts/stubborn.ts'], {
      cwd: app.dir,
      env: { PATH: process.env.PATH },
    })
    const run = { child, stdout: '', stderr: '', ended: new Promise((resolve) => child.once('close', resolve)) }
    child.stdout.on('data', (chunk) => (run.stdout += chunk))
    child.stderr.on('data', (chunk) => (run.stderr += chunk))
    return run
  }
  const stopped = start()
  await poll(() => stopped.stdout.includes('waiting'), `the script:\n${stopped.stderr}`, 60_000)
  stopped.child.kill('SIGTERM')
  expect(await stopped.ended, stopped.stderr).toBe(9)
  expect(stopped.stderr).toContain('ended with exit code 9')

  // Killed at once, the guard has said before how to put the rows back.
  const killed = start()
  await poll(() => killed.stdout.includes('waiting'), `the script:\n${killed.stderr}`, 60_000)
  const pid = Number(readFileSync(`/proc/${killed.child.pid}/task/${killed.child.pid}/children`, 'utf8').split(' ')[0])
  killed.child.kill('SIGKILL')
  process.kill(pid, 'SIGKILL')
  await killed.ended
  expect((await ops(app, ...printedRestore(stopped.stderr))).exitCode).toBe(0)
  expect(rows()).toEqual(before)
  expect(printedRestore(killed.stderr)).toHaveLength(3)
}, 120_000)

test('a table that was dropped comes back, because the whole database was copied', async () => {
  const before = rows()
  const { exitCode, stderr } = await ops(app, 'guard', 'scripts/drop-table.ts')
  expect(exitCode, stderr).toBe(0)
  expect(() => rows()).toThrow('no such table: Event')
  expect((await ops(app, ...printedRestore(stderr))).exitCode).toBe(0)
  expect(rows()).toEqual(before)
}, 120_000)

test('where the backup cannot be taken, the script is not run', async () => {
  const before = rows()
  const backups = `${app.backups}-aside`
  renameSync(app.backups, backups)
  writeFileSync(app.backups, 'no folder')
  try {
    const { exitCode, stdout, stderr } = await ops(app, 'guard', 'scripts/delete-inactive.ts')
    expect([exitCode, stdout]).toEqual([expect.any(Number), ''])
    expect(exitCode).not.toBe(0)
    expect(stderr).not.toContain('    at ')
  } finally {
    rmSync(app.backups)
    renameSync(backups, app.backups)
  }
  expect(rows()).toEqual(before)

  renameSync(app.database, `${app.database}-aside`)
  const missing = await ops(app, 'guard', 'scripts/delete-inactive.ts')
  expect([missing.exitCode, missing.stdout]).toEqual([65, ''])
  expect(missing.stderr).toContain('DATABASE_MISSING')
  expect(existsSync(app.database)).toBe(false)
  renameSync(`${app.database}-aside`, app.database)

  const database = app.open()
  database.exec('UPDATE posts SET score = 9e999 WHERE id = 1')
  database.close()
  const bad = await ops(app, 'guard', 'scripts/raw-in-transaction.ts')
  expect([bad.exitCode, bad.stdout], bad.stderr).toEqual([65, ''])
  expect(bad.stderr).toContain('VALUE_NOT_EXPORTABLE')
  expect(rows().Comment).toEqual(before.Comment)
  expect(bad.stderr).toContain('data: The script was not run, because the backup was not taken.')
}, 120_000)

test.each([
  [[], 'One more word is needed: the script to run.', 64],
  [['scripts/none.ts'], 'There is no script scripts/none.ts.', 64],
  [['scripts'], 'There is no script scripts.', 64],
  [['prisma/schema.prisma'], 'is no script that the guard can read', 64],
  [['--yes', 'scripts/report.ts'], "Unknown option '--yes'.", 64],
  [['scripts/broken.ts'], 'broken.ts, line 2: ', 65],
])(
  'guard %j is refused in one sentence',
  async (words, sentence, code) => {
    mkdirSync(join(app.dir, 'scripts'), { recursive: true })
    writeFileSync(join(app.dir, 'scripts/broken.ts'), 'const a = 1\nconst = 2\n')
    const { exitCode, stdout, stderr } = await ops(app, 'guard', ...words)
    expect([exitCode, stdout], stderr).toEqual([code, ''])
    expect(stderr).toContain(sentence)
    expect(stderr.split('\n')).toHaveLength(4)
  },
  60_000,
)

test('the examples of the how-to work as they stand there', async () => {
  const page = readFileSync(join(root, 'docs/how-tos/guard-a-script.md'), 'utf8')
  const examples = [...page.matchAll(/^<!-- test: (.+?) -->\n```\w+\n([\s\S]*?)^```$/gm)]
  expect(examples.map(([, name]) => name)).toEqual(['file scripts/cleanup.ts', 'dry run', 'run'])
  writeFileSync(join(app.dir, 'scripts/cleanup.ts'), examples[0]![2]!)
  const shell = async (text: string) => {
    const [npx, bootkeeper, ...words] = text.trim().split(' ')
    expect([npx, bootkeeper]).toEqual(['npx', 'bootkeeper'])
    return await ops(app, ...words)
  }
  expect((await shell(examples[1]![2]!)).stdout).toContain('scripts/cleanup.ts:4  prisma.event.deleteMany()  → Event')
  const before = rows()
  const run = await shell(examples[2]![2]!)
  expect(run.exitCode, run.stderr).toBe(0)
  // What the page shows, but for the time in the names.
  const shown = [...page.matchAll(/^ {4}(\S.*| {4}\S.*)$/gm)].map(([, line]) => line!)
  expect(shown.length).toBe(6)
  const timeless = (text: string) => text.replace(/\d{4}-\d\d-\d\dT[\d-]+Z/g, 'TIME')
  for (const line of shown) expect(timeless(run.stderr)).toContain(timeless(line))
  expect((await ops(app, ...printedRestore(run.stderr))).exitCode).toBe(0)
  expect(rows()).toEqual(before)
}, 120_000)
