// Divides pieces of a file into lines without decoding the rows: a line that begins and ends as a row is only counted.
// Constant memory: a row of any length is never held, any other line only up to a limit.

const newline = 10
const comma = 44
const openBrace = 123
const closeBrace = 125
const longestText = 64 * 1024 * 1024

/** `row` says whether a row may stand here; what it declines, and every other line, comes as text. */
export interface LineSink {
  row(hasComma: boolean): boolean
  text(line: string): void
  damaged(reason: string): never
}

export class LineReader {
  /** The beginning of a line whose end is in a later piece; of a row, only its last bytes are kept. */
  private begun: Buffer[] = []
  private begunBytes = 0
  private isRow = false

  constructor(private readonly sink: LineSink) {}

  read(piece: Buffer): void {
    let start = 0
    for (let end = piece.indexOf(newline); end >= 0; end = piece.indexOf(newline, start)) {
      if (this.begunBytes > 0) this.finishBegun(piece.subarray(start, end))
      else if (!this.tryRow(piece, start, end)) this.sink.text(piece.toString('utf8', start, end))
      start = end + 1
    }
    if (start < piece.length) this.begin(piece.subarray(start))
  }

  end(): void {
    if (this.begunBytes > 0) this.sink.damaged('is followed by one without an end: the file was cut short')
  }

  private tryRow(piece: Buffer, start: number, end: number): boolean {
    const hasComma = piece[end - 1] === comma
    // A row has a member at least; a line with a lone brace is a mark.
    if (end - start < 4 || piece[start] !== openBrace || piece[end - (hasComma ? 2 : 1)] !== closeBrace) return false
    return this.sink.row(hasComma)
  }

  private begin(rest: Buffer): void {
    if (this.begunBytes === 0) this.isRow = rest[0] === openBrace && rest.length > 1
    this.begunBytes += rest.length
    if (this.isRow) {
      const tail = Buffer.concat([...this.begun, rest.subarray(-2)]).subarray(-2)
      this.begun = [tail]
      return
    }
    if (this.begunBytes > longestText) this.sink.damaged('is followed by one that is too long')
    this.begun.push(Buffer.from(rest))
  }

  private finishBegun(rest: Buffer): void {
    const ended = Buffer.concat([...this.begun, rest])
    // Of a row only the end was kept: put its first byte back.
    const line = this.isRow ? Buffer.concat([Buffer.from('{"'), ended.subarray(-2)]) : ended
    this.begun = []
    this.begunBytes = 0
    this.isRow = false
    if (!this.tryRow(line, 0, line.length)) this.sink.text(line.toString('utf8'))
  }
}
