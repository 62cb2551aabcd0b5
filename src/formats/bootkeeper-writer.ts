// Writes the document around the rows that an engine hands over. Guarantees: the checksum covers every byte before its
// own line, text that is not UTF-8 is refused with the row named, and `finish` returns when all of it is on disk.
// It writes synchronously, because it runs in a child process that has nothing else to do.

import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { closeSync, fdatasync, fsyncSync, openSync, writevSync } from 'node:fs'
import type { Model } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import { describeModel, longestRowBytes, marks } from './bootkeeper-document.ts'
import type { ExportHeader } from './bootkeeper-header.ts'

export interface DocumentStart {
  header: Omit<ExportHeader, 'engine' | 'models' | 'notExported' | 'app'> & { app?: string }
  engine: ExportHeader['engine']
  models: Model[]
  /** By model: columns that the schema does not know. */
  extraColumns: Map<string, string[]>
  /** By model: the highest serial id that was ever given out. */
  sequences?: Map<string, number>
  notExported: ExportHeader['notExported']
}

export interface WrittenDocument {
  counts: Record<string, number>
  sha256: string
  sizeBytes: number
  fileSha256: string
}

/** Fits the ExportWriter of the engines. `target` must not exist. */
export function openExportWriter(target: string, mode = 0o600) {
  const file = openOutput(target, mode)
  const counts: Record<string, number> = {}
  let models: Model[] = []
  let current: string | undefined

  const endModel = () => {
    if (current !== undefined) file.write(`${counts[current] === 0 ? '' : '\n'}${marks.modelEnd}`)
  }

  return {
    start(start: DocumentStart): void {
      models = start.models
      const header = JSON.stringify(headerOf(start))
      file.write(`${[marks.open, marks.format, marks.version, marks.header(header), marks.data].join('\n')}\n`)
    },
    startModel(name: string): void {
      endModel()
      file.write(`${current === undefined ? '' : ',\n'}${marks.model(name)}\n`)
      counts[name] = 0
      current = name
    },
    rows(lines: Uint8Array, count: number): void {
      const name = current as string
      if (lines.length > longestRowBytes) requireShortRows(lines, name)
      if (!isUtf8(lines)) throw refuseText(lines, models.find((model) => model.name === name) as Model)
      file.write(counts[name] === 0 ? '' : ',\n', lines)
      counts[name] = (counts[name] ?? 0) + count
    },
    finish(): WrittenDocument {
      endModel()
      file.write(`${current === undefined ? '' : '\n'}${marks.dataEnd}\n${marks.counts(JSON.stringify(counts))}\n`)
      const sha256 = file.checksum()
      file.write(`${marks.sha256(sha256)}\n${marks.close}\n`)
      return { counts, sha256, sizeBytes: file.sizeBytes(), fileSha256: file.finish() }
    },
    abort: file.abort,
  }
}

function headerOf({ header, engine, models, extraColumns, sequences, notExported }: DocumentStart): ExportHeader {
  const described = models.map((model) => {
    const sequence = sequences?.get(model.name)
    const description = describeModel(model, extraColumns.get(model.name) ?? [])
    return [model.name, { ...description, ...(sequence === undefined ? {} : { sequence }) }]
  })
  return { ...header, engine, models: Object.fromEntries(described), notExported }
}

// The disk starts to work while rows are still read; otherwise all of it waits for the one fsync at the end.
const flushEveryBytes = 32 * 1024 * 1024

function openOutput(target: string, mode: number) {
  const descriptor = openSync(target, 'wx', mode)
  const hash = createHash('sha256')
  const flusher = backgroundFlusher(target)
  let sizeBytes = 0
  let unflushed = 0
  return {
    write(text: string, lines?: Uint8Array): void {
      const parts = [Buffer.from(text), ...(lines ? [lines] : [])].filter((part) => part.length > 0)
      for (const part of parts) hash.update(part)
      const length = parts.reduce((sum, part) => sum + part.length, 0)
      writeAll(descriptor, parts, length)
      sizeBytes += length
      unflushed += length
      if (unflushed >= flushEveryBytes) {
        unflushed = 0
        flusher.flush()
      }
    },
    checksum: () => hash.copy().digest('hex'),
    sizeBytes: () => sizeBytes,
    finish(): string {
      fsyncSync(descriptor)
      closeSync(descriptor)
      flusher.end()
      return hash.digest('hex')
    },
    abort(): void {
      flusher.end()
      try {
        closeSync(descriptor)
      } catch {
        // Closed already: the error that brought us here counts.
      }
    },
  }
}

function writeAll(descriptor: number, parts: Uint8Array[], length: number): void {
  let written = parts.length > 0 ? writevSync(descriptor, parts) : 0
  while (written < length) {
    const rest = Buffer.concat(parts).subarray(written)
    written += writevSync(descriptor, [rest])
  }
}

/** Only a hint to the disk: the fsync at the end decides, and reports any error. */
function backgroundFlusher(target: string) {
  const descriptor = openSync(target, 'r+')
  let isBusy = false
  let hasEnded = false
  const closeWhenIdle = () => {
    if (hasEnded && !isBusy) closeSync(descriptor)
  }
  return {
    flush(): void {
      if (isBusy) return
      isBusy = true
      fdatasync(descriptor, () => {
        isBusy = false
        closeWhenIdle()
      })
    },
    end(): void {
      hasEnded = true
      closeWhenIdle()
    },
  }
}

function requireShortRows(lines: Uint8Array, model: string): void {
  const bytes = Buffer.from(lines.buffer, lines.byteOffset, lines.byteLength)
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(10, start)
    const end = newline < 0 ? bytes.length : newline
    if (end - start > longestRowBytes)
      throw new BootkeeperError(
        'VALUE_NOT_EXPORTABLE',
        `${model} has a row of ${Math.ceil((end - start) / 1024 / 1024)} MB as JSON; ${longestRowBytes / 1024 / 1024} MB is the most: ${bytes.toString('utf8', start, start + 200)}…`,
        { next: 'The raw copies hold it. Keep such large values in files, beside the database.' },
      )
    start = end + 1
  }
}

function refuseText(lines: Uint8Array, model: Model): BootkeeperError {
  const bytes = Buffer.from(lines.buffer, lines.byteOffset, lines.byteLength)
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(10, start)
    const end = newline < 0 ? bytes.length : newline
    const line = bytes.subarray(start, end)
    if (!isUtf8(line)) return refusedText(line.toString('utf8').replace(/,$/, ''), model)
    start = end + 1
  }
  return refusedText('{}', model)
}

function refusedText(line: string, model: Model): BootkeeperError {
  const row = JSON.parse(line) as Record<string, unknown>
  const ids = model.primaryKey.filter((name) => name in row).map((name) => `${name} ${JSON.stringify(row[name])}`)
  const names = Object.keys(row).filter((name) => JSON.stringify(row[name]).includes('\ufffd'))
  return new BootkeeperError(
    'VALUE_NOT_EXPORTABLE',
    `${model.name}.${names.join(' or ')} of the row with ${ids.join(', ') || line.slice(0, 200)} holds text that is not UTF-8, which JSON cannot carry.`,
  )
}
