// Reads the rows of an export, line by line, in memory that does not grow with the file. Guarantees: it ends well only
// where the whole document is as it was written: marks, counts, checksum. Whoever applies rows must wait for that end.

import { isAscii, isUtf8, transcode } from 'node:buffer'
import { createHash } from 'node:crypto'
import { readDecompressed } from '../compression.ts'
import type { Keys } from '../encryption.ts'
import { BootkeeperError } from '../errors.ts'
import type { SourceRow } from '../import-source.ts'
import { DocumentCheck, requireChecksum } from './bootkeeper-check.ts'
import { longestRowBytes, marks } from './bootkeeper-document.ts'
import type { ExportHeader } from './bootkeeper-header.ts'

const newline = 10
const rowsPerBatch = 500
const textBytes = 32 * 1024
/** The line with the checksum; it and the closing brace are not part of what the checksum is over. */
const checksumBeginning = Buffer.from('"sha256"')
const checksumLineBytes = marks.sha256('0'.repeat(64)).length + 1

export interface ReadExportOptions {
  /** Called before the first row. */
  onHeader?: (header: ExportHeader) => void
  /** Called at the end with the checksum that the file has of itself, for a caller that compares it: see `checksumOf`. */
  onChecksum?: (recorded: string) => void
}

/** Throws EXPORT_DAMAGED with the line. `path` is for messages; `pieces` are the bytes of the file, decompressed. */
export async function* readExportRows(
  path: string,
  pieces: AsyncIterable<Buffer>,
  { onHeader, onChecksum }: ReadExportOptions,
): AsyncGenerator<SourceRow[]> {
  const check = new DocumentCheck(path)
  const hash = onChecksum ? undefined : new ContentHash()
  let told = false
  let batch: SourceRow[] = []
  for await (const block of wholeLines(path, pieces, check)) {
    hash?.add(block)
    for (const text of texts(block, check))
      for (let start = 0; start < text.length; ) {
        const stop = text.indexOf('\n', start)
        const row = rowAt(text, start, stop, check)
        if (row) batch.push(row)
        else check.text(text.slice(start, stop))
        start = stop + 1
        if (check.header && !told) {
          told = true
          onHeader?.(check.header)
        }
        if (batch.length >= rowsPerBatch) {
          yield batch
          batch = []
        }
      }
  }
  if (batch.length > 0) yield batch
  const { recorded } = check.end()
  if (hash) requireChecksum(path, hash.sha256, recorded)
  onChecksum?.(recorded)
}

/** The rows of a file that is known to be an export of this version. Throws as `readExportRows` does. */
export async function* readExportFile(
  path: string,
  keys: Keys,
  options: ReadExportOptions = {},
): AsyncGenerator<SourceRow[]> {
  yield* readExportRows(path, readDecompressed(path, keys), options)
}

/** Of the content that an export's checksum is over: for a thread that has time while another one reads the rows. */
export async function checksumOf(path: string, keys: Keys): Promise<string> {
  const hash = new ContentHash()
  for await (const block of wholeLines(path, readDecompressed(path, keys))) hash.add(block)
  return hash.sha256
}

/** Over the blocks of a file, up to the line with the checksum. */
class ContentHash {
  private readonly hash = createHash('sha256')
  private ended: string | undefined

  add(block: Buffer): void {
    if (this.ended !== undefined) return
    // Only the last lines can hold the checksum: no row begins with a quote.
    const end = checksumLine(block)
    this.hash.update(end < 0 ? block : block.subarray(0, end))
    if (end >= 0) this.ended = this.hash.copy().digest('hex')
  }

  get sha256(): string {
    return this.ended ?? ''
  }
}

/** Whole lines, a few at a time: as much as stays in the processor's cache while it is decoded and parsed. */
function* texts(block: Buffer, check: DocumentCheck): Generator<string> {
  for (let start = 0; start < block.length; ) {
    const within = block.lastIndexOf(newline, start + textBytes) + 1
    const end = within > start ? within : block.indexOf(newline, start) + 1
    const part = block.subarray(start, end)
    const isPlain = isAscii(part)
    if (!isPlain && !isUtf8(part)) check.damaged('or one soon after it is not UTF-8')
    // toString('utf8') takes three times as long as transcode, and ten times as long as plain characters.
    yield isPlain ? part.toString('latin1') : transcode(part, 'utf8', 'utf16le').toString('utf16le')
    start = end
  }
}

function rowAt(text: string, start: number, stop: number, check: DocumentCheck): SourceRow | undefined {
  // A row has a member at least; a line with a lone brace is a mark.
  if (text.charCodeAt(start) !== 123 || stop - start < 4) return undefined
  const hasComma = text.charCodeAt(stop - 1) === 44
  const end = hasComma ? stop - 1 : stop
  if (text.charCodeAt(end - 1) !== 125 || !check.row(hasComma)) return undefined
  try {
    return { model: check.model, row: JSON.parse(text.slice(start, end)), place: check.line }
  } catch (cause) {
    return check.damaged(`is not JSON: ${(cause as Error).message.slice(0, 120)}`, cause)
  }
}

/** It is the last line but one, so it is looked for at the end of a block only. */
function checksumLine(block: Buffer): number {
  const end = Math.max(0, block.length - 2 * checksumLineBytes)
  const found = block.subarray(end).lastIndexOf(checksumBeginning)
  const at = end + found
  return found >= 0 && (at === 0 || block[at - 1] === newline) ? at : -1
}

/** Blocks that end with a newline each. What stands behind the last newline of the file has no end: it was cut off. */
async function* wholeLines(
  path: string,
  pieces: AsyncIterable<Buffer>,
  check = new DocumentCheck(path),
): AsyncGenerator<Buffer> {
  let begun: Buffer[] = []
  let begunBytes = 0
  for await (const piece of pieces) {
    const end = piece.lastIndexOf(newline) + 1
    if (end > 0) {
      yield begun.length > 0 ? Buffer.concat([...begun, piece.subarray(0, end)]) : piece.subarray(0, end)
      begun = []
      begunBytes = 0
    }
    if (end < piece.length) begun.push(piece.subarray(end))
    begunBytes += piece.length - end
    if (begunBytes > longestRowBytes)
      throw new BootkeeperError(
        'EXPORT_DAMAGED',
        `A line after line ${check.line} is longer than ${longestRowBytes / 1024 / 1024} MB, the longest that a row may be.`,
      )
  }
  if (begunBytes > 0) check.damaged('is followed by one without an end: the file was cut short')
}
