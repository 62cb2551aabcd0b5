// The steps of one boot: each is named, timed, logged in one line and kept for the console.
// Guarantees: a step does not begin after a stop was asked for; an error that passes carries the name of its step.

import { asBootkeeperError, type BootkeeperError } from './errors.ts'
import type { Log } from './log.ts'
import { Stopped } from './signals.ts'
import type { StepRecord } from './state.ts'

/** What a step did, in one line, and what the later steps need of it. */
export interface StepResult<Value> {
  skipped?: boolean
  text: string
  /** More lines, shown below the one. */
  detail?: string
  value: Value
}

export interface Timeline {
  step<Value>(name: string, run: () => Promise<StepResult<Value>>): Promise<Value>
  /** A step that may fail: the failure is logged and given back, and the boot goes on. */
  attempt<Value>(name: string, run: () => Promise<StepResult<Value>>): Promise<Value | BootkeeperError>
  readonly steps: StepRecord[]
}

export function openTimeline(log: Log, signal: AbortSignal): Timeline {
  const steps: StepRecord[] = []

  async function step<Value>(name: string, run: () => Promise<StepResult<Value>>): Promise<Value> {
    signal.throwIfAborted()
    const begun = performance.now()
    const since = () => Math.round((performance.now() - begun) * 10) / 10
    try {
      const { skipped, text, detail, value } = await run()
      const state = skipped ? 'skipped' : 'done'
      steps.push({ name, state, ms: since(), text })
      log.info({ step: name, state, ms: since(), ...(detail ? { detail } : {}) }, text)
      return value
    } catch (thrown) {
      // What fails because a stop was asked for is the stop, not a failure.
      if (signal.aborted) throw signal.reason
      if (thrown instanceof Stopped) throw thrown
      const error = asBootkeeperError(thrown)
      error.step = name
      steps.push({ name, state: 'failed', ms: since(), text: error.message })
      log.error({ step: name, state: 'failed', ms: since() }, error.code)
      throw error
    }
  }

  return {
    steps,
    step,
    async attempt(name, run) {
      try {
        return await step(name, run)
      } catch (error) {
        if (signal.aborted || error instanceof Stopped) throw error
        return error as BootkeeperError
      }
    },
  }
}
