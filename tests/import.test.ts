// db:import, db:restore, db:inspect and db:diff, as an operator runs them, on real databases: also when the present one
// is damaged or missing.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { beforeAll, describe, expect, test } from 'vitest'
import { listBackups } from '../src/manifest.ts'
import { boot, makeApp, makeFolder, ops, root, sha256, type TestApp } from './harness.ts'
import { ann, appWith, exportFile, names } from './imported-apps.ts'

describe('commands', () => {
  let app: TestApp
  let file: string
  beforeAll(async () => {
    app = await appWith(ann)
    file = await exportFile(app)
  })

  test('import is a dry run, then it is done, with a backup from before', async () => {
    const other = await appWith(`INSERT INTO "User" (id, name) VALUES (1, 'zoe')`)
    const before = sha256(other.database)
    const dry = await ops(other, 'import', file)
    expect(dry).toMatchObject({ exitCode: 0, stderr: '' })
    expect(dry.stdout).toMatch(/User +1 +1 /)
    expect(dry.stdout).toContain(`To do it: npx bootkeeper import ${file} --apply`)
    expect(sha256(other.database)).toBe(before)
    const done = JSON.parse((await ops(other, 'import', file, '--apply', '--json')).stdout)
    expect(done).toMatchObject({
      applied: true,
      into: 'present',
      report: { models: [{ model: 'User', created: 1, kept: 1 }, {}] },
    })
    expect(names(other)).toEqual(['ann', 'zoe'])
    const backups = await listBackups(other.backups)
    expect(backups.find(({ stem }) => stem === done.before)).toMatchObject({ trigger: 'pre-restore' })
    // The second time there is nothing to do, and nothing to back up for.
    expect((await ops(other, 'import', file)).stdout).toContain('The database is already what this would make of it.')
    const again = await ops(other, 'import', file, '--apply')
    expect(again.stdout).toContain('Nothing had to change, and no backup was taken.')
    expect(await listBackups(other.backups)).toHaveLength(backups.length)
    const { id } = JSON.parse((await ops(other, 'export', '--json')).stdout)
    expect((await ops(other, 'restore', id, '--export')).stdout).toContain(
      `To do it: npx bootkeeper restore ${id} --export --apply\n`,
    )
    const odd = join(other.dir, "it's one.json")
    writeFileSync(odd, readFileSync(file))
    expect((await ops(other, 'restore', odd)).stdout).toContain(
      `To do it: npx bootkeeper restore '${other.dir}/it'\\''s one.json' --apply\n`,
    )
    const undone = await ops(other, 'restore', done.before, '--apply')
    expect(undone.exitCode, undone.stderr).toBe(0)
    expect(names(other)).toEqual(['zoe'])
  })

  test('inspect and diff say what is there', async () => {
    expect((await ops(app, 'inspect', file)).stdout).toMatch(
      /^Recognised as: Bootkeeper export, version 1, made .* by test-app 1\.2\.3\./,
    )
    expect(JSON.parse((await ops(app, 'inspect', file, '--json')).stdout)).toMatchObject({
      format: 'bootkeeper 1',
      counts: { User: 1, Post: 1 },
    })
    expect((await ops(app, 'diff', file)).stdout).toContain('✔ The same.')
    const other = await appWith(`INSERT INTO "User" (id, name) VALUES (5, 'ann'), (6, 'bob')`)
    const diff = JSON.parse((await ops(other, 'diff', file, '--json')).stdout)
    expect(diff).toMatchObject({
      same: false,
      report: {
        models: [
          { model: 'User', unchanged: 1, removed: 1, examples: { removed: ['bob'] } },
          { model: 'Post', created: 1, examples: { created: [{ '#': 1 }] } },
        ],
      },
    })
    const renumbered = await appWith(`INSERT INTO "User" (id, name) VALUES (5, 'ann');
      INSERT INTO "Post" VALUES (7, 'hello', 5)`)
    expect((await ops(renumbered, 'diff', file)).stdout).toContain('✔ The same.')
    expect((await ops(other, 'diff', file)).stdout).toMatch(/\n {2}User: removed "bob"\n {2}Post: created id 1\n$/)
    const plan = await ops(other, 'import', file, '--mode', 'replace')
    expect(plan.stdout).toContain('\n  User: removed "bob"\n\nNothing was changed.')
    const second = await exportFile(other)
    const two = JSON.parse((await ops(app, 'diff', file, second, '--json')).stdout)
    expect(two.report.models).toMatchObject([{ created: 1, unchanged: 1 }, { removed: 1 }])
  })

  test('a word that is missing is named', async () => {
    for (const [name, word] of Object.entries({
      import: 'the file, or the backup, to import',
      inspect: 'the file, or the backup, to look at',
      diff: 'the backup, or the file, to compare',
      restore: 'the backup, or the file, to put back',
    }))
      expect((await ops(app, name)).stderr).toContain(`✖ USAGE  One more word is needed: ${word}.\n`)
  })

  test('a row that is skipped is named by its line, or by its number where rows have no lines of their own', async () => {
    const orphan = (id: number) => `INSERT INTO "Post" VALUES (${id}, 'lost', 99);`
    const orphans = await appWith(`PRAGMA foreign_keys = off; ${[1, 2, 3, 4, 5].map(orphan).join('')}`)
    const lines = await exportFile(orphans)
    const first =
      readFileSync(lines, 'utf8')
        .split('\n')
        .findIndex((line) => line.includes('lost')) + 1
    const pretty = join(orphans.dir, 'pretty.json')
    writeFileSync(pretty, JSON.stringify(JSON.parse(readFileSync(lines, 'utf8')), null, 2))
    for (const [path, where] of [
      [lines, `such as lines ${first}, ${first + 1}, ${first + 2}`],
      [pretty, 'such as rows 1, 2, 3 of Post'],
    ] as const)
      expect((await ops(app, 'import', path)).stdout).toContain(
        `! 5 of Post would be skipped: its author is neither in the file nor in the database (${where})\n`,
      )
  })

  test('a missing or damaged database is made anew from an export, and what was there is set aside', async () => {
    const fresh = makeApp()
    expect((await ops(fresh, 'restore', file, '--apply')).exitCode).toBe(0)
    expect(names(fresh)).toEqual(['ann'])

    const damaged = await appWith(`INSERT INTO "User" (name) VALUES ('zoe')`)
    const bytes = readFileSync(damaged.database)
    bytes.fill(7, 0, 3000)
    writeFileSync(damaged.database, bytes)
    const result = await ops(damaged, 'restore', file, '--apply', '--json')
    expect(result.exitCode, result.stderr).toBe(0)
    const { aside } = JSON.parse(result.stdout)
    expect(readFileSync(aside).equals(bytes)).toBe(true)
    expect(names(damaged)).toEqual(['ann'])
    expect((await boot(damaged)).exitCode).toBe(0)

    // Damage that only a check of every page finds.
    const inside = await appWith(
      Array.from(
        { length: 300 },
        (_, n) => `INSERT INTO "User" (name, notes) VALUES ('n${n}', '${'x'.repeat(300)}')`,
      ).join(';'),
    )
    const pages = readFileSync(inside.database)
    pages.fill(255, 9_000, 4096 * 12)
    writeFileSync(inside.database, pages)
    expect((await ops(inside, 'import', file, '--apply')).stderr).toContain('DATABASE_CORRUPT')
    expect(readFileSync(inside.database).equals(pages)).toBe(true)
    expect((await ops(inside, 'restore', file, '--apply')).exitCode).toBe(0)
    expect(names(inside)).toEqual(['ann'])
  })

  test('into a folder that is not there yet, by an import and by a restore', async () => {
    const { id } = JSON.parse((await ops(app, 'backup', '--json')).stdout)
    for (const words of [
      ['import', file, '--apply'],
      ['restore', id, '--apply'],
    ]) {
      const path = join(makeFolder(), 'not', 'there', 'app.db')
      const elsewhere = { ...app, database: path, env: { ...app.env, DATABASE_URL: `file:${path}` } }
      const { exitCode, stderr } = await ops(elsewhere, ...words)
      expect(exitCode, stderr).toBe(0)
      const database = new Database(path, { readonly: true })
      expect(database.prepare('SELECT name FROM "User"').pluck().all()).toEqual(['ann'])
      database.close()
    }
  })

  test('a file without a user asks for one; the app may bring formats of its own', async () => {
    const schema = readFileSync(join(root, 'prisma/schema.prisma'), 'utf8').replace(/(generator|datasource)[^}]*}/g, '')
    const recommender = makeApp(schema)
    const payload = join(recommender.dir, 'list.json')
    writeFileSync(payload, '{"movies": ["Dune", {"title": "Alien", "tmdb_id": 348}]}')
    const asked = await ops(recommender, 'import', payload)
    expect(asked).toMatchObject({ exitCode: 64 })
    expect(asked.stderr).toContain('--user NAME')
    const unknown = await ops(recommender, 'inspect', payload)
    expect(unknown).toMatchObject({ exitCode: 0, stderr: '' })
    expect(unknown.stdout).toMatch(
      /\(unknown\) +2 +0 [\s\S]*! The file does not say whose it is: an import needs --user/,
    )
    expect(JSON.parse((await ops(recommender, 'inspect', payload, '--json')).stdout).users).toMatchObject([
      { name: null, entries: { movies: 2 } },
    ])
    const named = await ops(recommender, 'inspect', payload, '--user', 'john')
    expect(named.stdout).toMatch(/ john +2 /)
    expect(named.stdout).not.toContain('whose it is')
    writeFileSync(
      join(recommender.dir, 'formats.mjs'),
      `export const resolveTitle = ({ title }) => (title === 'Dune' ? 438631 : undefined)
       export const formats = [{
         name: 'titles', title: 'list of titles',
         recognise: (value) => (Array.isArray(value) ? 'certain' : undefined),
         schema: { safeParse: (data) => ({ success: true, data }) },
         decode: (titles) => ({
           models: { Media: { fields: [{ name: 'title', type: 'String' }], key: [], primaryKey: [], looseKey: ['title'], isPartial: true } },
           rows: titles.map((title, index) => ({ model: 'Media', row: { title }, place: index + 1 })),
           leftBehind: [], notes: [],
         }),
       }]`,
    )
    recommender.env.IMPORT_FORMATS = './formats.mjs'
    expect((await ops(recommender, 'import', payload, '--user', 'john', '--apply')).exitCode).toBe(0)
    const titles = join(recommender.dir, 'titles.json')
    writeFileSync(titles, '["Heat", " heat "]')
    const own = JSON.parse((await ops(recommender, 'import', titles, '--apply', '--json')).stdout)
    expect(own).toMatchObject({ file: { format: 'titles' } })
    const database = recommender.open()
    expect(database.prepare('SELECT tmdbId, title FROM "Media" ORDER BY id LIMIT 3').raw().all()).toEqual([
      [438631, 'Dune'],
      [348, 'Alien'],
      [null, 'Heat'],
    ])
    database.close()
  })
})

test('the example of the how-to for your own format works', async () => {
  const page = readFileSync(join(root, 'docs/how-tos/import-your-own-format.md'), 'utf8')
  const app = makeApp(`
model User {
  id    Int    @id @default(autoincrement())
  name  String @unique
  notes Note[]
}
model Note {
  id       Int    @id @default(autoincrement())
  title    String
  text     String
  author   User   @relation(fields: [authorId], references: [id])
  authorId Int
}`)
  writeFileSync(join(app.dir, 'import-formats.mjs'), /```js\n(\/\/ import-formats[\s\S]*?)```/.exec(page)![1]!)
  writeFileSync(join(app.dir, 'notes.json'), '{"owner": "ann", "notes": [{"title": "a", "text": "b"}]}')
  app.env.IMPORT_FORMATS = './import-formats.mjs'
  for (const created of [2, 0]) {
    const { exitCode, stdout, stderr } = await ops(app, 'import', 'notes.json', '--apply', '--json')
    expect(exitCode, stderr).toBe(0)
    const { report } = JSON.parse(stdout) as { report: { models: { created: number }[] } }
    expect(report.models.reduce((sum, model) => sum + model.created, 0)).toBe(created)
  }
  writeFileSync(join(app.dir, 'notes.json'), '{"owner": "ann", "notes": [\n{"title": 5, "text": "b"}]}')
  expect((await ops(app, 'import', 'notes.json')).stderr).toContain('line 2: notes[0].title')
}, 60_000)
