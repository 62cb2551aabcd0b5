// A choice of what of a file is imported: some people with all that hangs on them, or the settings.
// Guarantees tested, over random data: exactly what was chosen comes, and every other row stays as it is, byte for byte;
// the parts one after the other are the whole; the same on PostgreSQL; a name that is not there is refused with those
// that are.

import { describe, expect, test } from 'vitest'
import { stageImport } from '../../src/engines/sqlite-import.ts'
import { openSource } from '../../src/formats/source.ts'
import { choiceOfWords, wordOfKey } from '../../src/scope-words.ts'
import { describePostgres, query } from '../postgres.ts'
import { randomFrom, seed } from '../random.ts'
import { contentsOf, forum, merged, partOf, randomRows, sorted, storedRows } from './choice-forum.ts'
import { databaseOf, exportOf, filled, importInto, rowsOf, schemaOf } from './import-fixtures.ts'
import {
  databaseOf as postgresDatabase,
  importInto as postgresImport,
  schemaOf as postgresSchema,
} from './postgres-imports.ts'

const read = (database: string) => (sql: string) => rowsOf(database, sql) as unknown[][]

describe('on SQLite', () => {
  test('exactly the chosen people and what hangs on them; every other row as it was', async () => {
    const { model, sql } = await schemaOf(forum)
    for (let run = 0; run < 25; run++) {
      const random = randomFrom(seed + run)
      const source = databaseOf(sql, (database) => database.exec(randomRows(random, 1, 'file')))
      const target = databaseOf(sql, (database) => database.exec(randomRows(random, 100, 'here')))
      const file = exportOf(model, source)
      const [there, here] = [await contentsOf(read(source)), await contentsOf(read(target))]
      const names = [...there.keys()].filter((key) => key.startsWith('Person/')).map((key) => key.slice(7))
      const chosen = names.filter(() => random() < 0.4)
      if (chosen.length === 0) chosen.push(names[0]!)
      const only = choiceOfWords(
        model,
        chosen.map((name) => wordOfKey('Person', name)),
      )
      const stored = await storedRows(read(target))
      const report = await importInto(target, model, file, { only })
      const part = partOf(
        there,
        chosen.map((name) => `Person/${name}`),
      )
      const where = `SEED=${seed + run}`
      expect(sorted(await contentsOf(read(target))), where).toEqual(sorted(merged(here, there, part)))
      expect(
        report.models.reduce((sum, { rows }) => sum + rows, 0),
        where,
      ).toBe(part.size)
      // Their ids, too.
      const after = await storedRows(read(target))
      for (const [name, row] of stored)
        if (!part.has(name)) expect([where, name, after.get(name)]).toEqual([where, name, row])
    }
  }, 120_000)

  test('the settings alone change the one row of the settings', async () => {
    const { model, sql } = await schemaOf(forum)
    const random = randomFrom(seed)
    const file = exportOf(
      model,
      databaseOf(sql, (database) => database.exec(randomRows(random, 1, 'file'))),
    )
    const target = databaseOf(sql, (database) => database.exec(randomRows(random, 100, 'here')))
    const before = await storedRows(read(target))
    const report = await importInto(target, model, file, { only: choiceOfWords(model, ['settings']) })
    expect(report.models).toMatchObject([{ model: 'Config', rows: 1, updated: 1, created: 0 }])
    expect(report.models).toHaveLength(1)
    expect(await storedRows(read(target))).toEqual(before.set('Config/config', '[1,"title file"]'))
  })

  test('the parts, one after the other, are the whole', async () => {
    const { model, sql } = await schemaOf(forum)
    for (let run = 0; run < 12; run++) {
      const random = randomFrom(seed + 1000 + run)
      const source = databaseOf(sql, (database) => database.exec(randomRows(random, 1, 'file')))
      const filling = randomRows(random, 100, 'here')
      const [byParts, atOnce] = [0, 1].map(() => databaseOf(sql, (database) => database.exec(filling))) as [
        string,
        string,
      ]
      const file = exportOf(model, source)
      await importInto(atOnce, model, file)
      const names = [...(await contentsOf(read(source))).keys()].filter((key) => key.startsWith('Person/'))
      const words = ['settings', ...names.map((key) => wordOfKey('Person', key.slice(7)))]
      for (const word of words) await importInto(byParts, model, file, { only: choiceOfWords(model, [word]) })
      expect(sorted(await contentsOf(read(byParts))), `SEED=${seed + 1000 + run}`).toEqual(
        sorted(await contentsOf(read(atOnce))),
      )
      const again = await importInto(byParts, model, file, { only: choiceOfWords(model, words) })
      expect(again.models.every(({ created, updated, removed }) => created + updated + removed === 0)).toBe(true)
    }
  }, 120_000)

  test('with keepExisting what is there stays, also of the chosen', async () => {
    const { model, sql } = await schemaOf(forum)
    const { file } = await filled(
      forum,
      `INSERT INTO "Person" VALUES (1, 'ann', 'new'); INSERT INTO "Stamp" VALUES (1, 's', 1)`,
    )
    const target = databaseOf(sql, (database) => database.exec(`INSERT INTO "Person" VALUES (9, 'ann', 'old')`))
    await importInto(target, model, file, { keepExisting: true, only: choiceOfWords(model, ['Person:ann']) })
    expect(rowsOf(target, 'SELECT * FROM "Person"')).toEqual([[9, 'ann', 'old']])
    expect(rowsOf(target, 'SELECT text, personId FROM "Stamp"')).toEqual([['s', 9]])
  })

  test('words: by key, by id, a key that looks like an id, a field; what is not there names what is', async () => {
    const { model, sql } = await schemaOf(forum)
    const { file } = await filled(
      forum,
      `INSERT INTO "Person" VALUES (1, 'ann', NULL), (5, 'eve', NULL), (6, '#5', NULL)`,
    )
    const imported = async (...words: string[]) => {
      const target = databaseOf(sql)
      await importInto(target, model, file, { only: choiceOfWords(model, words) })
      return rowsOf(target, 'SELECT name FROM "Person" ORDER BY id').flat()
    }
    expect(await imported('Person:ann')).toEqual(['ann'])
    expect(await imported('person:#5')).toEqual(['eve'])
    expect(await imported('Person:##5')).toEqual(['#5'])
    expect(await imported('Person:ann', 'Person:#5')).toEqual(['ann', 'eve'])
    expect(await imported('bio:nothing', 'Person:ann').catch((error) => error.code)).toBe('NOT_IN_FILE')
    await expect(imported('Person:kim')).rejects.toMatchObject({
      code: 'NOT_IN_FILE',
      message: 'The file has no Person "kim". It has "ann", "eve", "#5".',
    })
    await expect(imported('Tag:red')).rejects.toMatchObject({
      message: 'The file has no Tag "red". It has none at all.',
    })
    await expect(imported('settings')).rejects.toMatchObject({ message: 'The file has no settings.' })
    await expect(imported('Persn:ann')).rejects.toMatchObject({ code: 'USAGE' })
    await expect(imported('ann')).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('--only') })
    const { model: without } = await schemaOf(forum.replace('/// @config', ''))
    expect(() => choiceOfWords(without, ['settings'])).toThrow('marks no model as settings')
  })

  test('of many names the first are named, and the others counted', async () => {
    const values = Array.from({ length: 30 }, (_, n) => `(${n + 1}, 'p${n}', NULL)`)
    const { model, sql, file } = await filled(forum, `INSERT INTO "Person" VALUES ${values.join()}`)
    await expect(
      importInto(databaseOf(sql), model, file, { only: choiceOfWords(model, ['Person:x']) }),
    ).rejects.toThrow(/"p0", .*"p19" and 10 more\.$/)
  })

  test('a plan changes nothing, and a large file into empty tables goes the same way', async () => {
    const { model, sql } = await schemaOf(forum)
    const source = databaseOf(sql, (database) => {
      database.exec(`INSERT INTO "Person" VALUES (1, 'ann', NULL), (2, 'bob', NULL)`)
      const stamp = database.prepare('INSERT INTO "Stamp" VALUES (?, ?, ?)')
      for (let n = 1; n <= 20_000; n++) stamp.run(n, `stamp ${n}`, 1 + (n % 2))
    })
    const target = databaseOf(sql)
    const only = choiceOfWords(model, ['Person:bob'])
    const options = {
      model,
      mode: 'merge',
      keepExisting: false,
      strict: false,
      only,
      busyMs: 1000,
      now: new Date(0),
    } as const
    const file = exportOf(model, source)
    const staged = await stageImport({ ...options, databasePath: target, source: await openSource(file, {}) }, false)
    expect((await staged.plan()).models).toMatchObject([
      { model: 'Person', created: 1 },
      { model: 'Stamp', created: 10_000 },
    ])
    staged.close()
    expect(rowsOf(target, 'SELECT count(*) FROM "Stamp"')).toEqual([[0]])
    await importInto(target, model, file, { only })
    expect(rowsOf(target, 'SELECT count(*), min(id), max(id) FROM "Stamp"')).toEqual([[10_000, 1, 19_999]])
  })
})

describePostgres('on PostgreSQL', () => {
  test('exactly the chosen people and what hangs on them; the parts are the whole', async () => {
    const { model, sql } = await schemaOf(forum)
    const postgres = await postgresSchema(forum)
    const reader = (url: string) => async (text: string) =>
      (await query<Record<string, unknown>>(url, text)).map((row) => Object.values(row))
    for (let run = 0; run < 4; run++) {
      const random = randomFrom(seed + 2000 + run)
      const source = databaseOf(sql, (database) => database.exec(randomRows(random, 1, 'file')))
      const filling = randomRows(random, 100, 'here')
      const numbered = ['Person', 'Tag', 'Post', 'Vote', 'Stamp', 'Remark'].map(
        (table) => `SELECT setval('"${table}_id_seq"', 200)`,
      )
      const fill = () => postgresDatabase(postgres.sql, filling, numbered.join(';'))
      const file = exportOf(model, source)
      const there = await contentsOf(read(source))
      const names = [...there.keys()].filter((key) => key.startsWith('Person/'))
      const target = await fill()
      const here = await contentsOf(reader(target))
      const name = names[Math.floor(random() * names.length)]!
      const choice = (...words: string[]) => ({ only: choiceOfWords(postgres.model, words) })
      await postgresImport(target, postgres.model, file, choice(wordOfKey('Person', name.slice(7))))
      const where = `SEED=${seed + 2000 + run}`
      expect(sorted(await contentsOf(reader(target))), where).toEqual(
        sorted(merged(here, there, partOf(there, [name]))),
      )
      const whole = await fill()
      await postgresImport(whole, postgres.model, file)
      const words = ['settings', ...names.map((key) => wordOfKey('Person', key.slice(7)))]
      for (const word of words) await postgresImport(target, postgres.model, file, choice(word))
      expect(sorted(await contentsOf(reader(target))), where).toEqual(sorted(await contentsOf(reader(whole))))
    }
  }, 120_000)
})
