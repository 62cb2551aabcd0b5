// Finds the line of a place in JSON text, for the message of an error. Guarantees: no recursion, so nesting of any
// depth is no matter; only called when something is wrong already, so it may take its time.

/** The line, from 1, on which the value at `path` begins; undefined where the text has no such value. */
export function lineOfPath(text: string, path: (string | number)[]): number | undefined {
  const place: (string | number)[] = []
  const found = walk(text, (depth, key) => {
    place.length = depth
    if (depth > 0) place[depth - 1] = key as string | number
    return depth === path.length && path.every((part, index) => place[index] === part)
  })
  return found === undefined ? undefined : lineAt(text, found)
}

/** The line, from 1, up to which the text is JSON. */
export function lineOfSyntaxError(text: string): number {
  let last = 0
  try {
    walk(text, (_, __, offset) => {
      last = offset
      return false
    })
  } catch (error) {
    if (error instanceof NotJson) last = error.offset
  }
  return lineAt(text, last)
}

class NotJson extends Error {
  constructor(readonly offset: number) {
    super('not JSON')
  }
}

const token = /\s*(?:([{}[\],:])|("(?:[^"\\\n]|\\.)*")|(true|false|null|-?\d[\d.eE+-]*))/y

/** Calls `visit` at each value with its depth and its key, until it says true. Gives the offset of that value. */
function walk(
  text: string,
  visit: (depth: number, key: string | number | undefined, offset: number) => boolean,
): number | undefined {
  const stack: { key: string | number; isArray: boolean }[] = []
  token.lastIndex = 0
  let position = 0
  let expectsKey = false
  for (;;) {
    token.lastIndex = position
    const match = token.exec(text)
    if (!match) {
      if (text.slice(position).trim() === '') return undefined
      throw new NotJson(position + (/^\s*/.exec(text.slice(position, position + 10_000))?.[0].length ?? 0))
    }
    const [whole, mark, string] = match
    position += whole.length
    const top = stack.at(-1)
    if (mark === ':') expectsKey = false
    else if (mark === ',') {
      if (top?.isArray) (top.key as number)++
      else expectsKey = true
    } else if (mark === '}' || mark === ']') {
      stack.pop()
      expectsKey = false
    } else if (expectsKey && top && string !== undefined) top.key = parseKey(string)
    else {
      const offset = position - (mark ?? string ?? match[3] ?? '').length
      if (visit(stack.length, top?.key, offset)) return offset
      if (mark === '{') stack.push({ key: '', isArray: false })
      if (mark === '[') stack.push({ key: 0, isArray: true })
      expectsKey = mark === '{'
    }
  }
}

function parseKey(string: string): string {
  try {
    return JSON.parse(string) as string
  } catch {
    return string
  }
}

function lineAt(text: string, offset: number): number {
  let line = 1
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line++
  return line
}
