/// <reference lib="dom" />
// The backups and the failed boot on the console's page, in a real Chromium, and a server that is restarted in the middle.
// Guarantees tested: every state passes axe and looks as in the documentation; nothing goes before a dialog has named it;
// whatever is cut off ends in a clear message and an intact database.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Route } from 'playwright-core'
import { expect, test as plainTest } from 'vitest'
import { openTestConsole, password } from '../console.ts'
import { boot, killHard, poll } from '../harness.ts'
import { browserMissing, heading, inspectState, openPage, tabTo } from './browser.ts'
import { contents, golden, mediaApp, zoe } from './media-app.ts'
import { choose, confirm, freePort, large, signedIn } from './page-steps.ts'

const test = plainTest.skipIf(browserMissing)

test('backups: verified, drilled, pinned, deleted, damaged, none, out of reach; a raw copy looked into', async () => {
  const app = await mediaApp(zoe)
  const console = await openTestConsole(app)
  const { page, faults } = await signedIn(console)
  const [first, second] = [await taken(), await taken()]
  const of = (button: string, stem: string) => page.getByRole('button', { name: `${button} ${stem}`, exact: true })
  const toList = async () => {
    await page.goto(`${console.url}/#/backups`)
    await heading(page, 'Backups')
    await page.locator('.backups li').first().waitFor()
  }

  await page.goto(`${console.url}/#/backups`)
  await of('Verify', first).click()
  await heading(page, 'The backup is good')
  await inspectState(page, 'verified')
  await toList()
  await of('Verify with a drill', first).click()
  await heading(page, 'The backup can be restored')
  await inspectState(page, 'drilled')
  await toList()
  await of('Pin', first).click()
  await page.getByText(`${first} is kept for good, until it is unpinned.`).waitFor()
  expect(await of('Delete …', first).count()).toBe(0)
  await page.getByText('It cannot be deleted: pinned.').waitFor()
  await inspectState(page, 'backups-pinned')
  await of('Unpin', first).click()
  await page.getByText(`${first} is kept as the policies say.`).waitFor()

  // By the keyboard alone, first to keep it.
  const files = app.files()
  await of('Delete …', first).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').getByText(first).waitFor()
  await inspectState(page, 'delete')
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  expect(app.files()).toEqual(files)
  await of('Delete …', first).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await tabTo(page, 'Delete the backup')
  await page.keyboard.press('Enter')
  await page.getByText(`${first} was removed.`).waitFor()
  expect(app.files().filter((name) => name.startsWith(`${first}.`))).toEqual([])
  expect(await of('Delete …', second).count()).toBe(0)
  await inspectState(page, 'deleted')

  const path = join(app.backups, `${second}.json`)
  writeFileSync(path, readFileSync(path, 'utf8').replace('Star Wars', 'Star Wors'))
  await of('Verify', second).click()
  await heading(page, 'This backup did not pass')
  await inspectState(page, 'verify-failed')
  await page.getByRole('link', { name: 'To the backups' }).click()
  await page.getByText('damaged', { exact: true }).waitFor()
  writeFileSync(join(app.backups, 'backup_2026-01-01T00-00-00Z.manifest.json'), '{}')
  await page.reload()
  await page.getByText('1 more that is no backup').click()
  await inspectState(page, 'backups-damaged')

  // What a restore backs up first has no export: it is looked into all the same.
  await choose(page, golden('multi-user-2.4.1'))
  await heading(page, 'This is in the file')
  await page.getByRole('button', { name: 'See what would change' }).click()
  await heading(page, 'This is what would change')
  const before = contents(app)
  await confirm(page)
  await heading(page, 'Your data is back')
  const kept = await page.locator('.note .stem').innerText()
  await toList()
  await page.getByText('raw copy only').first().waitFor()
  await of('Look inside and restore', kept).click()
  await heading(page, 'This is in the file')
  await inspectState(page, 'contents-copy')
  // Once the setup is over, a file is added unless somebody says otherwise.
  expect(await page.getByLabel('Merge').isChecked()).toBe(true)
  await page.getByLabel('Replace').check()
  await page.getByRole('button', { name: 'See what would change' }).click()
  await heading(page, 'This is what would change')
  await confirm(page)
  await heading(page, 'Your data is back')
  expect(contents(app)).toEqual(before)

  // While the list is read; when it cannot be read; when there is nothing.
  let held: Route | undefined
  await page.route('**/api/backups?*', (route) => {
    held = route
  })
  await page.goto(`${console.url}/#/backups`)
  await page.getByText('Reading the list …').waitFor()
  await inspectState(page, 'backups-loading')
  await held!.abort('connectionrefused')
  await page.getByText('The server does not answer.').waitFor()
  await inspectState(page, 'backups-unreachable')
  await page.unroute('**/api/backups?*')
  for (const name of app.files()) rmSync(join(app.backups, name))
  await page.getByRole('button', { name: 'Try again' }).click()
  await page.getByText('There is no backup yet.').waitFor()
  await inspectState(page, 'backups-empty')
  expect(faults).toEqual([])
  await console.stop()

  async function taken(): Promise<string> {
    return (await console.operate<'backup'>({ kind: 'backup' })).result!.stem
  }
}, 400_000)

test('a boot that failed: signed in from its page, a backup put back by the keyboard, started again', async () => {
  const app = await mediaApp(zoe)
  expect((await boot(app)).exitCode).toBe(0)
  const before = contents(app)
  for (const ending of ['', '-wal', '-shm']) rmSync(app.database + ending, { force: true })
  const PORT = await freePort()
  const console = await openTestConsole(app, { PORT, ON_BOOT_FAILURE: 'maintenance' })
  const { page, faults } = await openPage(`${console.url}/#${console.code}`)
  await heading(page, 'Welcome to test-app')
  await page.getByText('test-app did not start.').waitFor()
  await inspectState(page, 'failed-setup')
  await page.getByLabel('New password').fill(password)
  await page.keyboard.press('Enter')
  await heading(page, 'test-app did not start')
  await page.getByRole('alert').getByText('There is no database at').waitFor()
  await inspectState(page, 'failed')
  await page.locator('h1').focus()
  await tabTo(page, 'Put back the backup that is advised')
  await page.keyboard.press('Enter')
  await heading(page, 'This backup would be put back')
  await tabTo(page, 'Back')
  await page.keyboard.press('Enter')
  await heading(page, 'Backups')
  await page.locator('.backups li').first().waitFor()
  await inspectState(page, 'failed-backups')
  await page.locator('h1').focus()
  await tabTo(page, 'Put this backup back')
  await page.keyboard.press('Enter')
  await heading(page, 'This backup would be put back')
  await inspectState(page, 'put-back')
  const code = await page.locator('form .stem').innerText()
  await page.locator('h1').focus()
  await tabTo(page, 'Type the code to confirm')
  await page.keyboard.type(code)
  await page.keyboard.press('Enter')
  await heading(page, 'The backup is back')
  expect(contents(app)).toEqual(before)
  await inspectState(page, 'put-back-done')
  await page.getByRole('link', { name: 'Status' }).click()
  await heading(page, 'Data is back')
  await inspectState(page, 'failed-mended')
  await page.getByRole('button', { name: 'Sign out' }).click()
  await heading(page, 'Sign in to test-app')
  await inspectState(page, 'failed-sign-in')
  await page.getByLabel('Password', { exact: true }).fill(password)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Start test-app again' }).click()
  await heading(page, 'test-app is up')
  expect(contents(app)).toEqual(before)
  expect(faults).toEqual([])
  await console.stop()
}, 300_000)

test('the server is killed in the middle of an upload, and of a plan: each says so, and goes again', async () => {
  const app = await mediaApp(zoe)
  const before = contents(app)
  const PORT = await freePort()
  let console = await openTestConsole(app, { PORT })
  const { page, faults } = await signedIn(console)
  const restart = async () => {
    killHard(console.boot.child)
    await console.boot.ended
    console = await openTestConsole(app, { PORT })
  }

  const line = await page.context().newCDPSession(page)
  const slow = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 400_000 }
  await line.send('Network.enable')
  await line.send('Network.emulateNetworkConditions', slow)
  const file = large(150_000)
  await choose(page, file)
  const uploads = join(app.dir, 'data/.bootkeeper/console/uploads')
  await poll(() => readdirSync(uploads).some((name) => name.includes('.partial')), 'the upload to begin')
  await restart()
  await page.getByText('The connection was lost before the whole file had arrived.').waitFor()
  await line.send('Network.emulateNetworkConditions', { ...slow, uploadThroughput: -1 })
  await choose(page, file)
  await heading(page, 'This is in the file')
  expect(readdirSync(uploads).filter((name) => name.includes('.partial'))).toEqual([])

  await page.getByRole('button', { name: 'See what would change' }).click()
  await heading(page, 'Working out what would change')
  await restart()
  // A second tab sees the same.
  const second = await page.context().newPage()
  await second.goto(page.url())
  for (const tab of [page, second]) {
    await heading(tab, 'There is no plan')
    await tab.getByText('The server stopped while this ran.').waitFor()
    await tab.getByText('Nothing was changed.').waitFor()
  }
  await inspectState(page, 'plan-interrupted')
  await second.close()
  expect(contents(app)).toEqual(before)
  await page.getByRole('button', { name: 'Try again' }).click()
  await heading(page, 'This is what would change')
  expect(contents(app)).toEqual(before)
  expect(faults).toEqual([])
  await console.stop()
}, 300_000)
