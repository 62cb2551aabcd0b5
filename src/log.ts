// The log: pino underneath; one readable line per event on a terminal, one JSON object per line elsewhere.
// Guarantees: credentials in addresses and fields that are named like secrets are masked before a line is written;
// writing is synchronous, so the last line before an exit is never lost.

import { fstatSync, writeSync } from 'node:fs'
import { stripVTControlCharacters, styleText } from 'node:util'
import pino from 'pino'
import { hideCredentials } from './config.ts'
import type { BootkeeperError } from './errors.ts'

export type Log = pino.Logger

export interface LogOptions {
  level: 'debug' | 'info' | 'warn' | 'error'
  format: 'pretty' | 'json'
}

/** Members with these names are never shown. */
export const secretNames = ['password', 'secret', 'token', 'apiKey', 'authorization', 'cookie', 'passphrase']

export function openLog({ level, format }: LogOptions): Log {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: secretNames.flatMap((name) => [name, `*.${name}`]), censor: '***' },
    hooks: { streamWrite: hideCredentials },
  } satisfies pino.LoggerOptions
  const color = format === 'pretty' && process.stdout.isTTY === true && !process.env.NO_COLOR
  const write = (line: string) => writeStdout(format === 'json' ? line : readable(line, color))
  return pino(options, { write })
}

/** The members that an error adds to its line, in either format. */
export function errorFields(error: BootkeeperError): Record<string, unknown> {
  return { code: error.code, safe: error.safe, next: error.next, exitCode: error.exitCode, step: error.step }
}

export function formatMs(ms: number): string {
  return ms < 9_950 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}

export function formatBytes(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  let value = bytes / 1_000
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000
    unit += 1
  }
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}

export function formatCount(count: number): string {
  return count.toLocaleString('en-US').replaceAll(',', ' ')
}

function writeStdout(text: string): void {
  let rest = Buffer.from(text)
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // A reader that went away must not stop a boot; a full pipe is tried again.
      if (code === 'EAGAIN') continue
      if (code === 'EPIPE' || code === 'EBADF') return
      throw error
    }
  }
}

interface Line {
  level: string
  msg?: string
  step?: string
  ms?: number
  state?: 'done' | 'skipped' | 'failed'
  detail?: string
  code?: string
  safe?: string
  next?: string
}

function readable(json: string, color: boolean): string {
  const line = JSON.parse(json) as Line
  const style = (format: Parameters<typeof styleText>[0], text: string) => (color ? styleText(format, text) : text)
  const indent = `  ${' '.repeat(2 + 9 + 9)}`
  const out: string[] = []
  if (line.state) {
    const mark = { done: style('green', '✔'), skipped: style('dim', '↷'), failed: style('red', '✖') }[line.state]
    const time = line.state === 'skipped' ? 'skipped' : formatMs(line.ms ?? 0)
    const text = line.state === 'skipped' ? style('dim', line.msg ?? '') : (line.msg ?? '')
    out.push(`  ${mark} ${style('bold', (line.step ?? '').padEnd(9))}${style('dim', time.padStart(8))}  ${text}`)
  } else if (line.level === 'error' || line.level === 'fatal')
    out.push(`${style('red', '✖')} ${style('bold', line.code ?? 'ERROR')}  ${line.msg ?? ''}`)
  else if (line.level === 'warn') out.push(`${style('yellow', '!')} ${line.msg ?? ''}`)
  else out.push(line.msg ?? '')
  if (line.detail) for (const row of line.detail.split('\n')) out.push(`${line.state ? indent : '    '}${row}`)
  if (line.code) {
    if (line.safe) out.push(`    ${style('dim', 'data:')} ${line.safe}`)
    if (line.next) out.push(`    ${style('dim', 'next:')} ${line.next}`)
  }
  const text = `${out.join('\n')}\n`
  return color ? text : stripVTControlCharacters(text)
}

/** True where somebody can see progress being drawn over the same line. */
export function isTerminal(): boolean {
  try {
    return process.stdout.isTTY === true && fstatSync(1).isCharacterDevice()
  } catch {
    return false
  }
}
