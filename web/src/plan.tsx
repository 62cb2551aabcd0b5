// What a restore would change.

import type { OperationOf, PlanResult } from '../../src/console/contract.ts'
import { begin } from './begin.ts'
import { sayChoice } from './choice.tsx'
import { Confirm } from './confirm.tsx'
import { contentsOf } from './contents.tsx'
import { counted, formatCount } from './format.ts'
import { InTerminal, Journey, Page, WideTable } from './parts.tsx'

type Report = PlanResult['report']
type Counts = Report['models'][number]

const columns = [
  // On a phone the last ones may be out of sight, so what is lost comes first.
  { key: 'removed', title: 'go away', means: 'rows that only this app has' },
  { key: 'created', title: 'come back', means: 'rows of the file that are new here' },
  { key: 'updated', title: 'change', means: 'rows in both, where the file says something else' },
  { key: 'unchanged', title: 'same', means: 'rows that are in both and stay as they are' },
  { key: 'kept', title: 'stay', means: 'rows that only this app has, and keeps' },
  { key: 'skipped', title: 'left out', means: 'rows of the file that cannot go in' },
] as const

export function PlanView({ operation }: { operation: OperationOf<'plan'> }) {
  const { report, confirmation, into, command } = operation.result!
  const sum = (key: (typeof columns)[number]['key']) => report.models.reduce((total, model) => total + model[key], 0)
  const changes = sum('created') + sum('updated') + sum('removed')
  const isNothing = changes === 0 && into === 'present'
  const lead = isNothing
    ? 'Nothing. The data is already what the file says.'
    : summary(sum('created'), sum('updated'), sum('removed'), sum('skipped'))
  return (
    <Page title="This is what would change" lead={lead}>
      <Journey at={2} />
      {operation.request.only && (
        <p class="chosen">
          <strong>Of the file only:</strong> {sayChoice(operation.request.only)}. All else stays as it is.
        </p>
      )}
      <PlanTable report={report} isPart={operation.request.only !== undefined} />
      <Details report={report} hasLines={operation.result!.file.hasLines} />
      {into === 'new' && (
        <p class="note">There is no database that can be read: a new one is made, and what is there is set aside.</p>
      )}
      {isNothing ? (
        <div class="actions">
          <a class="button main" href="#/">
            Done
          </a>
          <a class="button" href="#/restore">
            Choose another file
          </a>
        </div>
      ) : (
        <Confirm
          key={operation.id}
          confirmation={confirmation}
          promise={
            into === 'new'
              ? 'What is there now is set aside as a file, and stays.'
              : 'What is there now is backed up first, and you can undo the restore afterwards.'
          }
          back={contentsOf(operation.request.source)}
          confirm={(code) => begin({ kind: 'restore', plan: operation.id, code })}
          lookAgain={() => begin(operation.request)}
        />
      )}
      {command && <InTerminal command={command} />}
    </Page>
  )
}

/** What happens, without the parts that do not. */
function summary(created: number, updated: number, removed: number, skipped: number): string {
  const parts = [
    created > 0 ? `${counted(created, 'row')} would come back` : '',
    updated > 0 ? `${counted(updated, 'row')} would change` : '',
    removed > 0 ? `${counted(removed, 'row')} would go away` : '',
    skipped > 0 ? `${counted(skipped, 'row')} of the file cannot go in` : '',
  ].filter(Boolean)
  return parts.length > 0 ? `${parts.join(', ')}.` : 'A new database would be made, without rows.'
}

function PlanTable({ report: { models }, isPart }: { report: Report; isPart: boolean }) {
  const used = columns.filter(({ key }) => models.some((model) => model[key] > 0))
  const shown = models.filter((model) => model.rows > 0 || columns.some(({ key }) => model[key] > 0))
  if (shown.length === 0) return <p class="note">Neither the file nor the database has a row.</p>
  return (
    <>
      <WideTable caption="Rows, by kind">
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col" class="number">
              {isPart ? 'chosen' : 'in the file'}
            </th>
            {used.map(({ key, title }) => (
              <th key={key} scope="col" class="number">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((model) => (
            <tr key={model.model}>
              <th scope="row">{model.model}</th>
              <td class="number">{formatCount(model.rows)}</td>
              {used.map(({ key }) => (
                <td key={key} class={`number ${model[key] > 0 ? key : 'none'}`}>
                  {formatCount(model[key])}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </WideTable>
      <dl class="legend fine">
        {used.map(({ key, title, means }) => (
          <div key={key}>
            <dt>{title}</dt>
            <dd>{means}</dd>
          </div>
        ))}
      </dl>
    </>
  )
}

function Details({ report, hasLines }: { report: Report; hasLines: boolean }) {
  const examples = report.models.flatMap((model) => {
    const lines = (['updated', 'removed'] as const).flatMap((key) => {
      const names = model.examples?.[key]
      return names
        ? [`${model.model}, ${key === 'updated' ? 'would change' : 'would go away'}: ${listed(names, model[key])}`]
        : []
    })
    const fields = (model.changes ?? []).map(({ field, rows }) =>
      rows === model.updated ? field : `${field} (in ${counted(rows, 'row')})`,
    )
    return fields.length > 0 ? [...lines, `${model.model}, what would change: ${fields.join(', ')}`] : lines
  })
  const warnings = [
    ...report.skipped.map(({ model, reason, rows, examples: places }) => {
      const where = `${hasLines ? 'line' : 'row'}${places.length > 1 ? 's' : ''} ${places.join(', ')}`
      return `${formatCount(rows)} of ${model} would be left out: ${reason} (${rows > places.length ? 'such as ' : ''}${where})`
    }),
    ...report.emptied.map(
      ({ model, field, rows }) => `${formatCount(rows)} of ${model} come without their ${field}: it is nowhere`,
    ),
    ...report.notInSchema.map(({ model, field, rows }) =>
      field
        ? `This app has no ${model}.${field}: ${counted(rows, 'row')} of the file with a value there`
        : `This app has no ${model}: ${counted(rows, 'row')} of the file without a place`,
    ),
    ...report.notInFile.map(
      ({ model, fields }) => `The file has no ${model}.${fields.join(', ')}: that stays, or gets its default`,
    ),
  ]
  return (
    <>
      {examples.length > 0 && <List title="For example" items={examples} />}
      {warnings.length > 0 && <List title="Good to know" items={warnings} isNote />}
    </>
  )
}

function List({ title, items, isNote = false }: { title: string; items: string[]; isNote?: boolean }) {
  const id = title.replace(/\W/g, '-').toLowerCase()
  return (
    <section class={isNote ? 'note' : 'plain'} aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      <ul>
        {items.map((item) => (
          <li key={item}>{item}</li>
        ))}
      </ul>
    </section>
  )
}

type RowName = NonNullable<NonNullable<Counts['examples']>['created']>[number]

function listed(names: RowName[], total: number): string {
  const more = total - names.length
  return `${names.map(showName).join(', ')}${more > 0 ? ` and ${formatCount(more)} more` : ''}`
}

function showName(name: RowName): string {
  if (Array.isArray(name)) return `(${name.map(showName).join(', ')})`
  if (typeof name === 'object') return `id ${showName(name['#'])}`
  return typeof name === 'string' ? `“${name.length > 60 ? `${name.slice(0, 59)}…` : name}”` : String(name)
}
