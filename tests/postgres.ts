// A throwaway PostgreSQL server for tests, out of the machine's own binaries: a real cluster in a temporary folder, on
// a free loopback port, ready in about a second. Guarantees: no server that was there before is touched; where there is
// no PostgreSQL the suites say so, and in CI (the variable CI) they fail instead of being skipped.

import { execFile } from 'node:child_process'
import { accessSync, appendFileSync, constants, readdirSync } from 'node:fs'
import { chown, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { describe } from 'vitest'

const run = promisify(execFile)

export interface TestPostgres {
  /** Of the database `postgres`. */
  url: string
  /** Returns the url of a new, empty database. */
  newDatabase(): Promise<string>
  stop(): Promise<void>
}

const binaries = findBinaries()

/** Why there is no PostgreSQL here; undefined when there is one. */
export const postgresMissing: string | undefined =
  binaries === undefined ? 'no initdb and pg_ctl, neither on PATH nor in /usr/lib/postgresql/*/bin' : undefined

/** `describe` for suites that need PostgreSQL. */
export const describePostgres = describe.skipIf(postgresMissing !== undefined)

if (postgresMissing !== undefined) {
  if (process.env.CI) throw new Error(`PostgreSQL is needed in CI: ${postgresMissing}.`)
  console.warn(`\n*** SKIPPED: every test on PostgreSQL (${postgresMissing}). apt-get install postgresql ***\n`)
}

export async function startPostgres(): Promise<TestPostgres | undefined> {
  if (binaries === undefined) return undefined
  const directory = await mkdtemp(join(tmpdir(), 'bootkeeper-postgres-'))
  const data = join(directory, 'data')
  const owner = await unprivilegedUser()
  if (owner !== undefined) await chown(directory, owner.uid, owner.gid)
  const tool = async (name: 'initdb' | 'pg_ctl', ...args: string[]): Promise<void> => {
    const command = [join(binaries, name), '-D', data, ...args]
    // PostgreSQL refuses to run as root.
    const dropped = owner && ['setpriv', `--reuid=${owner.uid}`, `--regid=${owner.gid}`, '--clear-groups', ...command]
    const [file = '', ...rest] = dropped ?? command
    await run(file, rest, { cwd: directory })
  }
  await tool('initdb', '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync')
  const port = await freePort()
  // Without autovacuum, a transaction id that was used up was used up by what the test ran.
  const settings = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: directory,
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    autovacuum: 'off',
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`)
  appendFileSync(join(data, 'postgresql.conf'), lines.join(''))
  await tool('pg_ctl', '-s', '-w', '-t', '30', '-l', join(directory, 'log'), 'start')

  const urlOf = (database: string): string => `postgresql://postgres@127.0.0.1:${port}/${database}`
  let databases = 0
  return {
    url: urlOf('postgres'),
    async newDatabase() {
      const name = `test_${++databases}`
      await query(urlOf('postgres'), `CREATE DATABASE ${name}`)
      return urlOf(name)
    },
    async stop() {
      await tool('pg_ctl', '-s', '-w', '-m', 'immediate', 'stop')
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** The rows of the (last) statement. */
export async function query<Row extends object>(url: string, sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const results = [await client.query<Row>(sql)].flat()
    return results.at(-1)?.rows ?? []
  } finally {
    await client.end()
  }
}

function findBinaries(): string | undefined {
  const packaged = listing('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a))
  const places = [
    ...packaged.map((version) => `/usr/lib/postgresql/${version}/bin`),
    ...(process.env.PATH ?? '').split(delimiter),
  ]
  return places.find((place) => isExecutable(join(place, 'initdb')) && isExecutable(join(place, 'pg_ctl')))
}

function listing(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Whom to become when this runs as root. */
async function unprivilegedUser(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string, user: string): Promise<number> =>
    run('id', [flag, user]).then(({ stdout }) => Number(stdout))
  const user = await id('-u', 'postgres').then(
    () => 'postgres',
    () => 'nobody',
  )
  return { uid: await id('-u', user), gid: await id('-g', user) }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
