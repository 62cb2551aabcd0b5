// Takes the values at certain places out of a JSON document of any size, as it comes. Guarantees: memory does not grow
// with the document, whatever is in it; what is not JSON to its end throws.

import { Tokenizer, TokenParser, TokenType } from '@streamparser/json'
import { BootkeeperError } from '../errors.ts'
import { longestRowBytes } from './bootkeeper-document.ts'
import type { Path } from './place.ts'

const deepest = 10_000
const stringBufferBytes = 64 * 1024

export interface FoundValue {
  path: Path
  value: unknown
}

/** `places` such as `$.data.*.*`. Throws FORMAT_UNKNOWN where it is not JSON, or a value is too long. */
export async function* readValues(
  file: string,
  pieces: AsyncIterable<Buffer>,
  places: string[],
): AsyncGenerator<FoundValue[]> {
  let found: FoundValue[] = []
  let bytesSince = 0
  let depth = 0
  const parser = new TokenParser({ paths: places, keepStack: false })
  parser.onValue = ({ value, key, stack }) => {
    // The first of the stack is the document itself, which has no key.
    const path = [...stack.slice(1).map((each) => each.key), key] as Path
    found.push({ path, value })
  }
  const tokenizer = new Tokenizer({ stringBufferSize: stringBufferBytes })
  tokenizer.onToken = (token) => {
    if (token.token === TokenType.LEFT_BRACE || token.token === TokenType.LEFT_BRACKET) depth++
    else if (token.token === TokenType.RIGHT_BRACE || token.token === TokenType.RIGHT_BRACKET) depth--
    if (depth > deepest) throw new BootkeeperError('IMPORT_INVALID', `${file} is nested too deep to be read.`)
    parser.write(token)
  }
  for await (const piece of pieces) {
    asJson(file, () => tokenizer.write(piece))
    bytesSince = found.length > 0 ? 0 : bytesSince + piece.length
    if (bytesSince > longestRowBytes)
      throw new BootkeeperError(
        'FORMAT_UNKNOWN',
        `${file} has more than ${longestRowBytes / 1024 / 1024} MB in one value: no export has, and an older format is not that large.`,
      )
    if (found.length > 0) yield found
    found = []
  }
  asJson(file, () => {
    if (!tokenizer.isEnded) tokenizer.end()
    if (!parser.isEnded) parser.end()
  })
}

function asJson(file: string, read: () => void): void {
  try {
    read()
  } catch (cause) {
    if (cause instanceof BootkeeperError) throw cause
    const byte = /absolute position "(\d+)"/.exec((cause as Error).message)?.[1]
    const where = byte === undefined ? 'it ends too early' : `it is broken at byte ${Number(byte) + 1}`
    const what = cause instanceof TypeError ? 'is no text in UTF-8' : `is not JSON: ${where}`
    throw new BootkeeperError('FORMAT_UNKNOWN', `${file} ${what}.`, {
      cause,
      next: 'If the file was cut short, take it again from where it came from.',
    })
  }
}
