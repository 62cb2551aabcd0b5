// The built-in console: the app of a fresh clone, and the page of a boot that failed in maintenance mode.
// Guarantees: it answers within the event loop, touches no file and no database, and shows no secret. The setup wizard
// grows here.

import { createServer, type Server, type ServerResponse } from 'node:http'
import type { BootkeeperError } from '../errors.ts'
import { BootkeeperError as Failure } from '../errors.ts'
import type { StepRecord } from '../state.ts'
import { failurePage, statusPage, styleSheet } from './pages.ts'

export interface ConsoleContent {
  app: string
  bootkeeper: string
  startedAt: string
  steps: StepRecord[]
  /** Set in maintenance mode. */
  failure?: BootkeeperError
}

export interface Console {
  url: string
  close(): Promise<void>
}

/** Throws SETTINGS_INVALID where the port is taken. */
export async function openConsole(
  { host, port }: { host: string; port: number },
  content: ConsoleContent,
): Promise<Console> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0]
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return send(response, 405, 'text/plain', 'Only GET is answered here.\n')
    if (path === '/health') {
      const health = { status: content.failure ? 'maintenance' : 'ok', code: content.failure?.code }
      return send(response, content.failure ? 503 : 200, 'application/json', `${JSON.stringify(health)}\n`)
    }
    if (path === '/style.css') return send(response, 200, 'text/css', styleSheet)
    if (path === '/') {
      const page = content.failure ? failurePage(content, content.failure) : statusPage(content)
      return send(response, content.failure ? 503 : 200, 'text/html', page)
    }
    send(response, 404, 'text/plain', 'There is no such page.\n')
  })
  await listen(server, host, port)
  const address = server.address()
  const bound = typeof address === 'object' && address ? address.port : port
  return {
    url: `http://localhost:${bound}`,
    close: () =>
      new Promise((resolve) => {
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
          next: 'Set PORT to a free port.',
        }),
      )
    })
    server.listen(port, host, resolve)
  })
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'content-type': `${type}; charset=utf-8`,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'content-security-policy':
      "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  })
  response.end(body)
}
