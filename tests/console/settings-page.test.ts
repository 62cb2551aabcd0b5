/// <reference lib="dom" />
// The settings in a real Chromium: a fresh install set up by the keyboard alone, and what can go wrong on the way.
// Guarantees tested: what was typed is what is in the database; a secret is on the page only when it is asked for; each
// wrong field says so; another tab is not overwritten; every state passes axe, light and dark, down to 320 px.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Page } from 'playwright-core'
import { expect, test as plainTest } from 'vitest'
import { openTestConsole, password, type TestConsole } from '../console.ts'
import { boot, makeApp, type TestApp } from '../harness.ts'
import { browserMissing, heading, inspectState, openPage, tabTo } from './browser.ts'
import { golden, mediaApp } from './media-app.ts'

const test = plainTest.skipIf(browserMissing)

const row = `INSERT INTO "SystemConfig" (id, "jellyfinUrl", "tmdbApiKey", "updatedAt") VALUES (1, 'http://old:8096', 'made-up-secret-1', '2026-01-01T00:00:00.000Z')`

function settingsOf(app: TestApp, table = 'SystemConfig'): Record<string, unknown>[] {
  const database = app.open()
  try {
    return database.prepare(`SELECT * FROM "${table}"`).all() as Record<string, unknown>[]
  } finally {
    database.close()
  }
}

async function startService(): Promise<{ url: string; close(): void }> {
  const service = createServer((request, response) => {
    response.statusCode = request.url === '/System/Info/Public' ? 200 : 404
    response.end('{}')
  })
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
  return { url: `http://localhost:${(service.address() as AddressInfo).port}`, close: () => service.close() }
}

async function signedIn(console: TestConsole): Promise<{ page: Page; faults: string[] }> {
  if (console.code) await console.claim()
  const opened = await openPage(console.url)
  await opened.page.getByLabel('Password', { exact: true }).fill(password)
  await opened.page.getByRole('button', { name: 'Sign in' }).click()
  await opened.page.getByRole('heading', { name: 'How do you want to begin?' }).waitFor()
  return opened
}

async function openSettings(console: TestConsole): Promise<{ page: Page; faults: string[] }> {
  const opened = await signedIn(console)
  await console.call('POST', '/api/finish-setup', {})
  await opened.page.reload()
  await heading(opened.page, 'test-app is up')
  await opened.page.getByRole('link', { name: 'Settings' }).click()
  await heading(opened.page, 'Settings')
  return opened
}

const button = (page: Page, name: string) => page.getByRole('button', { name })
const field = (page: Page, name: string) => page.getByLabel(name, { exact: true })

test('a fresh install is set up by the keyboard alone', async () => {
  const app = await mediaApp()
  const service = await startService()
  const console = await openTestConsole(app)
  const { page, faults } = await openPage(`${console.url}/#${console.code}`)
  await heading(page, 'Welcome to test-app')
  await tabTo(page, 'New password')
  await page.keyboard.type(password)
  await page.keyboard.press('Enter')
  await heading(page, 'How do you want to begin?')
  await tabTo(page, 'Start afresh')
  await page.keyboard.press('Enter')
  await heading(page, 'Set up test-app')
  await field(page, 'Jellyfin URL').waitFor()
  await inspectState(page, 'settings-fresh')

  await page.locator('h1').focus()
  await tabTo(page, 'Jellyfin URL')
  await page.keyboard.type(service.url)
  await tabTo(page, 'Test the connection to Jellyfin URL')
  await page.keyboard.press('Enter')
  await page.getByText('Reached: the service answers (200).').waitFor()
  await tabTo(page, 'Jellyseerr URL')
  await page.keyboard.type('jellyseerr:5055')
  await tabTo(page, 'TMDB API key')
  await page.keyboard.type('typed-secret')
  expect(await field(page, 'TMDB API key').getAttribute('type')).toBe('password')
  await tabTo(page, 'Show TMDB API key')
  await page.keyboard.press('Enter')
  expect(await field(page, 'TMDB API key').getAttribute('type')).toBe('text')
  expect(await button(page, 'Hide TMDB API key').getAttribute('aria-pressed')).toBe('true')
  await tabTo(page, 'AI model')
  await page.keyboard.press('Control+A')
  await page.keyboard.press('Delete')
  await tabTo(page, 'Configured')
  await page.keyboard.press('Space')
  await tabTo(page, 'Save and finish')
  await page.keyboard.press('Enter')
  await page.getByText('Nothing was saved. 2 fields need another look.').waitFor()
  // The first wrong field has the focus, and its message is read with it.
  const focused = await page.evaluate(() => ({
    label: (document.activeElement as HTMLInputElement).labels![0]!.textContent,
    told: document.getElementById(document.activeElement!.getAttribute('aria-describedby')!)!.textContent,
  }))
  expect(focused).toEqual({ label: 'Jellyseerr URL', told: 'Type an address that begins with http:// or https://.' })
  expect(settingsOf(app)).toEqual([])
  await inspectState(page, 'settings-problem')

  await page.locator('h1').focus()
  await tabTo(page, 'Jellyseerr URL')
  await page.keyboard.press('Control+A')
  await page.keyboard.press('Delete')
  await tabTo(page, 'AI model')
  await page.keyboard.type('my-model')
  await page.keyboard.press('Enter')
  await heading(page, 'test-app is set up')
  await inspectState(page, 'settings-finished')
  expect(settingsOf(app)).toMatchObject([
    {
      ...{ id: 1, jellyfinUrl: service.url, jellyseerrUrl: null, tmdbApiKey: 'typed-secret', geminiApiKey: null },
      ...{ aiProvider: 'google', aiModel: 'my-model', isConfigured: 1 },
    },
  ])
  await page.locator('h1').focus()
  await tabTo(page, 'To the first page')
  await page.keyboard.press('Enter')
  await heading(page, 'test-app is up')
  await page.getByRole('link', { name: 'Settings' }).waitFor()
  expect(faults).toEqual([])
  await console.stop()
  service.close()
}, 240_000)

test('it can be passed by; a schema without settings is not asked for any', async () => {
  const app = await mediaApp()
  const console = await openTestConsole(app)
  const { page } = await signedIn(console)
  await page.getByRole('link', { name: 'Start afresh' }).click()
  await heading(page, 'Set up test-app')
  await button(page, 'Skip this for now').click()
  await heading(page, 'test-app is up')
  expect(settingsOf(app)).toEqual([])
  await page.reload()
  await heading(page, 'test-app is up')
  await console.stop()

  const plain = await openTestConsole(makeApp())
  const { page: other } = await signedIn(plain)
  await button(other, 'Start afresh').click()
  await heading(other, 'test-app is up')
  expect(await other.getByRole('link', { name: 'Settings' }).count()).toBe(0)
  await plain.stop()
}, 120_000)

test('settings that are there: tests that fail, a secret, another tab, a database without the table', async () => {
  const app = await mediaApp(row)
  const console = await openTestConsole(app)
  const { page, faults } = await openSettings(console)
  await field(page, 'Jellyfin URL').waitFor()
  expect(await page.content()).not.toContain('made-up-secret')
  await inspectState(page, 'settings')

  await field(page, 'Jellyfin URL').fill('http://localhost:9')
  await button(page, 'Test the connection to Jellyfin URL').click()
  await page.getByText('Nothing listens at localhost:9.').waitFor()
  await button(page, 'Test the connection to Jellyseerr URL').click()
  await page.getByText('Type the address first.').waitFor()
  const secret = field(page, 'TMDB API key')
  await button(page, 'Show TMDB API key').click()
  await expect.poll(() => secret.inputValue()).toBe('made-up-secret-1')
  await inspectState(page, 'settings-tested')
  // Emptied is not removed.
  await secret.fill('')
  await page.getByText('Left empty, it stays as it is.').waitFor()
  await button(page, 'Save').click()
  await page.getByText('Saved: Jellyfin URL.').waitFor()
  expect(settingsOf(app)).toMatchObject([{ jellyfinUrl: 'http://localhost:9', tmdbApiKey: 'made-up-secret-1' }])
  expect(await page.content()).not.toContain('made-up-secret')
  await inspectState(page, 'settings-saved')
  await button(page, 'Save').click()
  await page.getByText('There was nothing to save').waitFor()
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Save')

  // What is typed and not saved is not left without a question.
  await field(page, 'AI model').fill('half-typed')
  const leave = async (answer: 'accept' | 'dismiss') => {
    const [dialog] = await Promise.all([
      page.waitForEvent('dialog').then(async (asked) => {
        await asked[answer]()
        return asked
      }),
      page.getByRole('link', { name: 'Backups' }).click(),
    ])
    return dialog.message()
  }
  expect(await leave('dismiss')).toContain('What you have typed is not saved.')
  expect(page.url()).toContain('#/settings')
  expect(await field(page, 'AI model').inputValue()).toBe('half-typed')
  await leave('accept')
  await heading(page, 'Backups')
  await page.getByRole('link', { name: 'Settings' }).click()
  await heading(page, 'Settings')
  expect(await field(page, 'AI model').inputValue()).toBe('gemini-2.5-flash-lite')

  // A second tab changes them while the first one types.
  const second = await page.context().newPage()
  await second.goto(page.url())
  await heading(second, 'Settings')
  await field(second, 'AI provider').fill('openrouter')
  await field(page, 'AI model').fill('my-model')
  await button(second, 'Save').click()
  await second.getByText('Saved: AI provider.').waitFor()
  await button(page, 'Save').click()
  await page.getByText('The settings were changed elsewhere since this page read them.').waitFor()
  await inspectState(page, 'settings-changed')
  expect(settingsOf(app)).toMatchObject([{ aiProvider: 'openrouter', aiModel: 'gemini-2.5-flash-lite' }])
  await button(page, 'Read them again').click()
  await page.getByText('Changed elsewhere: AI provider (now “openrouter”).').waitFor()
  expect(await field(page, 'AI provider').inputValue()).toBe('openrouter')
  expect(await field(page, 'AI model').inputValue()).toBe('my-model')
  await inspectState(page, 'settings-read-again')
  await button(page, 'Remove TMDB API key').click()
  await page.getByText('It is removed when you save.').waitFor()
  await inspectState(page, 'settings-remove')
  await button(page, 'Keep TMDB API key').click()
  await button(page, 'Remove TMDB API key').click()
  await button(page, 'Save').click()
  await page.getByText('Saved: TMDB API key, AI model.').waitFor()
  expect(settingsOf(app)).toMatchObject([{ aiProvider: 'openrouter', aiModel: 'my-model', tmdbApiKey: null }])
  await second.close()

  const database = app.open()
  database.exec('ALTER TABLE "SystemConfig" RENAME TO "Elsewhere"')
  await page.reload()
  await page.getByText('The database has no table "SystemConfig"').waitFor()
  await inspectState(page, 'settings-unreadable')
  database.exec('ALTER TABLE "Elsewhere" RENAME TO "SystemConfig"')
  database.close()
  await button(page, 'Try again').click()
  await field(page, 'Jellyfin URL').waitFor()
  await console.stop()
  await button(page, 'Test the connection to Jellyfin URL').click()
  await page.getByText('The server does not answer.').waitFor()
  expect(faults).toEqual([])
}, 300_000)

test('what is in a file: its settings, with a secret only when it is asked for', async () => {
  const app = await mediaApp()
  const console = await openTestConsole(app)
  const { page, faults } = await signedIn(console)
  await page.goto(`${console.url}/#/restore`)
  await heading(page, 'Bring your data back')
  await page.locator('#file').setInputFiles(golden('multi-user-2.4.1'))
  await heading(page, 'This is in the file')
  const table = page.getByRole('region', { name: 'Settings in the file' })
  await table.getByText('http://jellyfin:8096').waitFor()
  expect(await page.content()).not.toContain('made-up-key')
  await inspectState(page, 'contents-settings')
  await button(page, 'Show Openrouter API key').click()
  await table.getByText('made-up-key-3').waitFor()
  await button(page, 'Hide Openrouter API key').click()
  expect(await page.content()).not.toContain('made-up-key')
  // A file that is gone meanwhile.
  await console.call('DELETE', `/api/uploads/${await uploadOf(page, console)}`)
  await button(page, 'Show Openrouter API key').click()
  await table.getByText('Choose the file again.').waitFor()
  expect(faults).toEqual([])
  await console.stop()
}, 120_000)

async function uploadOf(page: Page, console: TestConsole): Promise<string> {
  const { body } = await console.call('GET', `/api/operations/${page.url().split('/').at(-1)}`)
  return body.request.source.upload
}

const everything = `
enum Level {
  LOW
  HIGH
}
/// How the app looks.
/// @config
model Appearance {
  id       Int      @id @default(1)
  title    String
  /// May be left open.
  isDark   Boolean?
  level    Level    @default(LOW)
  accent   Level?
  /// @secret
  token    String
}
/// When it works.
/// @config
model Schedule {
  id       Int       @id @default(1)
  since    DateTime?
  every    Int       @default(60)
  factor   Float?
  limit    Decimal?
  total    BigInt?
  rules    Json?
  greeting String?
}`

test('every type of field, in two groups: what is typed is what is stored', async () => {
  const app = makeApp(everything)
  expect((await boot(app)).exitCode).toBe(0)
  const database = app.open()
  database.exec(`INSERT INTO "Schedule" (id, greeting, since) VALUES (1, 'two' || char(10) || 'lines', 1700000000000)`)
  database.close()
  const console = await openTestConsole(app)
  const { page, faults } = await openSettings(console)
  await heading(page, 'Settings')
  await page.getByRole('heading', { name: 'Schedule' }).waitFor()
  expect(await field(page, 'Greeting').inputValue()).toBe('two\nlines')
  await inspectState(page, 'settings-types')
  await button(page, 'Save').click()
  await page.getByText('Nothing was saved. 2 fields need another look.').waitFor()
  await field(page, 'Title (required)').fill('Ours')
  await field(page, 'Token (required)').fill('typed-secret')
  await field(page, 'Dark').selectOption({ label: 'yes' })
  await field(page, 'Level').selectOption('HIGH')
  await field(page, 'Since').fill('2026-11-21T18:30')
  await field(page, 'Every').fill('15')
  await field(page, 'Factor').fill('0.5')
  await field(page, 'Limit').fill('12.25')
  await field(page, 'Total').fill('9007199254740993')
  await field(page, 'Rules').fill('{"a": 1')
  await button(page, 'Save').click()
  await page.getByText('This is not JSON.').waitFor()
  expect(settingsOf(app, 'Appearance')).toEqual([])
  await field(page, 'Rules').fill('{"a": 1}')
  await button(page, 'Save').click()
  await page.getByText(/^Saved: /).waitFor()
  expect(settingsOf(app, 'Appearance')).toMatchObject([
    { id: 1, title: 'Ours', isDark: 1, level: 'HIGH', accent: null, token: 'typed-secret' },
  ])
  const [stored] = settingsOf(app, 'Schedule')
  expect(stored).toMatchObject({ every: 15, factor: 0.5, limit: 12.25, rules: '{"a": 1}', greeting: 'two\nlines' })
  const local = await page.evaluate(() => new Date('2026-11-21T18:30').toISOString())
  expect(new Date(String(stored!.since)).toISOString()).toBe(local)
  expect((await console.call('GET', '/api/settings')).body.groups[1].fields[4].value).toBe('9007199254740993')
  // Left empty is nothing.
  await field(page, 'Since').fill('')
  await field(page, 'Factor').fill('')
  await button(page, 'Save').click()
  await page.getByText('Saved: Since, Factor.').waitFor()
  expect(settingsOf(app, 'Schedule')).toMatchObject([{ since: null, factor: null, every: 15 }])
  expect(faults).toEqual([])
  await console.stop()
}, 240_000)
