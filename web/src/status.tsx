// How things are: the database, the backups, and the last starts step by step.
// Guarantees: what a bar shows stands beside it in words.

import type { Overview } from '../../src/console/contract.ts'
import { formatAge, formatBytes, formatMs, formatTime } from './format.ts'
import { Page } from './parts.tsx'

type Boot = Overview['boots'][number]

export function Status({ overview }: { overview: Overview }) {
  const { boots, running } = overview
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
      <Facts overview={overview} />
      <LastRestores restores={overview.restores} />
      <LastStarts boots={boots} />
    </Page>
  )
}

function Facts({ overview: { database, backups, lastDrill } }: { overview: Overview }) {
  const { sizeBytes, walBytes } = database
  return (
    <dl class="facts">
      <div>
        <dt>Database</dt>
        <dd>
          {database.engine === 'sqlite' ? 'SQLite' : 'PostgreSQL'}
          {sizeBytes === undefined ? ', size unknown' : `, ${formatBytes(sizeBytes)}`}
          {walBytes !== undefined && walBytes > 0 && (
            <span class="fine block">and {formatBytes(walBytes)} in its log (WAL)</span>
          )}
          <span class="fine block">{database.description}</span>
        </dd>
      </div>
      <div>
        <dt>Backups</dt>
        <dd>
          {backups === undefined ? 'unknown' : backups.count === 0 ? 'none yet' : backups.count}
          {backups?.newest && (
            <span class="fine block">
              The newest was made {formatAge(backups.newest.createdAt)}: <span class="stem">{backups.newest.stem}</span>
            </span>
          )}
          <span class="fine block">
            <a href="#/backups">See them all</a>
          </span>
        </dd>
      </div>
      <div>
        <dt>Restored for practice</dt>
        <dd>
          {lastDrill ? formatAge(lastDrill.at) : 'never'}
          <span class="fine block">
            {lastDrill === undefined ? (
              'A drill shows that a restore works before you need it. Each backup of the list has one.'
            ) : (
              <>
                {lastDrill.problem ? `It failed: ${lastDrill.problem} ` : 'It went well: '}
                <span class="stem">{lastDrill.stem}</span>
              </>
            )}
          </span>
        </dd>
      </div>
    </dl>
  )
}

const done = { restore: 'restored', undo: 'undone, with', 'put-back': 'put back' }

/** The way back to a result, where a restore can be undone. */
function LastRestores({ restores }: Pick<Overview, 'restores'>) {
  if (restores.length === 0) return null
  return (
    <>
      <h2>The last restores</h2>
      <ul class="restores">
        {restores.map(({ id, kind, subject, endedAt }) => (
          <li key={id}>
            <a href={`#/restore/${id}`}>{formatTime(endedAt)}</a>: {done[kind]} <span class="file-name">{subject}</span>
          </li>
        ))}
      </ul>
    </>
  )
}

export function LastStarts({ boots }: { boots: Boot[] }) {
  return (
    <>
      <h2>The last starts</h2>
      {boots.length === 0 && <p class="fine">There is none on record.</p>}
      {boots.map((boot, i) => (
        <details key={boot.at} class="boot" open={i === 0}>
          <summary>
            <span class={boot.outcome === 'ready' ? 'good' : 'bad'}>
              {boot.outcome === 'ready' ? 'ready' : `failed${boot.code ? `: ${boot.code}` : ''}`}
            </span>{' '}
            {formatTime(boot.at)}, {formatMs(boot.steps.reduce((sum, { ms }) => sum + ms, 0))}
          </summary>
          <Timeline boot={boot} />
        </details>
      ))}
    </>
  )
}

function Timeline({ boot: { at, steps } }: { boot: Boot }) {
  const total = steps.reduce((sum, { ms }) => sum + ms, 0)
  let from = 0
  return (
    <ol class="timeline" aria-label={`Steps of the start of ${formatTime(at)}`}>
      {steps.map(({ name, state, ms, text }) => {
        const begun = from
        from += ms
        return (
          <li key={name}>
            <p>
              <strong>{name}</strong>{' '}
              <span class={state === 'failed' ? 'bad' : 'fine'}>
                {state === 'skipped' ? state : state === 'failed' ? `failed, ${formatMs(ms)}` : formatMs(ms)}
              </span>
            </p>
            <Bar begun={begun} ms={ms} total={total} state={state} />
            <p class="fine">{text}</p>
          </li>
        )
      })}
    </ol>
  )
}

/** Attributes of SVG, because the policy of the page allows no style in an element. */
function Bar({ begun, ms, total, state }: { begun: number; ms: number; total: number; state: string }) {
  const share = (part: number) => (total > 0 ? (100 * part) / total : 0)
  const width = Math.max(1, share(ms))
  return (
    <svg class={`bar ${state}`} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">
      <rect class="track" x="0" y="0" width="100" height="8" />
      {state !== 'skipped' && (
        <rect class="part" x={Math.min(share(begun), 100 - width)} y="0" width={width} height="8" />
      )}
    </svg>
  )
}
