// Whether the operation log is as it was written: every line by its own checksum, each by that of the line before, the
// newest by the head. Guarantees: a changed, removed, added or moved line is named; what a kill leaves is no change. It
// does not find what somebody did who computed the checksums anew, or removed the newest lines together with the head.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { checksumOf, headName, logName, noLine, parseLine, readBytes, readHead, withLogLock } from './operation-log.ts'

export interface LogCheck {
  /** Whole lines in the file. */
  lines: number
  /** The first line at fault, counted from 1, and what is wrong. */
  problem?: { line: number; message: string }
}

export async function verifyLog(stateDir: string): Promise<LogCheck> {
  if (!existsSync(join(stateDir, logName)) && !existsSync(join(stateDir, headName))) return { lines: 0 }
  try {
    return await withLogLock(stateDir, async () => await check(stateDir))
  } catch (error) {
    // Where nothing can be written, nobody appends.
    if (!['SQLITE_READONLY', 'SQLITE_CANTOPEN'].includes((error as { code?: string }).code ?? '')) throw error
    return await check(stateDir)
  }
}

async function check(stateDir: string): Promise<LogCheck> {
  const bytes = await readBytes(stateDir)
  const head = await readHead(stateDir)
  const hasHead = existsSync(join(stateDir, headName))
  let prev = noLine
  let atHead: string | undefined
  let line = 0
  let begin = 0
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, begin)) {
    line += 1
    const text = bytes.subarray(begin, end)
    const problem = whatIsWrong(text, line, prev)
    if (problem) return { lines: countLines(bytes), problem: { line, message: problem } }
    prev = checksumOf(text)!
    if (line === head?.lines) atHead = prev
    begin = end + 1
  }
  const at = (found: number, message: string) => ({ lines: line, problem: { line: found, message } })
  if (!head) {
    // The very first line is there before its head is.
    if (!hasHead && line <= 1) return { lines: line }
    return at(line, `${headName} ${hasHead ? 'was changed' : 'is missing'}: lines after line ${line} may be gone`)
  }
  if (line < head.lines) {
    const what = head.lines === line + 1 ? 'it was removed or changed' : `lines ${line + 1} to ${head.lines} are gone`
    return at(line + 1, what)
  }
  if (atHead !== head.sha256) return at(head.lines, `${headName} does not belong to it`)
  // One line is what a kill leaves between a line and its head.
  if (line > head.lines + 1) return at(head.lines + 2, `${headName} does not know of it`)
  return { lines: line }
}

function whatIsWrong(bytes: Buffer, line: number, prev: string): string | undefined {
  const read = checksumOf(bytes) === undefined ? undefined : parseLine(bytes.toString())
  if (!read) return 'it is not as it was written'
  if (read.n > line) return `it is missing: line ${read.n} is in its place`
  if (read.n < line) return `line ${read.n} is in its place`
  if (read.prev !== prev)
    return read.prev === noLine ? `before it was written, ${headName} was lost` : `it does not follow line ${line - 1}`
  return undefined
}

function countLines(bytes: Buffer): number {
  let lines = 0
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines += 1
  return lines
}
