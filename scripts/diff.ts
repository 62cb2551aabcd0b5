// db:diff: what differs between a backup and the database, or between two backups, model by model.
// Guarantees: nothing is changed; rows are told apart by natural key, so other ids are no difference.

import { changesNothing, diffFiles, exportPath } from '../src/import.ts'
import { findSchema, readSchemaFiles } from '../src/prisma/schema-files.ts'
import { keyHelp, keyOptions } from './keys.ts'
import { withOps } from './open-ops.ts'
import { readWords } from './run-command.ts'
import { showExamples, showReport } from './show-import.ts'
import { withProgress } from './terminal-progress.ts'

const help = `
Compares an export with the database, or two exports: a backup's name, or a file.

  npm run db:diff -- backup_2026-11-20T10-30-00Z
  npm run db:diff -- backup_2026-11-01T10-30-00Z backup_2026-11-20T10-30-00Z

${keyHelp}
  --json   print one object

created: only in the (second) file. removed: only in the database (or the first file). updated: in both, and different.
Up to three rows of each are named.
`

export default async function diff(words: string[]): Promise<number> {
  const parsed = readWords(
    words,
    help,
    { ...keyOptions, json: { type: 'boolean' } },
    { needed: ['the backup, or the file, to compare'], max: 2 },
  )
  if (!parsed) return 0
  return await withOps(async (ops) => {
    const schema = await readSchemaFiles(await findSchema(process.cwd(), ops.config.schemaSetting))
    const [first, second] = await Promise.all(parsed.positionals.map((name) => exportPath(ops.config, name)))
    const plan = await withProgress('comparing', (onProgress) =>
      diffFiles({ ...ops, schema, onProgress }, first!, second),
    )
    const isSame = changesNothing(plan.report)
    if (parsed.values.json) process.stdout.write(`${JSON.stringify({ same: isSame, ...plan })}\n`)
    else {
      const [from, to = parsed.positionals[0]!] = second ? parsed.positionals : [ops.engine.description]
      process.stdout.write(
        `From ${from} to ${to}:\n${showReport(plan, false)}${showExamples(plan, ['created', 'updated', 'removed'])}`,
      )
      if (isSame) process.stdout.write('✔ The same.\n')
    }
    return 0
  }, parsed.values)
}
