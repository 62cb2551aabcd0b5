// The files of the console's page, made by web/build.js.
// Guarantees: only the names listed here are answered, whatever a path looks like; what is put into the page is escaped.

import { readFile } from 'node:fs/promises'
import { BootkeeperError, type ErrorCode, errorTable } from '../errors.ts'
import { escapeHtml } from './pages.ts'

/** What a stranger may know: whose page it is, and whether it asks for the setup code or for the password. */
export interface PageFacts {
  app: string
  isClaimed: boolean
  /** In maintenance mode: why the boot failed. What that means anybody may know, how it came about is in the log. */
  failed: ErrorCode | undefined
}

const types: Record<string, { file: string; type: string }> = {
  '/': { file: 'index.html', type: 'text/html' },
  '/app.js': { file: 'app.js', type: 'text/javascript' },
  '/app.css': { file: 'app.css', type: 'text/css' },
  '/icon.svg': { file: 'icon.svg', type: 'image/svg+xml' },
}

const folder = new URL(import.meta.url.endsWith('.ts') ? '../../dist/web/' : '../../web/', import.meta.url)

/** undefined: there is no such file. */
export async function assetOf(
  path: string,
  facts: PageFacts,
): Promise<{ type: string; body: string | Buffer } | undefined> {
  const found = Object.hasOwn(types, path) ? types[path] : undefined
  if (!found) return undefined
  const body = await readFile(new URL(found.file, folder)).catch((cause: unknown) => {
    throw new BootkeeperError('INTERNAL', 'The page of the console was not built.', {
      cause,
      safe: 'Nothing was touched.',
      next: 'Run `npm run build`.',
    })
  })
  if (path !== '/') return { type: found.type, body }
  const { meaning, safe } = facts.failed ? errorTable[facts.failed] : { meaning: '', safe: '' }
  const page = body
    .toString('utf8')
    .replaceAll('%APP%', escapeHtml(facts.app))
    .replaceAll('%CLAIMED%', String(facts.isClaimed))
    .replaceAll('%FAILED%', escapeHtml(facts.failed ?? ''))
    .replaceAll('%MEANING%', escapeHtml(meaning))
    .replaceAll('%SAFE%', escapeHtml(safe))
    .replaceAll('%STATE%', facts.failed ? 'did not start' : 'is up')
  return { type: found.type, body: page }
}
