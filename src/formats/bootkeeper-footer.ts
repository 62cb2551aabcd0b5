// Reads the counts at the end of an export without reading its rows. Guarantees: undefined for whatever does not end as
// an export does; says nothing about whether the rows are sound, bootkeeper-verify.ts does.

import { open } from 'node:fs/promises'
import { readDecompressed } from '../compression.ts'
import type { Keys } from '../encryption.ts'

// The counts of some ten thousand models.
const footerBytes = 1024 * 1024

/** Reads all of a file that is compressed or encrypted; throws as `readDecompressed`. */
export async function readFooterCounts(path: string, keys: Keys): Promise<Record<string, number> | undefined> {
  const text = (await readPlainEnd(path)) ?? (await readInnerEnd(path, keys))
  const counts = /\n"counts": (\{[^{}]*\}),\n"sha256": "[0-9a-f]{64}"\n\}\n$/.exec(text)?.[1]
  return counts === undefined ? undefined : (JSON.parse(counts) as Record<string, number>)
}

/** undefined: the file is not plain. */
async function readPlainEnd(path: string): Promise<string | undefined> {
  const handle = await open(path, 'r')
  try {
    const { size } = await handle.stat()
    const length = Math.min(size, footerBytes)
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, 0)
    if (buffer.toString() !== '{') return undefined
    return (await handle.read(Buffer.alloc(length), 0, length, size - length)).buffer.toString('utf8')
  } finally {
    await handle.close()
  }
}

async function readInnerEnd(path: string, keys: Keys): Promise<string> {
  const end: Buffer[] = []
  let bytes = 0
  for await (const piece of readDecompressed(path, keys)) {
    end.push(piece)
    bytes += piece.length
    while (bytes - end[0]!.length >= footerBytes) bytes -= end.shift()!.length
  }
  return Buffer.concat(end).toString('utf8')
}
