// The small parts that pages are made of.
// Guarantees: every page has one heading, which gets the focus when the page appears; progress is said in words, too.

import type { ComponentChildren } from 'preact'
import { useEffect, useId, useRef, useState } from 'preact/hooks'
import type { Failure, Operation } from '../../src/console/contract.ts'
import { formatCount } from './format.ts'

export function Page({
  title,
  lead,
  children,
}: {
  title: string
  lead?: ComponentChildren
  children?: ComponentChildren
}) {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = `${title} · ${document.documentElement.dataset.app ?? 'Bootkeeper'}`
    heading.current?.focus({ preventScroll: true })
    window.scrollTo(0, 0)
  }, [title])
  return (
    <>
      <h1 ref={heading} tabIndex={-1}>
        {title}
      </h1>
      {lead && <p class="lead">{lead}</p>}
      {children}
    </>
  )
}

const journey = ['File', 'Contents', 'Plan', 'Result']

/** Where one is on the way of a restore. */
export function Journey({ at }: { at: 0 | 1 | 2 | 3 }) {
  return (
    <ol class="journey" aria-label="Steps of the restore">
      {journey.map((name, i) => (
        <li
          key={name}
          class={i < at ? 'past' : i === at ? 'now' : ''}
          {...(i === at ? { 'aria-current': 'step' as const } : {})}
        >
          <span class="dot" aria-hidden="true">
            {i < at ? '✓' : i + 1}
          </span>
          {name}
          {i < at && <span class="unseen"> (done)</span>}
        </li>
      ))}
    </ol>
  )
}

export function FailureBox({ failure, children }: { failure: Failure; children?: ComponentChildren }) {
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => box.current?.focus(), [failure])
  return (
    <div class="note bad" role="alert" tabIndex={-1} ref={box}>
      <p class="what">{failure.message}</p>
      <p>
        <strong>Your data:</strong> {failure.safe}
      </p>
      <p>
        <strong>What to do:</strong> {failure.next}
      </p>
      <p class="fine">Code: {failure.code}</p>
      {children && <div class="actions">{children}</div>}
    </div>
  )
}

const marks = { waiting: '', running: '', done: '✓', failed: '✕' } as const
const words = { waiting: 'waiting', running: 'running now', done: 'done', failed: 'failed' } as const

/** The steps of an operation, and, for screen readers, each change of step once. */
export function Steps({ operation, isLost }: { operation: Operation; isLost: boolean }) {
  const now = operation.steps.find(({ state }) => state === 'running')
  return (
    <>
      <ol class="steps">
        {operation.steps.map(({ name, state, text }) => (
          <li key={name} class={state}>
            <span class="mark" aria-hidden="true">
              {marks[state]}
            </span>
            <span>
              {name}
              <span class="unseen">: {words[state]}</span>
              {text && <span class="fine block">{text}</span>}
              {state === 'running' && operation.rows !== undefined && (
                <span class="fine block" aria-hidden="true">
                  {formatCount(operation.rows)} rows read
                </span>
              )}
            </span>
          </li>
        ))}
      </ol>
      <p class="unseen" role="status">
        {now ? `${now.name}.` : ''}
      </p>
      {isLost && (
        <p class="note" role="status">
          The connection is lost. Work that the server has begun does not need this page, which tries to reach it again.
        </p>
      )}
    </>
  )
}

export function Field({
  label,
  hint,
  problem,
  children,
}: {
  label: string
  hint?: ComponentChildren
  problem?: string | undefined
  children: (attributes: {
    id: string
    'aria-describedby': string
    'aria-invalid': 'true' | undefined
  }) => ComponentChildren
}) {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, 'aria-describedby': `${id}-hint`, 'aria-invalid': problem ? 'true' : undefined })}
      <p id={`${id}-hint`} class={problem ? 'problem' : 'fine'}>
        {problem ?? hint}
      </p>
    </div>
  )
}

export function PasswordField({
  label,
  hint,
  problem,
  value,
  isNew,
  onChange,
}: {
  label: string
  hint?: string
  problem?: string | undefined
  value: string
  isNew: boolean
  onChange: (value: string) => void
}) {
  const [isShown, setShown] = useState(false)
  return (
    <Field label={label} hint={hint} problem={problem}>
      {(attributes) => (
        <span class="with-button">
          <input
            {...attributes}
            type={isShown ? 'text' : 'password'}
            autocomplete={isNew ? 'new-password' : 'current-password'}
            value={value}
            onInput={(event) => onChange(event.currentTarget.value)}
          />
          <button type="button" class="quiet" aria-pressed={isShown} onClick={() => setShown(!isShown)}>
            {isShown ? 'Hide' : 'Show'}
            <span class="unseen"> the password</span>
          </button>
        </span>
      )}
    </Field>
  )
}

/** A table that may be wider than a phone. */
export function WideTable({ caption, children }: { caption: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard
    <section class="wide" aria-label={caption} tabIndex={0}>
      <table>
        <caption>{caption}</caption>
        {children}
      </table>
    </section>
  )
}

export function Waiting({ what }: { what: string }) {
  return (
    <p class="waiting" role="status">
      <span class="spinner" aria-hidden="true" /> {what}
    </p>
  )
}

/** The command that does the same. */
export function InTerminal({ command }: { command: string }) {
  return (
    <details class="fine">
      <summary>The same in a terminal</summary>
      <p>
        <code>{command}</code>
      </p>
    </details>
  )
}
