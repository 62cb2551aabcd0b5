// What the older formats become: golden files for each shape and variation, then each rule of the mapping by itself.
// Guarantees tested: entries, users and settings arrive as the reference says; what was settled is in the notes.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { DecodeContext, Decoded, JsonRow } from '../../src/formats/format.ts'
import { decodeValue, knownFormats, recogniseFormat } from '../../src/formats/known.ts'
import { readDataModel } from '../../src/prisma/data-model.ts'
import { context, decode, golden, readGolden, refusal, rowsOf } from './older-fixtures.ts'

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

function byModel({ rows }: Decoded): Record<string, JsonRow[]> {
  const found: Record<string, JsonRow[]> = {}
  for (const { model, row, place } of rows) {
    found[model] = [...(found[model] ?? []), row]
    expect(place).toBe(found[model].length)
  }
  return found
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

  test('a title to block whose type nobody tells wins over neither film nor series, and a note says so', async () => {
    const decoded = await decode({
      john: { movies: [{ title: 'Dune', tmdb_id: 438631 }, 'Saw'], do_not_recommend: [' dune', 'Heat'] },
      ann: { movies: ['Heat'], do_not_recommend: [{ title: 'Heat', media_type: 'movie' }, 'Alien'] },
    })
    expect(rowsOf(decoded, 'UserMedia').filter(({ user }) => user === 'john')).toHaveLength(4)
    expect(rowsOf(decoded, 'UserMedia')[0]).toEqual({ user: 'john', media: 438631, status: 'WATCHED' })
    expect(decoded.users).toMatchObject([
      { name: 'john', entries: { movies: 2, blocked: 2 } },
      { name: 'ann', entries: { movies: 1, blocked: 2 } },
    ])
    expect(decoded.notes.join('\n')).toMatch(
      /1 title stands in a list that tells no media type, .*: " dune" of "john"\./,
    )
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
