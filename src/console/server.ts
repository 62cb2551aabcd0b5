// The built-in console: the app of a fresh clone, the page beside an app, and the page of a boot that failed in
// maintenance mode.
// Guarantees: a stranger gets the page's own files and `/health`, and nothing about the data; the code behind the API is
// loaded by its first call, so that a boot does not wait for it; every answer carries a strict content security policy.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { asBootkeeperError, BootkeeperError as Failure } from '../errors.ts'
import { makeDirectory } from '../files.ts'
import { errorFields, type Log } from '../log.ts'
import { openAccess } from './access.ts'
import type { Api, Maintenance } from './api.ts'
import { assetOf, type PageFacts } from './assets.ts'
import { type FailureContent, failurePage, styleSheet } from './pages.ts'
import { isKnownHost, requireKnownHost } from './request.ts'

export interface Console {
  url: string
  /** What the log should say once the console is up: how to claim an install that nobody has claimed. */
  invitation: string | undefined
  close(): Promise<void>
}

export interface ConsoleContent {
  app: string
  bootkeeper: string
  /** The app runs beside the console. */
  appRuns: boolean
  maintenance?: Maintenance
}

type Answer = (request: IncomingMessage, response: ServerResponse, path: string) => Promise<void> | void

/** Throws SETTINGS_INVALID where the port is taken. */
export async function openConsole(config: Config, log: Log, content: ConsoleContent): Promise<Console> {
  const directory = join(config.stateDir, 'console')
  await makeDirectory(directory)
  const access = await openAccess(directory, config.setupCode)
  if (access.problem) log.error(`${access.problem}. Remove that file and start again: the log then shows a setup code.`)
  const { maintenance } = content
  let api: Promise<Api> | undefined
  const loadApi = () => {
    const tools = { config, log, access, directory, ...content, maintenance }
    api ??= import('./api.ts').then(({ openApi }) => openApi(tools))
    // A full disk, say: the next call tries again.
    api.catch(() => {
      api = undefined
    })
    return api
  }
  const facts = (): PageFacts => ({
    app: content.app,
    isClaimed: access.setupCode === undefined,
    failed: maintenance?.failure.code,
  })
  const answerStranger = maintenance && failureAnswer({ ...content, failure: maintenance.failure })

  const answer: Answer = async (request, response, path) => {
    if (path === '/health' && !maintenance) return sendHealth(response, 200, { status: 'ok' })
    // Whoever comes by the app's own name has to be told, too, that it is not there.
    if (answerStranger && (path === '/health' || !isKnownHost(request, config.consoleHosts)))
      return answerStranger(request, response, path)
    requireKnownHost(request, config.consoleHosts)
    if (path.startsWith('/api/')) return await (await loadApi()).answer(request, response)
    if (!isRead(request)) return send(response, 405, 'text/plain', 'Only GET is answered here.\n')
    const asset = await assetOf(path, facts())
    if (asset) return send(response, maintenance && path === '/' ? 503 : 200, asset.type, asset.body)
    send(response, 404, 'text/plain', 'There is no such page.\n')
  }
  const { url, close } = await serve({ host: config.host, port: portOf(config, content) }, log, answer)
  return {
    url,
    invitation: invitationOf(url, access.setupCode, config.setupCode !== undefined),
    async close() {
      await close()
      await (await api?.catch(() => undefined))?.close()
    },
  }
}

function portOf({ port, consolePort }: Config, { appRuns }: ConsoleContent): number {
  return appRuns ? (consolePort ?? port) : port
}

function invitationOf(url: string, code: string | undefined, isGiven: boolean): string | undefined {
  if (code === undefined) return undefined
  // What somebody has set they know, and it need not be in every log.
  if (isGiven) return `Set it up at ${url} with the code in SETUP_CODE.`
  return `Set it up at ${url}/#${code} (from another machine, with this one's address in place of localhost). The code is good until the next boot.`
}

/** The one page of a boot that failed, where nothing else works: what kind of failure it is; the log has the words. */
export async function openFailurePage(config: Config, log: Log, content: FailureContent): Promise<Console> {
  const served = await serve({ host: config.host, port: config.port }, log, failureAnswer(content))
  return { ...served, invitation: undefined }
}

function failureAnswer(content: FailureContent): Answer {
  return (request, response, path) => {
    if (!isRead(request)) return send(response, 405, 'text/plain', 'Only GET is answered here.\n')
    if (path === '/health') return sendHealth(response, 503, { status: 'maintenance', code: content.failure.code })
    if (path === '/style.css') return send(response, 200, 'text/css', styleSheet)
    if (path === '/') return send(response, 503, 'text/html', failurePage(content))
    send(response, 404, 'text/plain', 'There is no such page.\n')
  }
}

async function serve({ host, port }: { host: string; port: number }, log: Log, answer: Answer) {
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value)
    const path = (request.url ?? '/').split('?')[0]!
    void (async () => {
      try {
        await answer(request, response, path)
      } catch (thrown) {
        const error = asBootkeeperError(thrown)
        log.warn(errorFields(error), `${request.method} ${path}: ${error.message}`)
        if (response.headersSent) response.destroy()
        else
          send(response, error.code === 'REQUEST_REFUSED' ? 421 : 500, 'text/plain', `${error.message} ${error.next}\n`)
      }
    })()
  })
  // A large file on a slow line takes as long as it takes; uploads watch for silence themselves.
  server.requestTimeout = 0
  server.headersTimeout = 15_000
  await listen(server, host, port)
  const address = server.address()
  const bound = typeof address === 'object' && address ? address.port : port
  return {
    url: `http://localhost:${bound}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'another program listens there' : error.message
      reject(
        new Failure('SETTINGS_INVALID', `The console cannot listen on ${host}:${port}: ${reason}.`, {
          cause: error,
          safe: 'The data is safe; its backup is listed.',
          next: 'Set PORT, or CONSOLE_PORT beside an app, to a free port.',
        }),
      )
    })
    server.listen(port, host, resolve)
  })
}

const securityHeaders = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

function isRead({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD'
}

function sendHealth(response: ServerResponse, status: number, health: object): void {
  send(response, status, 'application/json', `${JSON.stringify(health)}\n`)
}

function send(response: ServerResponse, status: number, type: string, body: string | Buffer): void {
  response.writeHead(status, {
    'content-type': type.startsWith('image/') ? type : `${type}; charset=utf-8`,
    'content-length': Buffer.byteLength(body),
  })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}
