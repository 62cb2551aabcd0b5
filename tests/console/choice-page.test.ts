/// <reference lib="dom" />
// In a real Chromium: choosing what of a file comes back, and opening an encrypted file.
// Guarantees tested: both go by the keyboard alone; what was chosen is what happens, also after the data changed and the
// plan was looked at again; a wrong passphrase, a damaged file and a restart of the server each end in a clear message
// and an intact database.

import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test as plainTest } from 'vitest'
import { age, ageWithPassphrase, hasAge, makeKeys } from '../age.ts'
import { openTestConsole, password } from '../console.ts'
import { killHard, makeFolder, ops } from '../harness.ts'
import { axeFaults, browserMissing, heading, inspectState, tabTo } from './browser.ts'
import { contents, golden, mediaApp, zoe } from './media-app.ts'
import { choose, confirm, signedIn } from './page-steps.ts'

const test = plainTest.skipIf(browserMissing)
const lockedTest = plainTest.skipIf(browserMissing || !hasAge)

test('some users and the settings, by the keyboard alone; the choice is kept to the end', async () => {
  const app = await mediaApp(zoe)
  const before = contents(app)
  const console = await openTestConsole(app)
  const { page, faults } = await signedIn(console)
  await choose(page, golden('all-users'))
  await heading(page, 'This is in the file')
  await inspectState(page, 'choose')
  await page.locator('h1').focus()
  await tabTo(page, 'Everything')
  await page.keyboard.press('ArrowDown')
  await page.getByText('a part never replaces').waitFor()
  await inspectState(page, 'choose-settings')
  await page.keyboard.press('ArrowDown')
  await page.getByText('0 of 3 chosen').waitFor()
  await tabTo(page, 'See what would change')
  await page.keyboard.press('Enter')
  await page.getByText('Choose one user at least.').waitFor()
  // The focus is where it can be mended.
  expect(await page.evaluate(() => (document.activeElement as HTMLInputElement).name)).toBe('user')
  await inspectState(page, 'choose-nobody')
  await page.locator('h1').focus()
  await tabTo(page, 'All')
  await page.keyboard.press('Enter')
  await page.getByText('3 of 3 chosen').waitFor()
  await tabTo(page, 'None')
  await page.keyboard.press('Enter')
  await tabTo(page, 'john')
  await page.keyboard.press('Space')
  await page.getByText('1 of 3 chosen').waitFor()
  await tabTo(page, 'And the settings')
  await page.keyboard.press('Space')
  await inspectState(page, 'choose-users')
  await page.locator('h1').focus()
  await tabTo(page, 'See what would change')
  await page.keyboard.press('Enter')

  await heading(page, 'This is what would change')
  await page.getByText('Of the file only: the settings, john').waitFor()
  expect(await page.locator('code', { hasText: '--only' }).textContent()).toContain('settings,User:john')
  expect(contents(app)).toEqual(before)
  await inspectState(page, 'plan-part')
  // Looked at again, it is the same choice.
  const database = app.open()
  database.exec(`INSERT INTO "User" (username) VALUES ('john')`)
  database.close()
  await confirm(page)
  await heading(page, 'The restore did not happen')
  await page.getByRole('button', { name: 'Look at the plan again' }).click()
  await heading(page, 'This is what would change')
  await page.getByText('Of the file only: the settings, john').waitFor()
  await confirm(page)
  await heading(page, 'Your data is back')
  await page.getByText('Of the file only: the settings, john').waitFor()
  await inspectState(page, 'result-part')
  const after = contents(app)
  expect(after.User!.map((row) => (row as { username: string }).username).sort()).toEqual(['john', 'zoe'])
  expect(after.SystemConfig).toHaveLength(1)
  for (const table of ['User', 'Media', 'UserMedia'])
    for (const row of before[table]!) expect(after[table]).toContainEqual(row)

  // The settings alone, of a file whose user has no settings: no such choice, and no choice at all for one user.
  await choose(page, golden('multi-user-no-settings'))
  await heading(page, 'This is in the file')
  expect(await page.getByText('The settings only').count()).toBe(0)
  await choose(page, golden('multi-user-2.4.1'))
  await heading(page, 'This is in the file')
  await page.getByLabel('The settings only').check()
  await page.getByRole('button', { name: 'See what would change' }).click()
  await heading(page, 'This is what would change')
  await confirm(page)
  await heading(page, 'Your data is back')
  const { SystemConfig, ...others } = contents(app)
  expect(SystemConfig).toMatchObject([{ aiProvider: 'openrouter' }])
  expect(others).toEqual(Object.fromEntries(Object.entries(after).filter(([name]) => name !== 'SystemConfig')))
  expect(faults).toEqual([])
  await console.stop()
}, 300_000)

test('of a current export with hundreds of users: those beyond the list are typed', async () => {
  const people = Array.from({ length: 260 }, (_, n) => `INSERT INTO "User" (username) VALUES ('user ${n}');`)
  const source = await mediaApp(`${zoe}${people.join('')}`)
  const file = join(makeFolder(), 'many.json')
  await ops(source, 'export', file)
  const app = await mediaApp(zoe)
  const console = await openTestConsole(app)
  const { page, faults } = await signedIn(console)
  await choose(page, file)
  await heading(page, 'This is in the file')
  await page.getByText('200 users of 261').waitFor()
  await page.getByLabel('Chosen users').check()
  await page.getByText('watched: 1').first().waitFor()
  expect(await axeFaults(page)).toEqual([])
  const others = page.getByLabel('Others of the 61 users that are not in this list')
  await others.fill('user 250\nuser 999\n')
  await page.getByRole('button', { name: 'See what would change' }).click()
  await heading(page, 'There is no plan')
  await page.getByText('The file has no User "user 999".').waitFor()
  await page.getByRole('button', { name: 'Choose again' }).click()
  await heading(page, 'This is in the file')
  // What was typed is still there, to be corrected.
  expect(await others.inputValue()).toBe('user 250\nuser 999\n')
  await others.fill('user 250\n  user 251 ')
  await page.getByLabel('user 7', { exact: false }).first().check()
  await page.getByRole('button', { name: 'See what would change' }).click()
  await heading(page, 'This is what would change')
  await confirm(page)
  await heading(page, 'Your data is back')
  expect(contents(app).User!.map((row) => (row as { username: string }).username)).toEqual([
    ...['zoe', 'user 7', 'user 250', 'user 251'],
  ])
  expect(faults).toEqual([])
  await console.stop()
}, 120_000)

lockedTest(
  'an encrypted file: its passphrase, a wrong one, damage, and a server that starts anew',
  async () => {
    const secret = 'correct horse battery staple'
    const other = await mediaApp(zoe.replaceAll('zoe', 'kim'))
    const folder = makeFolder()
    await ops(other, 'export', join(folder, 'export.json'))
    const path = join(folder, 'backup.json.age')
    ageWithPassphrase(secret, '--passphrase', '--output', path, join(folder, 'export.json'))
    const app = await mediaApp(zoe)
    const before = contents(app)
    const PORT = await freePort()
    const console = await openTestConsole(app, { PORT })
    const { page, faults } = await signedIn(console)
    await choose(page, path)
    await heading(page, 'This file is encrypted')
    await inspectState(page, 'unlock')
    await page.locator('h1').focus()
    await tabTo(page, 'Passphrase of the file')
    await page.keyboard.press('Enter')
    await page.getByText('Type the passphrase.').waitFor()
    await page.keyboard.type('correct horse')
    await page.keyboard.press('Enter')
    await page.getByText('This passphrase does not open “backup.json.age”.').waitFor()
    await inspectState(page, 'unlock-wrong')
    await page.locator('h1').focus()
    await tabTo(page, 'Passphrase of the file')
    await page.keyboard.press('Control+A')
    await page.keyboard.type(secret)
    await page.keyboard.press('Enter')
    await heading(page, 'This is in the file')
    // Not what is preselected, for the way back.
    await page.getByRole('radio', { name: 'Merge' }).check()
    await page.getByRole('button', { name: 'See what would change' }).click()
    await heading(page, 'This is what would change')
    expect(contents(app)).toEqual(before)
    await page.getByText('--passphrase-file FILE').waitFor({ state: 'attached' })
    await page.getByRole('link', { name: 'Back', exact: true }).click()
    await heading(page, 'This is in the file')
    expect(await page.getByRole('radio', { name: 'Merge' }).isChecked()).toBe(true)
    await page.getByRole('radio', { name: 'Replace' }).check()
    await page.getByRole('button', { name: 'See what would change' }).click()
    await heading(page, 'This is what would change')

    killHard(console.boot.child)
    await console.boot.ended
    const next = await openTestConsole(app, { PORT })
    await confirm(page)
    await page.getByText('The code of this plan is over').waitFor()
    await page.getByRole('button', { name: 'Look at the plan again' }).click()
    await heading(page, 'This file is encrypted')
    await page.getByText('the server forgets it after a restore').waitFor()
    await inspectState(page, 'unlock-again')
    expect(contents(app)).toEqual(before)
    await page.getByLabel('Passphrase of the file').fill(secret)
    await page.getByRole('button', { name: 'Open the file' }).click()
    await heading(page, 'This is what would change')
    await confirm(page)
    await heading(page, 'Your data is back')
    expect(contents(app).User).toMatchObject([{ username: 'kim' }])
    const after = contents(app)

    // For a key: the field asks for that.
    const { recipient, identity } = makeKeys()
    const keyed = join(folder, 'keyed.json.age')
    age('--encrypt', '--recipient', recipient, '--output', keyed, golden('multi-user-2.4.1'))
    await choose(page, keyed)
    await heading(page, 'This file is encrypted')
    await inspectState(page, 'unlock-key')
    await page.getByLabel('Secret key').fill(makeKeys().identity)
    await page.getByRole('button', { name: 'Open the file' }).click()
    await page.getByText('This key is none of those that can open').waitFor()
    await page.getByLabel('Secret key').fill(identity)
    await page.getByRole('button', { name: 'Open the file' }).click()
    await heading(page, 'This is in the file')
    // Who signs out takes the key along: a secret of the file needs it again.
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('Password', { exact: true }).fill(password)
    await page.keyboard.press('Enter')
    await page.getByRole('button', { name: 'Show Openrouter API key' }).click()
    await page.getByRole('button', { name: 'Open the file again' }).click()
    await heading(page, 'This file is encrypted')

    // Cut short: the passphrase does open its beginning.
    writeFileSync(
      join(folder, 'long.json'),
      `${readFileSync(golden('multi-user-2.4.1'), 'utf8')}${' '.repeat(200_000)}`,
    )
    const cut = join(folder, 'cut.json.age')
    ageWithPassphrase(secret, '--passphrase', '--output', cut, join(folder, 'long.json'))
    truncateSync(cut, statSync(cut).size - 500)
    await choose(page, cut)
    await heading(page, 'This file is encrypted')
    await page.getByLabel('Passphrase of the file').fill(secret)
    await page.getByRole('button', { name: 'Open the file' }).click()
    await heading(page, 'This file cannot be restored')
    await page.getByText('it is damaged, or was cut short').waitFor()
    await inspectState(page, 'unlock-damaged')
    expect(contents(app)).toEqual(after)
    expect(faults).toEqual([])
    await next.stop()
  },
  300_000,
)

async function freePort(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return String(port)
}
