// The typed code that confirms what was shown: a plan, or the copy of a backup.

import { useState } from 'preact/hooks'
import type { Confirmation } from '../../src/console/contract.ts'
import { Submit, useAttempt } from './attempt.tsx'
import { Busy } from './contents.tsx'
import { formatClock } from './format.ts'
import { Field } from './parts.tsx'

export function Confirm({
  confirmation: { code, expiresAt },
  promise,
  back,
  confirm,
  lookAgain,
}: {
  confirmation: Confirmation
  /** What becomes of what is there. */
  promise: string
  /** Where one goes who does not want it. */
  back: string
  confirm: (typed: string) => Promise<void>
  lookAgain: () => Promise<void>
}) {
  const [typed, setTyped] = useState('')
  const [problem, setProblem] = useState<string>()
  const { failure, isBusy, attempt } = useAttempt()
  const plain = (text: string) => text.replace(/[\s-]/g, '').toUpperCase()

  async function submit(event: Event) {
    event.preventDefault()
    const isRight = plain(typed) === plain(code)
    setProblem(isRight ? undefined : typed.trim() ? `This is not the code. It is ${code}.` : `Type ${code} to confirm.`)
    if (isRight) await attempt(() => confirm(typed))
  }

  return (
    <form class="card" onSubmit={submit} noValidate aria-labelledby="confirm-title">
      <h2 id="confirm-title">Shall it be done?</h2>
      <p>{promise} It happens wholly, or not at all.</p>
      <Field
        label="Type the code to confirm"
        problem={problem}
        hint={
          <>
            The code is <code class="stem">{code}</code>. It is good for this plan, until {formatClock(expiresAt)}.
          </>
        }
      >
        {(attributes) => (
          <input
            {...attributes}
            class="code"
            autocomplete="off"
            autocapitalize="characters"
            spellcheck={false}
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        )}
      </Field>
      {failure && <Busy failure={failure} />}
      <div class="actions">
        {failure?.code === 'PLAN_CHANGED' ? (
          <button type="button" class="main" onClick={() => attempt(lookAgain)}>
            Look at the plan again
          </button>
        ) : (
          <Submit isBusy={isBusy}>Restore now</Submit>
        )}
        <a class="button" href={back}>
          Back
        </a>
      </div>
    </form>
  )
}
