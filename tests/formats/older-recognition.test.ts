// Which of the older formats a file is taken for. Guarantees tested: by its content; a file of something else is not
// recognised, and one that could be two things is refused by their names.

import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineFormat } from '../../src/formats/format.ts'
import { knownFormats, recogniseFormat } from '../../src/formats/known.ts'
import { refusal } from './older-fixtures.ts'

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
