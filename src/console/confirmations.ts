// The codes that a person types to confirm a plan.
// Guarantees: a code stands for one plan of one file, is good for five minutes and for one use; five wrong ones end it.
// They live in memory: after a restart of the server a plan has to be looked at again.

import { createHash, randomInt } from 'node:crypto'
import { BootkeeperError } from '../errors.ts'
import { areEqual, codeAlphabet, plain } from './access.ts'
import type { Confirmation } from './contract.ts'

const goodForMs = 5 * 60_000
const mostWrong = 5

export interface Confirmations {
  issue(planId: string, contents: unknown): Confirmation
  /** Ends the code, and gives the hash of what was confirmed. Throws PLAN_CHANGED. */
  redeem(planId: string, code: string): string
}

export function openConfirmations(now: () => number = Date.now): Confirmations {
  const open = new Map<string, { code: string; hash: string; until: number; wrong: number }>()
  return {
    issue(planId, contents) {
      for (const [id, { until }] of open) if (until < now()) open.delete(id)
      const letters = Array.from({ length: 6 }, () => codeAlphabet[randomInt(codeAlphabet.length)]).join('')
      const code = `${letters.slice(0, 3)}-${letters.slice(3)}`
      const until = now() + goodForMs
      open.set(planId, { code, hash: hashOf(contents), until, wrong: 0 })
      return { code, expiresAt: new Date(until).toISOString() }
    },

    redeem(planId, code) {
      const found = open.get(planId)
      if (!found || found.until < now()) {
        open.delete(planId)
        throw new BootkeeperError(
          'PLAN_CHANGED',
          'The code of this plan is over: it is good for five minutes and one use.',
        )
      }
      if (!areEqual(plain(code), plain(found.code))) {
        found.wrong += 1
        if (found.wrong >= mostWrong) open.delete(planId)
        throw new BootkeeperError('PLAN_CHANGED', 'This is not the code that the page shows.', {
          next:
            found.wrong >= mostWrong
              ? 'It was wrong too often. Look at the plan again, for a new code.'
              : 'Type the code that stands beside the field.',
        })
      }
      open.delete(planId)
      return found.hash
    },
  }
}

export function hashOf(contents: unknown): string {
  return createHash('sha256').update(JSON.stringify(contents)).digest('hex')
}
