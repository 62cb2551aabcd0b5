// Imports that are killed at random moments, most of them while rows are written. Guarantees tested: the database is as
// it was or as the file says, and every backup that is listed is whole.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { listBackups, removeBackup, verifyFile } from '../src/manifest.ts'
import { root } from './harness.ts'
import { appWith, exportFile } from './imported-apps.ts'
import { randomFrom, seed } from './random.ts'

const kills = Number(process.env.KILLS ?? (process.env.SOAK ? 1000 : 12))

test(`${kills} imports that are killed leave the database as it was, or as the file says`, async () => {
  const random = randomFrom(seed)
  const source = await appWith(
    Array.from(
      { length: 40 },
      (_, n) => `INSERT INTO "User" (name, notes) VALUES ('new ${n}', '${'y'.repeat(3000)}')`,
    ).join(';'),
  )
  const many = source.open()
  many.exec(
    `INSERT INTO "Post" (title, authorId) SELECT 'post ' || a.id || b.id, a.id FROM "User" a, "User" b, "User" c WHERE c.id < 6`,
  )
  many.close()
  const file = await exportFile(source)
  const target = await appWith(`INSERT INTO "User" (name) VALUES ('old 1'), ('old 2')`)
  const filled = readFileSync(target.database)
  const emptied = target.open()
  emptied.exec('DELETE FROM "User"')
  emptied.pragma('wal_checkpoint(TRUNCATE)')
  emptied.close()
  const empty = readFileSync(target.database)
  for (const ending of ['-wal', '-shm']) expect(existsSync(target.database + ending)).toBe(false)
  const manifests = () =>
    existsSync(target.backups)
      ? readdirSync(target.backups).filter((name) => name.endsWith('.manifest.json')).length
      : 0
  let applied = 0
  let whileApplied = 0
  let usual = 1500
  let usualApply = 200
  for (let count = 0; count < kills; count++) {
    // Into empty tables the import goes another way.
    const users = random() < 0.5 ? 2 : 0
    writeFileSync(target.database, users > 0 ? filled : empty)
    const begun = Date.now()
    const mode = random() < 0.5 ? 'merge' : 'replace'
    const before = manifests()
    const child = spawn(
      process.execPath,
      [join(root, 'bin/bootkeeper.js'), 'import', file, '--apply', '--mode', mode],
      {
        cwd: target.dir,
        detached: true,
        stdio: 'ignore',
      },
    )
    const ended = new Promise((resolve) => child.once('close', resolve))
    const timers: NodeJS.Timeout[] = []
    const killAfter = (ms: number) => timers.push(setTimeout(() => killGroup(child), ms))
    const share = random()
    let listed = 0
    // Most kills fall between the backup, after which the rows are written at once, and the end.
    if (random() < 0.2) killAfter(usual * (0.3 + share * 0.8))
    timers.push(
      setInterval(() => {
        if (listed > 0 || manifests() === before) return
        listed = Date.now()
        if (timers.length === 1) killAfter(usualApply * share * 0.7)
      }, 2),
    )
    await ended
    for (const timer of timers) clearTimeout(timer)
    if (child.signalCode === null) {
      usual = Date.now() - begun
      usualApply = Date.now() - (listed || Date.now())
    } else if (listed > 0) whileApplied++
    const database = target.open()
    try {
      expect(database.pragma('integrity_check'), `kill ${count}, seed ${seed}`).toEqual([{ integrity_check: 'ok' }])
      expect(database.pragma('foreign_key_check')).toEqual([])
      const found = ['User', 'Post'].map((table) => database.prepare(`SELECT count(*) FROM "${table}"`).pluck().get())
      const posts = found[1]
      const after = mode === 'merge' ? [40 + users, 8000] : [40, 8000]
      expect([[users, 0], after], `kill ${count}, seed ${seed}, ${mode} into ${users}`).toContainEqual(found)
      if (posts !== 0) applied++
      database.pragma('wal_checkpoint(TRUNCATE)')
    } finally {
      database.close()
    }
    // What is listed is whole, also after a kill; and a thousand of them need not be kept.
    for (const backup of await listBackups(target.backups)) {
      for (const file of backup.files) await verifyFile(target.backups, file)
      if (backup.trigger === 'pre-restore') await removeBackup(target.backups, backup)
    }
  }
  process.stdout.write(
    `seed ${seed}: ${kills} kills of an import, ${whileApplied} between its backup and its end; ${applied} times it was done\n`,
  )
  expect(whileApplied).toBeGreaterThan(kills / 4)
  expect(applied).toBeLessThan(kills)
}, 3_600_000)

function killGroup({ pid }: ChildProcess): void {
  try {
    process.kill(-(pid as number), 'SIGKILL')
  } catch {
    // It ended by itself.
  }
}
