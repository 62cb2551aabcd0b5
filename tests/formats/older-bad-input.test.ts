// The older formats with wrong values. Guarantees tested: a wrong value is an error with its path, whatever it is and
// wherever; a member that nobody knows is named; messages stay short, and secrets are not in them.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { BootkeeperError } from '../../src/errors.ts'
import { type Decoded, defineFormat, type Format } from '../../src/formats/format.ts'
import { decodeValue, knownFormats, recogniseFormat } from '../../src/formats/known.ts'
import { seed } from '../random.ts'
import { context, decode, formatNamed, golden, ownMembers, readGolden, refusal, rowsOf } from './older-fixtures.ts'

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
