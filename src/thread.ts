// One of our own modules in a second thread of this process. Guarantees: it is found and loaded the same way from a
// checkout (.ts, with tsx) and as built (.js).

import { Worker, type WorkerOptions } from 'node:worker_threads'

/** `module` is relative to `base` (an import.meta.url), without its ending. */
export function startThread(module: string, base: string, options: WorkerOptions): Worker {
  const isSource = base.endsWith('.ts')
  const file = new URL(`${module}${isSource ? '.ts' : '.js'}`, base)
  const hasLoader = process.execArgv.some((argument) => argument.includes('tsx'))
  return new Worker(file, { ...options, ...(isSource && !hasLoader ? { execArgv: ['--import', 'tsx'] } : {}) })
}
