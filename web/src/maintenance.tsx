// The page of a boot that failed: what anybody may know, what who is signed in may know, and the new start.
// Guarantees: before the sign-in nothing is said but the kind of failure; the new start is watched until something
// answers again.

import { useState } from 'preact/hooks'
import type { Overview } from '../../src/console/contract.ts'
import { call } from './api.ts'
import { useAttempt } from './attempt.tsx'
import { begin } from './begin.ts'
import { formatAge, formatTime } from './format.ts'
import { FailureBox, Page, Waiting } from './parts.tsx'
import { LastStarts } from './status.tsx'

const { app = 'The app', failed, meaning, safe } = document.documentElement.dataset

export const isFailed = Boolean(failed)

/** For everybody, above the doors. */
export function WhatFailed() {
  if (!isFailed) return null
  return (
    <section class="note bad" aria-label="What happened">
      <p class="what">{app} did not start.</p>
      <p>{meaning}</p>
      <p>
        <strong>Your data:</strong> {safe}
      </p>
      <p class="fine">Code: {failed}. Whoever signs in sees what happened exactly, and can put a backup back.</p>
    </section>
  )
}

export function Broken({ overview }: { overview: Overview & { failure: NonNullable<Overview['failure']> } }) {
  const { failure, boots, backups } = overview
  const { advised } = failure
  const { failure: advisedFailure, attempt } = useAttempt()
  // What the failure says is of the database that was there then: its advice must not be followed any more.
  if (overview.isMended)
    return (
      <Page title="Data is back" lead={`${overview.app} has not started yet.`}>
        <StartAgain />
        <p>
          Not what you wanted? <a href="#/backups">Put another backup back</a>, or <a href="#/restore">bring a file</a>.
        </p>
        <details>
          <summary>What was wrong before</summary>
          <p>{failure.message}</p>
        </details>
        <LastStarts boots={boots} />
      </Page>
    )
  return (
    <Page
      title={`${overview.app} did not start`}
      lead={failure.step ? `The step “${failure.step}” failed. The app is not running.` : 'The app is not running.'}
    >
      <FailureBox failure={failure} />
      {advisedFailure && <FailureBox failure={advisedFailure} />}
      <div class="doors">
        {advised && (
          <button
            type="button"
            class="door across"
            onClick={() => attempt(() => begin({ kind: 'check-copy', backup: advised.stem }))}
          >
            <strong>Put back the backup that is advised</strong>
            <span>
              Made {formatTime(advised.createdAt)}, {formatAge(advised.createdAt)}. First you see what it is; nothing
              changes until you say so.
            </span>
          </button>
        )}
        <a class="door" href="#/backups">
          <strong>{advised ? 'Choose another backup' : 'Put a backup back'}</strong>
          <span>
            {backups === undefined
              ? 'The folder of the backups cannot be read now. The page says why.'
              : backups.count === 0
                ? 'There is no backup here.'
                : 'Choose one of the list. What is there now is kept: backed up, or set aside where it is damaged.'}
          </span>
        </a>
        <a class="door" href="#/restore">
          <strong>Bring a file</strong>
          <span>You have an export or an older backup elsewhere. See what is in it first.</span>
        </a>
      </div>
      <StartAgain />
      <LastStarts boots={boots} />
    </Page>
  )
}

/** The boot begins again in the same container; what answers then is the app, or this page with what is wrong now. */
export function StartAgain() {
  const [state, setState] = useState<'idle' | 'starting' | 'silent'>('idle')
  const { failure, attempt } = useAttempt()

  async function start() {
    const isBegun = await attempt(() => call('POST /api/start-again', {}))
    if (!isBegun) return
    setState('starting')
    for (let tries = 0; tries < 90; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 1_000))
      if (await answers()) return window.location.replace('/')
    }
    setState('silent')
  }

  return (
    <section class="card" aria-labelledby="start-title">
      <h2 id="start-title">Start again</h2>
      <p>When what was wrong is mended, or a backup is back, the boot can begin again from its first step.</p>
      {failure && <FailureBox failure={failure} />}
      {state === 'starting' && <Waiting what={`${app} is starting. This page opens again when something answers …`} />}
      {state === 'silent' && (
        <p class="note" role="status">
          Nothing has answered for a while. The start may take long, or the app may listen on another port: the log says
          how far it is.
        </p>
      )}
      {state !== 'starting' && (
        <div class="actions">
          <button type="button" class="main" onClick={start}>
            Start {app} again
          </button>
        </div>
      )}
    </section>
  )
}

async function answers(): Promise<boolean> {
  return await fetch('/health').then(
    () => true,
    () => false,
  )
}
