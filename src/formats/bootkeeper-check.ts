// Follows the lines of an export: what may stand where, how many rows each model has, what header and footer say.
// Guarantees: a document that ends well has every row that its footer counts, in the model that it names.

import { BootkeeperError } from '../errors.ts'
import { marks } from './bootkeeper-document.ts'
import type { ExportHeader } from './bootkeeper-header.ts'

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

export class DocumentCheck {
  line = 0
  private expected: Expected = 'open'
  header: ExportHeader | undefined
  private counts: Record<string, number> | undefined
  private recorded = ''
  private readonly counted: [string, number][] = []
  /** The model whose rows are being read. */
  model = ''
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

  /** What the document says of itself. Throws where it is not whole. Its checksum is compared by `requireChecksum`. */
  end(): { header: ExportHeader; counts: Record<string, number>; recorded: string } {
    if (this.expected !== 'nothing' || !this.header || !this.counts) this.damaged('is the last: the file was cut short')
    const recorded = Object.entries(this.counts)
    if (JSON.stringify(recorded) !== JSON.stringify(this.counted)) {
      const wrong = this.counted.find(([name, rows]) => this.counts?.[name] !== rows)
      const found = wrong
        ? `${wrong[0]} has ${wrong[1]} rows, its footer says ${this.counts[wrong[0]] ?? 'nothing'}`
        : ''
      throw new BootkeeperError('EXPORT_DAMAGED', `${this.path}: the rows are not those that were written. ${found}`)
    }
    return { header: this.header, counts: this.counts, recorded: this.recorded }
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

/** `sha256` is that of every byte before the checksum's own line, `recorded` what that line says. */
export function requireChecksum(path: string, sha256: string, recorded: string): void {
  if (sha256 === recorded) return
  throw new BootkeeperError(
    'EXPORT_DAMAGED',
    `${path}: the content has the checksum ${sha256}, its last line says ${recorded}.`,
  )
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
