// Asks a service whether it is there, for a person who has just typed its address.
// Guarantees: the name is resolved first, and only an address that was checked is connected to, so that a name cannot
// lead elsewhere in between; no redirect is followed, nothing is sent but the question, nothing of the answer is shown
// but its status, and five seconds are enough for all of it.

import type { LookupAddress } from 'node:dns'
import { lookup as systemLookup } from 'node:dns/promises'
import { type ClientRequest, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { isHttpUrl } from '../engines/config-values.ts'
import type { ConnectionResult } from './contract.ts'
import { isForbidden } from './forbidden-addresses.ts'

export interface TestOptions {
  timeoutMs?: number
  lookup?: (name: string) => Promise<LookupAddress[]>
}

const forEverything = 5_000

/** `address` as it was typed, `path` of the schema. Never throws. */
export async function testConnection(
  address: string,
  path: string,
  { timeoutMs = forEverything, lookup = (name) => systemLookup(name, { all: true, verbatim: true }) }: TestOptions = {},
): Promise<ConnectionResult> {
  if (!isHttpUrl(address))
    return failed('This is no address of a service.', 'Begin it with http:// or https://, such as http://service:8080.')
  const url = new URL(address.trim())
  if (url.username || url.password)
    return failed(
      'An address with a name or password in it is not asked.',
      'Leave out what is before the @; secrets have fields of their own.',
    )
  url.pathname = url.pathname.replace(/\/+$/, '') + path.split('?')[0]
  url.search = path.includes('?') ? path.slice(path.indexOf('?')) : ''
  url.hash = ''
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    const checked = await resolve(url, lookup, signal)
    if (checked.some((each) => isForbidden(each.address))) return refused
    return told(await ask(url, checked, signal), url)
  } catch (error) {
    return signal.aborted ? tooSlow(url, timeoutMs) : trouble(error as NodeJS.ErrnoException, url)
  }
}

async function resolve(
  { hostname }: URL,
  lookup: NonNullable<TestOptions['lookup']>,
  signal: AbortSignal,
): Promise<LookupAddress[]> {
  const name = hostname.replace(/^\[|\]$/g, '')
  const family = isIP(name)
  if (family !== 0) return [{ address: name, family }]
  // A lookup cannot be stopped, only left.
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  const found = await Promise.race([lookup(name), late])
  if (found.length === 0) throw Object.assign(new Error('no address'), { code: 'ENOTFOUND' })
  return found
}

/** The status of the answer, whose body is left unread. */
async function ask(url: URL, checked: LookupAddress[], signal: AbortSignal): Promise<number> {
  // The one way to an address from here on.
  const lookup: LookupFunction = (_, options, done) => {
    if (options.all) done(null, checked)
    else done(null, checked[0]!.address, checked[0]!.family)
  }
  const send = url.protocol === 'https:' ? requestHttps : requestHttp
  return await new Promise((resolve, reject) => {
    const request: ClientRequest = send(
      url,
      {
        lookup,
        signal,
        agent: false,
        maxHeaderSize: 16_384,
        headers: { accept: 'application/json, */*', 'user-agent': 'Bootkeeper', connection: 'close' },
      },
      (response) => {
        resolve(response.statusCode ?? 0)
        request.destroy()
      },
    )
    request.on('error', reject)
    request.end()
  })
}

function told(status: number, url: URL): ConnectionResult {
  if (status >= 200 && status < 300) return { outcome: 'reached', text: `Reached: the service answers (${status}).` }
  if (status >= 300 && status < 400)
    return answered(
      `Something answers there, and sends on to another address (${status}).`,
      url.protocol === 'http:'
        ? 'Type the address that it leads to: often the same with https://, or with a path behind it.'
        : 'Type the address that it leads to: often the same with a path behind it.',
    )
  if (status === 401 || status === 403)
    return answered(
      `Something answers there, but lets nobody in without a password (${status}).`,
      'It may be a proxy in front of the service. Take the address inside of your network, if there is one.',
    )
  if (status === 404)
    return answered(
      'Something answers there, but does not know what this service would (404).',
      'It may be another service. Check the port, and the path if the service has one.',
    )
  if (status >= 500)
    return answered(
      `Something answers there, and reports a failure of its own (${status}).`,
      'The service may be starting still, or be down behind its proxy. Look into its log, then test again.',
    )
  return answered(`Something answers there, but not as this service would (${status}).`, 'Check the address.')
}

const notNames = ['ENOTFOUND', 'EAI_AGAIN', 'EAI_NONAME', 'ENODATA']
const notThere = ['EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'EHOSTDOWN', 'EINVAL']

function trouble(error: NodeJS.ErrnoException, url: URL): ConnectionResult {
  // Where several addresses were tried, each has its own.
  const { code = '', message } = ((error as unknown as AggregateError).errors?.[0] as typeof error) ?? error
  const { host, hostname, protocol } = url
  if (notNames.includes(code))
    return failed(
      `No machine is called ${hostname} here.`,
      'Check the spelling. In Docker a service has the name that it has in the compose file, if both are in one network.',
    )
  if (code === 'ECONNREFUSED')
    return failed(
      `Nothing listens at ${host}.`,
      hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]'
        ? 'Is the service up, and is this its port? In a container, localhost is the container itself: take the name of the service.'
        : 'Is the service up, and is this its port?',
    )
  if (notThere.includes(code))
    return failed(`There is no way to ${host} from here.`, 'Check the address and the network.')
  if (
    /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|EPROTO|HOSTNAME_MISMATCH)/.test(code) &&
    protocol === 'https:'
  )
    return failed(
      code === 'EPROTO' || code.startsWith('ERR_SSL')
        ? 'What answers there does not speak TLS.'
        : `The certificate of ${host} is not trusted (${code}).`,
      code === 'EPROTO' || code.startsWith('ERR_SSL')
        ? 'Try the same address with http://.'
        : 'Take the name that the certificate was made for, or http:// inside of your network.',
    )
  if (code.startsWith('HPE_') || code === 'ECONNRESET')
    return failed(
      `What answers at ${host} does not speak HTTP, or hung up.`,
      protocol === 'http:' ? 'Check the port, or try https://.' : 'Check the port, or try http://.',
    )
  return failed(`The connection to ${host} failed: ${code || message}.`, 'Check the address.')
}

const refused = failed(
  'This address is not asked: it is link-local, a metadata service of a cloud, or no address of a machine.',
  'Take the address of the service in your network.',
)

function tooSlow({ host }: URL, timeoutMs: number): ConnectionResult {
  return failed(
    `${host} did not answer within ${timeoutMs / 1000} seconds.`,
    'Is the service up? A firewall in between swallows questions, too.',
  )
}

function answered(text: string, next: string): ConnectionResult {
  return { outcome: 'answered', text, next }
}

function failed(text: string, next: string): ConnectionResult {
  return { outcome: 'failed', text, next }
}
