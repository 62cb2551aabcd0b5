// kill -9 in the middle of a prune, again and again. Guarantees tested after each: every backup that is listed is whole;
// what is not listed is marked as being removed; the next prune leaves exactly what the policy keeps. SEED=n repeats.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { partialPath, sha256OfFile } from '../src/files.ts'
import { type BackupFile, commitBackup, listBackups, type Manifest, verifyFile } from '../src/manifest.ts'
import { boot, makeApp, ops, poll, root, type TestApp } from './harness.ts'
import { randomFrom, seed } from './random.ts'

const kills = Number(process.env.KILLS ?? (process.env.SOAK ? 100 : 8))
const many = 150

/** Backups of three files each, as `db:backup` would have listed them, minutes apart. */
async function addBackups(app: TestApp, like: Manifest, round: number): Promise<void> {
  for (let i = 0; i < many; i += 1) {
    const createdAt = new Date(Date.now() - (many - i) * 60_000 - 1_000).toISOString()
    const stem = `backup_${createdAt.slice(0, 19).replaceAll(':', '-')}Z-${round}${i}`
    const parts: { partial: string; file: BackupFile }[] = []
    for (const [role, ending] of [
      ['copy', 'db'],
      ['export', 'json'],
      ['script', 'ts'],
    ] as const) {
      const name = `${stem}.${ending}`
      const partial = partialPath(join(app.backups, name))
      writeFileSync(partial, randomBytes(2_000))
      parts.push({
        partial,
        file: { role, name, sizeBytes: 2_000, sha256: await sha256OfFile(partial), counts: { User: 1 } },
      })
    }
    const files = parts.map(({ file }) => file)
    await commitBackup(app.backups, { ...like, stem, createdAt, trigger: 'manual', files }, parts)
  }
}

test(`${kills} kills in the middle of a prune (seed ${seed})`, async () => {
  const random = randomFrom(seed)
  const app = makeApp()
  await boot(app)
  await boot(app)
  const [like] = await listBackups(app.backups)
  let [round, through, halfDone] = [0, 0, 0]
  await addBackups(app, like!, round)
  const words = ['prune', '--for', 'manual', '--last', '3', '--apply']
  for (let done = 0; done < kills; done += 1) {
    const before = app.files().filter((name) => name.endsWith('.manifest.json')).length
    const child = spawn(process.execPath, [join(root, 'bin/bootkeeper.js'), ...words], {
      cwd: app.dir,
      stdio: 'ignore',
    })
    const ended = new Promise((resolve) => child.once('close', resolve))
    // From the first removal on, at any number of them.
    const target = Math.floor(random() * (before - 5))
    const left = () => readdirSync(app.backups).filter((name) => /^backup_.*\.manifest\.json$/.test(name)).length
    await poll(() => child.exitCode !== null || before - left() > target, 'the prune', 60_000)
    child.kill('SIGKILL')
    await ended
    const backups = await listBackups(app.backups)
    for (const { files } of backups) for (const file of files) await verifyFile(app.backups, file)
    const marked = readdirSync(app.backups).filter((name) => name.endsWith('.removing'))
    expect(marked.length).toBeLessThanOrEqual(1)
    const known = backups.flatMap(({ stem, files }) => [`${stem}.manifest.json`, ...files.map(({ name }) => name)])
    const strays = app.files().filter((name) => !known.includes(name) && !marked.includes(name))
    for (const name of strays)
      expect(`.${name}`.startsWith(marked[0]?.split('.manifest')[0] ?? 'no mark'), name).toBe(true)
    if (strays.length > 0) halfDone += 1
    if (backups.length > 10) continue
    through += 1
    round += 1
    const last = await ops(app, ...words)
    expect(last.exitCode, last.stderr).toBe(0)
    await addBackups(app, like!, round)
  }
  expect((await ops(app, ...words)).exitCode).toBe(0)
  const backups = await listBackups(app.backups)
  expect(backups.filter(({ trigger }) => trigger === 'manual')).toHaveLength(3)
  const known = backups.flatMap(({ stem, files }) => [`${stem}.manifest.json`, ...files.map(({ name }) => name)])
  expect(app.files()).toEqual(known.sort())
  process.stdout.write(
    `seed ${seed}: ${kills} kills, ${halfDone} between two files of one backup, ${through} at the end\n`,
  )
}, 900_000)
