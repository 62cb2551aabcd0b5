// The console's page: the doors, then the pages behind them.

import { render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Failure, Overview } from '../../src/console/contract.ts'
import { call, failureOf, hasToken, setToken, whenSignedOut } from './api.ts'
import { Backups } from './backups.tsx'
import { Welcome } from './home.tsx'
import { Broken } from './maintenance.tsx'
import { FailureBox, Page, Waiting } from './parts.tsx'
import { ChooseFile, OperationPage } from './restore.tsx'
import { takeSetupCode, useRoute } from './route.ts'
import { SettingsPage } from './settings.tsx'
import { Claim, SignIn } from './sign-in.tsx'
import { Status } from './status.tsx'

const { app = 'The app', claimed } = document.documentElement.dataset
const givenCode = takeSetupCode()

type Door = 'claim' | 'sign-in' | 'again' | 'open'

function App() {
  const [door, setDoor] = useState<Door>(claimed === 'true' ? (hasToken() ? 'open' : 'sign-in') : 'claim')
  const [wasIn, setWasIn] = useState(door === 'open')
  whenSignedOut(() => setDoor(wasIn ? 'again' : 'sign-in'))
  const enter = () => {
    setWasIn(true)
    setDoor('open')
  }
  return (
    <>
      <button
        type="button"
        class="skip"
        onClick={() => document.querySelector<HTMLElement>('main:not([hidden] *) h1')?.focus()}
      >
        Skip to the content
      </button>
      {door === 'claim' && (
        <Frame>
          <Claim app={app} givenCode={givenCode} onDone={enter} />
        </Frame>
      )}
      {(door === 'sign-in' || door === 'again') && (
        <Frame>
          <SignIn app={app} isAgain={door === 'again'} onDone={enter} />
        </Frame>
      )}
      {/* What was chosen stays, behind the door. */}
      {wasIn && (
        <div hidden={door !== 'open'}>
          <Inside isOpen={door === 'open'} onSignedOut={() => setDoor('sign-in')} />
        </div>
      )}
    </>
  )
}

function Inside({ isOpen, onSignedOut }: { isOpen: boolean; onSignedOut: () => void }) {
  const [section = '', id] = useRoute()
  const [overview, setOverview] = useState<Overview>()
  const [failure, setFailure] = useState<Failure>()
  const [visit, setVisit] = useState(0)
  // What the door hid is on show again: its title, and lists that were refused meanwhile.
  useEffect(() => {
    if (!isOpen) return
    setVisit((before) => before + 1)
    const title = document.querySelector('main:not([hidden] *) h1')?.textContent
    if (title) document.title = `${title} · ${app}`
  }, [isOpen])
  // Fresh numbers on the pages that show them, and after each sign-in.
  useEffect(() => {
    if (!isOpen) return
    setFailure(undefined)
    void look()
  }, [section, isOpen])

  async function look() {
    await call('GET /api/overview', {}).then(setOverview, (error) => setFailure(failureOf(error)))
  }

  async function passBy() {
    await call('POST /api/finish-setup', {}).catch(() => undefined)
    setOverview((now) => now && { ...now, isSetUp: true })
  }
  async function signOut() {
    await call('POST /api/sign-out', {}).catch(() => undefined)
    setToken(undefined)
    onSignedOut()
  }

  const links = {
    ...{ '': 'Status', restore: 'Restore', backups: 'Backups' },
    ...(overview?.hasSettings && !overview.failure ? { settings: 'Settings' } : {}),
  }
  const now = section === 'status' ? '' : section
  return (
    <Frame
      menu={
        (overview?.isSetUp || overview?.failure) && (
          <nav aria-label="Pages">
            {Object.entries(links).map(([path, title]) => (
              <a key={path} href={`#/${path}`} {...(now === path ? { 'aria-current': 'page' as const } : {})}>
                {title}
              </a>
            ))}
            <button type="button" class="quiet" onClick={signOut}>
              Sign out
            </button>
          </nav>
        )
      }
      bootkeeper={overview?.bootkeeper}
    >
      {!overview && !failure && <Waiting what="One moment …" />}
      {failure && !overview && (
        <Page title="This page cannot reach its server">
          <FailureBox failure={failure}>
            <button type="button" class="main" onClick={() => window.location.reload()}>
              Try again
            </button>
          </FailureBox>
        </Page>
      )}
      {overview && <Section {...{ section, id, overview, visit }} onChanged={look} onPassedBy={passBy} />}
    </Frame>
  )
}

function Section({
  section,
  id,
  overview,
  visit,
  onChanged,
  onPassedBy,
}: {
  section: string
  id: string | undefined
  overview: Overview
  visit: number
  /** What the overview says may be another thing now. */
  onChanged: () => Promise<void>
  onPassedBy: () => Promise<void>
}) {
  if (section === 'restore')
    return id ? <OperationPage key={id} {...{ id, overview, onChanged }} /> : <ChooseFile overview={overview} />
  if (section === 'backups')
    return id ? <OperationPage key={id} {...{ id, overview, onChanged }} /> : <Backups key={visit} />
  if (section === 'settings') return <SettingsPage id={id} overview={overview} onFinished={onPassedBy} />
  const { failure } = overview
  if (failure && (section === '' || section === 'status')) return <Broken overview={{ ...overview, failure }} />
  if (section === '' && !overview.isSetUp) return <Welcome overview={overview} onPassedBy={onPassedBy} />
  if (section === '' || section === 'status') return <Status overview={overview} />
  return (
    <Page title="There is no such page">
      <p>
        <a href="#/">To the first page</a>
      </p>
    </Page>
  )
}

function Frame({
  children,
  menu,
  bootkeeper,
}: {
  children: preact.ComponentChildren
  menu?: preact.ComponentChildren
  bootkeeper?: string | undefined
}) {
  return (
    <>
      <header>
        <a class="brand" href="#/">
          <img src="/icon.svg" alt="" width="28" height="28" />
          {app}
        </a>
        {menu}
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
      <footer>Kept safe by Bootkeeper{bootkeeper ? ` ${bootkeeper}` : ''}</footer>
    </>
  )
}

render(<App />, document.getElementById('app')!)
