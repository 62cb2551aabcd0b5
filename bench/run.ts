// `npm run bench`: Bootkeeper beside what is usually used in its place, in one run, on the same data and the same disk.
// Prints medians, ratios and peak memory. Guarantees: it works in a temporary directory that it removes again, asserts
// no threshold, and says how busy the machine was, because ratios from a busy one are worth little.

import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { formatBytes } from '../src/log.ts'
import { measureBoot } from './boot.ts'
import { measureConsole, showAdded } from './console.ts'
import { measureCopy } from './copy.ts'
import { measureExport } from './export.ts'
import { measureImport } from './import.ts'
import { type LoopResult, measureLoop, showLoop } from './loop.ts'
import { makeDatabase } from './make-database.ts'
import { versionOf } from './measure.ts'
import { builtStart } from './project.ts'
import { type Comparison, formatRows, showComparison } from './results.ts'

const help = `Measures Bootkeeper beside the usual tools: npm run bench -- [options]

  --rows LIST   rows of UserMedia, such as 0,10000,100000  (else: what each part is about)
  --only LIST   of boot, console, copy, export, import, loop
  --pairs N     rounds of each comparison  (else 5, and 3 for boots on a million rows)
  --json FILE   write the results as JSON too
  --patience N  seconds that each round waits for other programs to leave the machine alone  (else 0)
  --keep DIR    keep the generated databases there, and use those that it has
`

const parts = ['boot', 'console', 'copy', 'export', 'import', 'loop'] as const
const usualRows = {
  boot: [0, 10_000, 100_000, 1_000_000],
  console: [10_000],
  copy: [100_000, 1_000_000],
  export: [100_000, 1_000_000],
  import: [30_000, 100_000, 1_000_000],
  loop: [1_000_000],
}

const { values } = parseArgs({
  options: {
    rows: { type: 'string' },
    only: { type: 'string' },
    pairs: { type: 'string' },
    json: { type: 'string' },
    keep: { type: 'string' },
    patience: { type: 'string' },
    help: { type: 'boolean' },
  },
})
if (values.help) process.stdout.write(help)
else await runAll()

async function runAll(): Promise<void> {
  const wanted = readList(values.only)
  const unknown = wanted?.find((name) => !parts.some((part) => part === name))
  if (unknown) throw new Error(`--only takes ${parts.join(', ')}, not ${unknown}`)
  if (!existsSync(builtStart)) throw new Error('There is no dist/: run `npm run build` first.')
  const folder = mkdtempSync(join(tmpdir(), 'bootkeeper-bench-'))
  process.once('SIGINT', () => process.exit(130))
  process.once('SIGTERM', () => process.exit(143))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))

  const sqlite = versionOf('sqlite3')
  const before = machine(sqlite)
  print(before)
  if (!sqlite) print('sqlite3 is not installed: .backup, VACUUM INTO and .dump are left out.')
  const comparisons: Comparison[] = []
  const loops: LoopResult[] = []
  for (const part of parts.filter((name) => wanted?.includes(name) ?? true))
    for (const rows of readList(values.rows)?.map(Number) ?? usualRows[part]) {
      const database = databaseOf(values.keep ?? folder, rows)
      const rounds = Number(values.pairs ?? (part === 'boot' && rows >= 500_000 ? 3 : 5))
      const turns = { rounds, folder, patienceMs: Number(values.patience ?? 0) * 1000 }
      process.stderr.write(`  measuring ${part}, ${formatRows(rows)} …\n`)
      if (part === 'loop') {
        const loop = await measureLoop(folder, database, rows)
        loops.push(loop)
        print(`\n${showLoop(loop)}`)
        continue
      }
      if (part === 'console') {
        const measured = await measureConsole(database, rows, turns)
        comparisons.push(measured.comparison)
        print(`\n${showComparison(measured.comparison)}\n${showAdded(measured)}`)
        continue
      }
      const measured =
        part === 'boot'
          ? await measureBoot(database, rows, turns)
          : part === 'import'
            ? await measureImport(database, rows, turns, sqlite !== undefined)
            : [await (part === 'copy' ? measureCopy : measureExport)(database, rows, turns, sqlite !== undefined)]
      comparisons.push(...measured)
      for (const one of measured) print(`\n${showComparison(one)}`)
    }
  const after = `Load at the end: ${loadavg()[0]!.toFixed(1)}.`
  print(`\n${after}`)
  if (values.json)
    writeFileSync(values.json, `${JSON.stringify({ machine: [before, after], comparisons, loops }, null, 2)}\n`)
}

/** Made once; whole, or not there. */
function databaseOf(folder: string, rows: number): string {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${rows}.db`)
  if (existsSync(path)) return path
  process.stderr.write(`  making a database of ${formatRows(rows)} …\n`)
  rmSync(`${path}.partial`, { force: true })
  makeDatabase(`${path}.partial`, rows)
  renameSync(`${path}.partial`, path)
  return path
}

function machine(sqlite: string | undefined): string {
  const { length } = cpus()
  const tools = `Node ${process.versions.node}${sqlite ? `, sqlite3 ${sqlite}` : ''}`
  return `${new Date().toISOString().slice(0, 10)}, Linux ${release()}, ${length} × ${cpus()[0]?.model ?? 'CPU'}, ${formatBytes(totalmem())}, ${tools}. Load at the start: ${loadavg()[0]!.toFixed(1)}.`
}

function readList(text: string | undefined): string[] | undefined {
  return text?.split(',').map((word) => word.trim())
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
