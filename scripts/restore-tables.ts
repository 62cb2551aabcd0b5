// What the program beside a backup of a part calls (`STEM_restore.ts`): puts its rows back, by the same import as
// db:restore. A public entry: programs that were written by older versions keep working.
// Guarantees: a dry run unless --restore; the database is backed up first; wholly or not at all.

import { dirname, join, relative, resolve } from 'node:path'
import { type Config, readConfig } from '../src/config.ts'
import { openSource } from '../src/formats/source.ts'
import { exportPath } from '../src/import.ts'
import { runImport } from './import.ts'
import { keyHelp, keyOptions, withKeys } from './keys.ts'
import { readWords, runCommand } from './run-command.ts'

export interface TableRestore<Names> {
  /** The export, beside the program that calls this. */
  file: string
  /** From that program to the folder that Bootkeeper runs in. */
  project: string
  /** By model: what a row is called in what is printed. */
  names: Names
}

/** Reads its words from the command line, prints what it did, and sets the exit code. */
// biome-ignore lint/suspicious/noExplicitAny: each backup has rows of its own
export async function restoreTables<Names extends Record<string, (row: any) => string>>({
  file,
  project,
  names,
}: TableRestore<Names>): Promise<void> {
  const program = resolve(process.argv[1] ?? '')
  const words = process.argv.slice(2)
  const help = `npx tsx ${relative(process.cwd(), program)} --help`
  const run = async () => {
    process.chdir(resolve(dirname(program), project))
    const shown = relative(process.cwd(), program)
    const parsed = readWords(words, helpOf(shown), {
      ...keyOptions,
      restore: { type: 'boolean' },
      json: { type: 'boolean' },
    })
    if (!parsed) return 0
    const { restore = false, json = false } = parsed.values
    const config = withKeys(readConfig(), parsed.values)
    const path = await exportPath(config, join(dirname(program), file))
    if (!json) await showFirst(path, config, names)
    const request = { path, userName: undefined, mode: 'restore', keepExisting: false, strict: false } as const
    return await runImport(request, {
      action: 'restore',
      apply: restore,
      json,
      keys: parsed.values,
      again: `npx tsx ${shown} --restore`,
    })
  }
  await runCommand('restore-tables', words, async () => ({ default: run, help }))
}

function helpOf(program: string): string {
  return `
Puts the rows of the backup beside it back: says what it would do; does it with --restore, after a backup of the whole
database. Rows are told apart by their primary key; all other rows stay as they are.

  npx tsx ${program}
  npx tsx ${program} --restore

  --restore                do it
${keyHelp}
  --json                   print one object
`
}

const mostShown = 3

/** The first rows of each model, by name: whoever restores sees whether these are the ones. */
// biome-ignore lint/suspicious/noExplicitAny: as above
async function showFirst(path: string, { keys }: Config, names: Record<string, (row: any) => string>): Promise<void> {
  const first = new Map<string, string[]>()
  const { batches } = await openSource(path, { keys })
  for await (const batch of batches()) {
    for (const { model, row } of batch) {
      const known = first.get(model) ?? []
      const name = names[model]
      if (name && known.length < mostShown) first.set(model, [...known, name(row)])
    }
    if (Object.keys(names).every((model) => (first.get(model)?.length ?? 0) >= mostShown)) break
  }
  const rows = [...first.values()].flat()
  if (rows.length > 0) process.stdout.write(`In the backup: ${rows.join(', ')}, …\n`)
}
