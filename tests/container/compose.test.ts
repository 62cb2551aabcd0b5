// docker-compose.prod.yml as a user starts it, with another image, port and project name from the environment.
// Guarantees: every compose client that is installed accepts the file; the hardening is what the engine really applied.

import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { execa, execaSync } from 'execa'
import { afterAll, describe, expect, inject, test } from 'vitest'
import { Container, dockerOk, eventually, healthcheck, image, root } from './docker.ts'

const clients = [['docker', 'compose'], ['docker-compose']].filter(
  ([file, ...words]) => image && execaSync(file!, [...words, 'version'], { reject: false }).exitCode === 0,
)
if (image && clients.length === 0) {
  const advice = 'Neither `docker compose` nor `docker-compose` is installed.'
  if (process.env.CI) throw new Error(advice)
  console.warn(`\n*** SKIPPED: the tests of docker-compose.prod.yml. ${advice} ***\n`)
}

const project = `bootkeeper-test-${randomBytes(5).toString('hex')}`
const environment: Record<string, string> = { COMPOSE_PROJECT_NAME: project, BOOTKEEPER_IMAGE: image }

afterAll(async () => {
  if (clients.length > 0) await compose(clients[0]!, 'down', '-v', '--remove-orphans')
})

describe.skipIf(clients.length === 0)('docker-compose.prod.yml', () => {
  test('is accepted by every compose client here', async () => {
    for (const client of clients) {
      const { exitCode, stdout, stderr } = await compose(client, 'config')
      expect(exitCode, stderr).toBe(0)
      expect(stdout).toContain(`image: ${image}`)
    }
  })

  test('starts a hardened container that answers on the published port, and takes it down again', async () => {
    const client = clients[0]!
    const port = await freePort()
    environment.BOOTKEEPER_PORT = `127.0.0.1:${port}`
    const up = await compose(client, 'up', '-d', '--no-build')
    expect(up.exitCode, up.stderr).toBe(0)
    const container = new Container((await compose(client, 'ps', '-q', 'bootkeeper')).stdout.trim())
    await container.untilHealthy()

    // The file repeats the image's HEALTHCHECK with times of its own.
    expect(await healthcheck(container)).toEqual(['node', '/app/bin/bootkeeper.js', 'health'])
    const answer = await eventually('an answer on the port', () =>
      fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined),
    )
    expect(await answer.json()).toEqual({ status: 'ok' })
    // LOG_FORMAT=pretty
    expect(await dockerOk('logs', container.name)).toMatch(/^ {2}✔ launch +\d/m)

    const [inspected] = JSON.parse(await dockerOk('inspect', container.name))
    expect(inspected.HostConfig).toMatchObject({
      ReadonlyRootfs: true,
      Memory: 512 * 1024 * 1024,
      PidsLimit: 256,
      RestartPolicy: { Name: 'unless-stopped' },
    })
    expect(inspected.HostConfig.SecurityOpt).toContainEqual(expect.stringMatching(/^no-new-privileges/))
    expect(inspected.Config.StopTimeout).toBe(30)
    expect((await container.exec('cat', '/proc/1/status')).stdout).toMatch(/^CapEff:\s+0+$/m)
    const backup = await compose(
      client,
      'exec',
      '-T',
      'bootkeeper',
      'npm',
      'run',
      '--silent',
      'db:backup',
      '--',
      '--json',
    )
    expect(backup.exitCode, backup.stderr).toBe(0)

    const down = await compose(client, 'down', '-v')
    expect(down.exitCode, down.stderr).toBe(0)
    for (const kind of [
      ['ps', '-aq'],
      ['volume', 'ls', '-q'],
    ])
      expect(await dockerOk(...kind, '--filter', `label=com.docker.compose.project=${project}`)).toBe('')
  })

  test('keeps a container up that could not boot, with a page that says why', async () => {
    const client = clients[0]!
    const port = await freePort()
    environment.BOOTKEEPER_PORT = `127.0.0.1:${port}`
    const name = `${project}_bootkeeper-data`
    const labels = [
      `com.docker.compose.project=${project}`,
      'com.docker.compose.volume=bootkeeper-data',
      inject('label'),
    ]
    await dockerOk('volume', 'create', ...labels.flatMap((label) => ['--label', label]), name)
    const script = 'echo this is no database >/app/data/app.db && chown -R 1000:1000 /app/data'
    await dockerOk(
      'run',
      '--rm',
      '--user',
      'root',
      '-v',
      `${name}:/app/data`,
      '--entrypoint',
      'sh',
      image,
      '-c',
      script,
    )
    const up = await compose(client, 'up', '-d', '--no-build')
    expect(up.exitCode, up.stderr).toBe(0)
    const answer = await eventually('the page', () => fetch(`http://127.0.0.1:${port}/`).catch(() => undefined))
    expect(answer.status).toBe(503)
    expect(await answer.text()).toContain('DATABASE_CORRUPT')
    const container = new Container((await compose(client, 'ps', '-q', 'bootkeeper')).stdout.trim())
    expect(await container.isRunning()).toBe(true)
    expect((await container.exec(...(await healthcheck(container)))).exitCode).toBe(1)
    const down = await compose(client, 'down', '-v')
    expect(down.exitCode, down.stderr).toBe(0)
  })
})

async function compose([file, ...words]: string[], ...more: string[]) {
  const options = { cwd: root, env: environment, reject: false, timeout: 240_000 } as const
  return await execa(file!, [...words, '-f', join(root, 'docker-compose.prod.yml'), ...more], options)
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address ? address.port : 0
}
