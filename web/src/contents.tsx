// What is in a file, and how it should go in.

import { useState } from 'preact/hooks'
import type { Failure, OperationOf, Source } from '../../src/console/contract.ts'
import { Submit, useAttempt } from './attempt.tsx'
import { begin } from './begin.ts'
import { type Choice, ChoiceFields, everything, hasChoice, listTitles, wordsOf } from './choice.tsx'
import { counted, formatCount, formatTime } from './format.ts'
import { FailureBox, Field, Journey, Page, WideTable } from './parts.tsx'
import { SettingsInFile } from './settings-in-file.tsx'

type File = NonNullable<OperationOf<'inspect'>['result']>['file']

/** By file, for who comes back to it from the plan. */
const chosen = new Map<string, Choice>()
const shown = new Map<string, string>()
/** By look into a file: another look begins with what is usual, which takes nothing away. */
const settled = new Map<string, { mode: 'replace' | 'merge'; keepExisting: boolean; userName: string }>()

/** Where the contents of a file were shown last, for the way back from its plan. */
export function contentsOf(source: Source): string {
  const id = shown.get(JSON.stringify(source))
  return id === undefined ? '#/restore' : `#/restore/${id}`
}

/** `isFirst`: there is nothing yet that a restore could take away. */
export function ContentsView({ operation, isFirst }: { operation: OperationOf<'inspect'>; isFirst: boolean }) {
  const { file } = operation.result!
  const needsUser = file.users?.some(({ name }) => name === null) ?? false
  const before = settled.get(operation.id)
  const usual = needsUser || !isFirst ? 'merge' : 'replace'
  const [mode, setMode] = useState<'replace' | 'merge'>(before?.mode ?? usual)
  const place = JSON.stringify(operation.request.source)
  shown.set(place, operation.id)
  const [choice, setChoice] = useState(chosen.get(place) ?? everything)
  const [unchosen, setUnchosen] = useState<string>()
  const [keepExisting, setKeepExisting] = useState(before?.keepExisting ?? false)
  const [userName, setUserName] = useState(before?.userName ?? '')
  const [problem, setProblem] = useState<string>()
  const { failure, isBusy, attempt } = useAttempt()

  const isPart = choice.what !== 'everything'

  async function submit(event: Event) {
    event.preventDefault()
    const name = userName.trim()
    setProblem(needsUser && !name ? 'Say whose data this is: the file does not.' : undefined)
    const only = wordsOf(choice, file)
    setUnchosen(only?.length === 0 ? 'Choose one user at least.' : undefined)
    if (only?.length === 0) document.querySelector<HTMLElement>('input[name="user"]')?.focus()
    if ((needsUser && !name) || only?.length === 0) return
    const { source } = operation.request
    settled.set(operation.id, { mode, keepExisting, userName })
    const how = only ? { mode: 'merge' as const, only } : { mode }
    await attempt(() => begin({ kind: 'plan', source, ...how, keepExisting, ...(needsUser ? { userName: name } : {}) }))
  }

  return (
    <Page title="This is in the file" lead={<span class="file-name">{operation.subject}</span>}>
      <Journey at={1} />
      <Facts file={file} />
      {file.users && file.users.length > 0 && <Users file={file} users={file.users} />}
      {(!file.users || file.engine) && <Counts counts={file.counts} />}
      <SettingsInFile groups={operation.result!.settings ?? []} source={operation.request.source} />
      <Warnings file={file} />
      <form onSubmit={submit} noValidate>
        {needsUser && (
          <Field
            label="Whose data is this?"
            problem={problem}
            hint="The file does not say. A name that is not there yet becomes a new user."
          >
            {(attributes) => (
              <input
                {...attributes}
                autocomplete="off"
                spellcheck={false}
                value={userName}
                onInput={(event) => setUserName(event.currentTarget.value)}
              />
            )}
          </Field>
        )}
        {hasChoice(file) && (
          <ChoiceFields
            file={file}
            choice={choice}
            problem={unchosen}
            onChange={(next) => {
              chosen.set(place, next)
              setChoice(next)
              setUnchosen(undefined)
            }}
          />
        )}
        <fieldset>
          <legend>How should it go in?</legend>
          {isPart ? (
            <p>
              It is added to what is there, and nothing goes away: other users may share what a chosen one has, so a
              part never replaces.
            </p>
          ) : (
            <>
              <label class="choice">
                <input type="radio" name="mode" checked={mode === 'replace'} onChange={() => setMode('replace')} />
                <span>
                  <strong>Replace</strong>
                  <span class="fine block">The data becomes what the file says. What only this app has goes away.</span>
                </span>
              </label>
              <label class="choice">
                <input type="radio" name="mode" checked={mode === 'merge'} onChange={() => setMode('merge')} />
                <span>
                  <strong>Merge</strong>
                  <span class="fine block">The file is added to what is there. Nothing goes away.</span>
                </span>
              </label>
            </>
          )}
          {(isPart || mode === 'merge') && (
            <label class={isPart ? 'choice' : 'choice inner'}>
              <input
                type="checkbox"
                checked={keepExisting}
                onChange={(event) => setKeepExisting(event.currentTarget.checked)}
              />
              <span>
                Leave what is there as it is
                <span class="fine block">Otherwise, where both have the same entry, the file wins.</span>
              </span>
            </label>
          )}
        </fieldset>
        {failure && <Busy failure={failure} />}
        <div class="actions">
          <Submit isBusy={isBusy}>See what would change</Submit>
          <a class="button" href="#/restore">
            Choose another file
          </a>
        </div>
        <p class="fine">Nothing is changed by looking.</p>
      </form>
    </Page>
  )
}

/** Where something else runs, the way to it. */
export function Busy({ failure }: { failure: Failure }) {
  return (
    <FailureBox failure={failure}>
      {failure.running && (
        <a class="button" href={`#/restore/${failure.running}`}>
          {failure.code === 'PLAN_CHANGED' ? 'See its result' : 'Look on'}
        </a>
      )}
    </FailureBox>
  )
}

function Facts({ file }: { file: File }) {
  const { title, certainty, version, createdAt, app, engine } = file
  return (
    <dl class="facts">
      <div>
        <dt>{certainty === 'certain' ? 'Format' : 'Format, probably'}</dt>
        <dd>
          {title}
          {version && !title.includes('version') && <span class="fine"> version {version}</span>}
        </dd>
      </div>
      {createdAt && (
        <div>
          <dt>Made</dt>
          <dd>{formatTime(createdAt)}</dd>
        </div>
      )}
      {app && (
        <div>
          <dt>By</dt>
          <dd>{app}</dd>
        </div>
      )}
      {engine && (
        <div>
          <dt>Out of</dt>
          <dd>{engine === 'sqlite' ? 'SQLite' : 'PostgreSQL'}</dd>
        </div>
      )}
    </dl>
  )
}

function Users({ file, users }: { file: File; users: NonNullable<File['users']> }) {
  const title = listTitles(file)
  const lists = [...new Set(users.flatMap(({ entries }) => Object.keys(entries)))]
  return (
    <WideTable
      caption={`${counted(users.length, 'user')}${file.moreUsers ? ` of ${formatCount(users.length + file.moreUsers)}` : ''}, with the entries of each list`}
    >
      <thead>
        <tr>
          <th scope="col">User</th>
          {lists.map((list) => (
            <th key={list} scope="col" class="number">
              {title(list)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {users.map(({ name, entries }) => (
          <tr key={name}>
            <th scope="row">{name ?? 'the file does not say'}</th>
            {lists.map((list) => (
              <td key={list} class="number">
                {formatCount(entries[list] ?? 0)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </WideTable>
  )
}

function Counts({ counts }: { counts: Record<string, number> }) {
  const rows = Object.entries(counts)
  const total = rows.reduce((sum, [, count]) => sum + count, 0)
  if (total === 0) return <p class="note">The file is sound, but there is not a single row in it.</p>
  return (
    <WideTable caption={counted(total, 'row')}>
      <thead>
        <tr>
          <th scope="col">What</th>
          <th scope="col" class="number">
            Rows
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map(([name, count]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td class="number">{formatCount(count)}</td>
          </tr>
        ))}
      </tbody>
    </WideTable>
  )
}

function Warnings({ file: { notes, leftBehind } }: { file: File }) {
  if (notes.length === 0 && leftBehind.length === 0) return null
  return (
    <section class="note" aria-labelledby="good-to-know">
      <h2 id="good-to-know">Good to know</h2>
      {notes.length > 0 && (
        <ul>
          {notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      )}
      {leftBehind.length > 0 && (
        <details open={leftBehind.length <= 3}>
          <summary>
            {counted(leftBehind.length, 'kind of entry has', 'kinds of entries have')} no place in this app, and{' '}
            {leftBehind.length === 1 ? 'stays' : 'stay'} behind
          </summary>
          <ul>
            {leftBehind.map(({ what, count }) => (
              <li key={what}>
                {count === 1 ? '' : `${formatCount(count)} × `}
                {what}
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  )
}
