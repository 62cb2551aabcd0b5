// What is asked of every request to the console before it is answered, and how its body is read.
// Guarantees: a name that an attacker could point at this machine (DNS rebinding) and a request that another site sent
// are refused; a body is read up to a limit, for a limited time, and parsed only where it says that it is JSON.

import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { BootkeeperError } from '../errors.ts'

const mostBodyBytes = 64 * 1024
const bodyMs = 10_000

/** Whether its Host is an address, a local name or in the settings. */
export function isKnownHost({ headers }: IncomingMessage, known: string[]): boolean {
  const name = hostnameOf(headers.host)
  return name !== undefined && (isLocalName(name) || known.includes(name))
}

/** Throws REQUEST_REFUSED for any other. */
export function requireKnownHost(request: IncomingMessage, known: string[]): void {
  if (isKnownHost(request, known)) return
  const { headers } = request
  throw new BootkeeperError('REQUEST_REFUSED', `The console does not answer under the name ${shown(headers.host)}.`, {
    next: 'Open it by its address, or put this name into CONSOLE_HOSTS.',
  })
}

/** Throws REQUEST_REFUSED where another site sent it, or where something that changes does not say who sent it. */
export function requireOwnOrigin({ headers, method }: IncomingMessage, known: string[]): void {
  const { origin, host } = headers
  const site = headers['sec-fetch-site']
  const isRead = method === 'GET' || method === 'HEAD'
  const foreign = new BootkeeperError('REQUEST_REFUSED', `This request was sent by ${shown(origin ?? 'nobody')}.`)
  if (site !== undefined && site !== 'same-origin' && site !== 'none') throw foreign
  if (origin === undefined) {
    if (isRead) return
    throw foreign
  }
  const url = URL.canParse(origin) ? new URL(origin) : undefined
  const isOwn =
    url !== undefined && /^https?:$/.test(url.protocol) && (url.host === host || known.includes(url.hostname))
  if (!isOwn) throw foreign
}

export function isSecure({ headers }: IncomingMessage): boolean {
  return headers.origin?.startsWith('https:') ?? false
}

export function cookieOf({ headers }: IncomingMessage, name: string): string | undefined {
  for (const part of (headers.cookie ?? '').split(';')) {
    const at = part.indexOf('=')
    if (at > 0 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim()
  }
  return undefined
}

/** Throws REQUEST_REFUSED. A request without a body gives an empty object. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  if (request.headers['content-type']?.split(';')[0]?.trim() !== 'application/json')
    throw new BootkeeperError('REQUEST_REFUSED', 'The body of this request has to be JSON.')
  const timer = setTimeout(() => request.destroy(), bodyMs)
  const parts: Buffer[] = []
  let bytes = 0
  try {
    for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += part.length
      if (bytes > mostBodyBytes) throw new BootkeeperError('REQUEST_REFUSED', 'The body of this request is too long.')
      parts.push(part)
    }
  } finally {
    clearTimeout(timer)
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'))
  } catch (cause) {
    throw new BootkeeperError('REQUEST_REFUSED', 'The body of this request is not JSON.', { cause })
  }
}

function hostnameOf(host: string | undefined): string | undefined {
  if (!host || !/^[\w.:[\]-]+$/.test(host) || !URL.canParse(`http://${host}/`)) return undefined
  return new URL(`http://${host}/`).hostname.replace(/\.$/, '')
}

/** Names that nobody can register: a foreign site cannot lead its visitors here by one. */
function isLocalName(name: string): boolean {
  const bare = name.replace(/^\[|\]$/g, '')
  if (isIP(bare) !== 0 || !name.includes('.') || name === hostname().toLowerCase()) return true
  return /\.(localhost|local|lan|internal|home\.arpa)$/.test(name)
}

function shown(text: string | undefined): string {
  return JSON.stringify((text ?? '').slice(0, 100))
}
