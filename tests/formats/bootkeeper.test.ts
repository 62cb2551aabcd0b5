// The document of the export: read back whole, refused when a single byte differs, in constant memory.

import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { looksLikeExport, openExportWriter, verifyExport } from '../../src/formats/bootkeeper.ts'
import { exportDocumentSchema } from '../../src/formats/bootkeeper-header.ts'
import { readDataModel } from '../../src/prisma/data-model.ts'
import { header } from '../engines/export-fixtures.ts'
import { seed } from '../random.ts'

const directory = mkdtempSync(join(tmpdir(), 'bootkeeper-format-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))
let made = 0

const { models } = await readDataModel([
  {
    path: 'schema.prisma',
    content:
      'datasource db {\n  provider = "sqlite"\n}\nmodel A {\n  id Int @id\n  s String?\n}\nmodel B {\n  id Int @id\n}\nmodel C {\n  id Int @id\n}',
  },
])

function write(rows: Record<string, string[]>): string {
  const target = join(directory, `${++made}.json`)
  const writer = openExportWriter(target)
  writer.start({
    header,
    engine: 'sqlite',
    models,
    extraColumns: new Map(),
    notExported: { transient: [], tables: [] },
  })
  for (const { name } of models) {
    writer.startModel(name)
    for (const line of rows[name] ?? []) writer.rows(Buffer.from(line), line.split('\n').length)
  }
  writer.finish()
  return target
}

const sample = { A: ['{"id":1,"s":"ä🎬"},\n{"id":2,"s":null}', '{"id":3,"s":"x"}'], C: ['{"id":9}'] }

describe('an export', () => {
  test('is valid JSON, one row a line, with empty models', () => {
    const text = readFileSync(write(sample), 'utf8')
    expect(JSON.parse(text)).toMatchObject({
      format: 'bootkeeper',
      version: 1,
      data: { A: [{ id: 1, s: 'ä🎬' }, { id: 2 }, { id: 3 }], B: [], C: [{ id: 9 }] },
      counts: { A: 3, B: 0, C: 1 },
    })
    expect(looksLikeExport(text)).toBe(true)
    expect(text.split('\n').filter((line) => line.startsWith('{"id"'))).toHaveLength(4)
  })

  test('reads back with its counts and checksum', async () => {
    const { counts, sizeBytes, sha256 } = await verifyExport(write(sample))
    expect(counts).toEqual({ A: 3, B: 0, C: 1 })
    expect(sizeBytes).toBeGreaterThan(500)
    expect(sha256).toMatch(/^[0-9a-f]{64}$/)
  })

  test('rows longer than a piece read back, wherever a character is cut', async () => {
    for (const shift of [0, 1, 2, 3]) {
      const long = JSON.stringify({ id: 1, s: `${'x'.repeat(shift)}${'🎬'.repeat(1_200_000)}` })
      expect((await verifyExport(write({ A: [long, '{"id":2}'] }))).counts.A).toBe(2)
    }
  })

  test(`is refused when any one byte differs (seed ${seed})`, async () => {
    const good = readFileSync(write(sample))
    const path = join(directory, 'damaged.json')
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const bad = Buffer.from(good)
        bad[at] = (bad[at] as number) ^ change
        writeFileSync(path, bad)
        await expect(verifyExport(path)).rejects.toMatchObject({ code: 'EXPORT_DAMAGED' })
      }),
      { seed, numRuns: 1500 },
    )
  }, 60_000)

  test('is refused when cut short at any byte, longer, or empty', async () => {
    const good = readFileSync(write(sample))
    const path = join(directory, 'cut.json')
    for (let length = good.length - 1; length >= 0; length--) {
      writeFileSync(path, good)
      truncateSync(path, length)
      await expect(verifyExport(path)).rejects.toMatchObject({ code: 'EXPORT_DAMAGED' })
    }
    writeFileSync(path, Buffer.concat([good, Buffer.from('\n')]))
    await expect(verifyExport(path)).rejects.toMatchObject({ code: 'EXPORT_DAMAGED' })
  }, 60_000)

  test('names the line that is wrong', async () => {
    const path = write(sample)
    writeFileSync(path, readFileSync(path, 'utf8').replace('{"id":3,"s":"x"}', '{"id":3,"s":"x"'))
    await expect(verifyExport(path)).rejects.toThrow(/line 9 /)
  })

  test('of any size is verified in the same memory', async () => {
    const chunk = Array.from({ length: 5000 }, (_, id) => `{"id":${id},"s":"${'y'.repeat(100)}"}`).join(',\n')
    const path = write({ A: Array.from({ length: 200 }, () => chunk) })
    const before = process.memoryUsage.rss()
    let most = 0
    const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 5)
    expect((await verifyExport(path)).counts.A).toBe(1_000_000)
    clearInterval(watch)
    expect(most - before).toBeLessThan(40 * 1024 * 1024)
  }, 60_000)
})

test('docs/reference/export-format.schema.json is what the code checks, and an export fits it', async () => {
  const document = write(sample)
  expect(exportDocumentSchema.safeParse(JSON.parse(readFileSync(document, 'utf8'))).error).toBeUndefined()
  const schema = JSON.stringify(z.toJSONSchema(exportDocumentSchema), null, 2)
  // After a change: npx vitest run tests/formats/bootkeeper.test.ts -u
  await expect(`${schema}\n`).toMatchFileSnapshot('../../docs/reference/export-format.schema.json')
})
