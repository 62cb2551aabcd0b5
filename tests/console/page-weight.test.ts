// What the console's page weighs. Guarantees tested: at most 250 kB with gzip, all of its files together, and none from
// anywhere else.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { root } from '../harness.ts'

const folder = join(root, 'dist/web')
const files = readdirSync(folder)

test('the page is at most 250 kB, packed', () => {
  expect(files.sort()).toEqual(['app.css', 'app.js', 'icon.svg', 'index.html'])
  const bytes = files.reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name))).length, 0)
  expect(bytes).toBeGreaterThan(5_000)
  expect(bytes).toBeLessThan(250_000)
})

test('it names no other place', () => {
  for (const name of files) {
    const foreign = [...readFileSync(join(folder, name), 'utf8').matchAll(/https?:\/\/[^\s"'`)]+/g)].map(([url]) => url)
    // Names of namespaces, which nothing is loaded from.
    expect([name, foreign.filter((url) => !url.startsWith('http://www.w3.org/'))]).toEqual([name, []])
  }
})
