// An encrypted file that the server has no key for: asks for its passphrase, or for a secret key, and goes on.
// Guarantees: what was typed is sent once and kept nowhere in the page; a wrong one says so, and can be tried again.

import { useState } from 'preact/hooks'
import type { Operation, OperationRequest } from '../../src/console/contract.ts'
import { call } from './api.ts'
import { useAttempt } from './attempt.tsx'
import { begin } from './begin.ts'
import { FailureBox, Field, Journey, Page } from './parts.tsx'

type Source = Extract<OperationRequest, { kind: 'inspect' }>['source']

/** The operation failed because its file is locked. */
export function Unlock({ operation }: { operation: Operation }) {
  const { needs } = operation.error!
  const isPassphrase = needs === 'passphrase'
  const [secret, setSecret] = useState('')
  const [isShown, setShown] = useState(false)
  const [problem, setProblem] = useState<string>()
  const { failure, isBusy, attempt } = useAttempt()
  const what = isPassphrase ? 'passphrase' : 'secret key'

  async function submit(event: Event) {
    event.preventDefault()
    setProblem(secret === '' ? (isPassphrase ? 'Type the passphrase.' : 'Paste the secret key.') : undefined)
    if (secret === '') return
    await attempt(async () => {
      const { request, source } = await whatNext(operation)
      await call('POST /api/keys', { source, secret })
      setSecret('')
      await begin(request)
    })
  }

  return (
    <Page title="This file is encrypted" lead={<span class="file-name">{operation.subject}</span>}>
      <Journey at={operation.kind === 'inspect' ? 1 : operation.kind === 'undo' ? 3 : 2} />
      <p>
        {operation.kind === 'undo'
          ? `The backup of what was there before can be put back with its ${what}. Nothing was changed.`
          : operation.kind === 'inspect'
            ? `It can be looked into with its ${what}.`
            : `Its ${what} is needed again: the server forgets it after a restore, after half an hour, when it starts anew, and when somebody signs out. Nothing was changed.`}
      </p>
      {failure && <FailureBox failure={failure} />}
      <form class="card" onSubmit={submit} noValidate>
        <Field
          label={isPassphrase ? 'Passphrase of the file' : 'Secret key'}
          problem={problem}
          hint={
            isPassphrase
              ? 'It is kept in the memory of the server, for this file alone, and never written down.'
              : 'The line that begins with AGE-SECRET-KEY-1, of your key file. It is kept in the memory of the server, for this file alone, and never written down.'
          }
        >
          {(attributes) => (
            <span class="with-button">
              <input
                {...attributes}
                type={isShown ? 'text' : 'password'}
                autocomplete="off"
                spellcheck={false}
                value={secret}
                onInput={(event) => setSecret(event.currentTarget.value)}
              />
              <button type="button" class="quiet" aria-pressed={isShown} onClick={() => setShown(!isShown)}>
                {isShown ? 'Hide' : 'Show'}
                <span class="unseen"> the {what}</span>
              </button>
            </span>
          )}
        </Field>
        <div class="actions">
          <button type="submit" class="main" aria-disabled={isBusy}>
            {isBusy ? 'Trying it …' : 'Open the file'}
          </button>
          <a class="button" href="#/restore">
            Choose another file
          </a>
        </div>
        <p class="unseen" role="status">
          {isBusy ? `The ${what} is being tried.` : ''}
        </p>
      </form>
    </Page>
  )
}

/** What goes on once the file is open: a restore has to be planned again, because its code is spent. */
async function whatNext(operation: Operation): Promise<{ request: OperationRequest; source: Source }> {
  if (operation.kind === 'undo') return { request: operation.request, source: { backup: operation.subject } }
  const { request } =
    operation.request.kind === 'restore'
      ? await call('GET /api/operations/:id', { id: operation.request.plan })
      : operation
  if ('source' in request) return { request, source: request.source }
  throw new Error(`a ${request.kind} has no file`)
}
