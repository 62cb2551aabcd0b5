// The import into SQLite over random schemas and those of real apps: what an export says is what the database holds
// afterwards, in an empty one, in one with other ids, and twice.

import { readFileSync, rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import type { DataModel } from '../../src/data-model.ts'
import { serialKey } from '../../src/engines/import-mapping.ts'
import { readDataModel } from '../../src/prisma/data-model.ts'
import { seed } from '../random.ts'
import { hardRows, hardSchema, sqliteTables } from './export-fixtures.ts'
import { canonicalHash, databaseOf, exportOf, importInto, schemaOf, totals } from './import-fixtures.ts'
import { fillRandomly, randomSchema } from './random-schema.ts'
import { realSchemas } from './real-schemas.ts'

describe('round trips', () => {
  const schemas = Number(process.env.SCHEMAS ?? (process.env.SOAK ? 1000 : 25))
  const dataSets = process.env.SOAK ? 10 : 3

  test(`${schemas} random schemas with ${dataSets} sets of rows each come back as they were (seed ${seed})`, async () => {
    for (let number = 0; number < schemas; number++) {
      const schemaSeed = (seed + number) >>> 0
      const schema = randomSchema(schemaSeed)
      const { model, sql } = await schemaOf(schema)
      for (let set = 0; set < dataSets; set++) {
        const where = `SEED=${schemaSeed} SCHEMAS=1, rows ${set}\n${schema}`
        const first = databaseOf(sql, (database) => fillRandomly(database, model, schemaSeed + 7 * set, 12))
        const file = exportOf(model, first)
        const second = databaseOf(sql)
        const report = await importInto(second, model, file).catch((error) => {
          throw new Error(`${where}\n${error.stack}`)
        })
        const again = exportOf(model, second)
        expect(totals(report), where).toMatchObject({ updated: 0, unchanged: 0, skipped: 0, removed: 0 })
        if (canonicalHash(again) !== canonicalHash(file))
          expect(readFileSync(again, 'utf8'), where).toBe(readFileSync(file, 'utf8'))
        // Both ways of an import into an empty database lead to the same rows, and say the same of them.
        const third = databaseOf(sql)
        expect(await importInto(third, model, file, { isGeneral: true }), where).toEqual(report)
        expect(canonicalHash(exportOf(model, third)), where).toBe(canonicalHash(file))
        // The same file again changes nothing, in either mode.
        for (const mode of ['merge', 'replace'] as const) {
          const repeated = await importInto(second, model, file, { mode, apply: mode === 'replace' })
          const shown = JSON.stringify(repeated.models.filter(({ created }) => created > 0))
          expect(totals(repeated), `${where} ${mode} ${shown}`).toMatchObject({
            created: 0,
            updated: 0,
            skipped: 0,
            removed: 0,
            unchanged: totals(report).created,
          })
        }
        expect(canonicalHash(exportOf(model, second)), where).toBe(canonicalHash(file))
        for (const each of [first, second, third, file, again]) rmSync(each, { force: true })
      }
    }
  }, 7_200_000)

  test.each(Object.entries(realSchemas))(
    'a schema as of a real app: %s',
    async (_, contents) => {
      const { model, sql } = await schemaOf(...contents)
      for (const set of [1, 2, 3]) {
        const first = databaseOf(sql, (database) => fillRandomly(database, model, seed + set, 25))
        const file = exportOf(model, first)
        const second = databaseOf(sql)
        const report = await importInto(second, model, file)
        expect(totals(report)).toMatchObject({ updated: 0, unchanged: 0, skipped: 0 })
        expect(canonicalHash(exportOf(model, second))).toBe(canonicalHash(file))
        expect(totals(await importInto(second, model, file))).toMatchObject({ created: 0, updated: 0 })
        const busy = databaseOf(sql, (database) => fillRandomly(database, model, seed + set + 100, 25))
        await importInto(busy, model, file, { mode: 'replace' })
        expect(canonicalHash(exportOf(model, busy))).toBe(canonicalHash(file))
      }
    },
    60_000,
  )

  test('everything that makes an export hard, but for references to rows that are not there', async () => {
    const model = await readDataModel([{ path: 'schema.prisma', content: hardSchema('sqlite') }])
    const first = databaseOf(sqliteTables, (database) => database.exec(hardRows))
    const target = databaseOf(sqliteTables)
    const report = await importInto(target, model, exportOf(model, first))
    expect(report.emptied).toEqual([{ model: 'User', field: 'boss', rows: 1 }])
    expect(report.skipped).toMatchObject([
      { model: 'Post', reason: 'its author is neither in the file nor in the database', rows: 1 },
      { model: 'Note', rows: 2 },
    ])
    const database = new Database(first)
    database.pragma('foreign_keys = off')
    database.exec(
      `UPDATE "users" SET boss_id = NULL WHERE boss_id = 99; DELETE FROM "Post" WHERE id = 13; DELETE FROM "Note" WHERE id > 1`,
    )
    database.close()
    const file = exportOf(model, first)
    expect(canonicalHash(exportOf(model, target))).toBe(canonicalHash(file))
    await expect(
      importInto(
        databaseOf(sqliteTables),
        model,
        exportOf(
          model,
          databaseOf(sqliteTables, (each) => each.exec(hardRows)),
        ),
        { strict: true },
      ),
    ).rejects.toMatchObject({ code: 'IMPORT_INCOMPLETE' })
  })

  const merges = Number(process.env.SCHEMAS ?? (process.env.SOAK ? 1000 : 40))
  test(`${merges} merges into databases with other rows and ids (seed ${seed})`, async () => {
    let conflicts = 0
    for (let number = 0; number < merges; number++) {
      const schemaSeed = (seed + number) >>> 0
      const schema = randomSchema(schemaSeed)
      const where = `SEED=${schemaSeed} SCHEMAS=1\n${schema}`
      const { model, sql } = await schemaOf(schema)
      const file = exportOf(
        model,
        databaseOf(sql, (database) => fillRandomly(database, model, schemaSeed, 10)),
      )
      const target = databaseOf(sql, (database) => fillRandomly(database, model, schemaSeed + 1, 10))
      const before = canonicalHash(exportOf(model, target))
      try {
        await importInto(target, model, file)
      } catch (error) {
        expect(error, where).toMatchObject({ code: 'IMPORT_CONFLICT' })
        expect(canonicalHash(exportOf(model, target)), where).toBe(before)
        conflicts++
        continue
      }
      const after = exportOf(model, target)
      expect(new Database(target, { readonly: true }).pragma('foreign_key_check'), where).toEqual([])
      for (const [name, rows] of Object.entries(namedRows(model, after, file)))
        expect(rows.missing, `${name} ${where}`).toEqual([])
      expect(totals(await importInto(target, model, file)), where).toMatchObject({ created: 0, updated: 0, skipped: 0 })
      expect(canonicalHash(exportOf(model, target)), where).toBe(canonicalHash(after))
    }
    expect(conflicts).toBeLessThan(merges / 2)
  }, 7_200_000)
})

/** Rows of `file`, without ids that are no natural keys and references by them, that `after` does not have as often. */
function namedRows(model: DataModel, after: string, file: string): Record<string, { missing: string[] }> {
  const read = (from: string) =>
    JSON.parse(readFileSync(from, 'utf8')).data as Record<string, Record<string, unknown>[]>
  const [all, wanted] = [read(after), read(file)]
  const result: Record<string, { missing: string[] }> = {}
  for (const each of model.models) {
    // A row that is told by another key keeps the primary key that it has in the database.
    const isKey = each.naturalKey.every((part) => each.primaryKey.includes(part.name)) && !serialKey(each)
    const ids = isKey ? [] : each.primaryKey
    const plain = (row: Record<string, unknown>) =>
      JSON.stringify(row, (key, value) =>
        ids.includes(key) || (typeof value === 'object' && value !== null && '#' in value) ? undefined : value,
      )
    const there = (all[each.name] ?? []).map(plain)
    const missing = (wanted[each.name] ?? []).map(plain).filter((row) => {
      const at = there.indexOf(row)
      if (at >= 0) there.splice(at, 1)
      return at < 0
    })
    result[each.name] = { missing }
  }
  return result
}
