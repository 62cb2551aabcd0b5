// In maintenance mode: what it would do to put the copy of a backup back, and how that ended.

import type { OperationOf } from '../../src/console/contract.ts'
import { begin } from './begin.ts'
import { Confirm } from './confirm.tsx'
import { counted, formatAge, formatBytes, formatTime } from './format.ts'
import { isFailed, StartAgain } from './maintenance.tsx'
import { InTerminal, Page } from './parts.tsx'
import { UndoButton } from './results.tsx'

export function CopyPlanView({ operation }: { operation: OperationOf<'check-copy'> }) {
  const { stem, createdAt, rows, sizeBytes, present, into, otherDatabase, confirmation, command } = operation.result!
  return (
    <Page
      title="This backup would be put back"
      lead="Its copy was read back from the disk just now, and is good. Nothing has been changed yet."
    >
      <dl class="facts">
        <div>
          <dt>Made</dt>
          <dd>
            {formatTime(createdAt)}
            <span class="fine block">{formatAge(createdAt)}</span>
          </dd>
        </div>
        <div>
          <dt>Holds</dt>
          <dd>
            {rows === undefined ? 'the whole database' : counted(rows, 'row')}
            <span class="fine block">{formatBytes(sizeBytes)}</span>
          </dd>
        </div>
        <div>
          <dt>Name</dt>
          <dd>
            <span class="stem">{stem}</span>
          </dd>
        </div>
      </dl>
      <p>
        {present === 'none'
          ? 'There is no database now. The copy becomes it.'
          : 'It takes the place of the database that is there now.'}{' '}
        What was written since this backup was made is not in it.
        <span class="fine block">{into}</span>
      </p>
      {otherDatabase && <p class="note">It is a backup of another database: {otherDatabase}.</p>}
      <Confirm
        key={operation.id}
        confirmation={confirmation}
        promise={
          present === 'none'
            ? 'Nothing is replaced, because there is nothing.'
            : 'What is there now is kept: as a backup that you can put back in the same way, or, where it is damaged, as a file beside the database.'
        }
        back="#/backups"
        confirm={(code) => begin({ kind: 'put-back', plan: operation.id, code })}
        lookAgain={() => begin(operation.request)}
      />
      <InTerminal command={command} />
    </Page>
  )
}

export function PutBack({ operation }: { operation: OperationOf<'put-back'> }) {
  const { before } = operation
  const { restored, aside, notes } = operation.result!
  return (
    <Page
      title="The backup is back"
      lead={`The database is again what it was then.${isFailed ? ' The app is not running yet.' : ''}`}
    >
      <section class="note good">
        <p>
          Put back: <code class="stem">{restored}</code>
        </p>
        {before && (
          <p>
            What was there until now is kept as <code class="stem">{before}</code>.
          </p>
        )}
        {aside && (
          <p>
            The file that was there, and could not be read, is kept as <code>{aside}</code>.
          </p>
        )}
        {notes.map((note) => (
          <p key={note}>{note}.</p>
        ))}
      </section>
      {before && (
        <div class="actions">
          <UndoButton id={operation.id} stem={before} />
        </div>
      )}
      {isFailed && <StartAgain />}
    </Page>
  )
}
