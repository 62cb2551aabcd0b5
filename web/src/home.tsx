// The first page: the choice of a fresh install, or how things are.

import { useEffect, useState } from 'preact/hooks'
import type { BackupView, Failure, Overview } from '../../src/console/contract.ts'
import { call, failureOf } from './api.ts'
import { begin } from './begin.ts'
import { Busy } from './contents.tsx'
import { formatAge, formatBytes, formatCount, formatMs, formatTime } from './format.ts'
import { FailureBox, Page, Waiting, WideTable } from './parts.tsx'

export function Welcome({ overview, onPassedBy }: { overview: Overview; onPassedBy: () => void }) {
  return (
    <Page title="How do you want to begin?" lead={`${overview.app} is installed, and this page is yours now.`}>
      <div class="doors">
        <a class="door" href="#/restore">
          <strong>Bring data back</strong>
          <span>
            You have a backup or an export, of this version or an old one. See what is in it, then get all of it back.
          </span>
        </a>
        {overview.hasSettings ? (
          <a class="door" href="#/settings">
            <strong>Start afresh</strong>
            <span>
              Begin with what is there: on a new install, an empty database. Fill in the settings, or leave them for
              later. You can still bring data back at any time.
            </span>
          </a>
        ) : (
          <button type="button" class="door" onClick={onPassedBy}>
            <strong>Start afresh</strong>
            <span>
              Begin with what is there: on a new install, an empty database. You can still bring data back at any time.
            </span>
          </button>
        )}
      </div>
    </Page>
  )
}

export function Status({ overview }: { overview: Overview }) {
  const { boots, database, newestBackup, running } = overview
  return (
    <Page
      title={`${overview.app} is up`}
      lead={overview.appRuns ? 'The app runs beside this page.' : 'No app command is set, so this page is the app.'}
    >
      {running && (
        <p class="note">
          Something is being done at this moment. <a href={`#/restore/${running.id}`}>Look on</a>
        </p>
      )}
      <dl class="facts">
        <div>
          <dt>Database</dt>
          <dd>
            {database.engine === 'sqlite' ? 'SQLite' : 'PostgreSQL'}
            <span class="fine block">{database.description}</span>
          </dd>
        </div>
        <div>
          <dt>Newest backup</dt>
          <dd>
            {newestBackup ? formatAge(newestBackup.createdAt) : 'none yet'}
            {newestBackup && <span class="fine block stem">{newestBackup.stem}</span>}
          </dd>
        </div>
      </dl>
      <h2>The last starts</h2>
      {boots.length === 0 && <p class="fine">There is none on record.</p>}
      {boots.map(({ at, outcome, code, steps }, i) => (
        <details key={at} class="boot" open={i === 0}>
          <summary>
            <span class={outcome === 'ready' ? 'good' : 'bad'}>
              {outcome === 'ready' ? 'ready' : `failed${code ? `: ${code}` : ''}`}
            </span>{' '}
            {formatTime(at)}
          </summary>
          <WideTable caption={`Steps of the start of ${formatTime(at)}`}>
            <thead>
              <tr>
                <th scope="col">Step</th>
                <th scope="col">State</th>
                <th scope="col" class="number">
                  Time
                </th>
                <th scope="col">What it did</th>
              </tr>
            </thead>
            <tbody>
              {steps.map(({ name, state, ms, text }) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td>{state}</td>
                  <td class="number">{state === 'skipped' ? '' : formatMs(ms)}</td>
                  <td>{text}</td>
                </tr>
              ))}
            </tbody>
          </WideTable>
        </details>
      ))}
    </Page>
  )
}

export function Backups() {
  const [backups, setBackups] = useState<BackupView[]>()
  const [failure, setFailure] = useState<Failure>()
  useEffect(() => {
    call('GET /api/backups', {}).then(
      (answer) => setBackups(answer.backups),
      (error) => setFailure(failureOf(error)),
    )
  }, [])

  async function attempt(run: () => Promise<void>) {
    setFailure(undefined)
    try {
      await run()
    } catch (error) {
      setFailure(failureOf(error))
    }
  }
  const download = async (stem: string) => {
    const { path } = await call('POST /api/tickets', { backup: stem })
    window.location.assign(path)
  }

  return (
    <Page title="Backups" lead="Each was read back from the disk before it was listed.">
      {failure && (failure.running ? <Busy failure={failure} /> : <FailureBox failure={failure} />)}
      <div class="actions">
        <button type="button" class="main" onClick={() => attempt(() => begin({ kind: 'backup' }))}>
          Take a backup now
        </button>
      </div>
      {!backups && !failure && <Waiting what="Reading the list …" />}
      {backups?.length === 0 && (
        <p class="note">There is no backup yet. The next start of the app makes one, or you do now.</p>
      )}
      {backups && backups.length > 0 && (
        <ul class="backups">
          {backups.map(({ stem, createdAt, why, sizeBytes, rows, hasExport, isPinned }) => (
            <li key={stem} class="card">
              <p>
                <strong>{formatTime(createdAt)}</strong> <span class="fine">{formatAge(createdAt)}</span>
                {isPinned && <span class="badge">pinned</span>}
              </p>
              <p class="fine">
                <span class="stem">{stem}</span>
                <br />
                {[why, formatBytes(sizeBytes), rows === undefined ? '' : `${formatCount(rows)} rows`]
                  .filter(Boolean)
                  .join(' · ')}
              </p>
              <div class="actions">
                {hasExport && (
                  <button
                    type="button"
                    onClick={() => attempt(() => begin({ kind: 'inspect', source: { backup: stem } }))}
                  >
                    Look inside and restore<span class="unseen"> {stem}</span>
                  </button>
                )}
                <button type="button" class="quiet" onClick={() => attempt(() => download(stem))}>
                  Download<span class="unseen"> {stem}</span>
                </button>
              </div>
              {!hasExport && (
                <p class="fine">
                  A raw copy, put back in a terminal while the app is stopped:{' '}
                  <code>npx bootkeeper restore {stem}</code>
                </p>
              )}
            </li>
          ))}
        </ul>
      )}
    </Page>
  )
}
