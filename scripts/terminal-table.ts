// Tables for people: columns as wide as what is in them, the last one cut where the terminal ends.
// Guarantees: never wider than a terminal; nothing is cut where the output goes elsewhere; control characters that are in
// the data reach no terminal.

import { stripVTControlCharacters } from 'node:util'

export interface Column {
  title: string
  cells: string[]
  /** Shorter, for a terminal that is too narrow. */
  short?: string[]
  right?: boolean
}

/** Columns without any content are left out. `width`: of the terminal; undefined: there is none. */
export function table(columns: Column[], width: number | undefined): string {
  const shown = columns.filter(({ cells }) => cells.some(Boolean)).map((column) => cleaned(column))
  for (const column of shown) {
    if (width === undefined || totalWidth(shown) <= width) break
    if (column.short) column.cells = column.short
  }
  const widths = shown.map(widthOf)
  const rows = [
    shown.map(({ title }) => title),
    ...(shown[0]?.cells ?? []).map((_, i) => shown.map((c) => c.cells[i]!)),
  ]
  const lines = rows.map((row) =>
    row
      .map((cell, i) => (shown[i]!.right ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd(),
  )
  return lines.map((line) => `${cut(line, width)}\n`).join('')
}

/** Such as "3 h ago". */
export function age(at: string | Date, now = Date.now()): string {
  const seconds = Math.round((now - new Date(at).getTime()) / 1000)
  if (seconds < 0) return 'in the future'
  if (seconds < 60) return `${seconds} s ago`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ago`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h ago`
  return `${Math.floor(hours / 24)} d ago`
}

/** Local time would need a zone in every line. */
export function timeUtc(at: string | Date): string {
  return new Date(at).toISOString().slice(0, 19).replace('T', ' ')
}

export function terminalWidth(): number | undefined {
  return process.stdout.isTTY ? process.stdout.columns || 80 : undefined
}

function cleaned({ cells, short, ...rest }: Column): Column {
  return { ...rest, cells: cells.map(plain), ...(short ? { short: short.map(plain) } : {}) }
}

function plain(text: string): string {
  return stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
}

function totalWidth(columns: Column[]): number {
  // The last one may be cut, but not to nothing.
  const last = Math.min(columns.at(-1) ? widthOf(columns.at(-1)!) : 0, 24)
  return columns.slice(0, -1).reduce((sum, column) => sum + widthOf(column) + 2, last)
}

function widthOf({ title, cells }: Column): number {
  return Math.max(title.length, ...cells.map((cell) => [...cell].length))
}

function cut(line: string, width: number | undefined): string {
  const letters = [...line]
  return width === undefined || letters.length <= width ? line : `${letters.slice(0, width - 1).join('')}…`
}
