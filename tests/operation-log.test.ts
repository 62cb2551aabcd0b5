// The operation log: what is written into it, and what is found when somebody changes it.
// Guarantees tested: any byte that is changed, any line that is removed, moved or added is found, also after later
// appends; kills while a line is written never count as a change; secrets are masked. SEED=n repeats a run.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { appendToLog, headName, type LogEntry, logName, readLog } from '../src/operation-log.ts'
import { verifyLog } from '../src/operation-log-check.ts'
import { makeFolder, poll, root } from './harness.ts'
import { randomFrom, seed } from './random.ts'

const runs = process.env.SOAK ? 20 : 3

function entry(n: number, more: Partial<LogEntry> = {}): LogEntry {
  return {
    operation: `op_${n >> 1}`,
    action: 'backup',
    entity: 'backup',
    ids: [`backup_${n}`],
    status: n % 2 === 0 ? 'running' : 'completed',
    ...more,
  }
}

async function makeLog(lines: number): Promise<{ folder: string; log: string; head: string }> {
  const folder = makeFolder()
  for (let n = 0; n < lines; n += 1) await appendToLog(folder, entry(n, { metadata: { reason: `é ${n} \ufffd ${n}` } }))
  return { folder, log: join(folder, logName), head: join(folder, headName) }
}

test('lines are numbered, chained and read again; an empty log is sound', async () => {
  expect(await verifyLog(makeFolder())).toEqual({ lines: 0 })
  const { folder } = await makeLog(6)
  const { lines, unreadable } = await readLog(folder)
  expect(unreadable).toBe(0)
  expect(lines.map(({ n }) => n)).toEqual([1, 2, 3, 4, 5, 6])
  for (const [i, line] of lines.slice(1).entries()) expect(line.prev).toBe(lines[i]!.sha256)
  expect(lines[1]).toMatchObject({ operation: 'op_0', status: 'completed', ids: ['backup_1'] })
  expect(await verifyLog(folder)).toEqual({ lines: 6 })
})

test('every byte of the log and of its head: flipped, it is found, and in the log the line is named', async () => {
  const { folder, log, head } = await makeLog(4)
  const random = randomFrom(seed)
  for (const path of [log, head]) {
    const good = readFileSync(path)
    for (let at = 0; at < good.length; at += 1) {
      const bytes = Buffer.from(good)
      bytes[at]! ^= 1 << Math.floor(random() * 8)
      writeFileSync(path, bytes)
      const { problem } = await verifyLog(folder)
      const line = good.subarray(0, at).filter((byte) => byte === 10).length + 1
      // A head that was changed may speak of any line.
      expect([path, at, path === log ? problem?.line : problem !== undefined], `seed ${seed}`).toEqual([
        path,
        at,
        path === log ? line : true,
      ])
    }
    writeFileSync(path, good)
  }
  expect(await verifyLog(folder)).toEqual({ lines: 4 })
}, 300_000)

test('any edit of random bytes, any lines removed, moved or repeated: found, also after more was appended', async () => {
  const lines = 8
  const { folder, log, head } = await makeLog(lines)
  const [good, goodHead] = [readFileSync(log), readFileSync(head)]
  const texts = good.toString().split('\n').slice(0, -1)
  const position = fc.nat(lines - 1)
  const changes = fc.oneof(
    fc.tuple(fc.nat(good.length - 1), fc.uint8Array({ minLength: 1, maxLength: 40 })).map(([at, bytes]) => {
      const changed = Buffer.from(good)
      changed.set(bytes.subarray(0, good.length - at), at)
      return changed
    }),
    fc.tuple(position, fc.integer({ min: 1, max: lines })).map(([at, count]) => asBytes(texts.toSpliced(at, count))),
    fc.tuple(position, position).map(([from, to]) => {
      const moved = [...texts]
      moved.splice(to, 0, ...moved.splice(from, 1))
      return asBytes(moved)
    }),
    fc.tuple(position, position).map(([from, to]) => asBytes(texts.toSpliced(to, 0, texts[from]!))),
    fc.nat(good.length - 1).map((length) => good.subarray(0, length)),
  )
  await fc.assert(
    fc.asyncProperty(changes, fc.nat(3), async (bytes, appended) => {
      fc.pre(!bytes.equals(good))
      // Of a line that was cut before its newline, the next append puts that back, and the line is as it was written.
      fc.pre(!(good[bytes.length] === 10 && bytes.equals(good.subarray(0, bytes.length))))
      writeFileSync(log, bytes)
      writeFileSync(head, goodHead)
      const before = await verifyLog(folder)
      expect(before.problem?.line).toBe(firstDifference(texts, bytes))
      for (let n = 0; n < appended; n += 1) await appendToLog(folder, entry(n))
      expect((await verifyLog(folder)).problem?.line).toBe(before.problem!.line)
    }),
    { seed, numRuns: 150 * runs },
  )
}, 600_000)

test('a log whose head is gone is told from one that was killed, and stays so', async () => {
  const { folder, head } = await makeLog(5)
  rmSync(head)
  expect((await verifyLog(folder)).problem).toMatchObject({ line: 5, message: expect.stringContaining('is missing') })
  await appendToLog(folder, entry(5))
  expect((await verifyLog(folder)).problem).toMatchObject({ line: 6, message: expect.stringContaining('was lost') })
})

test('a log that was removed as a whole is missed', async () => {
  const { folder, log } = await makeLog(5)
  rmSync(log)
  expect((await verifyLog(folder)).problem?.line).toBe(1)
  await appendToLog(folder, entry(0))
  expect((await verifyLog(folder)).problem).toEqual({ line: 1, message: 'it is missing: line 6 is in its place' })
})

test('what a kill leaves, cut at every byte of a line and with the head of before, is no change', async () => {
  const { folder, log, head } = await makeLog(3)
  const [before, headBefore] = [readFileSync(log), readFileSync(head)]
  await appendToLog(folder, entry(4))
  const after = readFileSync(log)
  for (let length = before.length; length <= after.length; length += 1) {
    writeFileSync(log, after)
    truncateSync(log, length)
    writeFileSync(head, headBefore)
    const whole = length === after.length ? 4 : 3
    expect([length, await verifyLog(folder)]).toEqual([length, { lines: whole }])
    expect((await readLog(folder)).lines).toHaveLength(whole)
    await appendToLog(folder, entry(6))
    expect([length, await verifyLog(folder)]).toEqual([length, { lines: whole + 1 }])
  }
}, 300_000)

test('the first line of all, killed before its head was written, is no change', async () => {
  const { folder, log, head } = await makeLog(1)
  rmSync(head)
  expect(await verifyLog(folder)).toEqual({ lines: 1 })
  await appendToLog(folder, entry(2))
  expect(await verifyLog(folder)).toEqual({ lines: 2 })
  rmSync(head)
  truncateSync(log, 10)
  expect(await verifyLog(folder)).toEqual({ lines: 0 })
  await appendToLog(folder, entry(2))
  expect(await verifyLog(folder)).toEqual({ lines: 1 })
})

test(`writers that are killed again and again while others write (seed ${seed})`, async () => {
  const folder = makeFolder()
  const writer = join(folder, 'writer.mjs')
  writeFileSync(
    writer,
    `import { appendToLog } from ${JSON.stringify(join(root, 'dist/src/operation-log.js'))}
for (let n = 0; ; n += 1) {
  await appendToLog(${JSON.stringify(folder)}, { operation: 'op', action: 'x', entity: 'y', ids: ['i'.repeat(n % 3000)], status: 'completed' })
  process.stdout.write('.')
}`,
  )
  const random = randomFrom(seed)
  let acknowledged = 0
  const start = () => {
    const child = spawn(process.execPath, [writer], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    child.stdout!.on('data', (chunk: Buffer) => (acknowledged += chunk.length))
    return child
  }
  const kills = process.env.SOAK ? 200 : 12
  let steady = start()
  for (let kill = 0; kill < kills; kill += 1) {
    const child = start()
    const [told, wanted] = [acknowledged, 3 + Math.floor(random() * 20)]
    await poll(() => acknowledged >= told + wanted, 'lines', 60_000)
    // A moment that belongs to no line.
    for (const until = performance.now() + random() * 5; performance.now() < until; );
    const killed = kill % 3 === 0 ? steady : child
    killed.kill('SIGKILL')
    await once(killed, 'close')
    if (kill % 3 === 0) steady = child
    else expect((await verifyLog(folder)).problem).toBeUndefined()
    await appendToLog(folder, entry(kill))
    acknowledged += 1
    expect((await verifyLog(folder)).problem).toBeUndefined()
  }
  steady.kill('SIGKILL')
  await once(steady, 'close')
  const { lines, problem } = await verifyLog(folder)
  expect(problem).toBeUndefined()
  // Every line that a writer was told of is there; at most one a kill was not told of.
  expect(lines).toBeGreaterThanOrEqual(acknowledged)
  expect(lines).toBeLessThanOrEqual(acknowledged + kills + 1)
  process.stdout.write(`seed ${seed}: ${kills} kills, ${lines} lines\n`)
}, 600_000)

test('passwords in addresses and members that are named like secrets are masked', async () => {
  const folder = makeFolder()
  const metadata = {
    url: 'postgresql://app:hunter2@db/app',
    deep: [{ token: 'hunter2', list: ['https://x?password=hunter2&a=b'] }],
    passphrase: { of: 'hunter2' },
  }
  const error = { code: 'IO', message: 'could not reach postgres://app:hunter2@db' }
  await appendToLog(folder, entry(1, { metadata, error, ids: ['s3://key:hunter2@bucket'] }))
  expect(readFileSync(join(folder, logName), 'utf8')).not.toContain('hunter2')
  expect((await readLog(folder)).lines[0]?.metadata?.deep).toEqual([
    { token: '***', list: ['https://x?password=***&a=b'] },
  ])
  expect(await verifyLog(folder)).toEqual({ lines: 1 })
})

test('a line that was forged behind the newest one is found at the second', async () => {
  const { folder, log, head } = await makeLog(2)
  const headBefore = readFileSync(head)
  await appendToLog(folder, entry(3))
  await appendToLog(folder, entry(4))
  writeFileSync(head, headBefore)
  expect((await verifyLog(folder)).problem?.line).toBe(4)
  appendFileSync(log, 'x\n')
  expect((await verifyLog(folder)).problem?.line).toBe(5)
  expect(existsSync(head)).toBe(true)
})

function asBytes(texts: string[]): Buffer {
  return Buffer.from(texts.map((text) => `${text}\n`).join(''))
}

/** The first line that is not, whole, where it was; one line past the end where something was added there. */
function firstDifference(texts: string[], bytes: Buffer): number {
  let begin = 0
  for (const [i, text] of texts.entries()) {
    const line = Buffer.from(`${text}\n`)
    if (!bytes.subarray(begin, begin + line.length).equals(line)) return i + 1
    begin += line.length
  }
  return texts.length + 1
}
