// What a file is and what an import does, as text for people: tables and short sentences.
// Guarantees: everything that an import leaves out, empties or leaves behind is said, in words and with its number.

import { command } from '../src/command-hint.ts'
import type { ModelCounts, RowName } from '../src/engines/engine-import.ts'
import { quoted } from '../src/formats/quote.ts'
import type { ImportPlan } from '../src/import.ts'
import type { FileDescription } from '../src/import-child.ts'
import { formatCount } from '../src/log.ts'
import { describeScope } from '../src/scope.ts'

/** Without counts where a report follows, which has them too. `path`: of the file, for commands. */
export function showFile(
  {
    title,
    certainty,
    scope,
    createdAt,
    app,
    counts,
    users,
    moreUsers = 0,
    leftBehind,
    notes,
    engine,
    parts,
  }: FileDescription,
  { withCounts = true, path = 'FILE' } = {},
): string {
  const made = [createdAt && `made ${createdAt}`, app && `by ${app}`].filter(Boolean).join(' ')
  const lines = [`${certainty === 'certain' ? 'Recognised as' : 'Probably'}: ${title}${made ? `, ${made}` : ''}.`]
  if (scope) lines.push(`A part of the data: ${describeScope(scope)}. All other rows stay as they are.`)
  if (users && users.length > 0) {
    const kinds = [...new Set(users.flatMap(({ entries }) => Object.keys(entries)))]
    const rows = users.map(({ name, entries }) => [
      name ?? '(unknown)',
      ...kinds.map((kind) => formatCount(entries[kind] ?? 0)),
    ])
    lines.push(table(['user', ...kinds], rows))
    if (moreUsers > 0) lines.push(`  and ${formatCount(moreUsers)} more`)
  }
  // An older format has no models of its own: what it holds is said by its users.
  if (withCounts && (!users || engine !== undefined))
    lines.push(
      table(
        ['model', 'rows'],
        Object.entries(counts).map(([name, rows]) => [name, formatCount(rows)]),
      ),
    )
  // Of settings an older format has no line in a table.
  if (parts?.settings)
    lines.push(`It has settings. To import them alone: ${command('import', path, '--only', 'settings')}`)
  const one = parts?.users ? users?.find(({ only }) => only !== undefined)?.only : undefined
  if (one !== undefined)
    lines.push(`A user can be imported alone: ${command('import', path, '--only', one.replaceAll(',', '\\,'))}`)
  if (users?.some(({ name }) => name === null))
    lines.push('! The file does not say whose it is: an import needs --user NAME.')
  lines.push(...notes.map((note) => `! ${note}`))
  lines.push(
    ...leftBehind.map(({ what, count }) => `! Left behind: ${count === 1 ? '' : `${formatCount(count)} × `}${what}`),
  )
  return `${lines.join('\n')}\n`
}

/** `done` for what happened, else what would happen. */
export function showReport({ file, report }: ImportPlan, done: boolean): string {
  const { models, skipped, emptied, notInSchema, notInFile } = report
  const columns = ['created', 'updated', 'unchanged', 'skipped', 'removed', 'kept'] as const
  const used = columns.filter((column) => models.some((model) => model[column] > 0))
  const rows = models.map((model) => [
    model.model,
    formatCount(model.rows),
    ...used.map((column) => formatCount(model[column])),
  ])
  const lines = [table(['model', 'in the file', ...used], rows)]
  for (const { model, reason, rows: count, examples } of skipped) {
    const verb = done ? (count === 1 ? 'was' : 'were') : 'would be'
    const places = `${file.hasLines ? 'line' : 'row'}${examples.length > 1 ? 's' : ''} ${examples.join(', ')}`
    const where = `${count > examples.length ? 'such as ' : ''}${places}${file.hasLines ? '' : ` of ${model}`}`
    lines.push(`! ${formatCount(count)} of ${model} ${verb} skipped: ${reason} (${where})`)
  }
  for (const { model, field, rows: count } of emptied)
    lines.push(`! ${formatCount(count)} of ${model} without their ${field}: it is nowhere`)
  for (const { model, field, rows: count } of notInSchema)
    lines.push(
      `! The schema has no ${field ? `${model}.${field}` : model}: ${formatCount(count)} rows have one`.replace(
        /one$/,
        field ? 'a value there' : 'no place',
      ),
    )
  for (const { model, fields } of notInFile)
    lines.push(`  The file has no ${model}.${fields.join(', ')}: defaults are used`)
  return `${lines.join('\n')}\n`
}

/** A few rows of each kind, by name, and the fields that change: one line for each model that has any. */
export function showExamples({ report }: ImportPlan, kinds: ('created' | 'updated' | 'removed')[]): string {
  const lines = report.models.flatMap(({ model, examples = {}, changes = [], ...counts }) => {
    const parts = kinds.flatMap((kind) => {
      const names = examples[kind]
      if (!names) return []
      const more = counts[kind] - names.length
      return `${kind} ${names.map(showName).join(', ')}${more > 0 ? ` and ${formatCount(more)} more` : ''}`
    })
    if (changes.length > 0) parts.push(`changed fields: ${listFields(changes, counts.updated)}`)
    return parts.length > 0 ? `  ${model}: ${parts.join('; ')}\n` : []
  })
  return lines.join('')
}

/** With the number of rows where that is not all that change. */
function listFields(changes: NonNullable<ModelCounts['changes']>, updated: number): string {
  return changes.map(({ field, rows }) => (rows === updated ? field : `${field} (${formatCount(rows)})`)).join(', ')
}

function showName(name: RowName): string {
  if (Array.isArray(name)) return `(${name.map(showName).join(', ')})`
  if (typeof name === 'object') return `id ${showName(name['#'])}`
  return typeof name === 'string' ? quoted(name) : String(name)
}

export function table(head: string[], rows: string[][]): string {
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...all.map((row) => [...(row[column] ?? '')].length)))
  const isNumber = (text: string) => /^[\d\s,.]*$/.test(text)
  return all
    .map((row) =>
      row
        .map((cell, column) => {
          const space = ' '.repeat(Math.max(0, widths[column]! - [...cell].length))
          return column > 0 && rows.every((each) => isNumber(each[column] ?? '')) ? space + cell : cell + space
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `  ${line}`)
    .join('\n')
}
