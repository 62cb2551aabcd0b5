// The signals that this process gets: during the boot they stop it between two moments in which nothing is half-done;
// once an app runs they are passed on to it.
// Guarantees: every signal that can be caught and that a supervisor may send is one or the other; none is dropped.

import { constants } from 'node:os'

const stopping = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const
const passedOn = ['SIGUSR2', 'SIGWINCH', 'SIGCONT', 'SIGALRM'] as const

export type StopSignal = (typeof stopping)[number]

export function asksForStop(signal: NodeJS.Signals): signal is StopSignal {
  return (stopping as readonly string[]).includes(signal)
}

/** A stop was asked for. Not a failure: the exit code is 128 + the signal's number, as a shell would give. */
export class Stopped extends Error {
  override readonly name = 'Stopped'
  readonly signal: StopSignal
  constructor(signal: StopSignal) {
    super(`stopped by ${signal}`)
    this.signal = signal
  }
  get exitCode(): number {
    return 128 + constants.signals[this.signal]
  }
}

export interface Signals {
  /** Aborted, with a Stopped as its reason, by the first signal that asks for a stop while nobody takes them. */
  readonly stop: AbortSignal
  /** From now on `take` gets every signal; undefined: they stop what is under way again. */
  passTo(take: ((signal: NodeJS.Signals) => void) | undefined): void
}

export function listenForSignals(): Signals {
  const controller = new AbortController()
  let take: ((signal: NodeJS.Signals) => void) | undefined
  for (const signal of stopping)
    process.on(signal, () => {
      if (take) take(signal)
      else controller.abort(new Stopped(signal))
    })
  for (const signal of passedOn) process.on(signal, () => take?.(signal))
  return {
    stop: controller.signal,
    passTo(next) {
      take = next
    },
  }
}
