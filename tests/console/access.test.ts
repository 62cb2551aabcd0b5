// Who gets into the console, by real HTTP.
// Guarantees tested: without a session nothing is answered and everything is logged; the setup code is needed, good once
// and cannot be guessed; other sites, other names and other tokens are refused; a stranger learns nothing about the data.

import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { inputs } from '../../src/console/contract.ts'
import { openRateLimit } from '../../src/console/rate-limit.ts'
import { openTestConsole, password, send } from '../console.ts'
import { makeApp } from '../harness.ts'

const calls = [
  ...Object.keys(inputs).map((name) => name.replace(':id', 'anything')),
  'POST /api/uploads',
  'GET /api/operations/anything/events',
  'GET /api/downloads/anything',
  'GET /api/no-such-call',
  'PUT /api/overview',
]

test('without a session every call is a 401 that is logged, also with half of one', async () => {
  const app = makeApp()
  const console = await openTestConsole(app)
  await console.claim()
  const { cookie, token } = console
  const forged = `${cookie.slice(0, -2)}${cookie.endsWith('AA') ? 'BB' : 'AA'}`
  const halves = [
    {},
    { cookie },
    { 'x-bootkeeper-token': token },
    { cookie: forged, 'x-bootkeeper-token': token },
    { cookie, 'x-bootkeeper-token': `${token.slice(0, -2)}AA` },
  ]
  for (const half of halves)
    for (const call of calls.filter((name) => !/claim|sign-in/.test(name))) {
      const [method = '', path = ''] = call.split(' ')
      const headers = {
        host: `localhost:${console.port}`,
        origin: console.url,
        'content-type': 'application/json',
        ...half,
      }
      const { status, body } = await send(console.port, method, path, method === 'POST' ? '{}' : undefined, headers)
      expect([call, status, body.error?.code]).toEqual([call, 401, 'SIGN_IN_NEEDED'])
    }
  const logged = console.boot.lines.filter(({ code }) => code === 'SIGN_IN_NEEDED')
  expect(logged).toHaveLength(halves.length * (calls.length - 2))
  expect(logged[0]).toMatchObject({ level: 'warn' })
  expect(logged[0]!.msg).toMatch(/^(GET|POST) \/api\/\S+ from 127\.0\.0\.1: /)
  expect((await console.call('GET', '/api/overview')).status).toBe(200)
  await console.stop()
})

test('the code of the log opens the setup once; a new boot has a new one until then, and none after', async () => {
  const app = makeApp()
  const first = await openTestConsole(app)
  expect(first.code).toMatch(/^[2-9A-Z]{4}-[2-9A-Z]{4}-[2-9A-Z]{4}$/)
  expect(statSync(join(app.dir, 'data/.bootkeeper/console/access.json')).mode & 0o777).toBe(0o600)
  await first.stop()
  const second = await openTestConsole(app)
  expect(second.code).not.toBe(first.code)
  expect((await second.call('POST', '/api/claim', { code: first.code, password })).body.error.code).toBe(
    'SIGN_IN_REFUSED',
  )
  expect((await second.call('POST', '/api/claim', { code: second.code, password: 'short' })).status).toBe(403)
  // Two at once with the right code: one of them gets it.
  const typed = second.code!.toLowerCase().replaceAll('-', ' ')
  const both = await Promise.all([1, 2].map(() => second.call('POST', '/api/claim', { code: typed, password })))
  expect(both.map(({ status }) => status).sort()).toEqual([200, 403])
  const kept = readFileSync(join(app.dir, 'data/.bootkeeper/console/access.json'), 'utf8')
  expect(kept).not.toContain(password)
  expect(second.boot.output()).not.toContain(password)
  await second.stop()
  const third = await openTestConsole(app)
  expect(third.code).toBeUndefined()
  expect(third.boot.output()).not.toContain('Set it up')
  expect((await third.call('POST', '/api/claim', { code: second.code, password })).status).toBe(403)
  expect((await third.call('POST', '/api/sign-in', { password: 'four wrong words here' })).status).toBe(403)
  await third.signIn()
  expect((await third.call('GET', '/api/overview')).status).toBe(200)
  // The session outlives a restart, but not its end.
  await third.stop()
  const fourth = await openTestConsole(app)
  Object.assign(fourth, { cookie: third.cookie, token: third.token })
  expect((await fourth.call('GET', '/api/overview')).status).toBe(200)
  expect((await fourth.call('POST', '/api/sign-out', {})).status).toBe(200)
  expect((await fourth.call('GET', '/api/overview')).status).toBe(401)
  await fourth.stop()
})

test('SETUP_CODE is taken instead, and is not logged', async () => {
  const console = await openTestConsole(makeApp(), { SETUP_CODE: 'my own code 1' })
  expect(console.boot.output()).toContain('with the code in SETUP_CODE')
  expect(console.boot.output()).not.toContain('my own code')
  console.code = 'MY OWN CODE 1'
  await console.claim()
  await console.stop()
})

test('a thousand guesses of the code are refused, and the right one with them', async () => {
  const app = makeApp()
  const console = await openTestConsole(app)
  const found: Record<number, number> = {}
  for (let i = 0; i < 1_000; i += 1) {
    const { status } = await console.call('POST', '/api/claim', { code: `GUES-SING-${1_000 + i}`, password })
    found[status] = (found[status] ?? 0) + 1
  }
  expect(found).toEqual({ 403: 5, 429: 995 })
  const right = await console.call('POST', '/api/claim', { code: console.code, password })
  expect([right.status, right.body.error.code]).toEqual([429, 'TOO_MANY_TRIES'])
  expect(readFileSync(join(app.dir, 'data/.bootkeeper/console/access.json'), 'utf8')).not.toContain('"password"')
  await console.stop()
})

test('tries are counted per place, over 15 minutes, and over all places', () => {
  let now = 0
  const limit = openRateLimit(() => now)
  const take = (address: string) => {
    try {
      limit.take(address)
      return true
    } catch {
      return false
    }
  }
  const times = (count: number, address: string) =>
    Array.from({ length: count }, () => take(address)).filter(Boolean).length
  expect(times(8, '10.0.0.1')).toBe(5)
  expect(times(2, '10.0.0.2')).toBe(2)
  expect([take('2001:db8:1:2::1'), times(8, '2001:db8:1:2:aaaa::9')]).toEqual([true, 4])
  now += 15 * 60_000 + 1
  expect(times(8, '10.0.0.1')).toBe(5)
  limit.forgive('10.0.0.1')
  expect(times(8, '10.0.0.1')).toBe(5)
  now += 15 * 60_000 + 1
  expect(Array.from({ length: 300 }, (_, i) => take(`10.1.0.${i}`)).filter(Boolean)).toHaveLength(100)
})

test('an access file that cannot be read keeps everybody out', async () => {
  const app = makeApp()
  await (await openTestConsole(app)).stop()
  writeFileSync(join(app.dir, 'data/.bootkeeper/console/access.json'), '{"version":1')
  const console = await openTestConsole(app)
  expect(console.code).toBeUndefined()
  for (const [path, body] of [
    ['/api/claim', { code: 'AAAA-AAAA-AAAA', password }],
    ['/api/sign-in', { password }],
  ] as const)
    expect((await console.call('POST', path, body)).status).toBe(403)
  expect(console.boot.output()).toContain('access.json cannot be read')
  await console.stop()
})

test('another site, another name, another kind of body: refused, with and without a session', async () => {
  const console = await openTestConsole(makeApp())
  await console.claim()
  const origins = [
    'http://evil.example',
    'null',
    `http://localhost:${console.port + 1}`,
    `http://localhost.evil.example:${console.port}`,
  ]
  const kinds = ['application/json', 'text/plain', 'application/x-www-form-urlencoded', 'application/octet-stream']
  for (const origin of origins)
    for (const type of kinds)
      for (const path of ['/api/operations', '/api/uploads', '/api/claim', '/api/sign-out']) {
        const { status, body } = await console.call('POST', path, { kind: 'backup' }, { origin, 'content-type': type })
        expect([path, origin, type, status, body.error?.code]).toEqual([path, origin, type, 403, 'REQUEST_REFUSED'])
      }
  const { cookie, token } = console
  const withoutOrigin = {
    host: `localhost:${console.port}`,
    'content-type': 'application/json',
    cookie,
    'x-bootkeeper-token': token,
  }
  expect((await send(console.port, 'POST', '/api/operations', '{"kind":"backup"}', withoutOrigin)).status).toBe(403)
  expect((await console.call('GET', '/api/overview', undefined, { origin: 'http://evil.example' })).status).toBe(403)
  expect((await console.call('GET', '/api/overview', undefined, { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
  for (const type of kinds.slice(1))
    expect((await console.call('POST', '/api/operations', { kind: 'backup' }, { 'content-type': type })).status).toBe(
      403,
    )
  for (const host of ['evil.example', 'evil.example:80', 'localhost.evil.example', '', 'a b', 'local@evil.example'])
    expect([host, (await console.call('GET', '/api/overview', undefined, { host })).status]).toEqual([
      host,
      host === '' || host === 'a b' ? expect.any(Number) : 421,
    ])
  expect((await console.call('GET', '/', undefined, { host: 'evil.example' })).status).toBe(421)
  // A health check may come under any name.
  expect((await console.call('GET', '/health', undefined, { host: 'evil.example' })).status).toBe(200)
  for (const host of ['127.0.0.1', '[::1]:3000', 'nas', 'nas.local', '192.168.1.9:8080'])
    expect([host, (await console.call('GET', '/api/overview', undefined, { host })).status]).toEqual([host, 200])
  expect(
    (await console.call('GET', '/api/backups?limit=50')).body.backups.filter(({ why }: { why: string }) =>
      /console/.test(why),
    ),
  ).toEqual([])
  await console.stop()
})

test('a public name works once it is in CONSOLE_HOSTS, behind a proxy that speaks TLS', async () => {
  const console = await openTestConsole(makeApp(), { CONSOLE_HOSTS: 'backup.example.com, other.example.com' })
  const headers = { host: 'backup.example.com', origin: 'https://backup.example.com' }
  const { status, headers: answered } = await console.call(
    'POST',
    '/api/claim',
    { code: console.code, password },
    headers,
  )
  expect(status).toBe(200)
  const cookie = String(answered['set-cookie'])
  for (const flag of ['HttpOnly', 'SameSite=Strict', 'Secure', 'Path=/api']) expect(cookie).toContain(flag)
  await console.stop()
})

test('what a stranger sees tells nothing about the data, and no path leads out', async () => {
  const app = makeApp()
  const console = await openTestConsole(app)
  const page = await console.call('GET', '/')
  expect(page.status).toBe(200)
  expect(page.body).toContain('test-app')
  for (const secret of [app.dir, 'app.db', 'backup_', console.code!]) expect(page.body).not.toContain(secret)
  expect(page.headers['content-security-policy']).toContain("default-src 'none'; script-src 'self'")
  expect(page.headers['content-security-policy']).not.toContain('unsafe')
  expect(page.headers).toMatchObject({
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-store',
  })
  expect(page.body).not.toMatch(/<script(?![^>]*src=)|<style| style=| on\w+=/)
  const out = [
    '/../package.json',
    '/%2e%2e/package.json',
    '/..%2f..%2fpackage.json',
    '/%2e%2e%2f%2e%2e%2fpackage.json',
    '//etc/passwd',
    '/app.js/../../start.js',
    '/constructor',
    '/__proto__',
    '/index.html',
    '/..\\..\\package.json',
    '/api/../../package.json',
    '/api/%2e%2e/overview',
    '/.bootkeeper/console/access.json',
  ]
  for (const path of out)
    expect([path, [401, 404].includes((await console.call('GET', path)).status)]).toEqual([path, true])
  await console.claim()
  for (const path of [
    '/api/operations/..%2f..%2faccess',
    '/api/operations/%2e%2e%2faccess',
    '/api/operations/../access',
  ])
    expect((await console.call('GET', path)).status).toBe(403)
  for (const backup of ['../../etc/passwd', 'backup_../../x', '/etc/passwd', 'backup_..'])
    expect((await console.call('POST', '/api/tickets', { backup })).status).toBeGreaterThanOrEqual(400)
  await console.stop()
})

test('the page weighs less than 250 kB, and asks nobody else for anything', async () => {
  const console = await openTestConsole(makeApp())
  const found = await Promise.all(['/', '/app.js', '/app.css', '/icon.svg'].map((path) => console.call('GET', path)))
  const bytes = found.map(({ body }) => gzipSync(body).length)
  expect(bytes.every((each) => each > 100)).toBe(true)
  expect(bytes.reduce((sum, each) => sum + each, 0)).toBeLessThan(250_000)
  const [html, js, css] = found.map(({ body }) => body as string)
  for (const text of [html!, css!]) expect(text).not.toMatch(/https?:\/\//)
  expect(js!.match(/https?:\/\/[^"'`\s]+/g) ?? []).toEqual(
    expect.not.arrayContaining([expect.not.stringMatching(/^http:\/\/www\.w3\.org\//)]),
  )
  await console.stop()
})
