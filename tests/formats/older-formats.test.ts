// The older import formats: golden files for each shape and variation, and properties over random libraries.
// Guarantees tested: every entry of every list arrives once, with the right user and status; nothing is left behind
// unnamed; a wrong value is an error with its path, whatever it is; a file of something else is not recognised.

import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { BootkeeperError } from '../../src/errors.ts'
import { type DecodeContext, type Decoded, defineFormat, type Format, type JsonRow } from '../../src/formats/format.ts'
import { decodeValue, knownFormats, recogniseFormat } from '../../src/formats/known.ts'
import { readDataModel } from '../../src/prisma/data-model.ts'
import { seed } from '../random.ts'

const folder = new URL('./golden/', import.meta.url)
const golden = readdirSync(folder)
  .filter((file) => !file.endsWith('.expected.json'))
  .map((file) => file.replace('.json', ''))
const readGolden = (name: string) => JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'))
const context: DecodeContext = { userName: 'john' }

async function decode(value: unknown, given = context): Promise<Decoded> {
  return await decodeValue(value, recogniseFormat(value, knownFormats).format, given)
}

function formatNamed(name: string): Format {
  return knownFormats.find((format) => format.name === name) as Format
}

function rowsOf({ rows }: Decoded, model: string): JsonRow[] {
  return rows.filter((row) => row.model === model).map(({ row }) => row)
}

function byModel({ rows }: Decoded): Record<string, JsonRow[]> {
  const found: Record<string, JsonRow[]> = {}
  for (const { model, row, place } of rows) {
    found[model] = [...(found[model] ?? []), row]
    expect(place).toBe(found[model].length)
  }
  return found
}

async function refusal(work: () => unknown): Promise<BootkeeperError & { cause: { path: (string | number)[] } }> {
  try {
    await work()
  } catch (error) {
    expect(error).toBeInstanceOf(BootkeeperError)
    return error as BootkeeperError & { cause: { path: (string | number)[] } }
  }
  throw new Error('it was not refused')
}

describe('golden files', () => {
  test.each(golden)('%s', async (name) => {
    const value = readGolden(name)
    const { format, certainty } = recogniseFormat(value, knownFormats)
    const decoded = await decodeValue(value, format, context)
    const { models, rows: _, leftBehind, ...others } = decoded
    const rows = byModel(decoded)
    expect({
      format: format.name,
      certainty,
      ...others,
      rows,
      leftBehind: [...leftBehind].sort((a, b) => (a.what < b.what ? -1 : 1)),
    }).toEqual(readGolden(`${name}.expected`))
    expect(Object.keys(models)).toEqual([...(rows.SystemConfig ? ['SystemConfig'] : []), 'User', 'Media', 'UserMedia'])
    expect(await decodeValue(readGolden(name), format, context)).toEqual(decoded)
  })

  test('every known format has one', () => {
    const formats = golden.map((name) => readGolden(`${name}.expected`).format)
    expect(new Set(formats)).toEqual(new Set(knownFormats.map(({ name }) => name)))
  })

  test('the models are those of the bundled schema', async () => {
    const content = readFileSync(new URL('../../prisma/schema.prisma', import.meta.url), 'utf8')
    const schema = await readDataModel([{ path: 'schema.prisma', content }])
    const { models } = await decode(readGolden('multi-user-2.0.3'))
    for (const [name, { fields, key, primaryKey, looseKey = [], isPartial }] of Object.entries(models)) {
      const model = schema.models.find((each) => each.name === name)!
      expect(isPartial).toBe(true)
      expect([name, key]).toEqual([name, model.naturalKey.map((part) => part.name)])
      const names = fields.map((field) => field.name)
      expect(names).toEqual(expect.arrayContaining([...key, ...primaryKey, ...looseKey]))
      for (const { name: member, type } of fields) {
        const field = model.fields.find((each) => each.name === member)
        const relation = model.relations.find((each) => each.name === member)
        const plain = field?.enum ? `Enum ${field.enum.name}` : (field?.type ?? `-> ${relation?.target}`)
        expect([name, member, type.replace('?', '')]).toEqual([name, member, plain])
      }
    }
  })
})

describe(`random libraries (seed ${seed})`, () => {
  type ListName = 'movies' | 'series' | 'watchedMovies' | 'watchedSeries' | 'blocked'
  interface Entry {
    id: number | undefined
    title: string
    spelling: number
  }
  type Lists = Record<ListName, Entry[]>

  const title = fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }),
    fc.constantFrom('Dune', ' dune', 'DUNE\t', 'Ｄｕｎｅ', 'été', 'e\u0301té', 'ß', '__proto__', 'a'.repeat(10_000)),
  )
  // An even id is a film, an odd one a series: no id is used for both.
  const entry = (isSeries: boolean): fc.Arbitrary<Entry> =>
    fc.record({
      id: fc.option(
        fc.integer({ min: 1, max: 15 }).map((n) => 2 * n + (isSeries ? 1 : 0)),
        { nil: undefined },
      ),
      title: title.filter((each) => each.trim() !== ''),
      spelling: fc.nat(3),
    })
  const list = (isSeries: boolean) => fc.array(entry(isSeries), { maxLength: 6 })
  const lists: fc.Arbitrary<Lists> = fc.record({
    movies: list(false),
    series: list(true),
    watchedMovies: list(false),
    watchedSeries: list(true),
    blocked: fc.array(fc.boolean().chain(entry), { maxLength: 6 }),
  })
  const username = fc.string({ minLength: 1, maxLength: 8 }).filter((name) => name.trim() !== '' && name[0] !== '_')
  const library = fc.uniqueArray(fc.tuple(username, lists), { minLength: 1, maxLength: 4, selector: ([name]) => name })

  function written({ id, title, spelling }: Entry): unknown {
    if (id === undefined) return spelling % 2 === 0 ? title : { title }
    const type = id % 2 === 0 ? 'movie' : 'tv'
    const spellings = [
      { title, tmdb_id: id, media_type: type },
      { title, tmdbId: id, mediaType: type, year: 1999 },
      { title, tmdb_id: String(id), media_type: type, release_year: '1999', rating: 5 },
      { title, tmdbId: String(id), media_type: type.toUpperCase(), added_at: '2025-11-13T08:21:04.123456' },
    ]
    return spellings[spelling]
  }

  const all = (each: Entry[]) => each.map(written)
  const nested = (of: Lists) => ({
    movies: all(of.movies),
    series: all(of.series),
    watchlist: { movies: all(of.watchedMovies), series: all(of.watchedSeries) },
  })
  const account = (of: Lists) => ({ ...nested(of), do_not_recommend: all(of.blocked) })
  const flat = (of: Lists) => ({
    movies: all(of.movies),
    tv: all(of.series),
    watchlist: all([...of.watchedMovies, ...of.watchedSeries]),
    blocked: all(of.blocked),
  })
  const dotted = (of: Lists) => ({
    'watchlist.movies': all(of.watchedMovies),
    'watchlist.series': all(of.watchedSeries),
  })
  const head = { exported_at: '2025-11-25T12:00:00.000Z' }

  interface Shape {
    format: string
    write: (users: [string, Lists][]) => unknown
    /** Lists that the shape cannot carry. */
    without?: ListName[]
    isOneUser?: true
    /** Types that the shape does not tell where an entry does not. */
    isUntyped?: ListName[]
  }

  const first = (users: [string, Lists][]) => users[0]![1]
  const shapes: Record<string, Shape> = {
    'multi-user': {
      format: 'multi-user',
      write: (users) => ({
        version: '2.2.0',
        ...head,
        system_config: null,
        users: users.map(([name, of]) => ({ username: name, data: account(of) })),
      }),
    },
    'all users': {
      format: 'all-users',
      write: (users) =>
        ownMembers(users.map(([name, of]) => [name, { username: name, ...head, data: account(of) }] as const)),
    },
    'single user': {
      format: 'single-user',
      write: (users) => ({ username: users[0]![0], ...head, data: account(first(users)) }),
      isOneUser: true,
    },
    'database.json': {
      format: 'database-json',
      write: (users) => ownMembers(users.map(([name, of]) => [name, account(of)] as const)),
    },
    'nested payload': {
      format: 'payload',
      write: (users) => nested(first(users)),
      isOneUser: true,
      without: ['blocked'],
    },
    'flat payload': {
      format: 'payload',
      write: (users) => flat(first(users)),
      isOneUser: true,
      isUntyped: ['watchedMovies', 'watchedSeries'],
    },
    'dotted payload': {
      format: 'payload',
      write: (users) => dotted(first(users)),
      isOneUser: true,
      without: ['movies', 'series', 'blocked'],
    },
    'payload of items': {
      format: 'payload',
      write: (users) => ({ items: all(first(users).watchedMovies) }),
      isOneUser: true,
      without: ['movies', 'series', 'watchedSeries', 'blocked'],
    },
    'payload in data': {
      format: 'payload',
      write: (users) => ({ data: flat(first(users)) }),
      isOneUser: true,
      isUntyped: ['watchedMovies', 'watchedSeries'],
    },
  }

  const statuses: Record<ListName, string> = {
    movies: 'WATCHED',
    series: 'WATCHED',
    watchedMovies: 'WATCHLIST',
    watchedSeries: 'WATCHLIST',
    blocked: 'BLOCKED',
  }
  const types: Record<ListName, string> = {
    movies: 'movie',
    series: 'tv',
    watchedMovies: 'movie',
    watchedSeries: 'tv',
    blocked: '',
  }

  /** By user and media the status that must arrive, told apart from the code's own way. */
  function wanted(users: [string, Lists][], { without = [], isOneUser, isUntyped = [] }: Shape) {
    const strength = ['WATCHLIST', 'WATCHED', 'BLOCKED']
    const found = new Map<string, string>()
    for (const [name, of] of isOneUser ? users.slice(0, 1) : users) {
      for (const list of Object.keys(statuses) as ListName[]) {
        if (without.includes(list)) continue
        for (const { id, title } of of[list]) {
          const media = id ?? [loose(title), isUntyped.includes(list) ? '' : types[list]]
          const key = JSON.stringify([name, media])
          const status = statuses[list]
          if (strength.indexOf(status) > strength.indexOf(found.get(key) ?? '')) found.set(key, status)
        }
      }
    }
    return found
  }

  function arrived(decoded: Decoded) {
    const media = rowsOf(decoded, 'Media')
    const found = new Map<string, unknown>()
    for (const { user, media: reference, status } of rowsOf(decoded, 'UserMedia')) {
      const isId = typeof reference === 'number'
      const row = media.find((each) => (isId ? each.tmdbId === reference : each.id === (reference as JsonRow)['#']))!
      const key = JSON.stringify([user, row.tmdbId ?? [loose(row.title as string), row.mediaType ?? '']])
      expect(found.has(key)).toBe(false)
      found.set(key, status)
    }
    return found
  }

  test.each(Object.keys(shapes))('every entry arrives once, in the strongest of its lists: %s', async (name) => {
    const shape = shapes[name]!
    await fc.assert(
      fc.asyncProperty(library, async (users) => {
        const value = JSON.parse(JSON.stringify(shape.write(users)))
        const given = { userName: users[0]![0] }
        const decoded = await decodeValue(value, formatNamed(shape.format), given)
        const names = (shape.isOneUser ? users.slice(0, 1) : users).map(([each]) => each)
        expect(
          rowsOf(decoded, 'User')
            .map((row) => row.username)
            .sort(),
        ).toEqual([...names].sort())
        expect(arrived(decoded)).toEqual(wanted(users, shape))
        expect(decoded.leftBehind).toEqual([])
        expect(await decodeValue(value, formatNamed(shape.format), given)).toEqual(decoded)
        const titles = new Set(users.flatMap(([, of]) => Object.values(of).flat()).map((each) => each.title))
        for (const row of rowsOf(decoded, 'Media')) expect(titles).toContain(row.title)
      }),
      { seed, numRuns: 60 },
    )
  })

  test('what was written is recognised as what it is', async () => {
    const isAmbiguous = (users: [string, Lists][]) => users.every(([name]) => name === 'data' || name === 'watchlist')
    fc.assert(
      fc.property(library, (users) => {
        const counts = Object.values(first(users)).map((each) => each.length)
        fc.pre(!isAmbiguous(users) && !counts.includes(0))
        for (const shape of Object.values(shapes)) {
          const value = JSON.parse(JSON.stringify(shape.write(users)))
          expect(recogniseFormat(value, knownFormats).format.name).toBe(shape.format)
        }
      }),
      { seed, numRuns: 60 },
    )
  })
})

/** An object that has __proto__ as a member like any other. */
function ownMembers(entries: (readonly [string, unknown])[]): Record<string, unknown> {
  return Object.fromEntries(entries)
}

function loose(title: string): string {
  return title.normalize('NFKC').trim().toLowerCase()
}

describe('entries', () => {
  const movies = async (...entries: unknown[]) => await decode({ movies: entries })
  const media = async (...entries: unknown[]) => rowsOf(await movies(...entries), 'Media')

  test('a title goes through as it is', async () => {
    const titles = [
      '  two spaces  ',
      '👩‍👩‍👧‍👦',
      'עברית',
      'tab\tnewline\n',
      'x'.repeat(10_000),
      'null',
      '0',
      '{"#": 1}',
    ]
    expect((await media(...titles)).map(({ title }) => title)).toEqual(titles)
  })

  test('a title without an id is the same in another case, form or with spaces around, but not of another type', async () => {
    const decoded = await decode({ movies: ['Amélie', ' AMÉLIE '], tv: ['ame\u0301lie'], blocked: ['Amélie'] })
    expect(rowsOf(decoded, 'Media').map(({ mediaType }) => mediaType)).toEqual(['movie', 'tv', undefined])
    expect(decoded.users).toEqual([{ name: 'john', entries: { movies: 1, series: 1, watchlist: 0, blocked: 1 } }])
  })

  test('one with an id and one without are not taken for the same', async () => {
    expect(await media('Dune', { title: 'Dune', tmdb_id: 438631 })).toHaveLength(2)
  })

  test('years that differ are noted where the title joins two', async () => {
    const decoded = await movies({ title: 'Dune', year: 1984 }, { title: 'Dune', year: 2021 })
    expect(rowsOf(decoded, 'Media')).toEqual([{ id: 1, mediaType: 'movie', title: 'Dune', releaseYear: '1984' }])
    expect(decoded.notes.join()).toContain('came with different years')
  })

  test.each([
    [{ release_year: '2021' }, '2021'],
    [{ release_year: 2021 }, '2021'],
    [{ year: '2021-22' }, '2021'],
    [{ year: 'c. 1920' }, 'c. 1920'],
    [{ releaseDate: '2021-09-15' }, '2021'],
    [{ release_date: '2021-09-15T00:00:00Z' }, '2021'],
    [{ releaseYear: 0 }, '0'],
    [{ release_year: '', year: 1999 }, '1999'],
    [{ release_year: null }, undefined],
  ])('the year of %j', async (members, year) => {
    const [row] = await media({ title: 'Dune', ...members })
    expect(row?.releaseYear).toBe(year)
  })

  test.each([
    ['2025-11-13T08:21:04.123456', '2025-11-13T08:21:04.123Z'],
    ['2025-11-16 21:40:40', '2025-11-16T21:40:40.000Z'],
    ['2025-11-16T21:40:40.999999Z', '2025-11-16T21:40:40.999Z'],
    ['2025-11-16T21:40Z', '2025-11-16T21:40:00.000Z'],
    ['2025-11-16', '2025-11-16T00:00:00.000Z'],
    ['2025-11-16T21:40:40.5+05:30', '2025-11-16T16:10:40.500Z'],
    ['2024-12-31 23:30:00-0100', '2025-01-01T00:30:00.000Z'],
    ['2024-02-29T00:00:00+00', '2024-02-29T00:00:00.000Z'],
  ])('the time %s', async (text, time) => {
    const decoded = await movies({ title: 'Dune', added_at: text })
    expect(rowsOf(decoded, 'UserMedia')[0]?.addedAt).toBe(time)
  })

  test.each([
    '2025-02-29T00:00:00Z',
    '2025-13-01',
    '2025-11-16T25:00:00Z',
    '2025-11-16T21:40:40+25:70',
    '9999-12-31T23:59:59-10:00',
    'yesterday',
    '1763284840',
    `2025-11-16${' '.repeat(100_000)}`,
  ])('the time %s is left out with a note', async (text) => {
    const decoded = await movies({ title: 'Dune', added_at: text })
    expect(rowsOf(decoded, 'UserMedia')[0]).not.toHaveProperty('addedAt')
    expect(decoded.notes.join()).toMatch(/1 time could not be read and was left out: .{1,60} at movies\[0\]\.added_at/)
  })

  test('the first value of a member counts, later entries fill the gaps', async () => {
    const rows = await media(
      { title: 'Dune', tmdb_id: 1, overview: '', vote_average: 0 },
      { title: 'Other', tmdb_id: 1, overview: 'Sand', vote_average: 9, posterUrl: 'p', backdropUrl: 'b', year: 2021 },
      { title: 'Third', tmdb_id: 1, overview: 'More sand', posterUrl: 'q' },
    )
    expect(rows).toEqual([
      {
        id: 1,
        tmdbId: 1,
        mediaType: 'movie',
        title: 'Dune',
        releaseYear: '2021',
        overview: 'Sand',
        posterUrl: 'p',
        backdropUrl: 'b',
        voteAverage: 0,
      },
    ])
  })

  test('a title that comes later takes the place of the stand-in', async () => {
    expect(await media({ tmdb_id: 5 }, { tmdb_id: 5, title: 'Four Rooms' })).toMatchObject([{ title: 'Four Rooms' }])
    expect(await media({ tmdb_id: 5, title: ' ' })).toMatchObject([{ title: 'TMDB 5' }])
  })

  test('a film and a series with the same id are both kept', async () => {
    const decoded = await decode({
      john: { movies: [{ title: 'A', tmdb_id: 7 }, { tmdb_id: 8 }], series: [{ title: 'B', tmdb_id: 7 }] },
      ann: { movies: [], series: [{ title: 'b', tmdb_id: 7 }, { tmdb_id: 8 }] },
    })
    expect(rowsOf(decoded, 'Media')).toEqual([
      { id: 1, tmdbId: 7, mediaType: 'movie', title: 'A' },
      { id: 2, tmdbId: 8, mediaType: 'movie', title: 'TMDB 8' },
      { id: 3, mediaType: 'tv', title: 'B' },
      { id: 4, mediaType: 'tv', title: 'TMDB 8' },
    ])
    expect(rowsOf(decoded, 'UserMedia')).toHaveLength(5)
    expect(decoded.notes.join('\n')).toContain('2 media have the TMDB id of a media of the other type')
  })

  test.each([
    [{ tmdb_id: 438631 }, 438631],
    [{ tmdb_id: '438631' }, 438631],
    [{ tmdbId: ' 007 ' }, 7],
    [{ tmdb_id: '', title: 'Dune' }, undefined],
    [{ tmdb_id: null, tmdbId: 5 }, 5],
  ])('the id of %j', async (entry, id) => {
    expect((await media(entry))[0]?.tmdbId).toBe(id)
  })

  test('the time of the list that wins counts, and that of another where it has none', async () => {
    const at = (day: number) => ({ title: 'A', tmdb_id: 1, added_at: `2025-01-0${day}` })
    const added = async (value: unknown) => rowsOf(await decode(value), 'UserMedia')
    expect(await added({ movies: [at(1)], blocked: [at(2)] })).toMatchObject([
      { status: 'BLOCKED', addedAt: '2025-01-02T00:00:00.000Z' },
    ])
    expect(await added({ movies: [{ tmdb_id: 1 }, at(3), at(1)] })).toMatchObject([
      { status: 'WATCHED', addedAt: '2025-01-03T00:00:00.000Z' },
    ])
    expect(await added({ movies: [at(1)], blocked: [{ tmdb_id: 1 }] })).toMatchObject([
      { status: 'BLOCKED', addedAt: '2025-01-01T00:00:00.000Z' },
    ])
  })

  test('notes stay short and harmless, whatever the titles', async () => {
    const rude = `\u001b[31m${'🎬'.repeat(100_000)}\u202e`
    const { notes } = await decode({ movies: [rude, rude], blocked: [rude], series: ['\u202eabc'] })
    for (const note of notes) {
      expect(note.length).toBeLessThan(500)
      expect(note).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/)
    }
  })
})

describe('users and settings', () => {
  test('a username that comes twice is one user', async () => {
    const decoded = await decode({
      version: '2.0.3',
      system_config: {},
      users: [
        { username: 'john', movieProfile: 'first', data: { movies: ['A'] } },
        { username: 'John', data: { movies: ['A'] } },
        { username: 'john', movieProfile: 'second', tvProfile: 'tv', data: { movies: ['A', 'B'] } },
      ],
    })
    expect(rowsOf(decoded, 'User')).toEqual([
      { username: 'john', movieProfile: 'first', tvProfile: 'tv' },
      { username: 'John' },
    ])
    expect(rowsOf(decoded, 'UserMedia')).toHaveLength(3)
    expect(decoded.notes.join()).toContain('1 username stands in the file several times')
  })

  test.each([
    [{ geminiModel: 'g' }, { aiModel: 'g' }, 0],
    [{ geminiModel: 'a', aiModel: 'a' }, { aiModel: 'a' }, 0],
    [{ geminiModel: 'g', aiModel: 'a' }, { aiModel: 'a' }, 1],
    [{ geminiModel: 'g', aiModel: '' }, { aiModel: 'g' }, 0],
    [{ isConfigured: false, tmdbApiKey: 'k' }, { tmdbApiKey: 'k', isConfigured: false }, 0],
  ])('the settings %j', async (system_config, settings, left) => {
    const decoded = await decode({ version: '2.4.0', system_config, users: [] })
    expect(rowsOf(decoded, 'SystemConfig')).toEqual([{ id: 1, ...settings }])
    expect(decoded.leftBehind).toHaveLength(left)
  })

  test('lists without a name need one', async () => {
    for (const given of [{}, { userName: '' }, { userName: '  ' }])
      expect((await refusal(() => decode({ movies: ['A'] }, given))).code).toBe('USER_NEEDED')
  })

  test('a version that was not seen before is read all the same, and noted', async () => {
    const value = { ...readGolden('multi-user-2.0.3'), version: '3.0.0' }
    expect(recogniseFormat(value, knownFormats)).toMatchObject({ format: { name: 'multi-user' }, certainty: 'likely' })
    const decoded = await decode(value)
    expect(decoded.notes).toEqual([expect.stringContaining('"3.0.0"')])
    expect(decoded.rows).toEqual((await decode(readGolden('multi-user-2.0.3'))).rows)
  })
})

describe('the resolver', () => {
  test('is asked once for each title, type and year, eight at a time, and what it finds is joined', async () => {
    const asked: string[] = []
    let running = 0
    let most = 0
    const resolveTitle: DecodeContext['resolveTitle'] = async ({ title, mediaType, year }) => {
      asked.push([title, mediaType, year].join('|'))
      most = Math.max(most, ++running)
      await new Promise((resolve) => setImmediate(resolve))
      running--
      return title.trim().toLowerCase() === 'dune' ? (year === '1984' ? 841 : 438631) : undefined
    }
    const others = Array.from({ length: 40 }, (_, n) => `Other ${n}`)
    const movies = ['Dune', ' dune ', { title: 'Dune', year: 1984 }, { title: 'Dune', tmdb_id: 438631 }, ...others]
    const decoded = await decode({ john: { movies }, ann: { movies: ['DUNE'] } }, { resolveTitle })
    expect(asked.slice(0, 2)).toEqual(['Dune|movie|', 'Dune|movie|1984'])
    expect(asked).toHaveLength(42)
    expect(most).toBe(8)
    const dunes = rowsOf(decoded, 'Media').filter(({ tmdbId }) => tmdbId)
    expect(dunes.map(({ tmdbId }) => tmdbId)).toEqual([438631, 841])
    expect(rowsOf(decoded, 'UserMedia').filter(({ user }) => user === 'ann')).toMatchObject([{ media: 438631 }])
    expect(decoded.notes.join()).toContain('2 titles were resolved')
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no'))],
    ['knows nothing', () => undefined],
    ['gives no id', () => 0],
    ['gives half an id', () => 1.5],
    ['gives text', () => '5' as unknown as number],
  ])('leaves the entry unresolved where it %s', async (_, resolveTitle) => {
    const decoded = await decode({ movies: ['Dune'] }, { userName: 'john', resolveTitle })
    expect(rowsOf(decoded, 'Media')).toEqual([{ id: 1, mediaType: 'movie', title: 'Dune' }])
    expect(rowsOf(decoded, 'UserMedia')).toEqual([{ user: 'john', media: { '#': 1 }, status: 'WATCHED' }])
  })
})

describe('recognition', () => {
  const lists = { movies: ['Dune'], series: ['Dark'] }
  test.each<[string, string, unknown]>([
    ['payload', 'likely', { movies: [] }],
    ['payload', 'likely', { movies: ['Dune'], exported_at: '2025-11-25' }],
    ['payload', 'likely', { tv: ['Dark'] }],
    ['payload', 'likely', { blocked: [{ title: 'Saw' }] }],
    ['payload', 'likely', { watchlist: { movies: [], series: [] } }],
    ['payload', 'likely', { data: lists }],
    ['database-json', 'likely', { john: lists }],
    ['database-json', 'likely', { john: { movies: [], series: [] } }],
    ['database-json', 'likely', { john: lists, empty: {} }],
    ['database-json', 'likely', { users: lists }],
    ['database-json', 'likely', { movies: lists }],
    ['database-json', 'likely', { username: lists }],
    ['database-json', 'likely', { items: lists, series: lists }],
    ['database-json', 'likely', { data: lists, john: lists }],
    ['database-json', 'likely', { watchlist: lists, john: lists }],
    ['database-json', 'certain', { data: { ...lists, jellyfin_total_watched: 1 } }],
    ['database-json', 'certain', { data: lists, _migration_status_v1_tmdb_backfill: 'completed' }],
    ['database-json', 'certain', { john: { ...lists, jellyseerr_synced_at: '' }, ann: 5 }],
    ['single-user', 'likely', { username: 'john', data: lists }],
    ['single-user', 'likely', { username: 'john', ...lists }],
    ['single-user', 'certain', { username: 'john', exported_at: '2025-11-25', data: { movies: 5 } }],
    ['all-users', 'certain', { username: { username: 'username', exported_at: '', data: lists } }],
    ['all-users', 'certain', { users: { username: 'users', data: lists }, ann: lists }],
    ['all-users', 'likely', { john: { data: lists } }],
    ['multi-user', 'likely', { users: [{ username: 'john', data: lists }] }],
    ['multi-user', 'certain', { version: '2.4.1', users: [], system_config: null }],
    ['multi-user', 'certain', { version: '2.3.0', exported_at: '2025-11-25', users: [] }],
    ['multi-user', 'certain', { version: '2.3.0', users: 5, system_config: null }],
  ])('%s, %s: %j', (name, certainty, value) => {
    const { format, certainty: found } = recogniseFormat(value, knownFormats)
    expect([format.name, found]).toEqual([name, certainty])
  })

  test.each<[unknown, string]>([
    [null, 'null'],
    [undefined, 'undefined'],
    [true, 'true'],
    [5, 'a number'],
    ['movies', 'text'],
    [[], 'a list'],
    [[{ movies: [] }], 'a list'],
    [{}, 'an object without members'],
    [{ name: 'app', version: '1.0.0', dependencies: {} }, 'an object with the members name, version, dependencies'],
    [{ version: '2.0.3', exported_at: '2025-11-25' }, 'members version, exported_at'],
    [{ users: [{ name: 'a', email: 'b' }] }, 'member users'],
    [{ users: [{ username: 'a', data: { email: 'b' } }] }, 'member users'],
    [{ items: [{ id: 1, name: 'x' }] }, 'member items'],
    [{ items: [] }, 'member items'],
    [{ movies: 'Dune' }, 'member movies'],
    [{ title: { text: 'x' }, series: [{ name: 'x', data: [1, 2] }] }, 'members title, series'],
    [{ options: { series: [{ name: 'x', data: [1, 2] }] } }, 'member options'],
    [{ result: { data: { items: [], total: 0 } } }, 'member result'],
    [{ session: { username: 'a', data: { cart: [] } } }, 'member session'],
    [{ username: 'a', data: { email: 'b' }, exported_at: '2025' }, 'members username, data, exported_at'],
    [{ format: 'bootkeeper', version: 1, header: {}, data: { movies: [] } }, 'members format, version, header, data'],
    [{ movies: ['Dune'], john: lists }, 'members movies, john'],
    [{ _migration_x: 'completed' }, 'member _migration_x'],
    [{ a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1, h: 1, i: 1, j: 1 }, 'a, b, c, d, e, f, g, h and 2 more:'],
    [{ ['n'.repeat(1e6)]: 1 }, `"${'n'.repeat(39)}…"`],
    [{ 'a\nb\u001b': 1 }, '"a\\nb\\u001b"'],
  ])('nothing known: %j', async (value, shown) => {
    const { code, message } = await refusal(() => recogniseFormat(value, knownFormats))
    expect(code).toBe('FORMAT_UNKNOWN')
    expect(message).toContain(shown)
    expect(message.length).toBeLessThanOrEqual(500)
  })

  const own = (name: string, certainty: 'certain' | 'likely') =>
    defineFormat<unknown>({
      name,
      title: `the format ${name}`,
      recognise: () => certainty,
      schema: z.unknown(),
      decode: () => ({ models: {}, rows: [], leftBehind: [], notes: [] }),
    })

  test('a certain format goes before likely ones, two of a kind are refused by name', async () => {
    const value = { movies: [] }
    expect(recogniseFormat(value, [own('mine', 'certain'), ...knownFormats]).format.name).toBe('mine')
    for (const formats of [
      [own('mine', 'likely'), ...knownFormats],
      [own('mine', 'certain'), own('payload', 'certain')],
    ]) {
      const { code, message } = await refusal(() => recogniseFormat(value, formats))
      expect(code).toBe('FORMAT_UNKNOWN')
      expect(message).toMatch(/mine .* payload /)
    }
  })
})

describe(`bad input (seed ${seed})`, () => {
  /** Members whose values are not looked at: nobody knows them, or there is no place for them. */
  const unread =
    /^(exported_by|role|theme|genre_ids|anime|foo|source|favourites|_.*|jellyfin_.*|jellyseerr_(synced|available).*|available_but_.*)$/
  type Path = (string | number)[]

  function pathsIn(value: unknown, path: Path = []): Path[] {
    if (typeof value !== 'object' || value === null) return [path]
    const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value)
    const read = entries.filter(([name]) => !unread.test(String(name)))
    return [path, ...read.flatMap(([name, each]) => pathsIn(each, [...path, name]))]
  }

  function withValue(value: unknown, path: Path, replace: (before: unknown) => unknown): unknown {
    const [name, ...rest] = path
    if (name === undefined) return replace(value)
    const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string | number, unknown>
    copy[name] = withValue(copy[name], rest, replace)
    return copy
  }

  const formatOf = (name: string) => formatNamed(readGolden(`${name}.expected`).format)

  test.each(golden)('a wrong value anywhere in %s is refused with its path', async (name) => {
    const value = readGolden(name)
    const wrong = (before: unknown) => (typeof before === 'boolean' ? 'yes' : true)
    for (const path of pathsIn(value)) {
      const { code, message, cause } = await refusal(() =>
        decodeValue(withValue(value, path, wrong), formatOf(name), context),
      )
      expect([code, cause.path]).toEqual(['IMPORT_INVALID', path])
      expect(message).toMatch(/ should be .+, but is (true|text)\.$/)
    }
  })

  test('any value anywhere is read or refused, and nothing else', async () => {
    const values = golden.map((name) => ({ name, value: readGolden(name) }))
    const paths = values.map(({ value }) => pathsIn(value))
    const junk = fc.oneof(
      fc.jsonValue({ maxDepth: 4 }),
      fc.constantFrom('', ' ', [], {}, [[]], [{}], [null], -1, 0, 1.5, 2 ** 31, 1e300, 'movie', { movies: [] }),
    )
    await fc.assert(
      fc.asyncProperty(fc.nat(values.length - 1), fc.nat(), junk, async (which, at, replacement) => {
        const { name, value } = values[which]!
        const path = paths[which]![at % paths[which]!.length]!
        const changed = withValue(value, path, () => replacement)
        const outcome = await decodeValue(changed, formatOf(name), context).catch((error: unknown) => error)
        if (outcome instanceof Error) {
          expect(outcome).toBeInstanceOf(BootkeeperError)
          const { code, message, cause } = outcome as BootkeeperError & { cause: { path: Path } }
          expect(code).toBe('IMPORT_INVALID')
          expect(message.length).toBeLessThanOrEqual(300)
          // At the place itself, within it, or at the entry that is nothing without it.
          const shared = Math.min(path.length, cause.path.length)
          expect(cause.path.slice(0, shared)).toEqual(path.slice(0, shared))
          expect(cause.path.length).toBeGreaterThanOrEqual(path.length - 1)
        }
        const recognised = await refusal(() => recogniseFormat(changed, knownFormats)).catch(() => undefined)
        expect([undefined, 'FORMAT_UNKNOWN']).toContain(recognised?.code)
      }),
      { seed, numRuns: 1500 },
    )
  })

  test('any JSON at all is recognised or refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (value) => {
        for (const format of knownFormats) {
          const outcome = await decodeValue(value, format, context).catch((error: unknown) => error)
          if (outcome instanceof Error) expect(outcome).toMatchObject({ code: 'IMPORT_INVALID' })
        }
        for (const { recognise } of knownFormats) expect(['certain', 'likely', undefined]).toContain(recognise(value))
      }),
      { seed, numRuns: 500 },
    )
  })

  test('a member that nobody knows is always named', async () => {
    const values = golden.map((name) => ({ name, value: readGolden(name) }))
    const objects = values.map(({ name, value }) =>
      pathsIn(value).filter((path) => isObjectAt(value, path) && !(path.length === 0 && isByUser(name))),
    )
    const member = fc.oneof(
      fc.string({ minLength: 1 }),
      fc.constantFrom('__proto__', 'constructor', 'unknown', 'x'.repeat(1e5)),
    )
    await fc.assert(
      fc.asyncProperty(fc.nat(values.length - 1), fc.nat(), member, fc.jsonValue(), async (which, at, added, any) => {
        const { name, value } = values[which]!
        const path = objects[which]![at % objects[which]!.length]!
        const decoded = await decodeValue(value, formatOf(name), context)
        const changed = withValue(value, path, (before) =>
          Object.fromEntries([...Object.entries(before as object), [`~${added}`, any]]),
        )
        const proto = withValue(value, path, (before) =>
          Object.defineProperty({ ...(before as object) }, '__proto__', { value: any, enumerable: true }),
        )
        for (const [file, shown] of [
          [changed, JSON.stringify(`~${added}`).slice(0, 20)],
          [proto, '__proto__'],
        ] as const) {
          const found = await decodeValue(file, formatOf(name), context)
          expect(found.rows).toEqual(decoded.rows)
          expect(total(found)).toBe(total(decoded) + 1)
          const named = found.leftBehind.map(({ what }) => what).filter((what) => !isIn(decoded, what))
          if (shown === '__proto__') expect(named).toEqual([expect.stringContaining(shown)])
          else expect(named.length).toBe(1)
        }
      }),
      { seed, numRuns: 200 },
    )
  })

  const total = ({ leftBehind }: Decoded) => leftBehind.reduce((sum, { count }) => sum + count, 0)
  const isIn = ({ leftBehind }: Decoded, what: string) => leftBehind.some((each) => each.what === what)
  const isByUser = (name: string) => ['all-users', 'database-json'].includes(formatOf(name).name)
  const isObjectAt = (value: unknown, path: Path) => {
    const found = path.reduce<unknown>((outer, name) => (outer as Record<string | number, unknown>)[name], value)
    return typeof found === 'object' && found !== null && !Array.isArray(found)
  }

  test.each<[string, unknown, Path, string]>([
    ['multi-user', { users: [{ data: {} }] }, ['users', 0, 'username'], 'users[0].username is missing.'],
    ['multi-user', { users: [{ username: ' ' }] }, ['users', 0, 'username'], 'users[0].username is empty.'],
    ['multi-user', {}, ['users'], 'users is missing.'],
    ['database-json', { '': {} }, [''], '"" is a user without a name.'],
    ['database-json', { john: [] }, ['john'], 'john should be an object, but is a list.'],
    ['payload', [], [], 'The file should be an object, but is a list.'],
    ['payload', { movies: [''] }, ['movies', 0], 'movies[0] has neither a title nor a TMDB id.'],
    ['payload', { movies: [{}] }, ['movies', 0], 'movies[0] has neither a title nor a TMDB id.'],
    ['payload', { watchlist: 'x' }, ['watchlist'], 'watchlist should be a list or an object, but is text.'],
    [
      'payload',
      { watchlist: [5] },
      ['watchlist', 0],
      'watchlist[0] should be a title, or an object with one, but is 5.',
    ],
    [
      'payload',
      { watchlist: { movies: [{ title: 5 }] } },
      ['watchlist', 'movies', 0, 'title'],
      'watchlist.movies[0].title should be text, but is 5.',
    ],
    [
      'payload',
      { 'watchlist.movies': [{ tmdb_id: 1.5 }] },
      ['watchlist.movies', 0, 'tmdb_id'],
      '"watchlist.movies"[0].tmdb_id should be a whole number from 1 to 2147483647, or text of its digits, but is 1.5.',
    ],
  ])('%s: %j', async (name, value, path, message) => {
    const error = await refusal(() => decodeValue(value, formatNamed(name), context))
    expect([error.code, error.cause.path, error.message]).toEqual(['IMPORT_INVALID', path, message])
  })

  test('secrets are not in the messages', async () => {
    const value = withValue(readGolden('multi-user-2.0.3'), ['system_config', 'isConfigured'], () => 'made-up-key-9')
    expect((await refusal(() => decode(value))).message).not.toContain('made-up')
  })

  test('nesting of any depth is no matter', async () => {
    const deep = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)
    const deepObject = JSON.parse(`${'{"data":'.repeat(100_000)}{}${'}'.repeat(100_000)}`)
    for (const nested of [deep, deepObject]) {
      expect((await refusal(() => recogniseFormat(nested, knownFormats))).code).toBe('FORMAT_UNKNOWN')
      const decoded = await decode({ movies: ['A'], other: nested, available_but_unwatched: nested })
      expect(rowsOf(decoded, 'UserMedia')).toHaveLength(1)
      for (const value of [{ movies: [nested] }, { watchlist: [nested] }, { movies: [{ title: nested }] }]) {
        const error = await refusal(() => decodeValue(value, formatNamed('payload'), context))
        expect(error.code).toBe('IMPORT_INVALID')
      }
    }
  })

  test('half a million wrong entries and names of a megabyte give one short message', async () => {
    const name = '"\n'.repeat(500_000)
    const values: [string, unknown][] = [
      ['payload', { movies: Array(500_000).fill(5) }],
      ['payload', { watchlist: { movies: Array(500_000).fill({}) } }],
      ['multi-user', { users: Array(500_000).fill(5) }],
      ['multi-user', { users: Array(500_000).fill({ username: '' }) }],
      ['database-json', ownMembers([[name, { movies: [5] }]])],
      ['database-json', ownMembers(Array.from({ length: 100_000 }, (_, n) => [`user ${n}`, 5] as const))],
    ]
    for (const [format, value] of values) {
      const { code, message } = await refusal(() => decodeValue(value, formatNamed(format), context))
      expect(code).toBe('IMPORT_INVALID')
      expect(message.length).toBeLessThanOrEqual(300)
    }
  })

  test("an app's own schema gets the same: the path within a choice, and zod's words where ours do not fit", async () => {
    const schema = z.object({
      rows: z.array(z.union([z.string(), z.object({ n: z.number().max(5) }), z.object({ m: z.literal('x') })])),
      wordy: z.custom((value) => value === undefined, `is ${'so '.repeat(1000)}wrong`),
    })
    const format = defineFormat<z.infer<typeof schema>>({
      name: 'own',
      title: 'own',
      recognise: () => 'certain',
      schema,
      decode: () => ({ models: {}, rows: [], leftBehind: [], notes: [] }),
    })
    const error = await refusal(() => decodeValue({ rows: ['a', { n: 9 }] }, format as Format, context))
    expect(error.cause.path).toEqual(['rows', 1, 'n'])
    expect(error.message).toMatch(/^rows\[1\]\.n is not accepted: Too big/)
    const wordy = await refusal(() => decodeValue({ rows: [], wordy: 5 }, format as Format, context))
    expect(wordy.message).toMatch(/^wordy is so so .+…$/)
    expect(wordy.message.length).toBe(300)
    const recursive: z.ZodType = z.lazy(() => z.object({ data: recursive.optional() }))
    const deep = JSON.parse(`${'{"data":'.repeat(100_000)}5${'}'.repeat(100_000)}`)
    const tooDeep = await refusal(() => decodeValue(deep, { ...format, schema: recursive } as Format, context))
    expect([tooDeep.code, tooDeep.cause.path]).toEqual(['IMPORT_INVALID', []])
  })
})
