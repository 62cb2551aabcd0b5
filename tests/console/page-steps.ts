// What people do on the console's page, for the tests that drive it, and what they need for that.

import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { password, type TestConsole } from '../console.ts'
import { makeFolder } from '../harness.ts'
import { heading, openPage } from './browser.ts'

/** On the first page, as it is when nobody has been through the wizard; `title` where it is another one. */
export async function signedIn(
  console: TestConsole,
  title = 'How do you want to begin?',
): Promise<{ page: Page; faults: string[] }> {
  if (console.code) await console.claim()
  const opened = await openPage(console.url)
  await opened.page.getByLabel('Password', { exact: true }).fill(password)
  await opened.page.getByRole('button', { name: 'Sign in' }).click()
  await heading(opened.page, title)
  return opened
}

export async function choose(page: Page, path: string): Promise<void> {
  await page.goto(`${new URL(page.url()).origin}/#/restore`)
  await heading(page, 'Bring your data back')
  await page.locator('#file').setInputFiles(path)
}

export async function confirm(page: Page): Promise<void> {
  const code = await page.locator('form .stem').innerText()
  await page.getByLabel('Type the code to confirm').fill(code)
  await page.getByRole('button', { name: 'Restore now' }).click()
}

/** A file of so many films of john, which takes a while. */
export function large(count: number): string {
  const path = join(makeFolder(), 'large.json')
  const movies = Array.from({ length: count }, (_, i) => ({
    title: `Film ${i}`,
    tmdb_id: 1_000 + i,
    media_type: 'movie',
  }))
  const lists = { movies, series: [], watchlist: { movies: [], series: [] }, do_not_recommend: [] }
  const users = [{ username: 'john', data: lists }]
  const head = { version: '2.4.1', exported_at: '2025-11-25T12:00:00.000Z', system_config: null }
  writeFileSync(path, JSON.stringify({ ...head, users }))
  return path
}

/** So that a server that was restarted is where it was. */
export async function freePort(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return String(port)
}
