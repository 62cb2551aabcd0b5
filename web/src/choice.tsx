// What of a file should come back: everything, the settings alone, or the data of some users.
// Guarantees: only what the file has is offered; the words that are sent are those of the command's `--only`.

import type { OperationOf } from '../../src/console/contract.ts'
import { formatCount } from './format.ts'
import { Field } from './parts.tsx'

type File = NonNullable<OperationOf<'inspect'>['result']>['file']

export interface Choice {
  what: 'everything' | 'settings' | 'users'
  /** Words of the users that are ticked. */
  users: string[]
  withSettings: boolean
  /** Names of users that are not in the list, one a line. */
  others: string
}

export const everything: Choice = { what: 'everything', users: [], withSettings: false, others: '' }

/** Whether there is anything to choose: of a file of one user, all is that user. */
export function hasChoice({ parts, users = [], moreUsers = 0 }: File): boolean {
  if (!parts) return false
  return (parts.settings ? 1 : 0) + (parts.users ? users.length + moreUsers : 0) > 1
}

/** Undefined for everything; an empty list where nothing was chosen yet. */
export function wordsOf({ what, users, withSettings, others }: Choice, file: File): string[] | undefined {
  if (what === 'everything') return undefined
  if (what === 'settings') return ['settings']
  const model = modelOf(file)
  const typed = others
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
    .map((name) => `${model}:${name.startsWith('#') ? '#' : ''}${name}`)
  const people = [...new Set([...users, ...typed])]
  return people.length > 0 && withSettings ? ['settings', ...people] : people
}

/** Of words such as `User:john`. */
function modelOf({ users = [] }: File): string {
  return users.find(({ only }) => only !== undefined)?.only?.split(':')[0] ?? ''
}

/** What was chosen, for people. */
export function sayChoice(words: string[]): string {
  return words
    .map((word) => (word === 'settings' ? 'the settings' : word.slice(word.indexOf(':') + 1).replace(/^##/, '#')))
    .join(', ')
}

export function ChoiceFields({
  file,
  choice,
  problem,
  onChange,
}: {
  file: File
  choice: Choice
  problem: string | undefined
  onChange: (choice: Choice) => void
}) {
  const { parts } = file
  const kinds = [
    { what: 'everything', title: 'Everything', means: 'All that is in the file.' },
    ...(parts?.settings
      ? [{ what: 'settings', title: 'The settings only', means: 'No user and no list is touched.' } as const]
      : []),
    ...(parts?.users
      ? [{ what: 'users', title: 'Chosen users', means: 'They, and all that is theirs in the file.' } as const]
      : []),
  ] as const
  return (
    <fieldset>
      <legend>What should come back?</legend>
      {kinds.map(({ what, title, means }) => (
        <label key={what} class="choice">
          <input
            type="radio"
            name="what"
            checked={choice.what === what}
            onChange={() => onChange({ ...choice, what })}
          />
          <span>
            <strong>{title}</strong>
            <span class="fine block">{means}</span>
          </span>
        </label>
      ))}
      {choice.what === 'users' && <Users {...{ file, choice, problem, onChange }} />}
    </fieldset>
  )
}

function Users({
  file,
  choice,
  problem,
  onChange,
}: {
  file: File
  choice: Choice
  problem: string | undefined
  onChange: (choice: Choice) => void
}) {
  const { users = [], moreUsers = 0, parts } = file
  const listed = users.flatMap(({ name, entries, only }) => (only === undefined ? [] : [{ name, entries, only }]))
  const title = listTitles(file)
  const toggle = (word: string, isOn: boolean) =>
    onChange({ ...choice, users: isOn ? [...choice.users, word] : choice.users.filter((each) => each !== word) })
  return (
    <fieldset class="people" aria-describedby="people-state">
      <legend>Which users?</legend>
      <div class="actions">
        <button type="button" onClick={() => onChange({ ...choice, users: listed.map(({ only }) => only) })}>
          All<span class="unseen"> of the users</span>
        </button>
        <button type="button" onClick={() => onChange({ ...choice, users: [] })}>
          None<span class="unseen"> of the users</span>
        </button>
        <p id="people-state" class={problem ? 'problem' : 'fine'} role="status">
          {problem ?? `${formatCount(choice.users.length)} of ${formatCount(listed.length)} chosen`}
        </p>
      </div>
      <div class="list">
        {listed.map(({ name, entries, only }) => {
          const lists = Object.entries(entries).filter(([, count]) => count > 0)
          return (
            <label key={only} class="choice">
              <input
                type="checkbox"
                name="user"
                aria-invalid={problem ? 'true' : undefined}
                checked={choice.users.includes(only)}
                onChange={(event) => toggle(only, event.currentTarget.checked)}
              />
              <span>
                <strong>{name}</strong>
                <span class="fine block">
                  {lists.map(([list, count]) => `${title(list)}: ${formatCount(count)}`).join(', ') ||
                    'nothing in a list'}
                </span>
              </span>
            </label>
          )
        })}
      </div>
      {moreUsers > 0 && (
        <Field
          label={`Others of the ${formatCount(moreUsers)} users that are not in this list`}
          hint="Names as they are in the file, one on each line."
        >
          {(attributes) => (
            <textarea
              {...attributes}
              rows={3}
              spellcheck={false}
              value={choice.others}
              onInput={(event) => onChange({ ...choice, others: event.currentTarget.value })}
            />
          )}
        </Field>
      )}
      {parts?.settings && (
        <label class="choice">
          <input
            type="checkbox"
            checked={choice.withSettings}
            onChange={(event) => onChange({ ...choice, withSettings: event.currentTarget.checked })}
          />
          <span>
            And the settings
            <span class="fine block">Those of the app, from the same file.</span>
          </span>
        </label>
      )}
    </fieldset>
  )
}

/** `watchedOfUnknownType`, `UserMedia.WATCHED`: without the model where all lists are of the same one. */
export function listTitles({ users = [] }: File): (list: string) => string {
  const models = new Set(users.flatMap(({ entries }) => Object.keys(entries)).map((list) => list.split('.')[0]))
  return (list) => {
    const [model = '', value] = list.split('.')
    if (value === undefined) return spaced(model)
    return models.size > 1 ? `${spaced(model)}, ${spaced(value)}` : spaced(value)
  }
}

function spaced(name: string): string {
  const words = /[a-z]/.test(name)
    ? name.replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
    : name.toLowerCase()
  return words.replaceAll('_', ' ')
}
