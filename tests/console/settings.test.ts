// The settings of the app by real HTTP: read, revealed, tested, saved, on SQLite and PostgreSQL.
// Guarantees tested: secrets leave only on request, which is logged; nothing is lost to another tab; what is wrong is
// told at its field; addresses that must not be asked are not; a schema without settings has none.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SettingsField, SettingsGroup } from '../../src/console/contract.ts'
import { openTestConsole, type TestConsole } from '../console.ts'
import { boot, killHard, makeApp, makeFolder, ops, type TestApp } from '../harness.ts'
import { postgresMissing, query, startPostgres, type TestPostgres } from '../postgres.ts'
import { golden, mediaApp } from './media-app.ts'

let server: TestPostgres | undefined
beforeAll(async () => {
  server = await startPostgres()
}, 60_000)
afterAll(async () => await server?.stop())

const row = `INSERT INTO "SystemConfig" (id, "jellyfinUrl", "tmdbApiKey", "updatedAt") VALUES (1, 'http://old:8096', 'made-up-secret-1', '2026-01-01T00:00:00.000Z')`

async function opened(sql: string, url?: string): Promise<{ app: TestApp; console: TestConsole }> {
  const app = await mediaApp(url ? '' : sql, url)
  if (url) {
    expect((await boot(app)).exitCode).toBe(0)
    if (sql) await query(url, sql)
  }
  const console = await openTestConsole(app)
  await console.claim()
  return { app, console }
}

async function read(console: TestConsole): Promise<SettingsGroup> {
  const { status, body } = await console.call('GET', '/api/settings')
  expect([status, body.groups?.length]).toEqual([200, 1])
  return body.groups[0]
}

const fieldOf = ({ fields }: SettingsGroup, name: string): SettingsField => fields.find((field) => field.name === name)!

const save = (console: TestConsole, { model, version }: SettingsGroup, values: object) =>
  console.call('POST', '/api/settings', { groups: [{ model, version, values }] })

const logOf = (app: TestApp) =>
  readFileSync(join(app.dir, 'data/.bootkeeper/operations.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ action }) => action === 'settings')

const kinds = (['sqlite', 'postgresql'] as const).filter((kind) => kind === 'sqlite' || !postgresMissing)

describe.each(kinds)('on %s', (kind) => {
  async function start(sql: string) {
    const url = kind === 'postgresql' ? await server!.newDatabase() : undefined
    const { app, console } = await opened(sql, url)
    const rows = async (): Promise<Record<string, unknown>[]> => {
      if (url) return await query(url, 'SELECT * FROM "SystemConfig"')
      const database = app.open()
      try {
        return database.prepare('SELECT * FROM "SystemConfig"').all() as Record<string, unknown>[]
      } finally {
        database.close()
      }
    }
    return { app, console, rows }
  }

  test('they are shown without secrets, revealed by name, saved, and not over a change of another tab', async () => {
    const { app, console, rows } = await start(row)
    const group = await read(console)
    expect(group).toMatchObject({ model: 'SystemConfig', title: 'System config', isThere: true })
    expect(fieldOf(group, 'jellyfinUrl')).toMatchObject({
      ...{ label: 'Jellyfin URL', value: 'http://old:8096', isSet: true, canBeTested: true, isSecret: false },
      hint: 'Where Jellyfin is, such as http://jellyfin:8096',
    })
    expect(fieldOf(group, 'aiModel')).toMatchObject({ default: 'gemini-2.5-flash-lite', isRequired: true })
    const secret = fieldOf(group, 'tmdbApiKey')
    expect(secret).toMatchObject({ label: 'TMDB API key', isSecret: true, isSet: true, value: null })
    expect(fieldOf(group, 'geminiApiKey')).toMatchObject({ isSet: false, value: null })
    expect(group.fields.map(({ name }) => name)).not.toEqual(expect.arrayContaining(['id']))
    for (const name of ['id', 'createdAt', 'updatedAt']) expect(fieldOf(group, name)).toBeUndefined()

    const reveal = (field: string) => console.call('POST', '/api/settings/reveal', { model: group.model, field })
    expect((await reveal('tmdbApiKey')).body).toEqual({ value: 'made-up-secret-1' })
    const line = console.boot.lines.find(({ msg }) => msg.includes('was shown to'))
    expect(line!.msg).toBe('The value of SystemConfig.tmdbApiKey was shown to 127.0.0.1.')
    expect((await reveal('jellyfinUrl')).body.error.code).toBe('REQUEST_REFUSED')
    expect((await reveal('id')).body.error.code).toBe('REQUEST_REFUSED')

    const values = { jellyfinUrl: 'http://new:8096', isConfigured: true, geminiApiKey: 'made-up-secret-2' }
    const saved = await save(console, group, values)
    expect([saved.status, JSON.stringify(saved.body).includes('made-up-secret')]).toEqual([200, false])
    const [stored, ...others] = await rows()
    expect(others).toEqual([])
    expect(stored).toMatchObject({ id: 1, jellyfinUrl: 'http://new:8096', tmdbApiKey: 'made-up-secret-1' })
    expect(stored).toMatchObject({ geminiApiKey: 'made-up-secret-2', aiProvider: 'google' })
    expect(Boolean(stored!.isConfigured)).toBe(true)
    expect(new Date(String(stored!.updatedAt)).getTime()).toBeGreaterThan(Date.now() - 60_000)

    // The first tab still has the old version.
    const late = await save(console, group, { aiModel: 'mine' })
    expect([late.status, late.body.error.code]).toEqual([409, 'SETTINGS_CHANGED'])
    expect(late.body.error.safe).toContain('Nothing was saved')
    expect(await rows()).toEqual([stored])
    // Only a secret differs: that is a change, too, also after a restart.
    const shown = saved.body.groups[0]
    await save(console, shown, { tmdbApiKey: null })
    expect((await save(console, shown, { aiModel: 'mine' })).body.error.code).toBe('SETTINGS_CHANGED')
    expect((await rows())[0]).toMatchObject({ tmdbApiKey: null, aiModel: 'gemini-2.5-flash-lite' })

    const entries = logOf(app)
    expect(entries.filter(({ status }) => status === 'completed').map(({ metadata }) => metadata.fields)).toEqual([
      ['SystemConfig.jellyfinUrl', 'SystemConfig.isConfigured', 'SystemConfig.geminiApiKey'],
      ['SystemConfig.tmdbApiKey'],
    ])
    const written = JSON.stringify(entries) + console.boot.output()
    for (const value of ['made-up-secret', 'http://new:8096']) expect(written).not.toContain(value)
    await console.stop()
  })

  test('a fresh install: the row is made; what is wrong is told at its field, and nothing is written', async () => {
    const { console, rows } = await start('')
    const group = await read(console)
    expect(group.isThere).toBe(false)
    expect(fieldOf(group, 'aiProvider')).toMatchObject({ value: 'google', isSet: true })
    const refused = await save(console, group, {
      ...{ jellyfinUrl: 'jellyfin:8096', aiModel: '', isConfigured: 'yes', geminiApiKey: '   ' },
    })
    expect([refused.status, refused.body.error.code]).toEqual([422, 'SETTINGS_REFUSED'])
    expect(refused.body.error).toMatchObject({ message: '4 fields need another look.' })
    expect(refused.body.error.problems).toEqual([
      { model: 'SystemConfig', field: 'jellyfinUrl', message: 'Type an address that begins with http:// or https://.' },
      { model: 'SystemConfig', field: 'geminiApiKey', message: 'These are blanks only.' },
      { model: 'SystemConfig', field: 'aiModel', message: 'This is required.' },
      { model: 'SystemConfig', field: 'isConfigured', message: 'Choose yes or no.' },
    ])
    expect(await rows()).toEqual([])
    const saved = await save(console, group, { jellyfinUrl: ' http://jellyfin:8096 ' })
    expect(saved.status).toBe(200)
    expect(saved.body.groups[0].isThere).toBe(true)
    expect(await rows()).toMatchObject([{ id: 1, jellyfinUrl: 'http://jellyfin:8096', aiProvider: 'google' }])
    // Two tabs on a fresh install: the second one is too late, and no second row is made.
    expect((await save(console, group, {})).body.error.code).toBe('SETTINGS_CHANGED')
    expect(await rows()).toHaveLength(1)
    await console.stop()
  })
})

test('what the contract does not have is refused: other models, other fields, other types', async () => {
  const { console } = await opened(row)
  const group = await read(console)
  const code = async (path: string, body: object) => (await console.call('POST', path, body)).body.error?.code
  for (const values of [{ id: '2' }, { createdAt: '2026-01-01T00:00:00Z' }, { nothing: 'x' }, { __proto__x: 'x' }])
    expect(await code('/api/settings', { groups: [{ ...group, values }] })).toBe('REQUEST_REFUSED')
  const of = (model: string, values: object) => ({ groups: [{ model, version: group.version, values }] })
  for (const values of [
    { id: '2' },
    { createdAt: '2026-01-01T00:00:00Z' },
    { nothing: 'x' },
    { aiModel: 7 },
    { aiModel: ['x'] },
  ])
    expect([values, await code('/api/settings', of('SystemConfig', values))]).toEqual([values, 'REQUEST_REFUSED'])
  for (const model of ['User', 'Session', 'sqlite_master', 'SystemConfig" --'])
    expect(await code('/api/settings', of(model, { username: 'x' }))).toBe('REQUEST_REFUSED')
  for (const [model, field] of [
    ['Session', 'tokenHash'],
    ['User', 'username'],
    ['SystemConfig', 'constructor'],
  ])
    expect(await code('/api/settings/reveal', { model, field })).toBe('REQUEST_REFUSED')
  expect(
    await code('/api/settings/test', { model: 'SystemConfig', field: 'aiModel', address: 'http://127.0.0.1' }),
  ).toBe('REQUEST_REFUSED')
  // Text that would be code elsewhere is text here.
  const nasty = `'; DROP TABLE "User"; -- <script>`
  expect((await save(console, group, { aiModel: nasty })).status).toBe(200)
  expect(fieldOf(await read(console), 'aiModel').value).toBe(nasty)
  await console.stop()
})

test('while something else works on the data nothing is saved, and the form can still be read', async () => {
  const { app, console } = await opened(row)
  const group = await read(console)
  const { takeLock } = await import('../../src/lock.ts')
  const lock = await takeLock(join(app.dir, 'data/.bootkeeper'), 'a test', { waitMs: 0, name: 'ops' })
  const busy = await save(console, group, { aiModel: 'mine' })
  expect([busy.status, busy.body.error.code]).toEqual([409, 'LOCK_HELD'])
  expect(busy.body.error).toMatchObject({
    message: expect.stringContaining('a test'),
    safe: expect.stringContaining('Nothing was saved'),
  })
  await read(console)
  lock.release()
  expect((await save(console, group, { aiModel: 'mine' })).status).toBe(200)
  const shown = await read(console)
  // Another process keeps the database locked for longer than is waited for.
  await console.stop()
  const next = await openTestConsole(app, { BUSY_WAIT_SECONDS: '1' })
  await next.signIn()
  const database = app.open()
  database.exec('BEGIN IMMEDIATE')
  const locked = await save(next, await read(next), { aiModel: 'other' })
  expect([locked.status, locked.body.error.code]).toEqual([409, 'DATABASE_BUSY'])
  expect(locked.body.error.next).toContain('save again')
  database.exec('ROLLBACK')
  database.close()
  // What was shown before the restart is still what is there.
  expect((await save(next, shown, { aiModel: 'other' })).status).toBe(200)
  await next.stop()
})

test('a server that is killed while it saves: all of it is saved, or nothing', async () => {
  const app = await mediaApp(row)
  const stored = (): { jellyfinUrl: string; aiModel: string } => {
    const database = app.open()
    try {
      expect(database.pragma('integrity_check', { simple: true })).toBe('ok')
      return database.prepare('SELECT * FROM "SystemConfig"').get() as never
    } finally {
      database.close()
    }
  }
  const outcomes = new Set<boolean>()
  for (const [round, ms] of [0, 150, 400, 800, 'answered'].entries()) {
    const console = await openTestConsole(app)
    await (console.code ? console.claim() : console.signIn())
    const group = await read(console)
    const before = stored()
    const wanted = { jellyfinUrl: `http://round-${round}`, aiModel: `model-${round}` }
    const saving = save(console, group, wanted).catch(() => undefined)
    await (ms === 'answered' ? saving : new Promise((resolve) => setTimeout(resolve, Number(ms))))
    killHard(console.boot.child)
    await console.boot.ended
    const after = stored()
    const isSaved = after.aiModel === wanted.aiModel
    outcomes.add(isSaved)
    expect(after).toMatchObject(isSaved ? wanted : before)
  }
  expect([...outcomes].sort()).toEqual([false, true])
  const next = await openTestConsole(app)
  await next.signIn()
  expect((await save(next, await read(next), { aiModel: 'after' })).status).toBe(200)
  await next.stop()
}, 180_000)

test('connections are tested: what is there, what is not, what must not be asked, and not too often', async () => {
  let asked = 0
  const service = createServer((request, response) => {
    asked += 1
    response.statusCode = request.url === '/System/Info/Public' ? 200 : 404
    response.end()
  })
  await new Promise<void>((resolve) => service.listen(0, '0.0.0.0', resolve))
  const { port } = service.address() as AddressInfo
  const { console } = await opened(row)
  const ask = async (field: string, address: string) =>
    await console.call('POST', '/api/settings/test', { model: 'SystemConfig', field, address })
  expect((await ask('jellyfinUrl', `http://localhost:${port}`)).body.outcome).toBe('reached')
  expect((await ask('jellyseerrUrl', `http://localhost:${port}`)).body).toMatchObject({ outcome: 'answered' })
  expect(asked).toBe(2)
  for (const host of [
    '0.0.0.0',
    '[::]',
    '169.254.169.254',
    '[::ffff:169.254.169.254]',
    '100.100.100.200',
    '2852039166',
  ])
    expect((await ask('jellyfinUrl', `http://${host}:${port}`)).body.text).toContain('is not asked')
  expect(asked).toBe(2)
  expect(console.boot.lines.some(({ msg }) => msg.startsWith('A connection was tested from 127.0.0.1'))).toBe(true)
  const statuses: number[] = []
  for (let i = 0; i < 20; i += 1) statuses.push((await ask('jellyfinUrl', `http://127.0.0.1:${port}`)).status)
  expect(statuses.filter((status) => status === 200)).toHaveLength(12)
  expect(statuses.slice(12)).toEqual(Array(8).fill(429))
  await console.stop()
  service.close()
})

test('a file shows its settings, without its secrets on the disk or in the answer; they are read when asked for', async () => {
  const { app, console } = await opened('')
  const inspect = async (path: string) => {
    const upload = await console.upload(path)
    const operation = await console.operate<'inspect'>({ kind: 'inspect', source: { upload } })
    return { upload, operation, group: operation.result!.settings?.[0] }
  }
  const reveal = async (source: object) =>
    await console.call('POST', '/api/settings/reveal', { model: 'SystemConfig', field: 'openrouterApiKey', source })
  const old = await inspect(golden('multi-user-2.4.1'))
  expect(fieldOf(old.group!, 'jellyfinUrl').value).toBe('http://jellyfin:8096')
  expect(fieldOf(old.group!, 'openrouterApiKey')).toMatchObject({ isSecret: true, isSet: true, value: null })
  expect(fieldOf(old.group!, 'isConfigured').value).toBe(true)
  expect((await reveal({ upload: old.upload })).body).toEqual({ value: 'made-up-key-3' })
  expect(console.boot.output()).toContain('of the file “multi-user-2.4.1.json” was shown to')

  // The current format, and one without settings.
  const other = await mediaApp(row.replace('tmdbApiKey', 'openrouterApiKey'))
  const path = join(makeFolder(), 'other.json')
  await ops(other, 'export', path)
  const current = await inspect(path)
  expect(fieldOf(current.group!, 'jellyfinUrl').value).toBe('http://old:8096')
  expect((await reveal({ upload: current.upload })).body).toEqual({ value: 'made-up-secret-1' })
  expect((await inspect(golden('payload-nested'))).group).toBeUndefined()
  // A backup that is here.
  const database = app.open()
  database.exec(row.replace('tmdbApiKey', 'openrouterApiKey').replace('secret-1', 'secret-3'))
  database.close()
  const made = await console.operate<'backup'>({ kind: 'backup' })
  expect((await reveal({ backup: made.result!.stem })).body).toEqual({ value: 'made-up-secret-3' })
  const wrong = join(makeFolder(), 'wrong.json')
  writeFileSync(wrong, '{}')
  expect((await reveal({ upload: await console.upload(wrong) })).body.error.code).toBe('FORMAT_UNKNOWN')

  const kept = join(app.dir, 'data/.bootkeeper/console/operations')
  const written = readdirSync(kept).map((name) => readFileSync(join(kept, name), 'utf8'))
  expect(written.join()).toContain('openrouterApiKey')
  for (const text of [...written, console.boot.output()]) {
    expect(text).not.toContain('made-up-key')
    expect(text).not.toContain('made-up-secret')
  }
  await console.stop()
})

test('a schema without @config has no settings, and the setup goes on without them', async () => {
  const app = makeApp()
  const console = await openTestConsole(app)
  await console.claim()
  expect((await console.call('GET', '/api/settings')).body).toEqual({ groups: [] })
  expect((await console.call('GET', '/api/overview')).body.hasSettings).toBe(false)
  await console.stop()
})
