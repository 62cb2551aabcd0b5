// What a command shows on a terminal while it works for longer than a second. Guarantees: only on a terminal, and on
// stderr, so that what is printed can be piped on; the line is gone when the work is done.

import { formatCount } from '../src/log.ts'

const patienceMs = 1_000
const everyMs = 200

/** `doing` such as "reading app.json". `work` may tell how many rows it is through with. */
export async function withProgress<Result>(
  doing: string,
  work: (onRows: (rows: number) => void) => Promise<Result>,
): Promise<Result> {
  const { stderr } = process
  let rows = 0
  const onRows = (done: number) => {
    rows = done
  }
  if (!stderr.isTTY) return await work(onRows)
  const begun = Date.now()
  let isShown = false
  const timer = setInterval(() => {
    const ms = Date.now() - begun
    if (ms < patienceMs) return
    isShown = true
    const done = rows > 0 ? `${formatCount(rows)} rows, ` : ''
    const line = `… ${doing}: ${done}${Math.floor(ms / 1000)} s`
    // A line that wraps could not be taken back.
    stderr.write(`\r\x1b[K${[...line].slice(0, (stderr.columns || 80) - 1).join('')}`)
  }, everyMs)
  try {
    return await work(onRows)
  } finally {
    clearInterval(timer)
    if (isShown) stderr.write('\r\x1b[K')
  }
}
