// Containers, volumes and derived images for the tests, through the docker client alone, so that any engine that
// DOCKER_HOST names will do. Guarantees: no file of the host is mounted; everything carries the run's label and is
// removed when the test file ends, and once more after all of them (global-setup.ts).

import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { afterAll, inject } from 'vitest'

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
export const image = inject('image')
const label = inject('label')

/** As docker-compose.prod.yml hardens it, and without a network. */
export const hardened = [
  ...['--network', 'none', '--read-only', '--tmpfs', '/tmp:rw,size=64m,mode=1777', '--cap-drop', 'ALL'],
  ...['--security-opt', 'no-new-privileges', '--memory', '512m', '--pids-limit', '256'],
]

export interface LogLine {
  level: string
  msg: string
  step?: string
  state?: 'done' | 'skipped' | 'failed'
  code?: string
  safe?: string
  next?: string
}

export interface Finished {
  exitCode: number
  stdout: string
  stderr: string
}

export interface RunOptions {
  image?: string
  volume: string
  env?: Record<string, string>
  /** The app: the words after `--`. */
  app?: string[]
  /** The words after the image, where they are not an app. */
  words?: string[]
  /** More words for `docker run`; later ones win. */
  more?: string[]
}

const containers = new Set<string>()
const volumes = new Set<string>()
const images = new Set<string>()

afterAll(async () => {
  if (containers.size > 0) await docker('rm', '-f', '-v', ...containers)
  if (volumes.size > 0) await docker('volume', 'rm', '-f', ...volumes)
  if (images.size > 0) await docker('rmi', '-f', ...images)
})

/** Runs the docker client; whatever the exit code, it is returned. */
export async function docker(...words: string[]): Promise<Finished> {
  const { exitCode, stdout, stderr, shortMessage } = await execa('docker', words, { reject: false, timeout: 240_000 })
  return {
    exitCode: exitCode ?? -1,
    stdout: stdout ?? '',
    stderr: exitCode === undefined ? (shortMessage ?? '') : (stderr ?? ''),
  }
}

/** The output of a docker command that has to succeed. */
export async function dockerOk(...words: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await docker(...words)
  if (exitCode !== 0) throw new Error(`docker ${words.join(' ')} ended with ${exitCode}:\n${stdout}\n${stderr}`)
  return stdout
}

export async function makeVolume(): Promise<string> {
  const name = newName()
  await dockerOk('volume', 'create', '--label', label, name)
  volumes.add(name)
  return name
}

/** Starts a hardened container in the background. */
export async function start(options: RunOptions): Promise<Container> {
  const name = newName()
  containers.add(name)
  await dockerOk('run', '-d', '--name', name, ...runWords(options))
  return new Container(name)
}

/** Runs a hardened container to its end. */
export async function runToEnd(options: RunOptions): Promise<Finished & { lines: LogLine[] }> {
  const container = await start(options)
  const exitCode = await container.ended()
  const { stdout, stderr } = await docker('logs', container.name)
  await container.remove()
  return { exitCode, stdout, stderr, lines: parse(stdout) }
}

/** A command of the image's user, or of root, on the volume, beside or without a running container. */
export async function onVolume(volume: string, user: 'node' | 'root', ...words: string[]): Promise<string> {
  const [file, ...args] = words
  const options = ['--rm', '--network', 'none', '--label', label, '--user', user, '-v', `${volume}:/app/data`]
  return await dockerOk('run', ...options, '--entrypoint', file!, image, ...args)
}

/** JavaScript on the volume's database, as `db` (better-sqlite3); its `return` value comes back as JSON. */
export async function onDatabase<Value>(volume: string, body: string): Promise<Value> {
  const script = `const db = new (require('better-sqlite3'))('/app/data/app.db')
    const value = (() => { ${body} })()
    db.close()
    console.log(JSON.stringify(value ?? null))`
  return JSON.parse(await onVolume(volume, 'node', 'node', '--input-type=commonjs', '-e', script)) as Value
}

/** The bundled app as its next version: another schema, with the client generated as its Dockerfile would. */
export async function buildNextVersion(change: (schema: string) => string, { generate = true } = {}): Promise<string> {
  const schema = await readFile(join(root, 'prisma', 'schema.prisma'), 'utf8')
  const changed = change(schema)
  if (changed === schema) throw new Error('The change to prisma/schema.prisma changed nothing.')
  const folder = await mkdtemp(join(tmpdir(), 'bootkeeper-image-'))
  try {
    await writeFile(join(folder, 'schema.prisma'), changed)
    const lines = [`FROM ${image}`, 'USER root', 'COPY schema.prisma prisma/schema.prisma']
    if (generate) lines.push('RUN ["node", "bin/bootkeeper.js", "generate"]')
    await writeFile(join(folder, 'Dockerfile'), `${[...lines, 'USER node'].join('\n')}\n`)
    const tag = `bootkeeper-next:${randomBytes(4).toString('hex')}`
    images.add(tag)
    await dockerOk('build', '--label', label, '-t', tag, folder)
    return tag
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** The command that the image declares as its HEALTHCHECK. */
export async function healthcheck({ name }: Container): Promise<string[]> {
  const test = JSON.parse(await dockerOk('inspect', '--format', '{{json .Config.Healthcheck.Test}}', name)) as string[]
  if (test[0] !== 'CMD') throw new Error(`HEALTHCHECK is ${test.join(' ')}`)
  return test.slice(1)
}

export class Container {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }

  /** The log, one array of lines per boot. */
  async boots(): Promise<LogLine[][]> {
    const lines = parse((await docker('logs', this.name)).stdout)
    const boots: LogLine[][] = []
    for (const line of lines) {
      if (/^Bootkeeper \S+ boots /.test(line.msg)) boots.push([])
      boots.at(-1)?.push(line)
    }
    return boots
  }

  /** The lines of boot number `boot` (from 1), once one of them fits. Fails when the container ended before. */
  async until(fits: (line: LogLine) => boolean, boot = 1): Promise<LogLine[]> {
    return await eventually(`a line of boot ${boot} in the log of ${this.name}`, async () => {
      const isRunning = await this.isRunning()
      const lines = (await this.boots())[boot - 1] ?? []
      if (lines.some(fits)) return lines
      if (isRunning) return undefined
      const { stdout, stderr } = await docker('logs', this.name)
      throw new Error(`The container ended before. Its log:\n${stdout}\n${stderr}`)
    })
  }

  async untilUp(boot = 1): Promise<LogLine[]> {
    return await this.until(({ step, state }) => step === 'launch' && state === 'done', boot)
  }

  /** Runs what HEALTHCHECK declares: not every engine has a scheduler for it. */
  async untilHealthy(): Promise<void> {
    const words = await healthcheck(this)
    await eventually(`${this.name} to be healthy`, async () => (await this.exec(...words)).exitCode === 0 || undefined)
  }

  async exec(...words: string[]): Promise<Finished> {
    return await docker('exec', this.name, ...words)
  }

  async isRunning(): Promise<boolean> {
    return (await dockerOk('inspect', '--format', '{{.State.Running}}', this.name)) === 'true'
  }

  async ended(): Promise<number> {
    return Number(await dockerOk('wait', this.name))
  }

  /** `docker stop`, with how long it took and the exit code. */
  async stop(graceSeconds: number): Promise<{ exitCode: number; ms: number }> {
    const begun = performance.now()
    await dockerOk('stop', '-t', String(graceSeconds), this.name)
    return { ms: performance.now() - begun, exitCode: await this.ended() }
  }

  async remove(): Promise<void> {
    await dockerOk('rm', '-f', this.name)
    containers.delete(this.name)
  }
}

/** Asks until there is an answer. */
export async function eventually<Value>(
  what: string,
  ask: () => Promise<Value | undefined>,
  seconds = 90,
): Promise<Value> {
  for (const until = Date.now() + seconds * 1000; Date.now() < until; await sleep(50)) {
    const answer = await ask()
    if (answer !== undefined) return answer
  }
  throw new Error(`Waited ${seconds} s in vain for ${what}.`)
}

/** The steps of one boot: their names, or only those in a state. */
export function steps(lines: LogLine[], state?: LogLine['state']): string[] {
  return lines.filter((line) => line.state && (!state || line.state === state)).map(({ step }) => step!)
}

export function newName(): string {
  return `bootkeeper-test-${randomBytes(5).toString('hex')}`
}

function runWords({ image: other = image, volume, env = {}, app, words, more = [] }: RunOptions): string[] {
  const settings = Object.entries(env).flatMap(([name, value]) => ['-e', `${name}=${value}`])
  const command = app ? ['--', ...app] : (words ?? [])
  return ['--label', label, ...hardened, '-v', `${volume}:/app/data`, ...settings, ...more, other, ...command]
}

/** The app writes to the same stream: what is no line of Bootkeeper's is left out. */
function parse(log: string): LogLine[] {
  return log.split('\n').flatMap((text) => {
    try {
      const line = JSON.parse(text) as LogLine
      return typeof line === 'object' && typeof line?.msg === 'string' ? [line] : []
    } catch {
      return []
    }
  })
}
