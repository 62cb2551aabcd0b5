// kill -9 at a random moment of the boot, again and again, alone or with every process it started.
// Guarantees tested after each: the database opens, is sound, has every row and the structure from before or after;
// every listed backup is whole; a boot that gets through leaves no temporary file. SEED=n repeats a run.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { listBackups, verifyFile } from '../src/manifest.ts'
import { boot, makeApp, poll, startBoot, type TestApp } from './harness.ts'
import { randomFrom, seed } from './random.ts'

const kills = Number(process.env.KILLS ?? (process.env.SOAK ? 1000 : 15))

const narrow = `
model Item {
  id   Int    @id @default(autoincrement())
  name String @unique
  size Int
}
`
// Rebuilds the table, adds a column without values, a table and an index: and back, all without a loss.
const wide = `
model Item {
  id    Int     @id @default(autoincrement())
  name  String  @unique
  size  Int     @default(5)
  extra String?
  @@index([size])
}

model Empty {
  id Int @id
}
`

function descendants(pid: number): number[] {
  const parents = new Map<number, number[]>()
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const [, , rest] = /^(\d+) \(.*\) \S (\d+)/s.exec(readFileSync(`/proc/${name}/stat`, 'utf8'))!
      parents.set(Number(rest), [...(parents.get(Number(rest)) ?? []), Number(name)])
    } catch {}
  }
  const found: number[] = []
  for (const next = [pid]; next.length > 0; ) {
    const children = parents.get(next.pop()!) ?? []
    found.push(...children)
    next.push(...children)
  }
  return found
}

function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

function kill(pids: number[]): void {
  for (const pid of pids)
    try {
      process.kill(pid, 'SIGKILL')
    } catch {}
}

function requireWhole(app: TestApp, names: string[]): void {
  const database = new Database(app.database, { fileMustExist: true })
  try {
    expect(database.pragma('integrity_check', { simple: true })).toBe('ok')
    expect(database.prepare('SELECT name FROM Item ORDER BY id').pluck().all()).toEqual(names)
    const columns = (database.pragma('table_info(Item)') as { name: string }[]).map(({ name }) => name)
    const tables = database
      .prepare("SELECT name FROM sqlite_master WHERE name IN ('Empty', 'new_Item', 'Item_size_idx')")
      .pluck()
      .all()
    // Before or after, and nothing between.
    expect([
      [['id', 'name', 'size'], []],
      [
        ['id', 'name', 'size', 'extra'],
        ['Empty', 'Item_size_idx'],
      ],
    ]).toContainEqual([columns, tables.sort()])
  } finally {
    database.close()
  }
}

function temporaryFiles(app: TestApp): string[] {
  return ['data', 'data/backups', 'data/.bootkeeper'].flatMap((folder) =>
    readdirSync(join(app.dir, folder)).filter(
      (name) => name.includes('.partial') || /\.db-(wal|shm|journal)$/.test(name),
    ),
  )
}

test(`${kills} kills lose nothing (seed ${seed})`, async () => {
  const random = randomFrom(seed)
  const app = makeApp(narrow)
  const names: string[] = []
  const write = () => {
    const database = app.open()
    const name = `item ${names.length} é ${random()}`
    database.prepare('INSERT INTO Item(name, size) VALUES (?, ?)').run(name, names.length)
    names.push(name)
    database.close()
  }
  const begun = Date.now()
  expect((await boot(app)).exitCode).toBe(0)
  // A boot with a change to make: the moments of the kills spread over it, and some come after.
  let changeMs = Date.now() - begun
  write()
  let isWide = false
  app.setSchema(wide)
  let through = 0
  for (let done = 0; done < kills; done += 1) {
    const started = startBoot(app)
    const since = Date.now()
    const afterMs = -Math.log(1 - random()) * changeMs * 0.7
    const whole = random() < 0.5
    const launched = started
      .until((line) => line.step === 'launch')
      .then(
        () => true,
        () => false,
      )
    const finished = await Promise.race([
      launched,
      new Promise<false>((resolve) => setTimeout(() => resolve(false), afterMs)),
    ])
    const pids = descendants(started.child.pid!)
    if (finished) {
      await poll(() => app.state().attempts === 0, 'ready')
      if (started.lines.some((line) => line.step === 'schema' && line.state === 'done')) changeMs = Date.now() - since
    }
    kill(whole ? [started.child.pid!, ...pids] : [started.child.pid!])
    await started.ended
    await poll(() => !pids.some(isAlive), 'the helpers of a killed boot to end')
    requireWhole(app, names)
    for (const manifest of await listBackups(app.backups))
      for (const file of manifest.files) await verifyFile(app.backups, file)
    if (!finished) continue
    through += 1
    expect(temporaryFiles(app)).toEqual([])
    // The next boots have a change to make again.
    isWide = !isWide
    app.setSchema(isWide ? narrow : wide)
    if (random() < 0.7) write()
  }
  const last = await boot(app)
  expect(last.output).not.toContain('"level":"error"')
  expect(last.exitCode).toBe(0)
  requireWhole(app, names)
  expect(temporaryFiles(app)).toEqual([])
  process.stdout.write(`seed ${seed}: ${kills} kills, ${through} of them after the launch\n`)
}, 10_000_000)
