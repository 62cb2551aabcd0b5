// How a restore, an undo, a backup and its check ended.
// Guarantees: the backup of what was there before is named, and can be put back from here.

import { useRef } from 'preact/hooks'
import type { OperationOf } from '../../src/console/contract.ts'
import { useAttempt } from './attempt.tsx'
import { begin } from './begin.ts'
import { sayChoice } from './choice.tsx'
import { counted, formatBytes, formatCount, formatTime } from './format.ts'
import { isFailed, StartAgain } from './maintenance.tsx'
import { FailureBox, Journey, Page } from './parts.tsx'

export function Restored({ operation }: { operation: OperationOf<'restore'> }) {
  const { before } = operation
  const { report, aside, only } = operation.result!
  const sum = (kind: 'created' | 'updated' | 'removed') =>
    report.models.reduce((total, model) => total + model[kind], 0)
  return (
    <Page
      title="Your data is back"
      lead={`${counted(sum('created'), 'row')} came back, ${formatCount(sum('updated'))} changed, ${formatCount(sum('removed'))} went away.`}
    >
      <Journey at={3} />
      <section class="note good">
        <p>
          <strong class="file-name">{operation.subject}</strong> was restored
          {operation.endedAt ? ` on ${formatTime(operation.endedAt)}` : ''}.
        </p>
        {only && <p>Of the file only: {sayChoice(only)}.</p>}
        {before && (
          <p>
            What was there before is kept as <code class="stem">{before}</code>.
          </p>
        )}
        {aside && (
          <p>
            The file that was there, and could not be read, is kept as <code>{aside}</code>.
          </p>
        )}
      </section>
      {report.skipped.length > 0 && (
        <section class="note" aria-labelledby="left-out">
          <h2 id="left-out">Not all of the file could go in</h2>
          <ul>
            {report.skipped.map(({ model, reason, rows }) => (
              <li key={`${model} ${reason}`}>{`${formatCount(rows)} of ${model} were left out: ${reason}`}</li>
            ))}
          </ul>
        </section>
      )}
      {isFailed && <StartAgain />}
      <div class="actions">
        <a class={isFailed ? 'button' : 'button main'} href="#/">
          Done
        </a>
        {before && <UndoButton id={operation.id} stem={before} />}
      </div>
    </Page>
  )
}

export function UndoButton({ id, stem }: { id: string; stem: string }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const { failure, attempt } = useAttempt()
  const undo = () =>
    attempt(async () => {
      await begin({ kind: 'undo', restore: id })
      dialog.current?.close()
    })
  return (
    <>
      <button type="button" onClick={() => dialog.current?.showModal()}>
        Undo this restore …
      </button>
      <dialog ref={dialog} aria-labelledby="undo-title">
        <h2 id="undo-title">Undo this restore?</h2>
        <p>
          The data becomes again what it was before: <code class="stem">{stem}</code>. What was written since the
          restore goes away, but is backed up first, so that this can be undone, too.
        </p>
        {failure && <FailureBox failure={failure} />}
        <div class="actions">
          <button type="button" class="main" onClick={undo}>
            Undo the restore
          </button>
          <button type="button" onClick={() => dialog.current?.close()}>
            Keep it
          </button>
        </div>
      </dialog>
    </>
  )
}

export function Undone({ operation }: { operation: OperationOf<'undo'> }) {
  const { before } = operation
  const { restored } = operation.result!
  return (
    <Page title="The restore is undone" lead="The data is again what it was before.">
      <section class="note good">
        <p>
          Put back: <code class="stem">{restored}</code>
        </p>
        {before && (
          <p>
            What was there until now is kept as <code class="stem">{before}</code>.
          </p>
        )}
      </section>
      <div class="actions">
        <a class="button main" href="#/">
          Done
        </a>
        <a class="button" href="#/restore">
          Restore another file
        </a>
      </div>
    </Page>
  )
}

export function BackedUp({ operation }: { operation: OperationOf<'backup'> }) {
  const { stem, files } = operation.result!
  return (
    <Page title="The backup is made" lead="Both files were read back from the disk before they got their names.">
      <section class="note good">
        <p>
          <code class="stem">{stem}</code>
        </p>
        <ul>
          {files.map(({ name, sizeBytes }) => (
            <li key={name}>
              <span class="stem">{name}</span>, {formatBytes(sizeBytes)}
            </li>
          ))}
        </ul>
      </section>
      <div class="actions">
        <a class="button main" href="#/backups">
          To the backups
        </a>
      </div>
    </Page>
  )
}

export function Verified({ operation }: { operation: OperationOf<'verify'> }) {
  const { notes, restored } = operation.result!
  return (
    <Page
      title={restored ? 'The backup can be restored' : 'The backup is good'}
      lead={
        restored
          ? 'It was read back to its last byte, then restored beside the live database, compared, and thrown away again.'
          : 'Every file is byte for byte what was written, and what is inside was read to its end.'
      }
    >
      <section class="note good">
        <p>
          <code class="stem">{operation.subject}</code>
          {operation.endedAt ? `, on ${formatTime(operation.endedAt)}` : ''}
        </p>
        {restored && (
          <ul>
            {restored.map((part) => (
              <li key={part}>{part}</li>
            ))}
          </ul>
        )}
      </section>
      {notes.length > 0 && (
        <section class="note" aria-labelledby="good-to-know">
          <h2 id="good-to-know">Good to know</h2>
          <ul>
            {notes.map((note) => (
              <li key={note}>{note}</li>
            ))}
          </ul>
        </section>
      )}
      <div class="actions">
        <a class="button main" href="#/backups">
          To the backups
        </a>
      </div>
    </Page>
  )
}
