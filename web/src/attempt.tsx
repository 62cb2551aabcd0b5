// Sends something, waits for the answer, shows what went wrong: the one way in which the page's forms and buttons do it.
// Guarantees: a second click while the first one is under way sends nothing.

import type { ComponentChildren } from 'preact'
import { useRef, useState } from 'preact/hooks'
import type { Failure } from '../../src/console/contract.ts'
import { failureOf } from './api.ts'

export function useAttempt() {
  const [failure, setFailure] = useState<Failure>()
  const [isBusy, setBusy] = useState(false)
  // A state is seen by the next drawing only: too late for a double click.
  const underWay = useRef(false)

  /** Whether it went well. */
  async function attempt(run: () => Promise<unknown>): Promise<boolean> {
    if (underWay.current) return false
    underWay.current = true
    setBusy(true)
    setFailure(undefined)
    try {
      await run()
      return true
    } catch (error) {
      setFailure(failureOf(error))
      return false
    } finally {
      underWay.current = false
      setBusy(false)
    }
  }
  return { failure, isBusy, attempt }
}

export function Submit({ isBusy, children }: { isBusy: boolean; children: ComponentChildren }) {
  return (
    <button type="submit" class="main" aria-disabled={isBusy}>
      {isBusy ? 'One moment …' : children}
    </button>
  )
}
