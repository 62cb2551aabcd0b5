// Reads an export back, whole, in constant memory. Guarantees: what verifies has every row that the footer counts, in
// the model that it names, is UTF-8, and is byte for byte what was written. It is read once, in large pieces, the next
// one while the last is checked: about as fast as sha256.

import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { BootkeeperError } from '../errors.ts'
import { marks } from './bootkeeper-document.ts'
import type { ExportHeader } from './bootkeeper-header.ts'
import { LineReader } from './line-reader.ts'

export interface VerifiedExport {
  header: ExportHeader
  counts: Record<string, number>
  /** Of every byte before the checksum's own line. */
  sha256: string
  sizeBytes: number
  fileSha256: string
}

const pieceBytes = 2 * 1024 * 1024
/** The checksum's line and the closing brace: always as long as this. */
const endBytes = `${marks.sha256('0'.repeat(64))}\n${marks.close}\n`.length

/** Throws EXPORT_DAMAGED with the line, or, where only the checksum can tell, with both checksums. */
export async function verifyExport(path: string): Promise<VerifiedExport> {
  const handle = await open(path, 'r')
  try {
    const { size } = await handle.stat()
    const checksumAt = Math.max(0, size - endBytes)
    const document = new DocumentCheck(path)
    const lines = new LineReader(document)
    const hash = createHash('sha256')
    let sha256 = ''
    let sizeBytes = 0
    for await (const piece of pieces(handle)) {
      const before = checksumAt - sizeBytes
      if (before >= 0 && before < piece.length) {
        hash.update(piece.subarray(0, before))
        sha256 = hash.copy().digest('hex')
        hash.update(piece.subarray(before))
      } else hash.update(piece)
      if (!isUtf8(piece)) document.damaged('or one soon after it is not UTF-8')
      lines.read(piece)
      sizeBytes += piece.length
    }
    lines.end()
    return { ...document.end(sha256), sha256, sizeBytes, fileSha256: hash.digest('hex') }
  } finally {
    await handle.close()
  }
}

/** The file in pieces that never cut a character in two. A piece is valid until the next one is asked for. */
async function* pieces(handle: FileHandle): AsyncGenerator<Buffer> {
  const buffers = [Buffer.allocUnsafe(pieceBytes), Buffer.allocUnsafe(pieceBytes)] as const
  let position = 0
  const readInto = (buffer: Buffer, kept: Buffer) => {
    kept.copy(buffer)
    const reading = handle.read(buffer, kept.length, buffer.length - kept.length, position)
    return reading.then(({ bytesRead }) => {
      position += bytesRead
      return { bytesRead, filled: buffer.subarray(0, kept.length + bytesRead) }
    })
  }
  let current = await readInto(buffers[0], Buffer.alloc(0))
  for (let turn = 1; current.bytesRead > 0; turn++) {
    const whole = current.filled.subarray(0, characterEnd(current.filled))
    const next = readInto(turn % 2 ? buffers[1] : buffers[0], current.filled.subarray(whole.length))
    // A failed read must not go unhandled while the consumer is still at work; it is thrown below.
    next.catch(() => undefined)
    yield whole
    current = await next
  }
  if (current.filled.length > 0) yield current.filled
}

/** Where the last whole character ends. */
function characterEnd(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number
    if (byte < 0x80) break
    if (byte >= 0xc0) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
      return back < length ? bytes.length - back : bytes.length
    }
  }
  return bytes.length
}

/** What may stand on the next line. */
type Expected =
  | 'open'
  | 'format'
  | 'version'
  | 'header'
  | 'data'
  | 'first model'
  | 'model'
  | 'row'
  | 'row or end'
  | 'row end'
  | 'data end'
  | 'counts'
  | 'sha256'
  | 'close'
  | 'nothing'

class DocumentCheck {
  line = 0
  private expected: Expected = 'open'
  private header: ExportHeader | undefined
  private counts: Record<string, number> | undefined
  private recorded = ''
  private readonly counted: [string, number][] = []
  private model = ''
  private rows = 0

  constructor(private readonly path: string) {}

  /** Called for every row, so it looks at bytes alone. */
  row(hasComma: boolean): boolean {
    if (this.expected !== 'row' && this.expected !== 'row or end') return false
    this.line++
    this.rows++
    this.expected = hasComma ? 'row' : 'row end'
    return true
  }

  text(line: string): void {
    this.line++
    this.expected = this.after(line)
  }

  /** What may follow this line, if it is one that was expected. */
  private after(line: string): Expected {
    switch (this.expected) {
      case 'open':
        return this.exactly(line, marks.open, 'format')
      case 'format':
        return this.exactly(line, marks.format, 'version')
      case 'version':
        return this.exactly(line, marks.version, 'header')
      case 'header':
        this.header = this.parse(line, '"header": ', hasModels)
        return 'data'
      case 'data':
        return this.exactly(line, marks.data, 'first model')
      case 'first model':
        return line === marks.dataEnd ? 'counts' : this.startModel(line)
      case 'model':
        return this.startModel(line)
      case 'row or end':
      case 'row end':
        return this.endModel(line)
      case 'data end':
        return this.exactly(line, marks.dataEnd, 'counts')
      case 'counts':
        this.counts = this.parse(line, '"counts": ', areCounts)
        return 'sha256'
      case 'sha256':
        this.recorded = /^"sha256": "([0-9a-f]{64})"$/.exec(line)?.[1] ?? this.damaged('is not a checksum')
        return 'close'
      case 'close':
        return this.exactly(line, marks.close, 'nothing')
      default:
        return this.damaged(this.expected === 'row' ? 'should be a row' : 'should not be there')
    }
  }

  end(sha256: string): { header: ExportHeader; counts: Record<string, number> } {
    if (this.expected !== 'nothing' || !this.header || !this.counts) this.damaged('is the last: the file was cut short')
    const recorded = Object.entries(this.counts)
    if (JSON.stringify(recorded) !== JSON.stringify(this.counted)) {
      const wrong = this.counted.find(([name, rows]) => this.counts?.[name] !== rows)
      const found = wrong
        ? `${wrong[0]} has ${wrong[1]} rows, its footer says ${this.counts[wrong[0]] ?? 'nothing'}`
        : ''
      throw new BootkeeperError('EXPORT_DAMAGED', `${this.path}: the rows are not those that were written. ${found}`)
    }
    if (sha256 !== this.recorded)
      throw new BootkeeperError(
        'EXPORT_DAMAGED',
        `${this.path}: the content has the checksum ${sha256}, its last line says ${this.recorded}.`,
      )
    return { header: this.header, counts: this.counts }
  }

  damaged(reason: string, cause?: unknown): never {
    throw new BootkeeperError('EXPORT_DAMAGED', `${this.path}: line ${Math.max(1, this.line)} ${reason}.`, { cause })
  }

  private exactly(line: string, mark: string, next: Expected): Expected {
    if (line !== mark) this.damaged(`should be ${mark}`)
    return next
  }

  private startModel(line: string): Expected {
    const name = Object.keys(this.header?.models ?? {})[this.counted.length]
    if (name === undefined || line !== marks.model(name)) this.damaged(`should begin the model ${name ?? ''}`)
    this.model = name
    this.rows = 0
    return 'row or end'
  }

  private endModel(line: string): Expected {
    if (line !== marks.modelEnd && line !== `${marks.modelEnd},`)
      this.damaged('is neither a row nor the end of a model')
    this.counted.push([this.model, this.rows])
    return line === marks.modelEnd ? 'data end' : 'model'
  }

  private parse<T>(line: string, beginning: string, fits: (value: unknown) => value is T): T {
    if (!line.startsWith(beginning) || !line.endsWith(',')) this.damaged(`should begin with ${beginning.trim()}`)
    const value = parseJson(line.slice(beginning.length, -1))
    return fits(value) ? value : this.damaged('does not read as what it should be')
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

// Enough to follow the document; its checksum tells whether the header is the one that was written.
function hasModels(value: unknown): value is ExportHeader {
  return isObject(value) && isObject(value.models)
}

function areCounts(value: unknown): value is Record<string, number> {
  return isObject(value) && Object.values(value).every((count) => Number.isInteger(count))
}
