// Reads the counts at the end of an export without reading its rows. Guarantees: undefined for whatever does not end as
// an export does; says nothing about whether the rows are sound, bootkeeper-verify.ts does.

import { open } from 'node:fs/promises'

// The counts of some ten thousand models.
const footerBytes = 1024 * 1024

export async function readFooterCounts(path: string): Promise<Record<string, number> | undefined> {
  const handle = await open(path, 'r')
  try {
    const { size } = await handle.stat()
    const length = Math.min(size, footerBytes)
    const { buffer } = await handle.read(Buffer.alloc(length), 0, length, size - length)
    const counts = /\n"counts": (\{[^{}]*\}),\n"sha256": "[0-9a-f]{64}"\n\}\n$/.exec(buffer.toString('utf8'))?.[1]
    return counts === undefined ? undefined : (JSON.parse(counts) as Record<string, number>)
  } finally {
    await handle.close()
  }
}
