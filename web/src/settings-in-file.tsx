// The settings that a file would bring.
// Guarantees: secrets are not in what the page was given; each is read from the file again when somebody presses Show.

import { useState } from 'preact/hooks'
import type { SettingsField, SettingsGroup, Source } from '../../src/console/contract.ts'
import { call, failureOf } from './api.ts'
import { begin } from './begin.ts'
import { WideTable } from './parts.tsx'

export function SettingsInFile({ groups, source }: { groups: SettingsGroup[]; source: Source }) {
  return (
    <>
      {groups.map(({ model, title, fields }) => (
        <WideTable key={model} caption={groups.length > 1 ? `Settings in the file: ${title}` : 'Settings in the file'}>
          <thead>
            <tr>
              <th scope="col">Setting</th>
              <th scope="col">Value</th>
            </tr>
          </thead>
          <tbody>
            {fields.map((field) => (
              <tr key={field.name}>
                <th scope="row">{field.label}</th>
                <td class={field.isSet ? 'value' : 'none'}>
                  {field.isSecret && field.isSet ? <Secret {...{ model, field, source }} /> : shown(field)}
                </td>
              </tr>
            ))}
          </tbody>
        </WideTable>
      ))}
    </>
  )
}

function shown({ value, isSet }: SettingsField): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  return isSet ? String(value) : 'not set'
}

function Secret({ model, field, source }: { model: string; field: SettingsField; source: Source }) {
  const [value, setValue] = useState<string>()
  const [failure, setFailure] = useState<string>()
  const [isLocked, setLocked] = useState(false)
  const [isBusy, setBusy] = useState(false)

  async function toggle() {
    setFailure(undefined)
    if (value !== undefined) return setValue(undefined)
    if (isBusy) return
    setBusy(true)
    try {
      setValue((await call('POST /api/settings/reveal', { model, field: field.name, source })).value)
    } catch (error) {
      const { message, next, needs } = failureOf(error)
      // What was typed for the file is forgotten after its restore, and after half an hour: there is a page that asks.
      setLocked(needs !== undefined)
      setFailure(needs ? message : `${message} ${next}`)
    }
    setBusy(false)
  }

  return (
    <>
      <span aria-hidden={value === undefined}>{value ?? '••••••••'}</span>{' '}
      <button
        type="button"
        class="quiet small"
        aria-pressed={value !== undefined}
        aria-disabled={isBusy}
        onClick={toggle}
      >
        {isBusy ? 'Reading …' : value === undefined ? 'Show' : 'Hide'}
        <span class="unseen"> {field.label}</span>
      </button>
      <span role="status" class="bad">
        {failure}
      </span>
      {isLocked && (
        <button
          type="button"
          class="quiet small"
          onClick={() =>
            begin({ kind: 'inspect', source }).catch((error: unknown) => setFailure(failureOf(error).message))
          }
        >
          Open the file again
        </button>
      )}
    </>
  )
}
