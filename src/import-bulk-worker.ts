// The thread that reads a large file for the straight way of an import: decompresses, checks, parses, converts. See
// import-bulk.ts. Guarantees: its last message is the end or an error, after which no batch follows.

import { parentPort } from 'node:worker_threads'
import { type BulkBatch, BulkRows, planBulk } from './engines/bulk-rows.ts'
import { mapSource } from './engines/import-mapping.ts'
import { readExportFile } from './formats/bootkeeper-reader.ts'
import type { BulkMessage, BulkOrder, BulkRequest } from './import-bulk.ts'

const mostWaiting = 4

let waiting = 0
let wake: (() => void) | undefined
parentPort?.on('message', (order: BulkOrder) => {
  if (order === 'taken') {
    waiting--
    wake?.()
  } else read(order).catch((error: Error) => post({ error: error.message }))
})

async function read({ path, keys, header, model, columns }: BulkRequest): Promise<void> {
  const map = mapSource(model, header)
  const plans = planBulk(map, header, ({ name }) => columns[name] ?? [])
  const rows = new BulkRows(plans, map.unknown)
  let recorded = ''
  const onChecksum = (checksum: string) => {
    recorded = checksum
  }
  for await (const batch of readExportFile(path, keys, { onChecksum }))
    for (const row of batch) {
      const full = rows.add(row)
      if (full) await send(full)
    }
  for (const batch of rows.rest()) await send(batch)
  post({ end: rows.end(), recorded })
}

async function send(batch: BulkBatch): Promise<void> {
  while (waiting >= mostWaiting)
    await new Promise<void>((resolve) => {
      wake = resolve
    })
  waiting++
  post({ batch })
}

function post(message: BulkMessage): void {
  parentPort?.postMessage(message)
}
