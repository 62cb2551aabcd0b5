// A backup whose disk fills up at its first write, at its second, and so on until it gets through: every write to every
// file of it, in every process. Guarantees tested: a sentence with DISK_FULL; the backup is failed and not listed as
// good; what is listed is whole; every earlier backup is still there, and the database is as it was.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { newIdentity } from '../src/encryption.ts'
import { listBackups, verifyFile } from '../src/manifest.ts'
import { verifyLog } from '../src/operation-log-check.ts'
import { boot, makeApp, makeFolder, ops, root, sha256, type TestApp } from './harness.ts'
import { randomFrom, seed } from './random.ts'

const hasCompiler = spawnSync('cc', ['--version']).status === 0 && process.platform === 'linux'
const whyNot = 'NOT TESTED: a disk that fills up at each write needs a C compiler on Linux: apt-get install gcc.'
if (!hasCompiler) {
  if (process.env.CI) throw new Error(whyNot)
  process.stderr.write(`${whyNot}\n`)
}

function compile(): string {
  const library = join(makeFolder(), 'full-disk.so')
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, join(root, 'tests/fixtures/full-disk.c'), '-ldl'])
  return library
}

async function appWithBackups(env: Record<string, string>): Promise<TestApp> {
  const app = makeApp()
  Object.assign(app.env, env)
  expect((await boot(app)).exitCode).toBe(0)
  const database = app.open()
  database.exec(`INSERT INTO User(name) VALUES ('ann'), ('john')`)
  database.pragma('wal_checkpoint(TRUNCATE)')
  database.close()
  for (let n = 0; n < 2; n += 1) expect((await ops(app, 'backup')).exitCode).toBe(0)
  return app
}

/** By keys: a passphrase would take half a second for each file. */
const encoded = await newIdentity().then(({ identity, recipient }) => ({
  BACKUP_COMPRESSION: 'gzip',
  BACKUP_AGE_RECIPIENTS: recipient,
  BACKUP_AGE_IDENTITY: identity,
}))

const plain = {}
const random = randomFrom(seed)

interface Listed {
  id: string
  status: string
}

describe.runIf(hasCompiler)('a disk that fills up', () => {
  test.each([
    ['for ever', 'a whole backup', [], plain, true],
    ['for a moment', 'a whole backup', [], plain, false],
    ['for ever', 'a compressed and encrypted one', [], encoded, true],
    ['for ever', 'one of a table', ['--tables', 'User'], plain, true],
  ] as const)(
    '%s, at each write of %s',
    async (_, _of, words, env, stays) => {
      const library = compile()
      const app = await appWithBackups(env)
      const before = sha256(app.database)
      const state = join(app.dir, 'data', '.bootkeeper')
      const good = (await listBackups(app.backups)).map(({ stem }) => stem)
      let [failed, unharmed] = [0, 0]
      // Each write of a whole plain backup; of the others each second one, and in a soak all.
      const step = process.env.SOAK || (stays && env === plain && words.length === 0) ? 1 : 2
      for (let at = step === 1 ? 1 : 1 + Math.floor(random() * 2); ; at += step) {
        const counter = join(makeFolder(), 'writes')
        const fault = {
          LD_PRELOAD: library,
          FAULT_DIR: join(app.dir, 'data'),
          FAULT_COUNTER: counter,
          FAULT_AT: String(at),
          ...(stays ? { FAULT_STAYS: '1' } : {}),
          // As any policy would have it, were it asked.
          RETENTION: 'last=1',
          TABLE_RETENTION: 'last=1',
        }
        const result = await ops({ ...app, env: { ...app.env, ...fault } }, 'backup', ...words)
        const writes = existsSync(counter) ? statSync(counter).size : 0
        const isDone = writes < at
        const where = `write ${at} of ${writes}: ${result.stdout}${result.stderr}`
        expect([0, 73], where).toContain(result.exitCode)
        if (result.exitCode === 73) {
          expect(result.stderr, where).toMatch(/✖ DISK_FULL {2}.+\n {4}data: .+\n {4}next: .+\n$/)
          failed += 1
        } else unharmed += 1

        expect(sha256(app.database), where).toBe(before)
        const present = await listBackups(app.backups)
        for (const { files } of present) for (const file of files) await verifyFile(app.backups, file)
        const stems = present.map(({ stem }) => stem)
        if (result.exitCode === 73) expect(stems, where).toEqual(expect.arrayContaining(good))
        expect(await verifyLog(state), where).not.toHaveProperty('problem')
        const listed = JSON.parse((await ops(app, 'list', '--json')).stdout) as Listed[]
        for (const id of listed.filter(({ status }) => status === 'completed').map((each) => each.id))
          expect(stems, where).toContain(id)
        const fresh = stems.filter((stem) => !good.includes(stem))
        if (result.exitCode === 73)
          for (const { id, status } of listed.filter((each) => fresh.includes(each.id)))
            expect([id, status], where).toEqual([id, 'failed'])
        // What retention left is what the next round begins with.
        good.splice(0, good.length, ...stems)
        if (isDone) break
      }
      process.stdout.write(`${failed} failed, ${unharmed} got through all the same\n`)
      expect(failed).toBeGreaterThan(step === 1 ? 8 : 4)
    },
    1_200_000,
  )
})
