// The two doors: the setup code with a new password, and the password.

import { useState } from 'preact/hooks'
import type { Failure } from '../../src/console/contract.ts'
import { call, failureOf, setToken } from './api.ts'
import { FailureBox, Field, Page, PasswordField } from './parts.tsx'

export function Claim({ app, givenCode, onDone }: { app: string; givenCode: string; onDone: () => void }) {
  const [code, setCode] = useState(givenCode)
  const [password, setPassword] = useState('')
  const [problems, setProblems] = useState<{ code?: string; password?: string }>({})
  const [failure, setFailure] = useState<Failure>()
  const [isBusy, setBusy] = useState(false)

  async function submit(event: Event) {
    event.preventDefault()
    const found = {
      ...(code.trim() ? {} : { code: 'Type the code from the log.' }),
      ...(password.length >= 10 ? {} : { password: 'Take at least 10 characters.' }),
    }
    setProblems(found)
    if (Object.keys(found).length > 0) return
    setBusy(true)
    setFailure(undefined)
    try {
      setToken((await call('POST /api/claim', { code, password })).token)
      onDone()
    } catch (error) {
      setFailure(failureOf(error))
    }
    setBusy(false)
  }

  return (
    <Page
      title={`Welcome to ${app}`}
      lead="It is installed and running. Say that it is yours, and choose a password for this page. Nobody else can do so without the setup code."
    >
      {failure && <FailureBox failure={failure} />}
      <form onSubmit={submit} noValidate>
        <Field
          label="Setup code"
          problem={problems.code}
          hint={
            <>
              It stands in the log of the container, in the last lines of the newest start. With Docker:{' '}
              <code>docker compose logs</code>
            </>
          }
        >
          {(attributes) => (
            <input
              {...attributes}
              class="code"
              autocomplete="one-time-code"
              autocapitalize="characters"
              spellcheck={false}
              value={code}
              onInput={(event) => setCode(event.currentTarget.value)}
            />
          )}
        </Field>
        <PasswordField
          label="New password"
          hint="At least 10 characters. Three or four words are easier to keep than signs."
          problem={problems.password}
          value={password}
          isNew
          onChange={setPassword}
        />
        <div class="actions">
          <button type="submit" class="main" aria-disabled={isBusy}>
            {isBusy ? 'One moment …' : 'Continue'}
          </button>
        </div>
      </form>
    </Page>
  )
}

export function SignIn({ app, isAgain, onDone }: { app: string; isAgain: boolean; onDone: () => void }) {
  const [password, setPassword] = useState('')
  const [failure, setFailure] = useState<Failure>()
  const [problem, setProblem] = useState<string>()
  const [isBusy, setBusy] = useState(false)

  async function submit(event: Event) {
    event.preventDefault()
    setProblem(password ? undefined : 'Type the password.')
    if (!password) return
    setBusy(true)
    setFailure(undefined)
    try {
      setToken((await call('POST /api/sign-in', { password })).token)
      onDone()
    } catch (error) {
      setFailure(failureOf(error))
    }
    setBusy(false)
  }

  return (
    <Page
      title={isAgain ? 'Sign in again' : `Sign in to ${app}`}
      lead={
        isAgain
          ? 'The session is over. What you have chosen is kept, and work that was begun goes on.'
          : 'This page looks after its backups.'
      }
    >
      {failure && <FailureBox failure={failure} />}
      <form onSubmit={submit} noValidate>
        <PasswordField
          label="Password"
          hint="The one that was chosen when this was set up."
          problem={problem}
          value={password}
          isNew={false}
          onChange={setPassword}
        />
        <div class="actions">
          <button type="submit" class="main" aria-disabled={isBusy}>
            {isBusy ? 'One moment …' : 'Sign in'}
          </button>
        </div>
      </form>
    </Page>
  )
}
