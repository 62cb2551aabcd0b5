// The way of a restore: choose a file, see what is in it, see the plan, confirm it, watch it, undo it.
// Guarantees: every stage after the file has an address of its own (`#/restore/ID`), so that a reload, the back button
// and a second tab show the same; nothing is changed before the person has typed the code of the plan.

import { useEffect, useRef, useState } from 'preact/hooks'
import type { Failure, Operation, Overview } from '../../src/console/contract.ts'
import { call, failureOf, type RunningUpload, upload, watch } from './api.ts'
import { useAttempt } from './attempt.tsx'
import { begin } from './begin.ts'
import { ContentsView } from './contents.tsx'
import { CopyPlanView, PutBack } from './copy.tsx'
import { formatBytes } from './format.ts'
import { FailureBox, Journey, Page, Steps, Waiting } from './parts.tsx'
import { PlanView } from './plan.tsx'
import { BackedUp, Restored, UndoButton, Undone, Verified } from './results.tsx'
import { Unlock } from './unlock.tsx'

export function ChooseFile({ overview }: { overview: Overview }) {
  const [failure, setFailure] = useState<Failure>()
  const [sending, setSending] = useState<{ file: File; sent: number }>()
  const [isOver, setOver] = useState(false)
  const running = useRef<RunningUpload>()
  useEffect(() => () => running.current?.cancel(), [])

  async function take(file: File | undefined) {
    if (!file || sending) return
    setFailure(undefined)
    if (file.size > overview.uploadLimitBytes) return setFailure(tooLarge(file, overview.uploadLimitBytes))
    if (file.size === 0) return setFailure(emptyFile(file))
    setSending({ file, sent: 0 })
    try {
      running.current = upload(file, (sent) => setSending({ file, sent }))
      const { id } = await running.current.done
      await begin({ kind: 'inspect', source: { upload: id } })
    } catch (error) {
      const found = failureOf(error)
      if (found.code !== 'CANCELLED') setFailure(found)
      setSending(undefined)
    }
  }

  return (
    <Page
      title="Bring your data back"
      lead="Choose a backup or an export, of this app or an older version of it. First you see what is in it. Nothing changes until you say so."
    >
      <Journey at={0} />
      {failure && <FailureBox failure={failure} />}
      {sending ? (
        <section class="card" aria-label="Upload">
          <p>
            <strong class="file-name">{sending.file.name}</strong>, {formatBytes(sending.file.size)}
          </p>
          <progress max={sending.file.size} value={sending.sent} aria-label={`Upload of ${sending.file.name}`} />
          <p class="fine" aria-hidden="true">
            {sending.sent >= sending.file.size
              ? 'It has arrived, and is put on the disk.'
              : `${formatBytes(sending.sent)} of ${formatBytes(sending.file.size)}`}
          </p>
          <p class="unseen" role="status">
            The upload has begun.
          </p>
          <div class="actions">
            <button type="button" onClick={() => running.current?.cancel()}>
              Cancel the upload
            </button>
          </div>
        </section>
      ) : (
        // biome-ignore lint/a11y/noStaticElementInteractions: dropping is an extra; the field inside does it all
        <div
          class={`drop${isOver ? ' over' : ''}`}
          onDragOver={(event) => {
            event.preventDefault()
            setOver(true)
          }}
          onDragLeave={() => setOver(false)}
          onDrop={(event) => {
            event.preventDefault()
            setOver(false)
            void take(event.dataTransfer?.files[0])
          }}
        >
          <input
            id="file"
            type="file"
            class="unseen"
            aria-describedby="file-hint"
            onChange={(event) => {
              void take(event.currentTarget.files?.[0])
              event.currentTarget.value = ''
            }}
          />
          <label for="file" class="button main">
            Choose a file
          </label>
          <p class="or">or drop it here</p>
          <p id="file-hint" class="fine">
            JSON, plain, packed with gzip, zstd or bzip2, or encrypted with age, up to{' '}
            {formatBytes(overview.uploadLimitBytes)}
          </p>
        </div>
      )}
      <p class="fine">
        Is the backup on this machine already? <a href="#/backups">Take one from the list</a>.
      </p>
    </Page>
  )
}

/** Any operation of a restore, by its id. */
export function OperationPage({
  id,
  overview,
  onChanged,
}: {
  id: string
  overview: Overview
  onChanged: () => Promise<void>
}) {
  const [operation, setOperation] = useState<Operation>()
  const [isLost, setLost] = useState(false)
  const [failure, setFailure] = useState<Failure>()
  useEffect(() => {
    setOperation(undefined)
    setFailure(undefined)
    setLost(false)
    const watching = watch(id, {
      change(next) {
        setLost(false)
        setOperation(next)
      },
      lost: () => setLost(true),
      failed: setFailure,
    })
    return () => watching.stop()
  }, [id])
  // The first restore ends the setup, and the menu is there.
  const isBack = operation?.state === 'done' && operation.kind === 'restore'
  useEffect(() => {
    if (isBack) void onChanged()
  }, [isBack])
  if (failure)
    return (
      <Page title="This cannot be shown">
        <FailureBox failure={failure}>
          <a class="button" href="#/restore">
            Begin again
          </a>
        </FailureBox>
      </Page>
    )
  if (!operation || operation.id !== id)
    return <Waiting what={isLost ? 'The server does not answer yet …' : 'One moment …'} />
  if (operation.state === 'running') return <Running operation={operation} isLost={isLost} />
  if (operation.error?.needs) return <Unlock key={id} operation={operation} />
  if (operation.state === 'failed') return <Failed operation={operation} />
  switch (operation.kind) {
    case 'inspect':
      return <ContentsView operation={operation} isFirst={!overview.isSetUp || overview.failure !== undefined} />
    case 'plan':
      return <PlanView operation={operation} />
    case 'restore':
      return <Restored operation={operation} />
    case 'undo':
      return <Undone operation={operation} />
    case 'backup':
      return <BackedUp operation={operation} />
    case 'verify':
      return <Verified operation={operation} />
    case 'check-copy':
      return <CopyPlanView operation={operation} />
    case 'put-back':
      return <PutBack operation={operation} />
  }
}

const titles: Record<Operation['kind'], { running: string; failed: string; at?: 0 | 1 | 2 | 3 }> = {
  inspect: { running: 'Looking into the file', failed: 'This file cannot be restored', at: 1 },
  plan: { running: 'Working out what would change', failed: 'There is no plan', at: 2 },
  restore: { running: 'Bringing your data back', failed: 'The restore did not happen', at: 3 },
  undo: { running: 'Putting back what was there', failed: 'The undo did not happen', at: 3 },
  backup: { running: 'Taking a backup', failed: 'No backup was made' },
  verify: { running: 'Verifying a backup', failed: 'This backup did not pass' },
  'check-copy': { running: 'Checking the backup', failed: 'This backup cannot be put back' },
  'put-back': { running: 'Putting the backup back', failed: 'The restore did not happen' },
}

function Running({ operation, isLost }: { operation: Operation; isLost: boolean }) {
  const { running, at } = titles[operation.kind]
  return (
    <Page title={running} lead={<span class="file-name">{operation.subject}</span>}>
      {at !== undefined && <Journey at={at} />}
      <section class="card" aria-label="Progress">
        <Steps operation={operation} isLost={isLost} />
      </section>
      <p class="fine">You may close this page: the work goes on. Opened again, it shows how far it is.</p>
    </Page>
  )
}

function Failed({ operation }: { operation: Operation }) {
  const failure = operation.error!
  const { failed, at } = titles[operation.kind]
  const wasCut = failure.code === 'INTERRUPTED' && (operation.kind === 'restore' || operation.kind === 'put-back')
  return (
    <Page
      title={wasCut ? 'The restore was interrupted' : failed}
      lead={<span class="file-name">{operation.subject}</span>}
    >
      {at !== undefined && <Journey at={at} />}
      <FailureBox failure={failure}>
        <Again operation={operation} />
        {wasCut && operation.before && <UndoButton id={operation.id} stem={operation.before} />}
        {at !== undefined && (
          <a class="button" href="#/restore">
            Choose another file
          </a>
        )}
        {at === undefined && (
          <a class="button" href="#/backups">
            To the backups
          </a>
        )}
      </FailureBox>
    </Page>
  )
}

/** The way on after a failure that another look may mend. */
function Again({ operation }: { operation: Operation }) {
  const { failure, attempt } = useAttempt()
  const isConfirmed = operation.kind === 'restore' || operation.kind === 'put-back'
  const isWrongChoice = operation.kind === 'plan' && operation.error?.code === 'NOT_IN_FILE'
  async function again() {
    if (isWrongChoice) return await begin({ kind: 'inspect', source: operation.request.source })
    if (!isConfirmed) return await begin(operation.request)
    const planned = await call('GET /api/operations/:id', { id: operation.request.plan })
    await begin(planned.request)
  }
  return (
    <>
      {failure && <p class="problem">{`${failure.message} ${failure.next}`}</p>}
      <button type="button" class="main" onClick={() => attempt(again)}>
        {isWrongChoice ? 'Choose again' : isConfirmed ? 'Look at the plan again' : 'Try again'}
      </button>
    </>
  )
}

function tooLarge(file: File, limitBytes: number): Failure {
  return {
    code: 'UPLOAD_TOO_LARGE',
    message: `${file.name} has ${formatBytes(file.size)}, which is more than the ${formatBytes(limitBytes)} that are taken here.`,
    safe: 'Nothing was uploaded, and nothing was changed.',
    next: 'Set UPLOAD_LIMIT_MB higher and start again, or copy the file to the machine and run: npx bootkeeper import FILE',
  }
}

function emptyFile(file: File): Failure {
  return {
    code: 'FORMAT_UNKNOWN',
    message: `${file.name} is empty.`,
    safe: 'Nothing was uploaded, and nothing was changed.',
    next: 'Choose another file.',
  }
}
