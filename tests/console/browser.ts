/// <reference lib="dom" />
// A real Chromium for the tests of the console's page, with what every page has to pass.
// Guarantees: a script error or a breach of the content security policy fails the test that met it.

import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, expect } from 'vitest'
import { root } from '../harness.ts'

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
)

/** Why the tests of the page cannot run here. */
export const browserMissing = executablePath ? undefined : 'no Chromium: apt-get install chromium'
if (browserMissing && process.env.CI) throw new Error(`A browser is needed in CI: ${browserMissing}.`)
if (browserMissing) console.warn(`\n*** SKIPPED: every test of the console's page (${browserMissing}) ***\n`)

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** `SCREENSHOTS=1` writes one light and one dark of each state into the documentation; `SCREENSHOTS=DIR` writes all there. */
const wanted = process.env.SCREENSHOTS
const pictures = wanted === '1' ? join(root, 'docs/images/wizard') : wanted
const documented = ['light-1280', 'dark-375']

let browser: Promise<Browser> | undefined
const contexts: BrowserContext[] = []

afterAll(async () => {
  await (await browser)?.close()
})

export async function openPage(url: string): Promise<{ page: Page; faults: string[] }> {
  const args = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ]
  browser ??= chromium.launch({ executablePath: executablePath!, args })
  const context = await (await browser).newContext({
    viewport: { width: 1280, height: 860 },
    reducedMotion: 'reduce',
    bypassCSP: false,
  })
  contexts.push(context)
  const page = await context.newPage()
  const faults: string[] = []
  page.on('pageerror', (error) => faults.push(String(error)))
  page.on('console', (message) => {
    // An answer of 4xx is an error to the browser, not to us.
    if (message.type() === 'error' && !/Failed to load resource|net::ERR/.test(message.text()))
      faults.push(message.text())
  })
  await page.goto(url)
  return { page, faults }
}

type Rules = 'all' | 'colours'

/** Serious faults of the page as it is, by axe. */
export async function axeFaults(page: Page, rules: Rules = 'all'): Promise<string[]> {
  // By the protocol, which the page's own policy does not forbid.
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe)
  return await page.evaluate(
    async (runOnly) => {
      const { axe } = window as unknown as { axe: Axe }
      const { violations } = await axe.run(document, { runOnly })
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`)
    },
    rules === 'all' ? ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] : ['color-contrast'],
  )
}

interface Axe {
  run(context: Document, options: object): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>
}

/**
 * A state, light and dark, wide and on a phone: each without a fault by axe and without a sideways scroll. Where a view
 * differs from one that was looked at by its colours alone, the rules about these are asked.
 */
export async function inspectState(page: Page, name: string): Promise<void> {
  if (pictures) mkdirSync(pictures, { recursive: true })
  for (const [scheme, width, rules] of [
    ['light', 1280, 'all'],
    ['dark', 1280, 'colours'],
    ['dark', 375, 'all'],
    ['light', 375, 'colours'],
    ['light', 320, 'all'],
  ] as const) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' })
    await page.setViewportSize({ width, height: width > 1000 ? 860 : 780 })
    expect([name, scheme, width, await axeFaults(page, rules)]).toEqual([name, scheme, width, []])
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    )
    expect([name, width, overflow]).toEqual([name, width, 0])
    const view = `${scheme}-${width}`
    if (pictures && (wanted !== '1' || documented.includes(view)))
      await page.screenshot({ path: join(pictures, `${name}-${view}.png`), fullPage: true })
  }
  await page.emulateMedia({ colorScheme: 'light', forcedColors: 'active', reducedMotion: 'reduce' })
  expect([name, 'forced colours', await axeFaults(page, 'colours')]).toEqual([name, 'forced colours', []])
  await page.emulateMedia({ colorScheme: 'light', forcedColors: 'none', reducedMotion: 'reduce' })
  await page.setViewportSize({ width: 1280, height: 860 })
}

export async function heading(page: Page, text: string): Promise<void> {
  await page.getByRole('heading', { level: 1, name: text, exact: true }).waitFor({ timeout: 60_000 })
  await expect
    .poll(() => page.evaluate(() => document.activeElement?.tagName), { timeout: 5_000 })
    .toMatch(/^(H1|DIV)$/)
}

/** Moves by the Tab key alone to what has this name. */
export async function tabTo(page: Page, name: string): Promise<void> {
  for (let i = 0; i < 60; i += 1) {
    await page.keyboard.press('Tab')
    const here = await page.evaluate(() => {
      const element = document.activeElement as HTMLInputElement | null
      const label = element?.labels?.[0]?.textContent ?? element?.textContent ?? ''
      return label.replace(/\s+/g, ' ').trim()
    })
    if (here.startsWith(name)) return
  }
  throw new Error(`the Tab key does not lead to ${name}`)
}
