// The older formats over random libraries, written in every shape. Guarantees tested: every entry of every list arrives
// once, with the right user and status, and nothing is left behind unnamed.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Decoded, JsonRow } from '../../src/formats/format.ts'
import { decodeValue, knownFormats, recogniseFormat } from '../../src/formats/known.ts'
import { seed } from '../random.ts'
import { formatNamed, ownMembers, rowsOf } from './older-fixtures.ts'

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

function loose(title: string): string {
  return title.normalize('NFKC').trim().toLowerCase()
}
