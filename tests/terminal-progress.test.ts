// The line that a command shows while it works: only on a terminal, only after a second, and gone at the end.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { withProgress } from '../scripts/terminal-progress.ts'

let shown: string[]
const { isTTY } = process.stderr

beforeEach(() => {
  shown = []
  vi.useFakeTimers()
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    shown.push(String(text))
    return true
  })
})

afterEach(() => {
  process.stderr.isTTY = isTTY
  vi.restoreAllMocks()
  vi.useRealTimers()
})

async function work(ms: number): Promise<string> {
  const done = withProgress('reading app.json', async (onRows) => {
    onRows(1_200)
    await new Promise((resolve) => setTimeout(resolve, ms))
    return 'done'
  })
  await vi.advanceTimersByTimeAsync(ms)
  return await done
}

test('a second of work shows nothing, more shows how far it is, and the end takes it back', async () => {
  process.stderr.isTTY = true
  expect(await work(900)).toBe('done')
  expect(shown).toEqual([])
  await work(2_100)
  expect(shown[0]).toBe('\r\x1b[K… reading app.json: 1 200 rows, 1 s')
  expect(shown.at(-2)).toContain('2 s')
  expect(shown.at(-1)).toBe('\r\x1b[K')
})

test('work that fails takes its line back, too', async () => {
  process.stderr.isTTY = true
  const failed = withProgress('copying', async () => {
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    throw new Error('full')
  })
  const expected = expect(failed).rejects.toThrow('full')
  await vi.advanceTimersByTimeAsync(1_500)
  await expected
  expect(shown.at(-1)).toBe('\r\x1b[K')
})

test('nothing is shown where nobody looks', async () => {
  process.stderr.isTTY = false
  await work(5_000)
  expect(shown).toEqual([])
})
