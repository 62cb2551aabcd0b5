// Files that are made to harm, or that came to harm, given to db:import. Guarantees tested: one sentence with a code,
// exit 65, bounded memory, and everything as it was.

import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { beforeAll, expect, test } from 'vitest'
import { makeFolder, ops, root, sha256, type TestApp } from './harness.ts'
import { ann, appWith, exportFile } from './imported-apps.ts'

let app: TestApp
let good: string
beforeAll(async () => {
  app = await appWith(ann)
  good = await exportFile(app)
})

const head = () => readFileSync(good, 'utf8').split('\n').slice(0, 6).join('\n')
const files: [string, string, (path: string) => void][] = [
  ['not JSON', 'FORMAT_UNKNOWN', (path) => writeFileSync(path, 'hello')],
  ['empty', 'FORMAT_UNKNOWN', (path) => writeFileSync(path, '')],
  ['another app’s', 'FORMAT_UNKNOWN', (path) => writeFileSync(path, '{"recipes": [{"name": "soup"}]}')],
  ['nested 100,000 deep', 'FORMAT_UNKNOWN', (path) => writeFileSync(path, '['.repeat(100_000) + ']'.repeat(100_000))],
  [
    'nested in a row',
    'IMPORT_INVALID',
    // Without its first newline it is no longer told by lines, and no checksum is compared.
    (path) => {
      const deep = `${'['.repeat(100_000)}1${']'.repeat(100_000)}`
      writeFileSync(path, readFileSync(good, 'utf8').replace('{\n', '{').replace('"hello"', deep))
    },
  ],
  ['a gzip bomb', 'FORMAT_UNKNOWN', (path) => writeFileSync(path, gzipSync(Buffer.alloc(600_000_000, ' ')))],
  [
    'a line of 1 GB',
    'EXPORT_DAMAGED',
    (path) => {
      const descriptor = openSync(path, 'w')
      writeSync(descriptor, `${head()}\n{"id":1,"name":"`)
      const part = Buffer.alloc(64 * 1024 * 1024, 'x')
      for (let count = 0; count < 16; count++) writeSync(descriptor, part)
      closeSync(descriptor)
    },
  ],
  [
    'a wrong checksum',
    'EXPORT_DAMAGED',
    (path) => writeFileSync(path, readFileSync(good, 'utf8').replace('hello', 'hullo')),
  ],
  ['UTF-16', 'FORMAT_UNKNOWN', (path) => writeFileSync(path, Buffer.from('\ufeff{"movies": []}', 'utf16le'))],
]

test.each(files)(
  '%s: %s',
  async (_, code, make) => {
    const path = join(makeFolder(), 'file.json')
    make(path)
    const before = sha256(app.database)
    const backups = app.files()
    const { exitCode, stderr, stdout } = await ops(app, 'import', path, '--apply')
    expect(stderr).toMatch(new RegExp(`^✖ ${code}  .{20,600}\n    data: .*\n    next: .*\n$`))
    expect({ exitCode, stdout }).toEqual({ exitCode: 65, stdout: '' })
    expect(sha256(app.database)).toBe(before)
    expect(app.files()).toEqual(backups)
    expect(peakMegabytes(path)).toBeLessThan(600)
  },
  60_000,
)

/** Of a process that reads the file as the import does. */
function peakMegabytes(path: string): number {
  const source = pathToFileURL(join(root, 'dist/src/formats/source.js')).href
  const script = `import { openSource } from ${JSON.stringify(source)}
    try { for await (const _ of (await openSource(${JSON.stringify(path)}, {})).batches()); } catch {}
    console.log(process.resourceUsage().maxRSS / 1024)`
  return Number(spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).stdout)
}
