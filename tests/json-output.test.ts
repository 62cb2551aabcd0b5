// The --json of every command: its schema in scripts/outputs/, the page that is made of these, and real output.
// Guarantees tested: every command that has --json has a schema, which its output fits with no member too many; the page
// says the same; a failure is one object on stdout, too.

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { output as errorOutput } from '../scripts/outputs/error.ts'
import { boot, makeApp, ops, root } from './harness.ts'

const commands = [...readFileSync(join(root, 'scripts/bootkeeper.ts'), 'utf8').matchAll(/^ {2}(\w+): \{\s*summary:/gm)]
  .map(([, name]) => name!)
  .filter((name) => /^ {2}--json /m.test(readFileSync(join(root, 'scripts', `${name}.ts`), 'utf8')))

async function outputOf(name: string): Promise<z.ZodType> {
  return ((await import(join(root, 'scripts/outputs', `${name}.ts`))) as { output: z.ZodType }).output
}

test('every command with --json has a schema of its output, and no schema is without its command', () => {
  expect(commands.length).toBeGreaterThan(8)
  for (const name of commands) expect(existsSync(join(root, 'scripts/outputs', `${name}.ts`)), name).toBe(true)
  const shared = ['error.ts', 'files.ts']
  for (const file of readdirSync(join(root, 'scripts/outputs')).filter((each) => !shared.includes(each)))
    expect(commands).toContain(file.replace('.ts', ''))
})

test('docs/reference/json-output.md is what the schemas say', async () => {
  const sections = await Promise.all(
    commands.map(async (name) => `## ${name}\n\n${describe(z.toJSONSchema(await outputOf(name)))}`),
  )
  const page = `${intro}\n## Errors\n\n${errors}\n\n${describe(z.toJSONSchema(errorOutput))}\n${sections.join('\n')}`
  // After a change: npx vitest run tests/json-output.test.ts -u
  await expect(page).toMatchFileSnapshot('../docs/reference/json-output.md')
})

test('what each command prints fits its schema', async () => {
  const app = makeApp()
  expect((await boot(app)).exitCode).toBe(0)
  const database = app.open()
  database.exec(`INSERT INTO User(name) VALUES ('ann'), ('john'); INSERT INTO Post(title, authorId) VALUES ('one', 1)`)
  database.close()
  const parse = async (name: string, ...words: string[]) => {
    const { stdout, stderr, exitCode } = await ops(app, name, '--json', ...words)
    if (name !== 'guard') expect(stderr, words.join(' ')).toBe('')
    expect(stdout.trimEnd().split('\n'), `${name} ${words.join(' ')}`).toHaveLength(1)
    const { error } = (await outputOf(name)).safeParse(JSON.parse(stdout))
    expect([name, words, error]).toEqual([name, words, undefined])
    return { value: JSON.parse(stdout), exitCode }
  }
  const { value: backup } = await parse('backup', '--reason', 'a test')
  const { value: exported } = await parse('export')
  const covered = new Set(['backup', 'export'])
  const older = join(root, 'tests/formats/golden')
  writeFileSync(join(app.dir, 'count.mjs'), scriptOf('SELECT count(*) FROM User'))
  writeFileSync(join(app.dir, 'delete.mjs'), scriptOf('DELETE FROM Post'))
  const cases: [string, ...string[]][] = [
    ['export', join(app.dir, 'to.json.gz')],
    ['backup', '--tables', 'User', '--where', '{"name":"ann"}'],
    ['backup', '--scope', 'User:ann'],
    ['pin', backup.id],
    ['list'],
    ['list', '--limit', '1'],
    ['pin', backup.id, '--off'],
    ['verify'],
    ['verify', join(app.dir, 'to.json.gz')],
    ['verify', '--drill'],
    ['inspect', backup.id],
    ...readdirSync(older)
      .filter((name) => name.endsWith('.json') && !name.endsWith('.expected.json'))
      .slice(0, 3)
      .map((name): [string, ...string[]] => ['inspect', join(older, name)]),
    ['diff', backup.id],
    ['diff', backup.id, exported.id],
    ['import', backup.id],
    ['import', backup.id, '--only', 'User:ann'],
    ['import', backup.id, '--mode', 'replace', '--apply'],
    ['restore', backup.id],
    ['restore', backup.id, '--export', '--apply'],
    ['restore', backup.id, '--apply'],
    ['doctor'],
    ['doctor', '--full'],
    ['guard', '--dry-run', 'delete.mjs'],
    ['guard', 'count.mjs'],
    ['guard', 'delete.mjs'],
    ['guard', '--restore-on-failure', 'delete.mjs', 'fail'],
    ['prune'],
    ['prune', '--for', 'tables', '--last', '1'],
    ['prune', '--for', 'manual,tables,boot,safety', '--last', '1', '--apply'],
    ['list', '--status', 'removed'],
    ['log'],
    ['log', '--action', 'guard', '--limit', '1'],
    ['log', '--verify'],
    ['keygen', join(app.dir, 'key.txt')],
    ['catalogue', 'rebuild'],
  ]
  for (const [name, ...words] of cases) {
    await parse(name, ...words)
    covered.add(name)
  }
  // What has no manifest that can be read: one that failed, one that is damaged.
  const [stem] = app.files().filter((name) => name.endsWith('.manifest.json'))
  writeFileSync(join(app.backups, stem!), '{}')
  writeFileSync(app.database, 'No database, but a text of some length. '.repeat(20))
  expect((await ops(app, 'backup')).exitCode).toBe(65)
  const { value: all } = await parse('list')
  expect(all[0]).toMatchObject({ status: 'failed', error: { code: 'DATABASE_CORRUPT' } })
  // By its name: of two of the same second, the one without a number is the older one.
  const damaged = all.find(({ id }: { id: string }) => id === stem!.replace('.manifest.json', ''))
  expect(damaged).toMatchObject({ error: { code: 'BACKUP_DAMAGED' } })
  const { value: rebuilt } = await parse('catalogue', 'rebuild')
  expect(rebuilt).toMatchObject({ damaged: 1, failed: 1, removed: expect.any(Number) })
  expect(rebuilt.removed).toBeGreaterThan(0)
  expect([...covered].sort()).toEqual([...commands].sort())
}, 480_000)

test('a failure with --json is one object on stdout, and nothing else', async () => {
  const app = makeApp()
  for (const [name, ...words] of [
    ['backup'],
    ['restore', 'backup_none'],
    ['inspect', 'none.json'],
    ['list', '--nope'],
    ['verify', '--drill'],
    ['lists'],
  ] as [string, ...string[]][]) {
    const { stdout, stderr, exitCode } = await ops(app, name, ...words, '--json')
    expect([stderr, exitCode === 0]).toEqual(['', false])
    expect(errorOutput.safeParse(JSON.parse(stdout)).error).toBeUndefined()
    expect(stdout.trimEnd().split('\n')).toHaveLength(1)
  }
})

function scriptOf(sql: string): string {
  return `import Database from 'better-sqlite3'
const database = new Database('data/app.db')
const statement = database.prepare('${sql}')
statement.reader ? statement.all() : statement.run()
process.exitCode = process.argv.includes('fail') ? 3 : 0
`
}

const intro = `# JSON output

What each command prints with \`--json\`: one line, one value. Run npm with \`--silent\`, so that its own lines do not mix with it. This page is made of the schemas in \`scripts/outputs/\`, which a test compares with what the commands print. Members may be added; those that are here keep their meaning.

\`[]\` stands for each of a list, \`{}\` for each name of an object whose names are data. A member with a \`?\` may be left out.
`

const errors =
  'A command that fails prints this one object instead, on stdout, and leaves with the [exit code](exit-codes.md) of the error.'

interface JsonSchema {
  type?: string
  description?: string
  properties?: Record<string, JsonSchema>
  required?: string[]
  items?: JsonSchema
  additionalProperties?: JsonSchema | false
  anyOf?: JsonSchema[]
  enum?: unknown[]
  const?: unknown
  $ref?: string
  $defs?: Record<string, JsonSchema>
}

function describe(schema: unknown): string {
  const { anyOf = [schema as JsonSchema] } = schema as JsonSchema
  return anyOf.map(describeOne).join('\n')
}

function describeOne(schema: JsonSchema): string {
  const head = schema.description ? `${schema.description[0]!.toUpperCase()}${schema.description.slice(1)}.\n\n` : ''
  return `${head}| Member | Type | |\n|---|---|---|\n${rowsOf(schema, '').join('\n')}\n`
}

function rowsOf(schema: JsonSchema, path: string): string[] {
  if (schema.items) return rowsOf(schema.items, `${path}[]`)
  const inner = Object.entries(schema.properties ?? {}).flatMap(([name, member]) => {
    const full = path ? `${path}.${name}` : name
    const mark = schema.required?.includes(name) ? '' : '?'
    const row = `| \`${full}${mark}\` | ${typeOf(member)} | ${member.description ?? ''} |`
    return [row, ...(member.properties || member.items?.properties ? rowsOf(member, full) : [])]
  })
  return inner.length > 0 ? inner : [`| \`${path || '.'}\` | ${typeOf(schema)} | |`]
}

function typeOf(schema: JsonSchema): string {
  if (schema.$ref) return schema.$ref.split('/').at(-1)!.replaceAll('%20', ' ')
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum && schema.enum.length < 30) return schema.enum.map((each) => `\`${JSON.stringify(each)}\``).join(', ')
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' or ')
  if (schema.items) return `list of ${typeOf(schema.items)}`
  if (schema.type === 'object' && schema.additionalProperties) return `object of ${typeOf(schema.additionalProperties)}`
  return schema.type ?? 'any'
}
