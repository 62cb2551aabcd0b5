// Tests of connections against real servers: what is reached, what is not, and what is never asked.
// Guarantees tested: forbidden addresses in every spelling, and names that lead to them, get no connection; the address
// that was checked is the one that is connected to; no redirect is followed, nothing secret is sent, no body is read.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createNetServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { testConnection } from '../../src/console/connection-test.ts'
import { isForbidden } from '../../src/console/forbidden-addresses.ts'
import { makeFolder } from '../harness.ts'

const servers: Server[] = []
afterAll(() => {
  for (const server of servers) server.close()
})

async function listen(server: Server, host = '127.0.0.1'): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  return (server.address() as AddressInfo).port
}

const web = async (answer: RequestListener, host?: string) => await listen(createServer(answer), host)

test('a service that is there is reached: at its path, with nothing but the question', async () => {
  const seen: IncomingMessage[] = []
  const port = await web((request, response) => {
    seen.push(request)
    response.end('{"secret body": true}')
  })
  const result = await testConnection(` http://localhost:${port}/base/ `, '/api/status?short=1')
  expect(result).toEqual({ outcome: 'reached', text: 'Reached: the service answers (200).' })
  expect(seen.map(({ url }) => url)).toEqual(['/base/api/status?short=1'])
  expect(Object.keys(seen[0]!.headers).sort()).toEqual(['accept', 'connection', 'host', 'user-agent'])
  expect(seen[0]!.method).toBe('GET')
})

test('other answers are told with what to try, and never with their body', async () => {
  let followed = 0
  const port = await web((request, response) => {
    if (request.url === '/elsewhere') followed += 1
    const status = Number(/\d+/.exec(request.url!)?.[0] ?? 200)
    response.writeHead(status, { location: '/elsewhere' }).end('the body')
  })
  const ask = (status: number) => testConnection(`http://127.0.0.1:${port}`, `/${status}`)
  expect(await ask(302)).toMatchObject({ outcome: 'answered', text: expect.stringContaining('another address (302)') })
  expect(followed).toBe(0)
  expect(await ask(404)).toMatchObject({ outcome: 'answered', next: expect.stringContaining('another service') })
  expect(await ask(401)).toMatchObject({ outcome: 'answered', text: expect.stringContaining('password (401)') })
  expect(await ask(503)).toMatchObject({
    outcome: 'answered',
    text: expect.stringContaining('failure of its own (503)'),
  })
  expect(await ask(418)).toMatchObject({ outcome: 'answered' })
  for (const status of [302, 404, 401, 503, 418]) expect(JSON.stringify(await ask(status))).not.toContain('the body')
})

test('nothing there, a server that hangs, one that talks for ever, one that is no web server, wrong certificates', async () => {
  const closed = createNetServer()
  const free = await listen(closed)
  await new Promise((resolve) => closed.close(resolve))
  expect(await testConnection(`http://localhost:${free}`, '/')).toMatchObject({
    outcome: 'failed',
    text: `Nothing listens at localhost:${free}.`,
    next: expect.stringContaining('take the name of the service'),
  })

  const hanging = await listen(createNetServer(() => undefined))
  const begun = Date.now()
  expect(await testConnection(`http://127.0.0.1:${hanging}`, '/', { timeoutMs: 300 })).toMatchObject({
    outcome: 'failed',
    text: `127.0.0.1:${hanging} did not answer within 0.3 seconds.`,
  })
  // Header by header, it would take for ever.
  const slow = await listen(
    createNetServer((socket) => {
      socket.on('error', () => undefined)
      socket.write('HTTP/1.1 200 OK\r\n')
      const timer = setInterval(() => socket.write('x: y\r\n'), 50)
      socket.on('close', () => clearInterval(timer))
    }),
  )
  expect((await testConnection(`http://127.0.0.1:${slow}`, '/', { timeoutMs: 300 })).text).toContain('did not answer')
  const stuck = () => new Promise<never>(() => undefined)
  const lost = await testConnection('http://mail.test', '/', { timeoutMs: 300, lookup: stuck })
  expect(lost.text).toContain('mail.test did not answer')
  expect(Date.now() - begun).toBeLessThan(4_000)

  let sent = 0
  const endless = await web((_, response) => {
    const more = () => {
      sent += 1
      if (!response.destroyed) response.write('x'.repeat(65_536), () => setImmediate(more))
    }
    more()
  })
  expect((await testConnection(`http://127.0.0.1:${endless}`, '/')).outcome).toBe('reached')
  await new Promise((resolve) => setTimeout(resolve, 300))
  const after = sent
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(sent).toBe(after)

  const mute = await listen(createNetServer((socket) => socket.end('SSH-2.0-none\r\n')))
  expect((await testConnection(`http://127.0.0.1:${mute}`, '/')).text).toContain('does not speak HTTP')
  expect((await testConnection(`https://127.0.0.1:${endless}`, '/')).text).toBe(
    'What answers there does not speak TLS.',
  )
  const folder = makeFolder()
  const [key, cert] = [join(folder, 'key'), join(folder, 'cert')]
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-keyout', key, '-out', cert],
    { stdio: 'ignore' },
  )
  const tls = await listen(
    createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) => response.end()),
  )
  expect((await testConnection(`https://localhost:${tls}`, '/')).text).toMatch(
    /^The certificate of localhost:\d+ is not trusted/,
  )
  expect((await testConnection(`http://127.0.0.1:${tls}`, '/')).outcome).not.toBe('reached')
})

test('a name is looked up once, and the address that was checked is the one that is asked', async () => {
  const hosts: (string | undefined)[] = []
  const port = await web((request, response) => {
    hosts.push(request.headers.host)
    response.end()
  })
  // First a harmless address, then another: DNS rebinding.
  let lookups = 0
  const lookup = async () => [{ address: ++lookups === 1 ? '127.0.0.1' : '169.254.169.254', family: 4 }]
  expect((await testConnection(`http://service.test:${port}`, '/', { lookup })).outcome).toBe('reached')
  expect([lookups, hosts]).toEqual([1, [`service.test:${port}`]])
  expect((await testConnection(`http://service.test:${port}`, '/', { lookup })).text).toContain('is not asked')
  const unknown = async () => {
    throw Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' })
  }
  expect(await testConnection('http://no.test', '/', { lookup: unknown })).toMatchObject({
    outcome: 'failed',
    text: 'No machine is called no.test here.',
  })
})

test('what must not be asked is not, however it is written, and whatever name leads there', async () => {
  let asked = 0
  const listener: RequestListener = (_, response) => {
    asked += 1
    response.end()
  }
  const port = await web(listener, '0.0.0.0')
  const hosts = [
    ...[
      '169.254.169.254',
      '169.254.0.1',
      '2852039166',
      '0xa9fea9fe',
      '0251.0376.0251.0376',
      '[::ffff:169.254.169.254]',
    ],
    ...['[::ffff:a9fe:a9fe]', '[::a9fe:a9fe]', '[64:ff9b::169.254.169.254]', '[2002:a9fe:a9fe::1]', '[fe80::1]'],
    ...[
      '[febf::1]',
      '[fd00:ec2::254]',
      '[fd00:0ec2:0:0:0:0:0:254]',
      '[fd20:ce::254]',
      '100.100.100.200',
      '168.63.129.16',
    ],
    ...['0.0.0.0', '0', '0.1.2.3', '[::]', '[::ffff:0.0.0.0]', '224.0.0.1', '239.255.255.250', '255.255.255.255'],
    ...['[ff02::1]', '192.0.0.192'],
  ]
  for (const host of hosts) {
    const result = await testConnection(`http://${host}:${port}`, '/', { timeoutMs: 1_000 })
    expect([host, result.outcome, result.text]).toEqual([host, 'failed', expect.stringContaining('is not asked')])
  }
  for (const address of ['169.254.169.254', 'fe80::1%eth0', '::ffff:169.254.169.254', '0.0.0.0', 'fd00:ec2::254']) {
    // One good address beside it does not help.
    const lookup = async () => [
      { address: '127.0.0.1', family: 4 },
      { address, family: address.includes(':') ? 6 : 4 },
    ]
    const result = await testConnection(`http://metadata.test:${port}`, '/', { lookup })
    expect([address, result.text]).toEqual([address, expect.stringContaining('is not asked')])
  }
  for (const address of [
    'file:///etc/passwd',
    'ftp://127.0.0.1',
    'jellyfin:8096',
    'gopher://x',
    'http://',
    '',
    '//127.0.0.1',
  ])
    expect([address, (await testConnection(address, '/')).text]).toEqual([address, 'This is no address of a service.'])
  expect((await testConnection(`http://me:secret@127.0.0.1:${port}`, '/')).text).toContain('name or password in it')
  expect(asked).toBe(0)
  expect((await testConnection(`http://127.0.0.1:${port}`, '/')).outcome).toBe('reached')
  expect(asked).toBe(1)
})

test('services are where they usually are: on this machine and in private networks', () => {
  const usual = [
    '127.0.0.1',
    '::1',
    '0:0:0:0:0:0:0:1',
    '10.1.2.3',
    '172.17.0.2',
    '192.168.1.5',
    'fd12:3456::1',
    '100.64.0.1',
  ]
  for (const address of [...usual, '93.184.216.34', '2606:4700::1111', '::ffff:10.0.0.1'])
    expect([address, isForbidden(address)]).toEqual([address, false])
  for (const address of ['', 'localhost', '1.2.3', '::ffff:999.1.1.1'])
    expect([address, isForbidden(address)]).toEqual([address, true])
})
