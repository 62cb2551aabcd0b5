// The export of every row: Bootkeeper's, written, fsynced and read back in its child process, against sqlite3 .dump, the
// findMany script of the usual start, and the one that nests each user's lists. Guarantees: ours is the path that a boot takes, from the start of the child
// to its answer; no contender's file is left behind.

import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type * as ChildModule from '../src/child.ts'
import type { operations } from '../src/export-child.ts'
import { readDataModel } from '../src/prisma/data-model.ts'
import { readSchemaFiles } from '../src/prisma/schema-files.ts'
import { type Contender, inTurns, runProgram, runStep, type Sample, type Turns } from './measure.ts'
import { exportUsual, generateClient, makeProject, root } from './project.ts'
import { type Comparison, compare } from './results.ts'

const usualTimeoutMs = 180_000
// With more it takes minutes and gigabytes, if it comes to an end.
const mostNestedRows = 200_000

export async function measureExport(
  database: string,
  rows: number,
  turns: Turns,
  hasSqlite: boolean,
): Promise<Comparison> {
  const { folder } = turns
  const target = join(folder, 'export.json')
  const clean = () => rmSync(target, { force: true })
  const usual = makeProject(join(folder, `export-usual-${rows}`), database)
  await generateClient(usual)
  const dump = (name: string, line: string): Contender => ({
    name,
    before: clean,
    run: () => runProgram({ command: 'sh', args: ['-c', line, 'sh', database, target], cwd: folder }),
  })
  const tools = [
    dump('sqlite3 .dump', 'sqlite3 "$1" .dump > "$2"'),
    dump('sqlite3 .dump + fsync', 'sqlite3 "$1" .dump > "$2" && sync "$2"'),
  ]
  const nested: Contender = {
    name: 'findMany script, users with their lists',
    run: () => exportUsual(usual, usualTimeoutMs, 'export-lists.ts'),
  }
  const samples = await inTurns(
    [
      { name: 'bootkeeper', before: clean, run: () => exportOurs(database, target) },
      ...(hasSqlite ? tools : []),
      { name: 'findMany script', run: () => exportUsual(usual, usualTimeoutMs) },
      ...(rows <= mostNestedRows ? [nested] : []),
    ],
    turns,
  )
  clean()
  return compare('export', rows, hasSqlite ? 'sqlite3 .dump' : 'findMany script', samples)
}

async function exportOurs(database: string, target: string): Promise<Sample> {
  const built = (path: string) => join(root, 'dist', 'src', path)
  const { startChild } = (await import(built('child.js'))) as typeof ChildModule
  // Read once and then cached, as src/export.ts does.
  const { files } = await readSchemaFiles(join(root, 'prisma', 'schema.prisma'))
  const model = await readDataModel(files)
  return await runStep(async () => {
    const child = startChild<typeof operations>('./export-child', pathToFileURL(built('export.js')).href)
    try {
      await child.call('write', {
        engine: 'sqlite',
        database,
        model,
        header: {
          createdAt: new Date().toISOString(),
          stem: 'backup_bench',
          prismaVersion: '7.10.0',
          fingerprint: '',
          scope: 'everything',
          reason: 'bench',
        },
        target,
      })
    } finally {
      await child.kill()
    }
    if (statSync(target).size === 0) throw new Error('the export is empty')
  })
}
