// One field of the settings, by its type.
// Guarantees: a secret is fetched only when somebody presses Show, and forgotten when it is hidden; one that is not
// touched stays as it is, and is removed only by the button that says so.

import { useEffect, useState } from 'preact/hooks'
import type { ConnectionResult, SettingsField } from '../../src/console/contract.ts'
import { call, failureOf } from './api.ts'
import { Field } from './parts.tsx'

export type Typed = string | boolean | null

interface FieldProps {
  model: string
  /** Of the row that the field was read from. */
  version: string
  field: SettingsField
  /** Undefined: not touched. */
  typed: Typed | undefined
  problem: string | undefined
  onChange: (typed: Typed | undefined) => void
}

type Attributes = Parameters<Parameters<typeof Field>[0]['children']>[0]

export function SettingField(props: FieldProps) {
  const { field, problem } = props
  if (field.type === 'Boolean' && field.isRequired && !field.isSecret) return <Checkbox {...props} />
  const isOpen = field.isRequired && field.default === undefined
  const label = isOpen ? `${field.label} (required)` : field.label
  return (
    <Field label={label} problem={problem} hint={field.isSecret ? secretHint(props) : hintOf(props)}>
      {(attributes) =>
        field.isSecret ? (
          <SecretInput {...props} attributes={attributes} />
        ) : field.canBeTested ? (
          <AddressInput {...props} attributes={attributes} />
        ) : (
          <PlainInput {...props} attributes={attributes} />
        )
      }
    </Field>
  )
}

/** The default is worth a word where there is another value. */
function hintOf({ field, typed }: FieldProps): string {
  const { hint, default: fallback, type } = field
  const isOther = String((typed === undefined ? field.value : typed) ?? '') !== fallback
  const shown = type === 'Boolean' ? (fallback === 'true' ? 'yes' : 'no') : fallback
  return [hint, fallback && isOther ? `Default: ${shown}` : ''].filter(Boolean).join(' ')
}

function secretHint({ field, typed }: FieldProps): string {
  return [field.hint, secretState(field.isSet, typed)].filter(Boolean).join(' ')
}

function secretState(isSet: boolean, typed: Typed | undefined): string {
  if (typed === null) return 'It is removed when you save.'
  if (!isSet) return typed ? '' : 'Not set.'
  if (typed === undefined) return 'It is set. Leave it as it is, or type another one.'
  if (typed === '') return 'Left empty, it stays as it is. To take it away, press Remove.'
  return 'It takes the place of the one that is set when you save.'
}

function Checkbox({ field, typed, problem, onChange }: FieldProps) {
  const isChecked = typed === undefined ? field.value === true : typed === true
  return (
    <div class="field">
      <label class="choice">
        <input
          type="checkbox"
          checked={isChecked}
          aria-invalid={problem ? 'true' : undefined}
          onChange={({ currentTarget: { checked } }) => onChange(checked === field.value ? undefined : checked)}
        />
        <span>
          <strong>{field.label}</strong>
          {(problem ?? field.hint) && (
            <span class={`block ${problem ? 'problem' : 'fine'}`}>{problem ?? field.hint}</span>
          )}
        </span>
      </label>
    </div>
  )
}

/** What an input holds, back to what is meant: as it was is not touched, and empty is nothing. */
function meant(field: SettingsField, text: string): Typed | undefined {
  if (text === (field.value ?? '')) return undefined
  return text === '' && !field.isRequired ? null : text
}

function PlainInput({ field, typed, attributes, onChange }: FieldProps & { attributes: Attributes }) {
  const value = typed === undefined ? field.value : typed
  const text = value === null ? '' : String(value)
  const change = ({ currentTarget }: { currentTarget: { value: string } }) =>
    onChange(meant(field, currentTarget.value))
  if (field.type === 'Boolean')
    return (
      <Select
        {...{ attributes, text }}
        choices={{ '': 'not set', true: 'yes', false: 'no' }}
        onChange={(chosen) => onChange(chosen === '' ? null : chosen === 'true')}
      />
    )
  if (field.choices) {
    const known = Object.fromEntries(field.choices.map((name) => [name, name]))
    const isOther = text !== '' && !field.choices.includes(text)
    const choices = {
      ...(field.isRequired && text !== '' ? {} : { '': 'not set' }),
      ...known,
      ...(isOther ? { [text]: `${text} (no longer one of them)` } : {}),
    }
    return <Select {...{ attributes, text, choices }} onChange={(chosen) => onChange(meant(field, chosen))} />
  }
  if (field.type === 'Json' || (field.type === 'String' && String(field.value ?? '').includes('\n')))
    return (
      <textarea
        {...attributes}
        class={field.type === 'Json' ? 'json' : ''}
        spellcheck={field.type !== 'Json'}
        rows={5}
        value={text}
        onInput={change}
      />
    )
  if (field.precision === 'date') return <input {...attributes} type="date" value={text} onInput={change} />
  if (field.precision === 'moment' && (text === '' || localOf(text) !== ''))
    return (
      <input
        {...attributes}
        type="datetime-local"
        step="1"
        value={localOf(text)}
        onInput={({ currentTarget: { value: local } }) =>
          onChange(local === '' ? meant(field, '') : local === localOf(String(field.value)) ? undefined : isoOf(local))
        }
      />
    )
  const inputMode = { Int: 'numeric', BigInt: 'numeric', Float: 'decimal', Decimal: 'decimal' }[String(field.type)]
  return (
    <input
      {...attributes}
      type="text"
      autocomplete="off"
      spellcheck={false}
      {...(inputMode ? { inputMode: inputMode as 'numeric' } : {})}
      value={text}
      onInput={change}
    />
  )
}

function Select({
  attributes,
  text,
  choices,
  onChange,
}: {
  attributes: Attributes
  text: string
  choices: Record<string, string>
  onChange: (chosen: string) => void
}) {
  return (
    <select {...attributes} value={text} onChange={({ currentTarget }) => onChange(currentTarget.value)}>
      {Object.entries(choices).map(([value, name]) => (
        <option key={value} value={value} selected={value === text}>
          {name}
        </option>
      ))}
    </select>
  )
}

/** In the person's own time zone, as the input has it; '' for what is no time. */
function localOf(text: string): string {
  const date = new Date(/^-?\d{5,}$/.test(text) ? Number(text) : text)
  if (Number.isNaN(date.getTime())) return ''
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19)
}

function isoOf(local: string): string {
  const date = new Date(local)
  return Number.isNaN(date.getTime()) ? local : date.toISOString()
}

function AddressInput({ model, field, typed, attributes, onChange }: FieldProps & { attributes: Attributes }) {
  const [result, setResult] = useState<ConnectionResult>()
  const [isBusy, setBusy] = useState(false)
  const text = String((typed === undefined ? field.value : typed) ?? '')

  async function test() {
    if (isBusy) return
    if (!text.trim()) return setResult({ outcome: 'failed', text: 'Type the address first.' })
    setBusy(true)
    setResult(undefined)
    try {
      setResult(await call('POST /api/settings/test', { model, field: field.name, address: text }))
    } catch (error) {
      const { message, next } = failureOf(error)
      setResult({ outcome: 'failed', text: message, next })
    }
    setBusy(false)
  }

  return (
    <>
      <span class="with-button">
        <input
          {...attributes}
          type="url"
          inputMode="url"
          autocomplete="off"
          spellcheck={false}
          value={text}
          onInput={({ currentTarget: { value } }) => {
            // What was said was of another address.
            setResult(undefined)
            onChange(meant(field, value))
          }}
        />
        <button type="button" onClick={test} aria-disabled={isBusy}>
          {isBusy ? 'Testing …' : 'Test'}
          <span class="unseen"> the connection to {field.label}</span>
        </button>
      </span>
      <div class="answer" role="status">
        {result && (
          <>
            <p class={`first ${result.outcome === 'reached' ? 'good' : result.outcome === 'failed' ? 'bad' : ''}`}>
              {result.text}
            </p>
            {result.next && <p>{result.next}</p>}
          </>
        )}
      </div>
    </>
  )
}

function SecretInput({ model, version, field, typed, attributes, onChange }: FieldProps & { attributes: Attributes }) {
  const [isShown, setShown] = useState(false)
  const [stored, setStored] = useState<string>()
  const [failure, setFailure] = useState<string>()
  // After a save it may be another one.
  useEffect(() => {
    setStored(undefined)
    setShown(false)
  }, [version])

  async function toggle() {
    setFailure(undefined)
    if (isShown) {
      setStored(undefined)
      return setShown(false)
    }
    if (field.isSet && typed === undefined)
      try {
        setStored((await call('POST /api/settings/reveal', { model, field: field.name })).value)
      } catch (error) {
        const { message, next } = failureOf(error)
        return setFailure(`${message} ${next}`)
      }
    setShown(true)
  }

  if (typed === null)
    return (
      <span class="with-button">
        <input {...attributes} type="text" value="" placeholder="removed" readOnly />
        <button type="button" onClick={() => onChange(undefined)}>
          Keep<span class="unseen"> {field.label}</span>
        </button>
      </span>
    )
  const isUntouched = typed === undefined
  return (
    <>
      <span class="with-button">
        <input
          {...attributes}
          type={isShown ? 'text' : 'password'}
          autocomplete="new-password"
          spellcheck={false}
          placeholder={isUntouched && field.isSet && !isShown ? '••••••••••••' : ''}
          value={isUntouched ? (stored ?? '') : String(typed)}
          onInput={({ currentTarget: { value } }) =>
            onChange(value === (stored ?? (field.isSet ? undefined : '')) ? undefined : value)
          }
        />
        {(field.isSet || typed) && (
          <button type="button" class="quiet" aria-pressed={isShown} onClick={toggle}>
            {isShown ? 'Hide' : 'Show'}
            <span class="unseen"> {field.label}</span>
          </button>
        )}
        {field.isSet && !field.isRequired && (
          <button
            type="button"
            class="quiet"
            onClick={() => {
              setStored(undefined)
              setShown(false)
              onChange(null)
            }}
          >
            Remove<span class="unseen"> {field.label}</span>
          </button>
        )}
      </span>
      <div class="answer" role="status">
        {failure && <p class="bad first">{failure}</p>}
      </div>
    </>
  )
}
