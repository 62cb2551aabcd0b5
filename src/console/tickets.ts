// Tickets for downloads, which a browser fetches without the token of the session.
// Guarantees: each names one file, is good once and for a minute.

import { randomBytes } from 'node:crypto'
import { BootkeeperError } from '../errors.ts'

const goodForMs = 60_000

interface Ticket {
  path: string
  name: string
}

export function openTickets(now: () => number = Date.now) {
  const open = new Map<string, Ticket & { until: number }>()
  return {
    issue(path: string, name: string): string {
      for (const [id, { until }] of open) if (until < now()) open.delete(id)
      const id = randomBytes(24).toString('base64url')
      open.set(id, { path, name, until: now() + goodForMs })
      return id
    },
    /** Throws SIGN_IN_NEEDED. */
    take(id: string): Ticket {
      const found = open.get(id)
      open.delete(id)
      if (!found || found.until < now())
        throw new BootkeeperError('SIGN_IN_NEEDED', 'This download is over: it is good once, for a minute.', {
          next: 'Start the download again from the page.',
        })
      return found
    },
  }
}
