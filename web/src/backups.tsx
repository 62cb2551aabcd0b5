// The backups: how each is, and what can be done with it.
// Guarantees: nothing is removed before a dialog has named what goes; what cannot be removed says why.

import { useEffect, useRef, useState } from 'preact/hooks'
import type { BackupList, BackupView, Failure } from '../../src/console/contract.ts'
import { call, failureOf } from './api.ts'
import { useAttempt } from './attempt.tsx'
import { begin } from './begin.ts'
import { Busy } from './contents.tsx'
import { counted, formatAge, formatBytes, formatTime } from './format.ts'
import { isFailed } from './maintenance.tsx'
import { FailureBox, Page, Waiting } from './parts.tsx'

const pageSize = 20

export function Backups() {
  const [limit, setLimit] = useState(pageSize)
  const [list, setList] = useState<BackupList>()
  const [unread, setUnread] = useState<Failure>()
  const [done, setDone] = useState('')
  const [going, setGoing] = useState<BackupView>()
  const { failure, attempt } = useAttempt()

  async function read() {
    setUnread(undefined)
    await call('GET /api/backups', { limit }).then(setList, (error) => setUnread(failureOf(error)))
  }
  useEffect(() => void read(), [limit])

  const act = async (run: () => Promise<unknown>, said: string) => {
    setDone('')
    if (!(await attempt(run))) return
    await read()
    setDone(said)
  }

  return (
    <Page title="Backups" lead="Each was read back from the disk before it was listed.">
      {failure && <Busy failure={failure} />}
      {unread && (
        <FailureBox failure={unread}>
          <button type="button" class="main" onClick={read}>
            Try again
          </button>
        </FailureBox>
      )}
      <p role="status" class={done ? 'note good' : 'unseen'}>
        {done}
      </p>
      {!isFailed && (
        <div class="actions">
          <button type="button" class="main" onClick={() => attempt(() => begin({ kind: 'backup' }))}>
            Take a backup now
          </button>
        </div>
      )}
      {!list && !unread && <Waiting what="Reading the list …" />}
      {list?.total === 0 && (
        <p class="note">
          {isFailed
            ? 'There is no backup here. If you have one elsewhere, bring it as a file.'
            : 'There is no backup yet. The next start of the app makes one, or you do now.'}
        </p>
      )}
      {list && list.total > 0 && (
        <ul class="backups">
          {list.backups.map((backup) => (
            <li key={backup.stem} class="card">
              <Backup
                backup={backup}
                attempt={attempt}
                onPin={() =>
                  act(
                    () => call('POST /api/pins', { backup: backup.stem, pinned: !backup.isPinned }),
                    backup.isPinned
                      ? `${backup.stem} is kept as the policies say.`
                      : `${backup.stem} is kept for good, until it is unpinned.`,
                  )
                }
                onRemove={() => setGoing(backup)}
              />
            </li>
          ))}
        </ul>
      )}
      {list && list.backups.length < list.total && (
        <div class="actions">
          <button type="button" onClick={() => setLimit(limit + pageSize)}>
            Show older ones ({list.backups.length} of {list.total})
          </button>
        </div>
      )}
      {list && <Others list={list} />}
      {going && (
        <RemoveDialog
          backup={going}
          onClose={() => setGoing(undefined)}
          onConfirm={() => {
            setGoing(undefined)
            void act(() => call('POST /api/removals', { backup: going.stem }), `${going.stem} was removed.`)
            // The button that led here goes with the backup.
            document.querySelector<HTMLElement>('main h1')?.focus()
          }}
        />
      )}
    </Page>
  )
}

function Backup({
  backup,
  attempt,
  onPin,
  onRemove,
}: {
  backup: BackupView
  attempt: (run: () => Promise<unknown>) => Promise<boolean>
  onPin: () => void
  onRemove: () => void
}) {
  const { stem, createdAt, hasCopy, hasExport, isWhole, isPinned, isPinnedByBoot, condition, problem, keptBecause } =
    backup
  const name = <span class="unseen"> {stem}</span>
  const download = async () => {
    const { path } = await call('POST /api/tickets', { backup: stem })
    window.location.assign(path)
  }
  const isPutBack = isFailed && hasCopy
  return (
    <>
      <p>
        <strong>{formatTime(createdAt)}</strong> <span class="fine">{formatAge(createdAt)}</span>
        <span class={`badge ${condition === 'damaged' ? 'wrong' : ''}`}>{condition}</span>
        {isPinned && <span class="badge">pinned</span>}
        {isPinnedByBoot && <span class="badge">last good start</span>}
      </p>
      <p class="fine">
        <span class="stem">{stem}</span>
        <br />
        {factsOf(backup)}
        <br />
        {checksOf(backup)}
      </p>
      {problem && (
        <p class="problem">
          {problem} Do not rely on it: restore another one, and take a new backup while the data is there.
        </p>
      )}
      <div class="actions">
        <button
          type="button"
          class={isPutBack ? 'main' : ''}
          onClick={() =>
            attempt(() =>
              begin(isPutBack ? { kind: 'check-copy', backup: stem } : { kind: 'inspect', source: { backup: stem } }),
            )
          }
        >
          {isPutBack ? 'Put this backup back' : 'Look inside and restore'}
          {name}
        </button>
        <button type="button" onClick={() => attempt(() => begin({ kind: 'verify', backup: stem, drill: false }))}>
          Verify{name}
        </button>
        {isWhole && (
          <button type="button" onClick={() => attempt(() => begin({ kind: 'verify', backup: stem, drill: true }))}>
            Verify with a drill{name}
          </button>
        )}
        <button type="button" class="quiet" onClick={() => attempt(download)}>
          {hasCopy && hasExport ? 'Download the export' : 'Download'}
          {name}
        </button>
        <button type="button" class="quiet" onClick={onPin}>
          {isPinned ? 'Unpin' : 'Pin'}
          {name}
        </button>
        {keptBecause === undefined && (
          <button type="button" class="quiet" onClick={onRemove}>
            Delete …{name}
          </button>
        )}
      </div>
      {keptBecause !== undefined && <p class="fine">It cannot be deleted: {keptBecause}.</p>}
    </>
  )
}

function factsOf({ why, sizeBytes, rows, isEncrypted, hasExport, hasCopy }: BackupView): string {
  const parts = hasExport && hasCopy ? 'copy and export' : hasCopy ? 'raw copy only' : 'export only'
  const counts = rows === undefined ? [] : [counted(rows, 'row')]
  return [why, formatBytes(sizeBytes), ...counts, parts, ...(isEncrypted ? ['encrypted'] : [])].join(' · ')
}

function checksOf({ checkedAt, drilledAt, condition }: BackupView): string {
  const atFirst = condition === 'verified' ? 'verified when it was made' : 'not read back yet'
  const checked = checkedAt ? `read back ${formatAge(checkedAt)}` : atFirst
  return `${checked} · ${drilledAt ? `restored for practice ${formatAge(drilledAt)}` : 'never restored for practice'}`
}

/** A plain yes: what may go by hand is in a newer verified backup, so that no typed code is asked. */
function RemoveDialog({
  backup,
  onClose,
  onConfirm,
}: {
  backup: BackupView
  onClose: () => void
  onConfirm: () => void
}) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => dialog.current?.showModal(), [])
  const { stem, createdAt, sizeBytes, rows } = backup
  return (
    <dialog ref={dialog} aria-labelledby="remove-title" onClose={onClose}>
      <h2 id="remove-title">Delete this backup?</h2>
      <p>
        The backup of <strong>{formatTime(createdAt)}</strong>
        {rows === undefined ? '' : `, with ${counted(rows, 'row')}`}, {formatBytes(sizeBytes)}:{' '}
        <code class="stem">{stem}</code>
      </p>
      <p>
        Its files go for good. There is a newer verified backup, but what was in this one and was changed since is only
        here.
      </p>
      <div class="actions">
        <button type="button" onClick={() => dialog.current?.close()}>
          Keep it
        </button>
        <button type="button" class="danger" onClick={onConfirm}>
          Delete the backup
        </button>
      </div>
    </dialog>
  )
}

function Others({ list: { others, othersTotal } }: { list: BackupList }) {
  if (others.length === 0) return null
  const hidden = othersTotal - others.length
  return (
    <details class="others">
      <summary>
        {counted(othersTotal, 'more that is', 'more that are')} no backup: failed, stopped, damaged or running
      </summary>
      <ul>
        {others.map(({ id, status, createdAt, why, error }) => (
          <li key={id}>
            <span class={status === 'failed' || status === 'damaged' ? 'bad' : ''}>{status}</span>{' '}
            {formatTime(createdAt)}
            <span class="fine block">
              {why}
              {error ? `. ${error.message} (${error.code})` : ''}
            </span>
          </li>
        ))}
      </ul>
      {hidden > 0 && (
        <p class="fine">
          {counted(hidden, 'older one')}: <code>npx bootkeeper list --status failed</code>
        </p>
      )}
    </details>
  )
}
