// The copy of the database, with its verification: Bootkeeper's engine against cp, .backup and VACUUM INTO.
// Guarantees: every contender's copy is on the disk before the clock stops; what ours spends on starting its helper
// process is measured by itself beside each run, shown, and taken off in a row of its own.

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type * as Sqlite from '../src/engines/sqlite.ts'
import { type Contender, inTurns, now, runProgram, runStep, type Sample, type Turns } from './measure.ts'
import { root } from './project.ts'
import { type Comparison, compare } from './results.ts'

const ours = 'bootkeeper, copy + verification'

export async function measureCopy(
  database: string,
  rows: number,
  turns: Turns,
  hasSqlite: boolean,
): Promise<Comparison> {
  const { folder } = turns
  const target = join(folder, 'copy.db')
  const clean = () => {
    for (const ending of ['', '-wal', '-shm', '-journal']) rmSync(target + ending, { force: true })
  }
  const shell = (name: string, line: string): Contender => ({
    name,
    before: clean,
    run: () => runProgram({ command: 'sh', args: ['-c', line, 'sh', database, target], cwd: folder }),
  })
  const tools = [
    shell('sqlite3 .backup', 'sqlite3 "$1" ".backup $2"'),
    shell('sqlite3 .backup + integrity_check', `sqlite3 "$1" ".backup $2" && ${checked('integrity_check')}`),
    shell('sqlite3 VACUUM INTO', `sqlite3 "$1" "VACUUM INTO '$2'" && sync "$2"`),
  ]
  const samples = await inTurns(
    [
      { name: ours, before: clean, run: () => copyOurs(database, target) },
      shell('cp + fsync', 'cp "$1" "$2" && sync "$2"'),
      shell('cp', 'cp "$1" "$2"'),
      ...(hasSqlite ? tools : []),
    ],
    turns,
  )
  clean()
  const net = samples.get(ours)!.map((sample) => withoutStart(sample))
  const [first, ...others] = samples
  return compare('copy', rows, 'cp + fsync', new Map([first!, ['bootkeeper, net of the start', net], ...others]))
}

async function copyOurs(database: string, target: string): Promise<Sample> {
  const { openSqlite } = (await import(join(root, 'dist', 'src', 'engines', 'sqlite.js'))) as typeof Sqlite
  const idle = openSqlite(`file:${database}`, { busyMs: 5_000 })
  const begunMs = now()
  // A file that is not there: the helper starts, answers, and did nothing.
  await idle.checkCopy(`${target}.absent`)
  const startMs = now() - begunMs
  await idle.close()

  const engine = openSqlite(`file:${database}`, { busyMs: 5_000 })
  const sample = await runStep(async () => {
    await engine.copy(target)
  })
  await engine.close()
  return { ...sample, parts: { 'start of an idle helper': startMs } }
}

function withoutStart({ ms, parts, ...sample }: Sample): Sample {
  return { ...sample, ms: ms - (parts?.['start of an idle helper'] ?? 0) }
}

// The tool exits with 0 whatever the check finds.
function checked(pragma: string): string {
  return `[ "$(sqlite3 "$2" "PRAGMA ${pragma}")" = ok ]`
}
