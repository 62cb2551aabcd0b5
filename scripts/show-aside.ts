// The file that a restore or an import set aside, for people: where, how large, and when it may go.
// Guarantees: only says; nothing here deletes anything.

import { readdirSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { formatBytes } from '../src/log.ts'
import type { Operation } from '../src/record.ts'

/** What the operation log keeps of a restore or an import. */
export function resultOf(
  { before, aside }: { before?: string | undefined; aside?: string | undefined },
  more: { [name: string]: unknown } = {},
): Partial<Operation> {
  const metadata = { ...more, ...(aside === undefined ? {} : { aside }) }
  return { metadata, ...(before === undefined ? {} : { precededBy: before }) }
}

/** Lines of text; '' where nothing was set aside. */
export function showAside(aside: string | undefined): string {
  if (aside === undefined) return ''
  const older = filesLike(aside).filter((path) => !path.startsWith(aside))
  const [own, all] = [bytesOf(aside), older.reduce((sum, path) => sum + statSync(path).size, 0)]
  const count = `${older.length} older ${older.length === 1 ? 'file' : 'files'}`
  const beside = older.length > 0 ? ` Beside it: ${count} like it, ${formatBytes(all)} in all.` : ''
  return `  The file that was there: ${aside} (${formatBytes(own)})
  Bootkeeper never deletes it. It is yours to delete once everything is right.${beside}\n`
}

/** With its log, where it had one. */
export function bytesOf(aside: string): number {
  return filesLike(aside)
    .filter((path) => path.startsWith(aside))
    .reduce((sum, path) => sum + statSync(path).size, 0)
}

function filesLike(aside: string): string[] {
  const beginning = basename(aside).replace(/(\.before-restore-).*$/, '$1')
  return readdirSync(dirname(aside))
    .filter((name) => name.startsWith(beginning))
    .map((name) => join(dirname(aside), name))
}
