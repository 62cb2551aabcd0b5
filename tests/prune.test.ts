// What removes backups, on real apps: boots, db:backup, db:prune, db:pin, and the examples of the how-to.
// Guarantees tested: a dry run changes nothing; what is listed is whole, also after a removal that failed half-way;
// nothing goes by a lost state, of another database, or for a backup that failed.

import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { output } from '../scripts/outputs/prune.ts'
import { listBackups, type Manifest, readManifest, updateManifest, verifyFile } from '../src/manifest.ts'
import { boot, makeApp, ops, root, startBoot, type TestApp } from './harness.ts'

/** An app whose last boot came up, with one row. */
async function upApp(): Promise<TestApp> {
  const app = makeApp()
  expect((await boot(app)).exitCode).toBe(0)
  run(app, "INSERT INTO User(name) VALUES ('john')")
  expect((await boot(app)).exitCode).toBe(0)
  return app
}

function run(app: TestApp, sql: string): void {
  const database = app.open()
  database.exec(sql)
  database.close()
}

let names = 0
async function bootWithRow(app: TestApp, env: Record<string, string> = {}): Promise<string> {
  names += 1
  run(app, `INSERT INTO User(name) VALUES ('user ${names}')`)
  const { exitCode, output } = await boot(app, ['true'], env)
  expect(exitCode, output).toBe(0)
  return app.state().pinned!
}

async function stems(app: TestApp): Promise<string[]> {
  return (await listBackups(app.backups)).map(({ stem }) => stem)
}

async function backup(app: TestApp, env: Record<string, string> = {}): Promise<string> {
  const { stdout, stderr } = await ops({ ...app, env: { ...app.env, ...env } }, 'backup', '--json')
  expect(stderr).toBe('')
  return JSON.parse(stdout).id
}

interface Plan {
  applied: boolean
  backups: { id: string; keep: boolean; rule: string; reason: string }[]
  removed: string[]
  freedBytes: number
}

async function plan(app: TestApp, ...words: string[]): Promise<Plan> {
  const { exitCode, stdout, stderr } = await ops(app, 'prune', '--json', ...words)
  expect(exitCode, stdout + stderr).toBe(0)
  return JSON.parse(stdout)
}

/** As if it had been made then. */
async function backdate(app: TestApp, stem: string, createdAt: string): Promise<void> {
  await updateManifest(app.backups, { ...(await readManifest(app.backups, stem)), createdAt })
}

async function requireWhole(app: TestApp): Promise<void> {
  const backups = await listBackups(app.backups)
  for (const { files } of backups) for (const file of files) await verifyFile(app.backups, file)
  const known = backups.flatMap(({ stem, files }) => [`${stem}.manifest.json`, ...files.map(({ name }) => name)])
  expect(app.files()).toEqual(known.sort())
}

test('boots keep the newest, the pinned one and those made by hand; a dry run says so and changes nothing', async () => {
  const app = await upApp()
  const own = await backup(app)
  for (let i = 0; i < 4; i += 1) await bootWithRow(app, { KEEP_BOOT_BACKUPS: '9' })
  const before = app.files()
  app.env.KEEP_BOOT_BACKUPS = '2'
  const { stdout } = await ops(app, 'prune')
  expect(stdout).toContain('Nothing was removed. To do it: npx bootkeeper prune --apply')
  expect(stdout).toMatch(new RegExp(`^${own} .* manual +keep +made on purpose, and no policy is set$`, 'm'))
  expect(app.files()).toEqual(before)
  const { backups, applied } = await plan(app)
  expect(applied).toBe(false)
  const pinned = await bootWithRow(app)
  const left = await listBackups(app.backups)
  expect(left.filter(({ trigger }) => trigger === 'boot')).toHaveLength(2)
  expect(left.map(({ stem }) => stem)).toEqual(expect.arrayContaining([own, pinned]))
  // A plan holds for its moment: one more had come.
  const gone = backups.filter(({ id }) => !left.some(({ stem }) => stem === id)).map(({ id }) => id)
  expect(gone).toEqual(expect.arrayContaining(backups.filter(({ keep }) => !keep).map(({ id }) => id)))
  await requireWhole(app)
})

test('RETENTION removes what was made by hand, after a backup that succeeded and not after one that failed', async () => {
  const app = await upApp()
  const made: string[] = []
  for (let i = 0; i < 3; i += 1) made.push(await backup(app))
  app.env.RETENTION = 'last=1'
  const before = app.files()
  const failed = await ops({ ...app, env: { ...app.env, PRISMA_SCHEMA: 'nowhere.prisma' } }, 'backup')
  expect(failed.exitCode).toBe(78)
  expect(app.files()).toEqual(before)
  const { stdout } = await ops(app, 'backup')
  expect(stdout).toContain('3 older backups removed, ')
  const left = await stems(app)
  for (const stem of made) expect(left).not.toContain(stem)
  await requireWhole(app)
})

test('one backup is removed by its name, but none that is pinned, in use, or the last that holds what it holds', async () => {
  const app = await upApp()
  const made = [await backup(app), await backup(app), await backup(app)] as const
  const before = app.files()
  const { stdout } = await ops(app, 'prune', '--remove', made[0])
  expect(stdout).toContain(`Nothing was removed. To do it: npx bootkeeper prune --remove ${made[0]} --apply`)
  expect(app.files()).toEqual(before)
  const planned = await plan(app, '--remove', made[0])
  expect(output.parse(planned)).toMatchObject({
    applied: false,
    backups: [{ id: made[0], keep: false, rule: 'by-hand' }],
    removed: [],
  })
  await ops(app, 'pin', made[1])
  const inUse = app.state().pinned!
  for (const [id, why] of [
    [made[1], 'pinned'],
    [made[2], 'the last verified one of its kind'],
    [inUse, 'the newest that the app came up on'],
  ] as const)
    for (const words of [[], ['--apply']]) {
      const refused = await ops(app, 'prune', '--remove', id, ...words)
      expect([id, refused.exitCode]).toEqual([id, 65])
      expect(refused.stderr).toContain(`${id} is kept: ${why}`)
    }
  expect((await ops(app, 'prune', '--remove', 'backup_none')).stderr).toContain('There is no backup named backup_none')
  expect(app.files()).toEqual(before)
  const { removed, freedBytes } = await plan(app, '--remove', made[0], '--apply')
  expect([removed, freedBytes > 0]).toEqual([[made[0]], true])
  expect(await stems(app)).not.toContain(made[0])
  await requireWhole(app)
  const { stdout: log } = await ops(app, 'log', '--json')
  expect(JSON.parse(log).find(({ action }: { action: string }) => action === 'prune')).toMatchObject({
    ids: [made[0]],
    metadata: { reasons: { [made[0]]: 'asked for by hand' } },
  })
})

test('a pin keeps a backup, and taken off it keeps it no longer', async () => {
  const app = await upApp()
  const [first, second] = [await backup(app), await backup(app)]
  expect(JSON.parse((await ops(app, 'pin', first, '--json')).stdout)).toEqual({ id: first, pinned: true })
  expect((await readManifest(app.backups, first)).pinned).toBe(true)
  const pinned = await plan(app, '--for', 'manual', '--last', '1', '--apply')
  expect(pinned.backups.find(({ id }) => id === first)).toMatchObject({ keep: true, reason: 'pinned' })
  expect(await stems(app)).toContain(first)
  expect((await ops(app, 'pin', first, '--off')).exitCode).toBe(0)
  expect((await readManifest(app.backups, first)).pinned).toBeUndefined()
  const { removed, freedBytes } = await plan(app, '--for', 'manual', '--last', '1', '--apply')
  expect(removed).toEqual([first])
  expect(freedBytes).toBeGreaterThan(20_000)
  expect(await stems(app)).toContain(second)
  expect((await ops(app, 'pin', first)).exitCode).toBe(65)
})

test('a state that was lost makes nothing go, neither at once nor by a boot that fails', async () => {
  const app = await upApp()
  for (let i = 0; i < 4; i += 1) await bootWithRow(app)
  const before = await stems(app)
  rmSync(join(app.dir, 'data', '.bootkeeper', 'state.json'))
  app.env.KEEP_BOOT_BACKUPS = '1'
  expect((await plan(app, '--apply')).removed).toEqual([])
  run(app, "INSERT INTO User(name) VALUES ('after')")
  expect((await boot(app, ['sh', '-c', 'exit 7'])).exitCode).toBe(7)
  expect(await stems(app)).toEqual(expect.arrayContaining(before))
  // What failing boots make from then on is thinned out all the same.
  for (let i = 0; i < 5; i += 1) {
    run(app, `INSERT INTO User(name) VALUES ('loop ${i}')`)
    expect((await boot(app, ['sh', '-c', 'exit 7'])).exitCode).toBe(7)
  }
  const after = await stems(app)
  expect(after).toEqual(expect.arrayContaining(before))
  expect(after.length - before.length).toBeLessThanOrEqual(2)
  await bootWithRow(app)
  expect((await stems(app)).length).toBe(1)
  await requireWhole(app)
})

test('backups of another database, and ones with a file beside them that nobody knows, stay', async () => {
  const app = await upApp()
  const [foreign, beside, ordinary] = [await backup(app), await backup(app), await backup(app)]
  await backup(app)
  await updateManifest(app.backups, { ...(await readManifest(app.backups, foreign)), database: '/elsewhere/app.db' })
  writeFileSync(join(app.backups, `${beside}_notes.txt`), 'mine')
  const { backups, removed } = await plan(app, '--for', 'manual', '--last', '1', '--apply')
  const rules = Object.fromEntries(backups.map(({ id, rule }) => [id, rule]))
  expect(rules).toMatchObject({ [foreign]: 'other-database', [beside]: 'unknown-file', [ordinary]: 'beyond' })
  expect(removed).toEqual([ordinary])
})

test('only a newer verified backup lets an older one go', async () => {
  const app = await upApp()
  const [older, newer] = [await backup(app), await backup(app)]
  const problem = 'a file of it is damaged'
  const damage = async (stem: string) => {
    const manifest = await readManifest(app.backups, stem)
    await updateManifest(app.backups, { ...manifest, lastCheck: { at: new Date().toISOString(), problem } })
  }
  for (const { stem, trigger } of await listBackups(app.backups)) if (trigger === 'boot') await damage(stem)
  await damage(newer)
  const { backups } = await plan(app, '--for', 'manual', '--last', '1')
  expect(backups.find(({ id }) => id === older)).toMatchObject({ keep: true })
  const good = await backup(app)
  const then = await plan(app, '--for', 'manual', '--last', '1', '--apply')
  expect(then.removed).toContain(older)
  expect(await stems(app)).toContain(good)
})

test('what is old goes by age, table by table, and safety backups as well', async () => {
  const app = await upApp()
  const [old, partial, safety] = [await backup(app), await backup(app), await backup(app)]
  const change = async (stem: string, more: Partial<Manifest>) =>
    updateManifest(app.backups, { ...(await readManifest(app.backups, stem)), ...more })
  await change(partial, { scope: { models: ['User'] } })
  await change(safety, { trigger: 'guard' })
  const [laterPartial, laterSafety] = [await backup(app), await backup(app)]
  await change(laterPartial, { scope: { models: ['User'] } })
  await change(laterSafety, { trigger: 'guard' })
  for (const stem of [old, partial, safety]) await backdate(app, stem, '2020-01-01T00:00:00.000Z')
  const { backups } = await plan(app)
  const reasons = Object.fromEntries(backups.map(({ id, reason }) => [id, reason]))
  expect(reasons).toMatchObject({
    [old]: 'made on purpose, and no policy is set',
    [partial]: 'older than 30 days',
    [safety]: 'older than 30 days',
    [laterPartial]: 'newest 5',
    [laterSafety]: 'newest 10',
  })
})

test('a removal that fails half-way leaves nothing listed without its files, is told, and is finished later', async () => {
  const app = await upApp()
  const [first, second] = [await backup(app), await backup(app)]
  await backup(app)
  const copy = join(app.backups, `${first}.db`)
  rmSync(copy)
  // A folder in the place of the file: it cannot be removed as one, whoever tries.
  mkdirSync(join(copy, 'inside'), { recursive: true })
  const failed = await ops(app, 'prune', '--for', 'manual', '--last', '1', '--apply')
  expect(failed.exitCode).toBe(74)
  expect(failed.stderr).toMatch(new RegExp(`^✖ PRUNE_INCOMPLETE {2}${first} could not be removed; 1 were\\. `))
  expect(await stems(app)).not.toContain(first)
  // The next one of the same second is called like it, with -2 behind.
  expect(app.files().filter((name) => name.startsWith(`${second}.`))).toEqual([])
  // A backup is good all the same, and says what is left over.
  const later = await ops(app, 'backup')
  expect([later.exitCode, later.stderr.startsWith('! PRUNE_INCOMPLETE')]).toEqual([0, true])
  rmSync(copy, { recursive: true })
  const { removed } = await plan(app, '--apply')
  expect(removed).toEqual([first])
  await requireWhole(app)
})

test('files without the mark of a removal are not touched', async () => {
  const app = await upApp()
  const stem = await backup(app)
  const name = 'backup_2020-01-01T00-00-00Z.db'
  copyFileSync(join(app.backups, `${stem}.db`), join(app.backups, name))
  // A mark that is not as it was written says nothing about whose files these are.
  const mark = `.${name.replace('.db', '')}.manifest.json.removing`
  writeFileSync(join(app.backups, mark), readFileSync(join(app.backups, `${stem}.manifest.json`)))
  await plan(app, '--apply')
  expect([existsSync(join(app.backups, name)), existsSync(join(app.backups, mark))]).toEqual([true, true])
  await bootWithRow(app)
  expect(existsSync(join(app.backups, name))).toBe(true)
  await verifyFile(app.backups, (await readManifest(app.backups, stem)).files[0]!)
})

test('a prune works beside a running app', async () => {
  const app = await upApp()
  const running = startBoot(app)
  await running.until((line) => line.step === 'launch' && line.state === 'done')
  expect((await plan(app, '--apply')).applied).toBe(true)
  running.child.kill('SIGTERM')
  expect((await running.ended).exitCode).toBe(0)
})

test.each([
  [['prune', '--last', 'many'], 'A policy takes a whole number from 1 to 10000 for last, not "many".'],
  [['prune', '--max-age', '30'], 'A policy takes an age such as 36h, 30d or 8w for max-age, not "30".'],
  [['prune', '--for', 'boots', '--last', '1'], '--for takes boot, manual, scheduled, safety, tables, not "boots".'],
  [['prune', '--for', 'boot'], '--for needs a rule, such as --last 5.'],
  [['prune', 'now'], '"now" is one word too many.'],
  [['pin'], 'One more word is needed: the backup to keep for good.'],
  [['pin', 'a', 'b'], '"b" is one word too many.'],
])('%j is refused with one sentence', async (words, sentence) => {
  const app = makeApp()
  const { exitCode, stderr } = await ops(app, ...words)
  expect([exitCode, stderr.split('\n')[0]]).toEqual([64, `✖ USAGE  ${sentence}`])
  expect(readdirSync(app.dir)).not.toContain('data')
})

test('the examples of the how-to work, in order', async () => {
  const page = readFileSync(join(root, 'docs/how-tos/keep-and-remove-backups.md'), 'utf8')
  const examples = [...page.matchAll(/^<!-- test: (.+?) -->\n```sh\n([\s\S]*?)^```$/gm)].map(([, name, text]) => ({
    name: name!,
    text: text!.replaceAll('npx bootkeeper', `${process.execPath} ${join(root, 'bin/bootkeeper.js')}`),
  }))
  expect(examples.map(({ name }) => name)).toEqual(['see', 'try', 'remove', 'pin'])
  const app = await upApp()
  for (let i = 0; i < 3; i += 1) await bootWithRow(app)
  app.env.KEEP_BOOT_BACKUPS = '2'
  const made = [await backup(app), await backup(app)]
  for (let i = 0; i < 2; i += 1) await bootWithRow(app, { KEEP_BOOT_BACKUPS: '9' })
  const shell = (name: string, env: Record<string, string> = {}) => {
    const { text } = examples.find((each) => each.name === name)!
    const { PATH = '', HOME = '' } = process.env
    const result = spawnSync('bash', ['-euc', text], {
      cwd: app.dir,
      env: { PATH, HOME, ...app.env, ...env },
      encoding: 'utf8',
    })
    expect(result.status, result.stdout + result.stderr).toBe(0)
    return result.stdout
  }
  expect(shell('see')).toMatch(
    / boot +remove +beyond last=2\n[\s\S]*would go, .* To do it: npx bootkeeper prune --apply\n$/,
  )
  const before = app.files()
  const tried = shell('try')
  expect(tried.match(new RegExp(`^${made[0]} .* remove +beyond last=1$`, 'gm'))).toHaveLength(2)
  expect(app.files()).toEqual(before)
  expect(shell('remove')).toMatch(/✔ 1 backup removed, .* freed\.\n$/)
  expect(await stems(app)).not.toContain(made[0])
  await backdate(app, made[1]!, '2020-01-01T00:00:00.000Z')
  await backup(app)
  expect(shell('pin', { STEM: made[1]! })).toMatch(new RegExp(`^${made[1]} .* keep +pinned$`, 'm'))
  expect((await readManifest(app.backups, made[1]!)).pinned).toBeUndefined()
})
