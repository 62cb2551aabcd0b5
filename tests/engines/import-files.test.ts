// The import into SQLite of files that are damaged, wrong, compressed, reformatted or of an older format.
// Guarantees tested: a file that is not whole changes nothing; a wrong value is named with its line and field.

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { openSource } from '../../src/formats/source.ts'
import {
  canonicalHash,
  databaseOf,
  exportOf,
  filled,
  importInto,
  path,
  plainShop,
  rowsOf,
  schemaOf,
  totals,
} from './import-fixtures.ts'

describe('what is wrong with a file', () => {
  test('cut off at any byte, or with any byte changed, it is refused', async () => {
    const { model, sql, file } = await filled(
      plainShop,
      `INSERT INTO "User" VALUES (1, 'ann'), (2, 'bob'); INSERT INTO "Order" VALUES (1, 10, 2)`,
    )
    const bytes = readFileSync(file)
    const target = databaseOf(sql, (database) => database.exec(`INSERT INTO "User" VALUES (7, 'zoe')`))
    const before = readFileSync(target)
    const broken = path('json')
    const refused = async (content: Buffer, what: string) => {
      writeFileSync(broken, content)
      const error = await importInto(target, model, broken).then(
        () => undefined,
        (thrown) => thrown,
      )
      expect(
        ['EXPORT_DAMAGED', 'FORMAT_UNKNOWN', 'IMPORT_INVALID', 'IMPORT_OTHER_APP'],
        `${what}: ${error?.stack}`,
      ).toContain(error?.code)
    }
    for (let end = 0; end < bytes.length; end += 1 + Math.floor(end / 97))
      await refused(bytes.subarray(0, end), `the first ${end}`)
    for (let at = 3; at < bytes.length; at += 11) {
      const changed = Buffer.from(bytes)
      changed[at] = changed[at]! ^ 1
      await refused(changed, `byte ${at}`)
    }
    expect(readFileSync(target).equals(before)).toBe(true)
  }, 60_000)

  test('a wrong value is named with its line and field', async () => {
    const { model, sql, file } = await filled(
      plainShop,
      `INSERT INTO "User" VALUES (1, 'ann'); INSERT INTO "Order" VALUES (1, 10, 1)`,
    )
    const lines = readFileSync(file, 'utf8').split('\n')
    const line = lines.findIndex((each) => each.startsWith('{"id":1,"no"'))
    const cases: [string, string][] = [
      ['{"id":1,"no":"ten","user":"ann"}', `line ${line + 1}: Order.no should be a number, not "ten".`],
      ['{"id":1,"no":10,"user":true}', `line ${line + 1}: Order.user should be a reference, not true or false.`],
      [
        `{"id":1,"no":10,"user":${'['.repeat(50)}1${']'.repeat(50)}}`,
        `line ${line + 1}: Order.user is nested too deep`,
      ],
      ['{"id":1,"no":{"a":1},"user":"ann"}', `line ${line + 1}: Order.no should be a number, not an object.`],
      ['{"id":1,"no":10,"user":"ann"', `line ${line + 1} is neither a row nor the end of a model`],
      ['{"id":1,"no":,"user":"ann"}', `line ${line + 1} is not JSON`],
    ]
    for (const [row, message] of cases) {
      const content = [...lines.slice(0, line), row, ...lines.slice(line + 1)].join('\n')
      const wrong = path('json')
      writeFileSync(wrong, content)
      await expect(importInto(databaseOf(sql), model, wrong), row.slice(0, 60)).rejects.toThrow(message)
    }
  })

  test('compressed files are read, damaged ones refused', async () => {
    const { model, sql, file } = await filled(plainShop, `INSERT INTO "User" VALUES (1, 'ann')`)
    for (const [tool, ending] of [
      ['gzip', 'gz'],
      ['zstd', 'zst'],
      ['bzip2', 'bz2'],
    ] as const) {
      const packed = `${file}.${ending}`
      writeFileSync(packed, execFileSync(tool, ['-c', file]))
      const target = databaseOf(sql)
      await importInto(target, model, packed)
      expect(canonicalHash(exportOf(model, target)), tool).toBe(canonicalHash(file))
      const bytes = readFileSync(packed)
      writeFileSync(packed, bytes.subarray(0, bytes.length - 9))
      await expect(importInto(databaseOf(sql), model, packed), tool).rejects.toMatchObject({ code: 'EXPORT_DAMAGED' })
    }
    const encrypted = path('age')
    writeFileSync(encrypted, 'age-encryption.org/v1\n-> X25519 abc')
    await expect(importInto(databaseOf(sql), model, encrypted)).rejects.toThrow('is encrypted with age')
  })

  test('an export that a formatter reformatted is read; one of a newer version is not', async () => {
    const { model, sql, file } = await filled(plainShop, `INSERT INTO "User" VALUES (1, 'ann')`)
    const pretty = path('json')
    writeFileSync(pretty, JSON.stringify(JSON.parse(readFileSync(file, 'utf8')), null, 2))
    const target = databaseOf(sql)
    await importInto(target, model, pretty)
    expect(canonicalHash(exportOf(model, target))).toBe(canonicalHash(file))
    const newer = path('json')
    writeFileSync(newer, readFileSync(file, 'utf8').replace('"version": 1', '"version": 2'))
    await expect(importInto(target, model, newer)).rejects.toThrow('has version 2 of the export format')
  })
})

describe('older formats', () => {
  test('a user is refused where the file says whose it is, but for the one that it names', async () => {
    const list = '{"movies": ["Dune"]}'
    const write = (content: string) => {
      const file = path('json')
      writeFileSync(file, content)
      return file
    }
    const one = write(`{"username": "john", "data": ${list}}`)
    const several = write(`{"john": ${list}, "ann": ${list}}`)
    const { file: current } = await filled(plainShop, `INSERT INTO "User" VALUES (1, 'ann')`)
    const pretty = write(JSON.stringify(JSON.parse(readFileSync(current, 'utf8')), null, 2))
    for (const [file, userName, message] of [
      [one, 'ann', 'says itself whose it is: "john".'],
      [several, 'john', 'says itself whose it is: "john", "ann".'],
      [current, 'ann', 'is not of one user.'],
      [pretty, 'ann', 'is not of one user.'],
    ] as const) {
      const error = await openSource(file, { userName }).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'USAGE', message: expect.stringContaining(message) })
    }
    for (const file of [one, write(list)])
      expect((await openSource(file, { userName: 'john' })).users).toMatchObject([{ name: 'john' }])
  })

  test('replace keeps what the file does not say of a row that it names, and settles', async () => {
    const { model, sql } = await schemaOf(readFileSync(new URL('../../prisma/schema.prisma', import.meta.url), 'utf8'))
    const target = databaseOf(sql, (database) =>
      database.exec(`INSERT INTO "User" (id, username, createdAt) VALUES (7, 'john', 'then'), (8, 'gone', 'then');
        INSERT INTO "Media" (id, tmdbId, title) VALUES (3, 348, 'Alien');
        INSERT INTO "UserMedia" (userId, mediaId, status, addedAt) VALUES (7, 3, 'WATCHED', 'then'), (8, 3, 'WATCHED', 'then')`),
    )
    const payload = path('json')
    writeFileSync(payload, '{"movies": [{"tmdb_id": 348, "title": "Alien"}, "Dune"]}')
    for (const counts of [
      { created: 2, removed: 2, unchanged: 2, updated: 1 },
      { created: 0, removed: 0, unchanged: 5, updated: 0 },
    ])
      expect(totals(await importInto(target, model, payload, { mode: 'replace', userName: 'john' }))).toMatchObject(
        counts,
      )
    expect(rowsOf(target, 'SELECT id, username, createdAt FROM "User"')).toEqual([[7, 'john', 'then']])
    expect(rowsOf(target, 'SELECT userId, mediaId, addedAt FROM "UserMedia" WHERE mediaId = 3')).toEqual([
      [7, 3, 'then'],
    ])
  })

  test('a title that stands in for none does not replace one', async () => {
    const { model, sql } = await schemaOf(readFileSync(new URL('../../prisma/schema.prisma', import.meta.url), 'utf8'))
    const target = databaseOf(sql, (database) =>
      database.exec(`INSERT INTO "Media" (tmdbId, mediaType, title) VALUES (348, 'movie', 'Alien')`),
    )
    const payload = path('json')
    writeFileSync(payload, '{"movies": [{"tmdb_id": 348, "year": 1979}, {"tmdb_id": 5}]}')
    await importInto(target, model, payload, { userName: 'john' })
    expect(rowsOf(target, 'SELECT tmdbId, title, releaseYear FROM "Media" ORDER BY 1')).toEqual([
      [5, 'TMDB 5', null],
      [348, 'Alien', '1979'],
    ])
  })

  const golden = new URL('../formats/golden/', import.meta.url)
  const files = readdirSync(golden).filter((name) => !name.endsWith('.expected.json'))

  test.each(files)('%s goes into the bundled schema, and a second time changes nothing', async (name) => {
    const { model, sql } = await schemaOf(readFileSync(new URL('../../prisma/schema.prisma', import.meta.url), 'utf8'))
    const target = databaseOf(sql)
    const file = fileURLToPath(new URL(name, golden))
    const how = name.startsWith('payload') ? { userName: 'john' } : {}
    const first = await importInto(target, model, file, how)
    const expected = JSON.parse(readFileSync(new URL(name.replace('.json', '.expected.json'), golden), 'utf8')) as {
      rows: Record<string, unknown[]>
    }
    const rows = Object.values(expected.rows).reduce((sum, each) => sum + each.length, 0)
    expect(first.skipped).toEqual([])
    expect(totals(first)).toMatchObject({ created: rows, updated: 0, skipped: 0 })
    const hash = canonicalHash(exportOf(model, target))
    const second = await importInto(target, model, file, how)
    expect(totals(second)).toMatchObject({ created: 0, updated: 0, unchanged: rows })
    expect(canonicalHash(exportOf(model, target))).toBe(hash)
  })
})
