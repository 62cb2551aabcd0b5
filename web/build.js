// `node web/build.js`: the console's page, bundled into dist/web by esbuild, which tsx brings along anyway.
// Guarantees: a few files without a reference to anything outside of them; the same sources give the same bytes.

import { copyFileSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const web = dirname(fileURLToPath(import.meta.url))
const out = join(dirname(web), 'dist', 'web')

mkdirSync(out, { recursive: true })
await build({
  absWorkingDir: web,
  entryPoints: { app: 'src/main.tsx' },
  outdir: out,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  logLevel: 'warning',
})
await build({ absWorkingDir: web, entryPoints: ['src/app.css'], outdir: out, minify: true, logLevel: 'warning' })
for (const name of ['index.html', 'icon.svg']) copyFileSync(join(web, 'src', name), join(out, name))
