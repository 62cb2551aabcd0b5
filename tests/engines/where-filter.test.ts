// Filters of an export of a part, against the real Prisma client: the same rows, on SQLite for random filters.
// Guarantees tested: the same rows as Prisma gives; what the schema does not have is one sentence.

import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { exportSqlite } from '../../src/engines/sqlite-export.ts'
import { parseWhere } from '../../src/engines/where-filter.ts'
import { openExportWriter } from '../../src/formats/bootkeeper.ts'
import { readDataModel } from '../../src/prisma/data-model.ts'
import { schema } from '../prisma/project.ts'
import { seed } from '../random.ts'
import { asPrisma, bookFilter, fill, headerOf, models, openClient } from './where-fixtures.ts'

const modelOf = (provider: 'sqlite' | 'postgresql') =>
  readDataModel([{ path: 'schema.prisma', content: schema(provider, models) }])

test(`random filters give the rows that Prisma gives (SEED=${seed})`, async () => {
  const { client, project } = await openClient('sqlite', ({ path }) => `file:${path('app.db')}`)
  const model = await modelOf('sqlite')
  await fill(client, seed, 60)
  let made = 0
  let found = 0
  const select = (where: object) => {
    const target = project.path(`${++made}.json`)
    exportSqlite({
      databasePath: project.path('app.db'),
      model,
      header: headerOf(where as never),
      target,
      openWriter: openExportWriter,
    })
    const { data } = JSON.parse(readFileSync(target, 'utf8')) as { data: { Book: { id: number }[] } }
    return data.Book.map(({ id }) => id)
  }
  await fc.assert(
    fc.asyncProperty(bookFilter, async (where) => {
      const rows = await client.book.findMany({ where: asPrisma(where), select: { id: true }, orderBy: { id: 'asc' } })
      const wanted = rows.map(({ id }: { id: number }) => id)
      found += wanted.length > 0 && wanted.length < 60 ? 1 : 0
      expect(select(where)).toEqual(wanted)
    }),
    { seed, numRuns: 400 },
  )
  // Else the filters would ask for nothing.
  expect(found).toBeGreaterThan(100)
  await client.$disconnect()
}, 300_000)

test.for([
  [{ titel: 'x' }, /Book has no field "titel" that can be asked for. It has id, title, .*editor; and AND, OR, NOT/],
  [{ title: 5 }, /Book.title takes a string, not 5/],
  [{ title: null }, /Book.title is required, so it is never null/],
  [{ title: { like: 'x' } }, /Book.title takes no "like". A String takes equals, not, in, notIn, lt/],
  [{ isNew: { gt: true } }, /Book.isNew takes no "gt". A Boolean takes equals, not/],
  [{ pages: { in: 5 } }, /Book.pages: in takes a list, not 5/],
  [{ pages: 2 ** 40 }, /Book.pages takes a whole number of 32 bits/],
  [{ number: 2 ** 60 }, /Book.number takes a whole number of 64 bits, a large one as a string of digits/],
  [{ at: 'yesterday' }, /Book.at takes a time in ISO 8601/],
  [{ kind: 'PROSE' }, /Book.kind takes one of "NOVEL", "POEM", not "PROSE"/],
  [{ author: 'ann' }, /Book.author takes a filter of Author, which is an object/],
  [{ author: { nam: 'ann' } }, /Author has no field "nam"/],
  [{ editor: null }, /Book.editor is required/],
  [{ OR: { title: 'x' } }, /OR takes a list/],
  [{ OR: [] }, /OR has nothing in it/],
  [{ NOT: {} }, /NOT has nothing in it/],
  [{ pages: { not: { not: 5 } } }, /Book.pages takes no "not" within not/],
  [[], /A filter of Book is an object/],
] as [unknown, RegExp][])('%j is refused in one sentence', async ([where, message]) => {
  const model = await modelOf('sqlite')
  const refuse = () => parseWhere(model, 'Book', where)
  expect(refuse).toThrow(message)
  expect(refuse).toThrow(expect.objectContaining({ code: 'USAGE', exitCode: 64 }))
})
