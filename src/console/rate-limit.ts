// Counts tries, so that a code or a password cannot be guessed, and the machine is no scanner for others.
// Guarantees: a try counts before it is looked at, so that many at once are counted too; five from one place within
// 15 minutes that were not forgiven, or a hundred from anywhere, or what the caller allows, end all tries there, right
// ones too, until the time is over.

import { isIPv6 } from 'node:net'
import { BootkeeperError } from '../errors.ts'

export interface Limits {
  windowMs: number
  triesOfOne: number
  triesOfAll: number
  /** What there were too many of. */
  what: string
}

const forGuesses: Limits = { windowMs: 15 * 60_000, triesOfOne: 5, triesOfAll: 100, what: 'wrong tries' }

export interface RateLimit {
  /** Counts one try. Throws TOO_MANY_TRIES. */
  take(address: string): void
  /** The try was right: it and those before it no longer count. */
  forgive(address: string): void
}

export function openRateLimit(now: () => number = Date.now, limits: Limits = forGuesses): RateLimit {
  const { windowMs, triesOfOne, triesOfAll, what } = limits
  const tries = new Map<string, number[]>()

  function recent(place: string): number[] {
    const since = now() - windowMs
    const left = (tries.get(place) ?? []).filter((at) => at > since)
    if (left.length > 0) tries.set(place, left)
    else tries.delete(place)
    return left
  }

  return {
    take(address) {
      const place = placeOf(address)
      const own = recent(place)
      const all = [...tries.keys()].flatMap(recent).sort((a, b) => a - b)
      const oldest = own.length >= triesOfOne ? own[0]! : all.length >= triesOfAll ? all[0]! : undefined
      if (oldest !== undefined) {
        const minutes = Math.max(1, Math.ceil((oldest + windowMs - now()) / 60_000))
        throw new BootkeeperError(
          'TOO_MANY_TRIES',
          `There were too many ${what}. The next one is possible in ${minutes} ${minutes === 1 ? 'minute' : 'minutes'}.`,
        )
      }
      tries.set(place, [...own, now()])
    },
    forgive(address) {
      tries.delete(placeOf(address))
    },
  }
}

/** One machine has many IPv6 addresses: its network counts as one place. */
function placeOf(address: string): string {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address
  const [head = '', tail = ''] = address.split('::')
  const before = head.split(':').filter(Boolean)
  const after = tail.split(':').filter(Boolean)
  const zeros = address.includes('::') ? Array(Math.max(0, 8 - before.length - after.length)).fill('0') : []
  return [...before, ...zeros, ...after].slice(0, 4).join(':')
}
