// The console on PostgreSQL: the same restore and undo.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Source } from '../../src/console/contract.ts'
import { openTestConsole, type TestConsole } from '../console.ts'
import { boot } from '../harness.ts'
import { describePostgres, query, startPostgres, type TestPostgres } from '../postgres.ts'
import { golden, mediaApp } from './media-app.ts'

let server: TestPostgres
beforeAll(async () => {
  server = (await startPostgres()) as TestPostgres
}, 60_000)
afterAll(async () => await server?.stop())

describePostgres('the console on PostgreSQL', () => {
  test('an older file is planned, restored and undone', async () => {
    const url = await server.newDatabase()
    const app = await mediaApp('', url)
    expect((await boot(app)).exitCode).toBe(0)
    await query(url, `INSERT INTO "User" (username) VALUES ('zoe')`)
    const names = async () =>
      (await query<{ username: string }>(url, 'SELECT username FROM "User"')).map(({ username }) => username)
    const console = await openTestConsole(app)
    await console.claim()
    const source = { upload: await console.upload(golden('multi-user-2.4.1')) }
    const plan = await console.operate<'plan'>({ kind: 'plan', source, mode: 'replace', keepExisting: false })
    expect(plan.error).toBeUndefined()
    expect(await names()).toEqual(['zoe'])
    const restore = { kind: 'restore', plan: plan.id, code: plan.result!.confirmation.code } as const
    const done = await console.operate<'restore'>(restore)
    expect(done.error).toBeUndefined()
    expect(await names()).toEqual(['john'])
    const undone = await console.operate<'undo'>({ kind: 'undo', restore: done.id })
    expect(undone.error).toBeUndefined()
    expect(await names()).toEqual(['zoe'])
    await console.stop()
  })
  test('a backup that has only a dump is looked into and restored the same way, by a database beside it', async () => {
    const url = await server.newDatabase()
    const app = await mediaApp('', url)
    const names = async () =>
      (await query<{ username: string }>(url, 'SELECT username FROM "User"')).map(({ username }) => username)
    const databases = async () => (await query(url, 'SELECT datname FROM pg_database')).length
    await query(url, `INSERT INTO "User" (username) VALUES ('zoe')`)
    const console = await openTestConsole(app)
    await console.claim()
    const first = await restoreOf(console, { upload: await console.upload(golden('multi-user-2.4.1')) })
    expect(await names()).toEqual(['john'])
    const count = await databases()
    const inspected = await console.operate<'inspect'>({ kind: 'inspect', source: { backup: first.before! } })
    expect(inspected.error).toBeUndefined()
    expect(inspected.result!.file.counts.User).toBe(1)
    await restoreOf(console, { backup: first.before! })
    expect(await names()).toEqual(['zoe'])
    expect(await databases()).toBe(count)
    await console.stop()
  })
})

async function restoreOf(console: TestConsole, source: Source) {
  const plan = await console.operate<'plan'>({ kind: 'plan', source, mode: 'replace', keepExisting: false })
  expect(plan.error).toBeUndefined()
  const { code } = plan.result!.confirmation
  const done = await console.operate<'restore'>({ kind: 'restore', plan: plan.id, code })
  expect(done.error).toBeUndefined()
  return done
}
