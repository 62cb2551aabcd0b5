// What the tests of filters share: a schema with every type that a filter can ask for, a real Prisma client of it in a
// process of this test, random rows, and random filters in the words of Prisma.

import { pathToFileURL } from 'node:url'
import fc from 'fast-check'
import type { ExportHeaderInput } from '../../src/engines/engine-export.ts'
import { makeProject, type Project, schema } from '../prisma/project.ts'
import { header } from './export-fixtures.ts'

export const models = `
enum Kind {
  NOVEL @map("a'novel")
  POEM
}
model Author {
  id     Int       @id @default(autoincrement())
  name   String    @unique
  age    Int?
  born   DateTime?
  boss   Author?   @relation("boss", fields: [bossId], references: [id])
  bossId Int?      @map("boss_id")
  staff  Author[]  @relation("boss")
  books  Book[]    @relation("author")
  edited Book[]    @relation("editor")
  @@map("writers")
}
model Book {
  id       Int       @id @default(autoincrement())
  title    String    @map("the title")
  sub      String?
  pages    Int?
  number   BigInt?
  price    Float?
  cost     Decimal?
  isNew    Boolean?
  at       DateTime?
  raw      Bytes?
  kind     Kind?
  author   Author?   @relation("author", fields: [authorId], references: [id])
  authorId Int?
  editor   Author    @relation("editor", fields: [editorId], references: [id])
  editorId Int
}
`

type Where = Record<string, unknown>

// biome-ignore lint/suspicious/noExplicitAny: the client is generated while the test runs
export type Client = any

export async function openClient(provider: 'sqlite' | 'postgresql', url: (project: Project) => string) {
  const project = await makeProject({ 'prisma/schema.prisma': schema(provider, models) })
  const DATABASE_URL = url(project)
  const generated = await project.prisma(['generate'], { env: { DATABASE_URL } })
  if (generated.exitCode !== 0) throw new Error(generated.stderr)
  const pushed = await project.prisma(['db', 'push'], { env: { DATABASE_URL } })
  if (pushed.exitCode !== 0) throw new Error(pushed.stderr)
  const { PrismaClient } = await import(pathToFileURL(project.path('generated/client.ts')).href)
  const adapter =
    provider === 'sqlite'
      ? new (await import('@prisma/adapter-better-sqlite3')).PrismaBetterSqlite3({ url: DATABASE_URL })
      : new (await import('@prisma/adapter-pg')).PrismaPg({ connectionString: DATABASE_URL })
  const client: Client = new PrismaClient({ adapter })
  return { client, project, url: DATABASE_URL }
}

export function headerOf(where: Where, whole?: true): ExportHeaderInput {
  return { ...header, scope: { models: ['Book'], where: where as never, ...(whole ? { whole } : {}) } }
}

/** What JSON has no form for, as the client takes it. */
export function asPrisma(where: unknown, key = ''): unknown {
  if (Array.isArray(where)) return where.map((each) => asPrisma(each, key))
  if (typeof where === 'object' && where !== null) {
    const isOperation = key === 'number' || key === 'raw'
    return Object.fromEntries(
      Object.entries(where).map(([name, value]) => [name, asPrisma(value, isOperation ? key : name)]),
    )
  }
  if (key === 'number' && typeof where === 'string') return BigInt(where)
  if (key === 'raw' && typeof where === 'string') return Buffer.from(where, 'base64')
  return where
}

const texts = ['', 'a', 'A', 'ab', 'aB%', 'x_y', 'é', 'É', "o'neil", '100%', '\\', 'ß', '😀 a']
const pools: Record<string, fc.Arbitrary<string | number | boolean>> = {
  title: fc.constantFrom(...texts),
  sub: fc.constantFrom(...texts),
  name: fc.constantFrom('ann', 'Bob', 'cy', 'dé'),
  pages: fc.constantFrom(-1, 0, 1, 7, 2_147_483_647, -2_147_483_648),
  age: fc.constantFrom(1, 20, 30),
  number: fc.constantFrom('0', '-5', '9007199254740993', '9223372036854775807', '12'),
  price: fc.constantFrom(0, 0.1, -1.5, 1e300, 3, 2.5),
  cost: fc.constantFrom('0', '1.5', '-2.25', '100', '0.1'),
  isNew: fc.boolean(),
  at: fc.constantFrom(
    '2024-01-01T00:00:00.000Z',
    '2024-01-01T00:00:00.001Z',
    '1969-12-31T23:59:59.999Z',
    '2024-06-30T22:00:00.000Z',
  ),
  born: fc.constantFrom('2000-01-01T00:00:00.000Z', '1990-05-05T05:05:05.005Z'),
  raw: fc.constantFrom('', 'AA==', '/w==', 'AAEC'),
  kind: fc.constantFrom('NOVEL', 'POEM'),
  authorId: fc.integer({ min: 1, max: 5 }),
  bossId: fc.integer({ min: 1, max: 5 }),
  id: fc.integer({ min: 1, max: 12 }),
}
const required = ['title', 'name', 'id']
const patterns = ['contains', 'startsWith', 'endsWith']
const ordered = ['lt', 'lte', 'gt', 'gte']

function fieldFilter(name: string): fc.Arbitrary<unknown> {
  const value = pools[name]!
  const orNull = required.includes(name)
    ? value
    : fc.oneof({ weight: 4, arbitrary: value }, { weight: 1, arbitrary: fc.constant(null) })
  if (name === 'isNew') return fc.oneof(orNull, fc.record({ equals: orNull }), fc.record({ not: orNull }))
  const isExact = name === 'kind' || name === 'raw'
  const isText = ['title', 'sub', 'name'].includes(name)
  const operation = (isWithinNot: boolean): fc.Arbitrary<Where> =>
    fc
      .uniqueArray(
        fc.oneof(
          orNull.map((each) => ['equals', each] as const),
          ...(isWithinNot ? [] : [fc.oneof(orNull, operation(true)).map((each) => ['not', each] as const)]),
          fc.tuple(fc.constantFrom('in', 'notIn'), fc.array(value, { maxLength: 3 })),
          ...(isExact ? [] : [fc.tuple(fc.constantFrom(...ordered), value)]),
          ...(isText ? [fc.tuple(fc.constantFrom(...patterns), value)] : []),
        ),
        { minLength: 1, maxLength: 2, selector: ([key]) => key },
      )
      .map((entries) => Object.fromEntries(entries))
  return fc.oneof(orNull, operation(false))
}

function someOf(names: string[]): fc.Arbitrary<Where> {
  return fc
    .uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 2 })
    .chain(
      (chosen) => fc.record(Object.fromEntries(chosen.map((name) => [name, fieldFilter(name)]))) as fc.Arbitrary<Where>,
    )
}

const author: fc.Arbitrary<Where> = fc.letrec<{ author: Where }>((tie) => ({
  author: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    someOf(['name', 'age', 'born', 'bossId', 'id']),
    fc.record({ NOT: tie('author') }),
    fc.record({ boss: fc.oneof(tie('author'), fc.constant(null), fc.record({ isNot: tie('author') })) }),
  ),
})).author

export const bookFilter: fc.Arbitrary<Where> = fc.letrec<{ book: Where }>((tie) => ({
  book: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    someOf(Object.keys(pools).filter((name) => !['name', 'age', 'born', 'bossId'].includes(name))),
    fc.record({ AND: fc.oneof(tie('book'), fc.array(tie('book'), { minLength: 1, maxLength: 2 })) }),
    fc.record({ OR: fc.array(tie('book'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ NOT: fc.oneof(tie('book'), fc.array(tie('book'), { minLength: 1, maxLength: 2 })) }),
    fc.record({ author: fc.oneof(author, fc.constant(null), fc.record({ is: author }), fc.record({ isNot: author })) }),
    fc.record({ editor: fc.oneof(author, fc.record({ isNot: author })) }),
  ),
})).book

/** Rows as the client creates them, with as many nulls as values. */
export async function fill(client: Client, seed: number, books: number): Promise<void> {
  const names = ['ann', 'Bob', 'cy', 'dé']
  const [people] = fc.sample(
    fc.array(fc.record({ age: fc.option(pools.age!), born: fc.option(pools.born!) }), { minLength: 4, maxLength: 4 }),
    { seed, numRuns: 1 },
  )
  for (const [at, name] of names.entries())
    await client.author.create({ data: { ...people![at], name, bossId: at === 0 ? null : at === 3 ? 4 : at } })
  const option = (name: string) => fc.option(pools[name]!, { freq: 3 })
  const [rows] = fc.sample(
    fc.array(
      fc.record({
        title: pools.title!,
        ...Object.fromEntries(
          ['sub', 'pages', 'number', 'price', 'cost', 'isNew', 'at', 'raw', 'kind'].map((name) => [name, option(name)]),
        ),
        authorId: fc.option(fc.integer({ min: 1, max: 4 })),
        editorId: fc.integer({ min: 1, max: 4 }),
      }),
      { minLength: books, maxLength: books },
    ),
    { seed, numRuns: 1 },
  )
  for (const row of rows!) await client.book.create({ data: asPrisma(row) })
}
