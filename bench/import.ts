// The import of a whole export into an empty database: Bootkeeper's, from the start of its child process to the commit,
// against the scripts that people write, and against `INSERT … SELECT` from an attached file, which parses nothing
// and checks nothing. Guarantees: every contender begins with the same empty database, and none is counted whose
// database lacks a row afterwards.

import { copyFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import Database from 'better-sqlite3'
import type * as ChildModule from '../src/child.ts'
import type { operations as exportOperations } from '../src/export-child.ts'
import type { operations } from '../src/import-child.ts'
import { readDataModel } from '../src/prisma/data-model.ts'
import { readSchemaFiles } from '../src/prisma/schema-files.ts'
import { schemaSql } from './make-database.ts'
import { type Contender, inTurns, runProgram, runStep, type Sample, type Turns } from './measure.ts'
import { exportUsual, generateClient, makeProject, root, type UsualExport, usualEnv } from './project.ts'
import { type Comparison, compare } from './results.ts'

const attached = 'INSERT … SELECT, attached'
// With more, one upsert after the other would take an hour, and createMany minutes.
const mostScriptRows = 50_000
const scriptTimeoutMs = 900_000

export async function measureImport(
  database: string,
  rows: number,
  turns: Turns,
  hasSqlite: boolean,
): Promise<Comparison[]> {
  const { folder } = turns
  const empty = join(folder, 'import-empty.db')
  const target = join(folder, 'import.db')
  makeEmpty(empty)
  const fresh = (path: string) => () => {
    for (const ending of ['', '-wal', '-shm']) rmSync(path + ending, { force: true })
    copyFileSync(empty, path)
  }
  const file = join(folder, 'import.json')
  await exportTo(file, database)

  const ours: Contender = {
    name: 'bootkeeper',
    before: fresh(target),
    run: () => counted(target, rows, () => importOurs(file, target)),
  }
  const attach = join(folder, 'import.sql')
  writeFileSync(attach, attachScript(database))
  const contenders: Contender[] = [ours]
  if (hasSqlite)
    contenders.push({
      name: attached,
      before: fresh(target),
      run: () =>
        counted(target, rows, () =>
          runProgram({ command: 'sh', args: ['-c', 'sqlite3 "$1" < "$2"', 'sh', target, attach], cwd: folder }),
        ),
    })

  const script = async (
    name: string,
    how: 'createMany' | 'upsert' | 'lists',
    exported: UsualExport = 'export.ts',
  ): Promise<Contender> => {
    const project = makeProject(join(folder, `import-${how}-${rows}`), database)
    await generateClient(project)
    await exportUsual(project, scriptTimeoutMs, exported)
    return {
      name,
      before: fresh(project.database),
      run: () =>
        counted(project.database, rows, () =>
          runProgram({
            command: 'npx',
            args: ['tsx', ...(how === 'lists' ? ['import-lists.ts'] : ['import.ts', how]), 'data/backup.json'],
            cwd: project.dir,
            env: usualEnv,
            timeoutMs: scriptTimeoutMs,
          }),
        ),
    }
  }
  if (rows <= mostScriptRows)
    contenders.push(
      await script('createMany in batches of 1,000, ids as they were', 'createMany'),
      await script('createMany in batches of 1,000, users with their lists', 'lists', 'export-lists.ts'),
    )
  const baseline = rows > mostScriptRows && hasSqlite ? attached : 'bootkeeper'
  const comparisons = [compare('import', rows, baseline, await inTurns(contenders, turns))]
  if (rows <= mostScriptRows) {
    const slow = await inTurns([ours, await script('upsert one by one', 'upsert')], { ...turns, rounds: 1 })
    comparisons.push(compare('import, one by one', rows, 'bootkeeper', slow))
  }
  for (const path of [empty, target, file]) rmSync(path, { force: true })
  return comparisons
}

function makeEmpty(path: string): void {
  rmSync(path, { force: true })
  const database = new Database(path)
  // In the journal mode that `prisma db push` leaves: delete.
  database.exec(schemaSql())
  database.close()
}

/** In the order of the references, as people do it: foreign keys are off in the tool, and the indexes are there. */
function attachScript(database: string): string {
  const names = ['SystemConfig', 'User', 'Media', 'UserMedia']
  const inserts = names.map((name) => `INSERT INTO main."${name}" SELECT * FROM source."${name}";`)
  return `ATTACH '${database.replaceAll("'", "''")}' AS source;\nBEGIN;\n${inserts.join('\n')}\nCOMMIT;\n`
}

async function counted(database: string, rows: number, run: () => Promise<Sample>): Promise<Sample> {
  const sample = await run()
  const open = new Database(database, { readonly: true })
  const found = open.prepare('SELECT count(*) FROM "UserMedia"').pluck().get() as number
  open.close()
  return found === rows ? sample : { ...sample, failure: sample.failure ?? `${found} of ${rows} rows are there` }
}

async function built() {
  const module = (path: string) => join(root, 'dist', 'src', path)
  const { startChild } = (await import(module('child.js'))) as typeof ChildModule
  const { files } = await readSchemaFiles(join(root, 'prisma', 'schema.prisma'))
  return { startChild, base: pathToFileURL(module('import.js')).href, model: await readDataModel(files) }
}

async function exportTo(target: string, database: string): Promise<void> {
  const { startChild, base, model } = await built()
  const child = startChild<typeof exportOperations>('./export-child', base)
  const header = {
    createdAt: new Date().toISOString(),
    stem: 'backup_bench',
    prismaVersion: '7.10.0',
    fingerprint: '',
    scope: 'everything',
    reason: 'bench',
  } as const
  rmSync(target, { force: true })
  await child.call('write', { engine: 'sqlite', database, model, header, target })
  await child.kill()
}

async function importOurs(path: string, databasePath: string): Promise<Sample> {
  const { startChild, base, model } = await built()
  return await runStep(async () => {
    const child = startChild<typeof operations>('./import-child', base)
    try {
      const how = { keys: {}, mode: 'merge', keepExisting: false, strict: true, mayWrite: true, busyMs: 1000 } as const
      const into = { engine: 'sqlite', database: databasePath } as const
      await child.call('plan', { path, into, model, temporaryDirectory: join(databasePath, '..'), ...how })
      await child.call('apply', undefined)
    } finally {
      await child.kill()
    }
  })
}
