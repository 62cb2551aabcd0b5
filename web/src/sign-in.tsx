// The two doors: the setup code with a new password, and the password.

import { useState } from 'preact/hooks'
import { call, setToken } from './api.ts'
import { Submit, useAttempt } from './attempt.tsx'
import { isFailed, WhatFailed } from './maintenance.tsx'
import { FailureBox, Field, Page, PasswordField } from './parts.tsx'

export function Claim({ app, givenCode, onDone }: { app: string; givenCode: string; onDone: () => void }) {
  const [code, setCode] = useState(givenCode)
  const [password, setPassword] = useState('')
  const [problems, setProblems] = useState<{ code?: string; password?: string }>({})
  const { failure, isBusy, attempt } = useAttempt()

  async function submit(event: Event) {
    event.preventDefault()
    const found = {
      ...(code.trim() ? {} : { code: 'Type the code from the log.' }),
      ...(password.length >= 10 ? {} : { password: 'Take at least 10 characters.' }),
    }
    setProblems(found)
    if (Object.keys(found).length > 0) return
    await attempt(async () => {
      setToken((await call('POST /api/claim', { code, password })).token)
      onDone()
    })
  }

  return (
    <Page
      title={`Welcome to ${app}`}
      lead={`It is installed${isFailed ? '' : ' and running'}. Say that it is yours, and choose a password for this page. Nobody else can do so without the setup code.`}
    >
      <WhatFailed />
      {failure && <FailureBox failure={failure} />}
      <form onSubmit={submit} noValidate>
        <Field
          label="Setup code"
          problem={problems.code}
          hint={
            <>
              It stands in the log, in the last lines of the newest start: in the terminal, or with Docker{' '}
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
          <Submit isBusy={isBusy}>Continue</Submit>
        </div>
      </form>
    </Page>
  )
}

export function SignIn({ app, isAgain, onDone }: { app: string; isAgain: boolean; onDone: () => void }) {
  const [password, setPassword] = useState('')
  const [problem, setProblem] = useState<string>()
  const { failure, isBusy, attempt } = useAttempt()

  async function submit(event: Event) {
    event.preventDefault()
    setProblem(password ? undefined : 'Type the password.')
    if (!password) return
    await attempt(async () => {
      setToken((await call('POST /api/sign-in', { password })).token)
      onDone()
    })
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
      <WhatFailed />
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
          <Submit isBusy={isBusy}>Sign in</Submit>
        </div>
      </form>
    </Page>
  )
}
