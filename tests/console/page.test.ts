/// <reference lib="dom" />
// The console's page in a real Chromium: the whole way of a restore, what goes wrong on it, and how it looks.
// Guarantees tested: the wizard goes by the keyboard alone; every state passes axe, light and dark, down to 320 px and in
// forced colours; each failure ends in a clear message and an intact database.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Route } from 'playwright-core'
import { expect, test as plainTest } from 'vitest'
import { openTestConsole, password } from '../console.ts'
import { killHard, makeFolder, poll } from '../harness.ts'
import { axeFaults, browserMissing, heading, inspectState, openPage, tabTo } from './browser.ts'
import { contents, golden, mediaApp, zoe } from './media-app.ts'
import { choose, confirm, freePort, large, signedIn } from './page-steps.ts'

const test = plainTest.skipIf(browserMissing)

test('from the link in the log to the restore and back, by the keyboard alone; every state as it should look', async () => {
  const app = await mediaApp(zoe)
  const before = contents(app)
  const console = await openTestConsole(app)
  const { page, faults } = await openPage(`${console.url}/#${console.code}`)
  await heading(page, 'Welcome to test-app')
  // The code is in the field, and no longer in the address.
  expect(page.url()).toBe(`${console.url}/`)
  expect(await page.getByLabel('Setup code').inputValue()).toBe(console.code)
  await inspectState(page, 'setup')
  await page.locator('h1').focus()
  await tabTo(page, 'New password')
  await page.keyboard.type('short')
  await page.keyboard.press('Enter')
  await page.getByText('Take at least 10 characters.').waitFor()
  await inspectState(page, 'setup-problem')
  await page.locator('h1').focus()
  await tabTo(page, 'New password')
  await page.keyboard.press('Control+A')
  await page.keyboard.type(password)
  await page.keyboard.press('Enter')

  await heading(page, 'How do you want to begin?')
  await inspectState(page, 'welcome')
  await page.locator('h1').focus()
  await tabTo(page, 'Bring data back')
  await page.keyboard.press('Enter')

  await heading(page, 'Bring your data back')
  await inspectState(page, 'file')
  await page.locator('h1').focus()
  const chooser = page.waitForEvent('filechooser', { timeout: 60_000 })
  await tabTo(page, 'Choose a file')
  await page.keyboard.press('Enter')
  await (await chooser).setFiles(golden('multi-user-2.4.1'))

  await heading(page, 'This is in the file')
  await page.getByText('multi-user-2.4.1.json').waitFor()
  await inspectState(page, 'contents')
  await page.locator('h1').focus()
  await tabTo(page, 'See what would change')
  await page.keyboard.press('Enter')

  await heading(page, 'This is what would change')
  expect(contents(app)).toEqual(before)
  await inspectState(page, 'plan')
  const code = await page.locator('form .stem').innerText()
  await page.locator('h1').focus()
  await tabTo(page, 'Type the code to confirm')
  await page.keyboard.type('WRO-NGG')
  await page.keyboard.press('Enter')
  await page.getByText(`This is not the code. It is ${code}.`).waitFor()
  await inspectState(page, 'plan-wrong-code')
  expect(contents(app)).toEqual(before)
  await page.locator('h1').focus()
  await tabTo(page, 'Type the code to confirm')
  await page.keyboard.press('Control+A')
  await page.keyboard.type(code.toLowerCase())
  await page.keyboard.press('Enter')

  await heading(page, 'Your data is back')
  const after = contents(app)
  expect(after).not.toEqual(before)
  await inspectState(page, 'result')
  // A reload shows the same.
  await page.reload()
  await heading(page, 'Your data is back')
  await page.locator('h1').focus()
  await tabTo(page, 'Undo this restore')
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await inspectState(page, 'undo')
  await tabTo(page, 'Undo the restore')
  await page.keyboard.press('Enter')
  await heading(page, 'The restore is undone')
  expect(contents(app)).toEqual(before)
  await inspectState(page, 'undone')
  await page.locator('h1').focus()
  await tabTo(page, 'Done')
  await page.keyboard.press('Enter')
  await heading(page, 'test-app is up')
  await page.getByText('just now').first().waitFor()
  await inspectState(page, 'status')
  await page.goto(`${console.url}/#/backups`)
  await heading(page, 'Backups')
  await page.getByText('last good start').first().waitFor()
  await inspectState(page, 'backups')
  await page.getByRole('button', { name: 'Take a backup now' }).click()
  await heading(page, 'The backup is made')
  await inspectState(page, 'backup-made')
  await page.getByRole('button', { name: 'Sign out' }).click()
  await heading(page, 'Sign in to test-app')
  await inspectState(page, 'sign-in')
  await page.getByLabel('Password', { exact: true }).fill('not the password')
  await page.keyboard.press('Enter')
  await page.getByRole('alert').waitFor()
  await inspectState(page, 'sign-in-refused')
  expect(faults).toEqual([])

  // axe does find what is wrong: a planted fault.
  await page.evaluate(() => document.querySelector('main')!.append(document.createElement('input')))
  expect((await axeFaults(page)).join()).toContain('label')
  await console.stop()
}, 400_000)

test('a file without a user asks whose it is; wrong and damaged files say so; nothing is changed', async () => {
  const app = await mediaApp(zoe)
  const before = contents(app)
  const console = await openTestConsole(app, { UPLOAD_LIMIT_MB: '1' })
  const { page, faults } = await signedIn(console)
  await choose(page, golden('payload-flat'))
  await heading(page, 'This is in the file')
  await page.getByRole('button', { name: 'See what would change' }).click()
  await page.getByText('Say whose data this is: the file does not.').waitFor()
  await inspectState(page, 'contents-whose')
  await page.getByLabel('Whose data is this?').fill('kim')
  await page.getByRole('button', { name: 'See what would change' }).click()
  await heading(page, 'This is what would change')
  await page
    .getByText('kept under their title')
    .first()
    .waitFor({ timeout: 1_000 })
    .catch(() => undefined)

  const folder = makeFolder()
  writeFileSync(join(folder, 'holiday.json'), '{"photos": [1, 2, 3]}')
  await choose(page, join(folder, 'holiday.json'))
  await heading(page, 'This file cannot be restored')
  await page.getByText('no known format looks like that').waitFor()
  await inspectState(page, 'wrong-file')
  writeFileSync(join(folder, 'cut.json'), readFileSync(golden('multi-user-2.4.1')).subarray(0, 500))
  await choose(page, join(folder, 'cut.json'))
  await page.getByText('“cut.json” is not JSON').waitFor()
  await inspectState(page, 'truncated-file')
  writeFileSync(join(folder, 'big.json'), Buffer.alloc(1_000_001))
  await choose(page, join(folder, 'big.json'))
  await page.getByText('more than the 1.0 MB that are taken here').waitFor()
  await inspectState(page, 'too-large')
  writeFileSync(join(folder, 'empty.json'), '')
  await choose(page, join(folder, 'empty.json'))
  await page.getByText('empty.json is empty').waitFor()

  // An upload that is under way, and that is cut off.
  let held: Route | undefined
  await page.route('**/api/uploads', (route) => {
    held = route
  })
  await choose(page, golden('multi-user-2.4.1'))
  await page.getByRole('button', { name: 'Cancel the upload' }).waitFor()
  await inspectState(page, 'uploading')
  await held!.abort('connectionreset')
  await page.getByText('The connection was lost before the whole file had arrived.').waitFor()
  await inspectState(page, 'upload-cut-off')
  await page.unroute('**/api/uploads')

  // The same file, dropped.
  await page.locator('.drop').evaluate(
    (zone, text) => {
      const files = new DataTransfer()
      files.items.add(new File([text], 'dropped.json'))
      zone.dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }))
    },
    readFileSync(golden('multi-user-2.4.1'), 'utf8'),
  )
  await heading(page, 'This is in the file')
  await page.getByText('dropped.json').waitFor()
  await page.goto(`${console.url}/#/restore/inspect-no-such`)
  await heading(page, 'This cannot be shown')
  await inspectState(page, 'unknown')
  expect(contents(app)).toEqual(before)
  expect(faults).toEqual([])
  await console.stop()
}, 300_000)

test('a session that is over keeps the choices; two tabs; data that changed; a server that goes and comes back', async () => {
  const app = await mediaApp(zoe)
  const PORT = await freePort()
  const console = await openTestConsole(app, { PORT })
  const { page, faults } = await signedIn(console)
  await choose(page, golden('multi-user-2.4.1'))
  await heading(page, 'This is in the file')
  await page.getByLabel('Merge').check()

  // Another page ends the session.
  await page.evaluate(async () => {
    const token = localStorage.getItem('bootkeeper-token')!
    const headers = { 'content-type': 'application/json', 'x-bootkeeper-token': token }
    await fetch('/api/sign-out', { method: 'POST', headers, body: '{}' })
  })
  await page.getByRole('button', { name: 'See what would change' }).click()
  await heading(page, 'Sign in again')
  await inspectState(page, 'sign-in-again')
  await page.getByLabel('Password', { exact: true }).fill(password)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'This is in the file' }).waitFor()
  expect(await page.getByLabel('Merge').isChecked()).toBe(true)
  await page.getByRole('button', { name: 'See what would change' }).click()
  await heading(page, 'This is what would change')

  // A second tab with the same plan is faster.
  const second = await page.context().newPage()
  await second.goto(page.url())
  await heading(second, 'This is what would change')
  await confirm(second)
  await heading(second, 'Your data is back')
  await confirm(page)
  await page.getByText('This plan was carried out already, perhaps in another tab.').waitFor()
  await inspectState(page, 'plan-over')
  await page.getByRole('button', { name: 'Look at the plan again' }).click()
  await page.getByText('Nothing. The data is already what the file says.').waitFor()
  await inspectState(page, 'plan-nothing')
  await second.close()

  // The server dies in the middle of a restore, and comes back on the same port.
  const before = contents(app)
  const path = large(60_000)
  await choose(page, path)
  await heading(page, 'This is in the file')
  await page.getByRole('button', { name: 'See what would change' }).click()
  await heading(page, 'This is what would change')
  await confirm(page)
  await heading(page, 'Bringing your data back')
  const record = join(app.dir, `data/.bootkeeper/console/operations/${page.url().split('/').at(-1)}.json`)
  await poll(() => JSON.parse(readFileSync(record, 'utf8')).steps[2].state === 'running', 'the last step')
  killHard(console.boot.child)
  await page.getByText('The connection is lost.').waitFor()
  await inspectState(page, 'connection-lost')
  await console.boot.ended
  const next = await openTestConsole(app, { PORT })
  await heading(page, 'The restore was interrupted')
  await inspectState(page, 'interrupted')
  const isBefore = JSON.stringify(contents(app)) === JSON.stringify(before)
  await page.getByRole('button', { name: 'Look at the plan again' }).click()
  await heading(page, 'This is what would change')
  if (isBefore) {
    await confirm(page)
    await heading(page, 'Your data is back')
  } else await page.getByText('Nothing. The data is already').waitFor()
  expect(contents(app).User).toHaveLength(1)
  expect(faults).toEqual([])
  await next.stop()
}, 300_000)
