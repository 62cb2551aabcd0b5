// The first page of a fresh install: how to begin.

import type { Overview } from '../../src/console/contract.ts'
import { Page } from './parts.tsx'

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
