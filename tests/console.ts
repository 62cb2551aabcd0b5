// A console for the tests: booted as a user would, spoken to by real HTTP.

import { readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { basename, join } from 'node:path'
import type { Operation, OperationKind, OperationOf, OperationRequest } from '../src/console/contract.ts'
import { type Boot, startBoot, type TestApp } from './harness.ts'

export const password = 'four words for a test'

export interface Answer {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any answer
  body: any
  headers: Record<string, string | string[] | undefined>
}

export interface TestConsole {
  boot: Boot
  url: string
  port: number
  /** Of the log's link. */
  code: string | undefined
  cookie: string
  token: string
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  claim(): Promise<void>
  signIn(): Promise<void>
  upload(path: string, name?: string): Promise<string>
  /** Starts an operation and waits for its end. */
  operate<Kind extends OperationKind>(request: Extract<OperationRequest, { kind: Kind }>): Promise<OperationOf<Kind>>
  settled(id: string): Promise<Operation>
  stop(): Promise<number | null>
}

export async function openTestConsole(
  app: TestApp,
  env: Record<string, string> = {},
  words: string[] = [],
): Promise<TestConsole> {
  const boot = startBoot(app, words, env)
  // Of a boot that failed in maintenance mode the console is up as well.
  const launched = await boot.until(
    ({ step, state, msg }) => (step === 'launch' && state === 'done') || msg.startsWith('Maintenance mode'),
  )
  const url = /http:\S+\d/.exec(launched.msg)![0]
  const access = readFileSync(join(app.dir, 'data/.bootkeeper/console/access.json'), 'utf8')
  const isOpen = !access.includes('"password"') && access.includes('signingKey')
  const line = isOpen ? await boot.until(({ msg }) => msg.startsWith('Set it up at')) : undefined
  const port = Number(new URL(url).port)

  const self: TestConsole = {
    boot,
    url,
    port,
    code: line && /#([\w-]+)/.exec(line.msg)?.[1],
    cookie: '',
    token: '',
    async call(method, path, body, headers = {}) {
      return await send(port, method, path, body === undefined ? undefined : JSON.stringify(body), {
        host: `localhost:${port}`,
        ...(method === 'GET' ? {} : { origin: url, 'content-type': 'application/json' }),
        ...(self.cookie ? { cookie: self.cookie, 'x-bootkeeper-token': self.token } : {}),
        ...headers,
      })
    },
    async claim() {
      await enter('/api/claim', { code: self.code, password })
    },
    async signIn() {
      await enter('/api/sign-in', { password })
    },
    async upload(path, name = basename(path)) {
      const answer = await send(port, 'POST', '/api/uploads', readFileSync(path), {
        ...{ host: `localhost:${port}`, origin: url, cookie: self.cookie, 'x-bootkeeper-token': self.token },
        ...{ 'content-type': 'application/octet-stream', 'x-file-name': encodeURIComponent(name) },
      })
      if (answer.status !== 201) throw new Error(JSON.stringify(answer.body))
      return answer.body.id
    },
    async operate(request) {
      const { status, body } = await self.call('POST', '/api/operations', request)
      if (status !== 200) throw new Error(JSON.stringify(body))
      return (await self.settled(body.id)) as never
    },
    async settled(id) {
      for (const until = Date.now() + 60_000; Date.now() < until; ) {
        const { body } = await self.call('GET', `/api/operations/${id}`)
        if (body.state !== 'running') return body
        await new Promise((resolve) => setTimeout(resolve, 30))
      }
      throw new Error(`${id} did not end`)
    },
    async stop() {
      boot.child.kill('SIGTERM')
      return (await boot.ended).exitCode
    },
  }
  return self

  async function enter(path: string, body: unknown): Promise<void> {
    const answer = await self.call('POST', path, body)
    if (answer.status !== 200) throw new Error(JSON.stringify(answer.body))
    self.cookie = String(answer.headers['set-cookie']).split(';')[0]!
    self.token = answer.body.token
  }
}

export async function send(
  port: number,
  method: string,
  path: string,
  body: string | Buffer | undefined,
  headers: Record<string, string>,
): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const request = httpRequest({ port, host: '127.0.0.1', method, path, headers }, (response) => {
      let text = ''
      response.on('data', (chunk) => (text += chunk))
      response.on('end', () => {
        let parsed: unknown = text
        try {
          parsed = JSON.parse(text)
        } catch {}
        resolve({ status: response.statusCode!, body: parsed, headers: response.headers })
      })
    })
    request.on('error', reject)
    request.end(body)
  })
}
