// In a real Chromium: a file of every format is brought, looked into, planned, confirmed, restored and undone.
// Guarantees tested: the page says which format it is; what comes back is what the same file brings by the command; after
// the undo every row is as it was.

import { join } from 'node:path'
import { expect, test as plainTest } from 'vitest'
import { openTestConsole } from '../console.ts'
import { makeFolder, ops } from '../harness.ts'
import { browserMissing, heading } from './browser.ts'
import { contents, golden, mediaApp, zoe } from './media-app.ts'
import { choose, confirm, signedIn } from './page-steps.ts'

const test = plainTest.skipIf(browserMissing)

/** Without what each import makes anew. */
function rowsOf(tables: Record<string, unknown[]>): unknown {
  const timeless = JSON.stringify(tables, (key, value) => (/^(id|\w+Id|\w+At)$/.test(key) ? undefined : value))
  return Object.fromEntries(
    Object.entries(JSON.parse(timeless) as Record<string, unknown[]>).map(([table, rows]) => [
      table,
      rows.map((row) => JSON.stringify(row)).sort(),
    ]),
  )
}

test('the four older formats and a current export: recognised, restored, undone', async () => {
  const app = await mediaApp(zoe)
  const before = contents(app)
  const other = await mediaApp(zoe.replaceAll('zoe', 'kim'))
  const current = join(makeFolder(), 'other.json')
  expect((await ops(other, 'export', current)).exitCode).toBe(0)
  const console = await openTestConsole(app)
  const { page, faults } = await signedIn(console)
  const files: [path: string, format: RegExp, whose?: string][] = [
    [golden('multi-user-2.4.1'), /multi-user/i],
    [golden('single-user'), /one user/i],
    [golden('payload-nested'), /lists of one user/, 'john'],
    [golden('database-json'), /database\.json/i],
    [current, /Bootkeeper export, version 1/],
  ]
  for (const [path, format, whose] of files) {
    await choose(page, path)
    await heading(page, 'This is in the file')
    expect(await page.locator('.facts').innerText()).toMatch(format)
    if (whose) await page.getByLabel('Whose data is this?').fill(whose)
    await page.getByLabel('Replace').check()
    await page.getByRole('button', { name: 'See what would change' }).click()
    await heading(page, 'This is what would change')
    expect(contents(app)).toEqual(before)
    await confirm(page)
    await heading(page, 'Your data is back')

    const byCommand = await mediaApp(zoe)
    const words = ['import', path, '--mode', 'replace', ...(whose ? ['--user', whose] : []), '--apply']
    expect((await ops(byCommand, ...words)).exitCode).toBe(0)
    expect(rowsOf(contents(app)), path).toEqual(rowsOf(contents(byCommand)))
    expect(rowsOf(contents(app)), path).not.toEqual(rowsOf(before))

    await page.getByRole('button', { name: 'Undo this restore …' }).click()
    await page.getByRole('button', { name: 'Undo the restore' }).click()
    await heading(page, 'The restore is undone')
    expect(contents(app), path).toEqual(before)
  }
  expect(faults).toEqual([])
  await console.stop()
}, 400_000)
