// Current exports that a formatter reformatted: read as any JSON, whatever their size and the order of their members.
// Guarantees tested: the same rows as by lines, in the same memory for any size; what is cut short or has other counts
// is refused.

import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { readValues } from '../../src/formats/json-stream.ts'
import { openSource } from '../../src/formats/source.ts'
import type { Source } from '../../src/import-source.ts'
import { filled, path, plainShop } from '../engines/import-fixtures.ts'
import { root } from '../harness.ts'
import { seed } from '../random.ts'

let file: string
// biome-ignore lint/suspicious/noExplicitAny: an export
let document: any
beforeAll(async () => {
  file = (
    await filled(
      plainShop,
      `INSERT INTO "User" VALUES (1, 'ann "é" \\ 🎬'), (2, 'bob'); INSERT INTO "Order" VALUES (1, 10, 2), (2, 20, 1)`,
    )
  ).file
  document = JSON.parse(readFileSync(file, 'utf8'))
})

function write(content: string | Buffer): string {
  const target = path('json')
  writeFileSync(target, content)
  return target
}

async function rowsOf(source: Source): Promise<unknown[]> {
  const rows: unknown[] = []
  for await (const batch of source.batches()) rows.push(...batch.map(({ model, row }) => [model, row]))
  return rows
}

test('the rows are those of the lines, in any indentation and order of members', async () => {
  const wanted = await rowsOf(await openSource(file, {}))
  expect(wanted).toHaveLength(4)
  const sorted = Object.fromEntries(Object.entries(document).sort(([a], [b]) => (a < b ? -1 : 1)))
  for (const text of [
    JSON.stringify(document),
    JSON.stringify(document, null, 2),
    JSON.stringify(sorted, null, '\t'),
    `\ufeff \n${JSON.stringify(sorted)}\r\n `,
  ]) {
    const source = await openSource(write(text), {})
    expect(source.header).toMatchObject({ format: 'bootkeeper 1', hasLines: false, counts: { User: 2, Order: 2 } })
    expect(await rowsOf(source)).toEqual(wanted)
  }
})

test('cut short at any byte it is refused', async () => {
  const bytes = Buffer.from(JSON.stringify(document))
  for (let end = 1; end < bytes.length; end += 1 + Math.floor(end / 31)) {
    const error = await openSource(write(bytes.subarray(0, end)), {}).catch((thrown: unknown) => thrown)
    expect(error, `the first ${end}`).toMatchObject({ code: 'FORMAT_UNKNOWN' })
  }
})

test.each<[string, string, (document: { data: Record<string, unknown>; counts: Record<string, number> }) => void]>([
  ['other counts', 'EXPORT_DAMAGED', ({ counts }) => counts.User!++],
  ['a model without rows', 'EXPORT_DAMAGED', ({ data }) => delete data.User],
  ['a model that the header does not have', 'IMPORT_INVALID', ({ data }) => (data.Fish = [{ id: 1 }])],
  ['rows that are no list', 'IMPORT_INVALID', ({ data }) => (data.User = { a: { id: 1 }, b: { id: 2 } })],
  ['a row that is no object', 'IMPORT_INVALID', ({ data }) => (data.User = [5, []])],
])('%s: %s', async (_, code, change) => {
  const changed = structuredClone(document)
  change(changed)
  const error = await openSource(write(JSON.stringify(changed, null, 1)), {}).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code })
})

test(`values are those that JSON.parse gives, wherever the pieces end (seed ${seed})`, async () => {
  const rows = fc.array(fc.jsonValue({ maxDepth: 4, stringUnit: 'grapheme' }), { maxLength: 6 })
  const any = fc.dictionary(fc.string({ unit: 'grapheme', maxLength: 4 }), rows, { maxKeys: 3 })
  await fc.assert(
    fc.asyncProperty(any, fc.nat(3), fc.array(fc.nat(), { maxLength: 8 }), async (data, indent, cuts) => {
      const text = JSON.stringify({ first: 1, data, last: 'x' }, null, indent)
      const bytes = Buffer.from(text)
      const ends = [...cuts.map((at) => at % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
      async function* pieces() {
        for (const [index, end] of ends.entries()) yield bytes.subarray(ends[index - 1] ?? 0, end)
      }
      const found = []
      for await (const batch of readValues('file', pieces(), ['$.data.*.*', '$.last'])) found.push(...batch)
      const parsed = JSON.parse(text) as { data: Record<string, unknown[]> }
      const wanted = Object.entries(parsed.data).flatMap(([name, list]) =>
        list.map((value, index) => ({ path: ['data', name, index], value })),
      )
      expect(found).toEqual([...wanted, { path: ['last'], value: 'x' }])
    }),
    { seed, numRuns: 300 },
  )
})

describe('a large one', () => {
  let large: string
  const rows = 90_000
  beforeAll(() => {
    large = path('json')
    const descriptor = openSync(large, 'w')
    const { data, counts, ...others } = document
    const head = JSON.stringify({ counts: { ...counts, User: rows }, ...others }, null, 2).replace(/\n}$/, ',')
    writeSync(descriptor, `${head}\n  "data": {\n    "Order": ${JSON.stringify(data.Order)},\n    "User": [`)
    for (let row = 0; row < rows; row += 1000)
      writeSync(
        descriptor,
        Array.from({ length: 1000 }, (_, n) =>
          JSON.stringify({ id: row + n + 1, name: `${row + n} ${'é"x'.repeat(200)}` }, null, 6),
        )
          .join(',\n')
          .replace(/^/, row === 0 ? '' : ','),
      )
    writeSync(descriptor, ']\n  }\n}\n')
    closeSync(descriptor)
    expect(statSync(large).size).toBeGreaterThan(70 * 1024 * 1024)
  })

  test('is read whole, in memory that does not grow with it', () => {
    const source = pathToFileURL(join(root, 'dist/src/formats/source.js')).href
    const script = `import { openSource } from ${JSON.stringify(source)}
      const opened = await openSource(${JSON.stringify(large)}, {})
      let rows = 0, last
      for await (const batch of opened.batches()) for (const each of batch) { rows++; last = each }
      console.log(JSON.stringify({ rows, id: last.row.id, place: last.place, megabytes: process.resourceUsage().maxRSS / 1024 }))`
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
    expect(stderr).toBe('')
    const { megabytes, ...found } = JSON.parse(stdout)
    expect(found).toEqual({ rows: rows + 2, id: rows, place: rows })
    // The file alone has 100 MB, and JSON.parse would take three times that.
    expect(megabytes).toBeLessThan(250)
  })
})
