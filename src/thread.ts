// One of our own modules in a second thread of this process. Guarantees: it is found and loaded the same way from a
// checkout (.ts, by tsx) and as built (.js).

import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { Worker, type WorkerOptions } from 'node:worker_threads'

/** `module` is relative to `base` (an import.meta.url), without its ending. */
export function startThread(module: string, base: string, options: WorkerOptions): Worker {
  if (!base.endsWith('.ts')) return new Worker(new URL(`${module}.js`, base), options)
  // On Node 20 a loader that this thread has does not reach into others.
  const api = createRequire(import.meta.url)
    .resolve('tsx/esm/api')
    .replace(/\.cjs$/, '.mjs')
  const code = `import { tsImport } from ${JSON.stringify(pathToFileURL(api).href)}
    await tsImport(${JSON.stringify(new URL(`${module}.ts`, base).href)}, ${JSON.stringify(base)})`
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), options)
}
