// What every test of the console's page does on its way: sign in, choose a file, confirm a plan.

import type { Page } from 'playwright-core'
import { password, type TestConsole } from '../console.ts'
import { heading, openPage } from './browser.ts'

export async function signedInPage(console: TestConsole): Promise<{ page: Page; faults: string[] }> {
  if (console.code) await console.claim()
  const opened = await openPage(console.url)
  await opened.page.getByLabel('Password', { exact: true }).fill(password)
  await opened.page.getByRole('button', { name: 'Sign in' }).click()
  await heading(opened.page, 'How do you want to begin?')
  return opened
}

export async function chooseFile(page: Page, path: string): Promise<void> {
  await page.goto(`${new URL(page.url()).origin}/#/restore`)
  await heading(page, 'Bring your data back')
  await page.locator('#file').setInputFiles(path)
}

export async function confirmPlan(page: Page): Promise<void> {
  const code = await page.locator('form .stem').innerText()
  await page.getByLabel('Type the code to confirm').fill(code)
  await page.getByRole('button', { name: 'Restore now' }).click()
}
