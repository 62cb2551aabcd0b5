// Reads an export back, whole, in constant memory. Guarantees: what verifies has every row that the footer counts, in
// the model that it names, is UTF-8, and is byte for byte what was written. It is read once, in large pieces, the next
// one while the last is checked: about as fast as sha256.

import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { DocumentCheck, requireChecksum } from './bootkeeper-check.ts'
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
    const { header, counts, recorded } = document.end()
    requireChecksum(path, sha256, recorded)
    return { header, counts, sha256, sizeBytes, fileSha256: hash.digest('hex') }
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
