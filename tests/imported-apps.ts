// Apps for the tests of imports: booted once, with rows, and what an export of them is.

import { expect } from 'vitest'
import { boot, makeApp, ops, type TestApp } from './harness.ts'

export async function appWith(rows: string): Promise<TestApp> {
  const app = makeApp()
  expect((await boot(app)).exitCode).toBe(0)
  const database = app.open()
  database.exec(rows)
  database.close()
  return app
}

export async function exportFile(app: TestApp): Promise<string> {
  const { stdout } = await ops(app, 'export', '--json')
  return (JSON.parse(stdout) as { files: { path: string }[] }).files[0]!.path
}

export function names(app: TestApp): string[] {
  const database = app.open()
  try {
    return database.prepare('SELECT name FROM "User" ORDER BY name').pluck().all() as string[]
  } finally {
    database.close()
  }
}

export const ann = `INSERT INTO "User" (id, name) VALUES (1, 'ann'); INSERT INTO "Post" VALUES (1, 'hello', 1)`
