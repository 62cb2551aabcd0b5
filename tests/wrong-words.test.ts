// Every command, called wrongly in each way there is.
// Guarantees tested: exit 64, nothing on stdout, one sentence that names the word at fault, no stack, and what to run
// next is the help of that very command; with --json the same as one object.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { boot, makeApp, ops, root, type TestApp } from './harness.ts'

const commands = [
  ...readFileSync(join(root, 'scripts/bootkeeper.ts'), 'utf8').matchAll(/^ {2}(\w+): \{\s*summary:/gm),
].map(([, name]) => name!)

interface Refused {
  words: string[]
  /** Is in the sentence. */
  names: string
}

/** Values and combinations that a command refuses; a command that is not here has none. */
const refused: Record<string, Refused[]> = {
  backup: [
    { words: ['--where', '{"name":"ann"}'], names: '--tables' },
    { words: ['--tables', 'User', '--where', 'name=ann'], names: 'not name=ann' },
    { words: ['--tables', 'User,,Post'], names: '"User,,Post"' },
    { words: ['--tables', ''], names: '--tables' },
    { words: ['--tables', 'User', '--scope', 'User:ann'], names: '--scope and --tables' },
    { words: ['--scope', 'User:ann', '--where', '{}'], names: '--scope and --where' },
  ],
  list: [
    { words: ['--trigger', 'cron'], names: '--trigger takes boot, manual, scheduled, pre-restore, pre-sync or guard' },
    { words: ['--status', 'good'], names: '"good"' },
    { words: ['--limit', '0'], names: '"0"' },
    { words: ['--limit', '1.5'], names: '"1.5"' },
    { words: ['--limit', 'many'], names: '"many"' },
  ],
  log: [
    { words: ['--limit', '-0'], names: '--limit needs a value, and what follows it begins with a dash.' },
    { words: ['--limit', '99999999'], names: '"99999999"' },
    { words: ['--since', 'yesterday'], names: '"yesterday"' },
    { words: ['--since', '2026-13-40'], names: '"2026-13-40"' },
    { words: ['--since', '3'], names: '"3"' },
    { words: ['--action', 'Restore!'], names: '"Restore!"' },
    { words: ['--verify', '--limit', '3'], names: '--limit' },
    { words: ['--verify', '--since', '7d'], names: '--since' },
  ],
  catalogue: [{ words: ['remake'], names: '"remake"' }],
  prune: [
    { words: ['--last', '0'], names: '"0"' },
    { words: ['--daily', 'some'], names: '"some"' },
    { words: ['--weekly', '1.5'], names: '"1.5"' },
    { words: ['--monthly', '10001'], names: '"10001"' },
    { words: ['--yearly', ''], names: 'yearly' },
    { words: ['--max-age', '30'], names: '"30"' },
    { words: ['--max-age', '0d'], names: '"0d"' },
    { words: ['--max-size', '20'], names: '"20"' },
    { words: ['--max-size', 'big'], names: '"big"' },
    { words: ['--last', '5,daily=3'], names: '5,daily=3' },
    { words: ['--for', 'boot'], names: '--for needs a rule' },
    { words: ['--remove', 'backup_x', '--last', '5'], names: '--remove names one backup' },
    { words: ['--for', 'boots', '--last', '5'], names: '"boots"' },
    { words: ['--for', 'boot,', '--last', '5'], names: '""' },
  ],
  keygen: [
    { words: ['no-such-folder/key.txt'], names: 'no-such-folder/key.txt' },
    { words: ['package.json'], names: 'is there already' },
    { words: ['prisma'], names: 'is there already' },
    { words: ['package.json/key.txt'], names: 'package.json/key.txt' },
  ],
  guard: [
    { words: ['none.ts'], names: 'There is no script none.ts' },
    { words: ['prisma'], names: 'prisma' },
    { words: ['package.json'], names: 'package.json is no script' },
    { words: [''], names: 'There is no script' },
    { words: ['--dry-run', 'none.ts', '--fix'], names: 'none.ts' },
  ],
  import: [
    { words: ['x.json', '--mode', 'mirror'], names: '"mirror"' },
    { words: ['x.json', '--mode', 'replace', '--keep-existing'], names: '--keep-existing' },
    { words: ['x.json', '--mode', 'replace', '--only', 'settings'], names: '--only goes with --mode merge' },
    { words: ['x.json', '--only', 'settings,,User:ann'], names: '"settings,,User:ann"' },
    { words: ['x.json', '--only', ''], names: '--only' },
  ],
  export: [
    { words: ['--compress', 'rar'], names: '"rar"' },
    { words: ['x.json.gz', '--compress', 'zstd'], names: 'x.json.gz' },
    { words: ['x.zip'], names: '.zip' },
  ],
}

/** Of a part of the data: what can be said only when the schema was read. */
const refusedBySchema: Record<string, Refused[]> = {
  backup: [
    { words: ['--tables', 'Usr'], names: 'no table "Usr". Did you mean User?' },
    { words: ['--tables', 'User,Nope'], names: '"Nope"' },
    { words: ['--tables', 'User', '--where', '[]'], names: 'an object' },
    { words: ['--tables', 'User', '--where', '{"nme":"ann"}'], names: 'nme' },
    { words: ['--tables', 'User', '--where', '{"id":"one"}'], names: 'id' },
    { words: ['--tables', 'User', '--where', '{"name":{"like":"a%"}}'], names: '"like"' },
    { words: ['--tables', 'User', '--where', '{"name":null}'], names: 'name' },
    { words: ['--scope', 'User'], names: 'not "User"' },
    { words: ['--scope', 'User:'], names: 'not "User:"' },
    { words: ['--scope', 'Users:ann'], names: '"Users"' },
    { words: ['--scope', 'User:#one'], names: '"one"' },
    { words: ['--scope', 'User:nobody'], names: 'nobody' },
    { words: ['--scope', 'id:1'], names: `--tables User --where '{"id":1}'` },
  ],
}

/** Words that a command cannot do without. */
const needing = ['restore', 'import', 'inspect', 'diff', 'catalogue', 'pin', 'keygen', 'guard']

describe.each(commands)('%s', (name) => {
  let app: TestApp
  let help = ''
  beforeAll(async () => {
    app = makeApp()
    const { exitCode, stdout, stderr } = await ops(app, name, '--help')
    expect([exitCode, stderr]).toEqual([0, ''])
    help = stdout
  })

  async function isRefused(words: string[], named: string): Promise<void> {
    const { exitCode, stdout, stderr } = await ops(app, name, ...words)
    expect([words, exitCode, stdout]).toEqual([words, 64, ''])
    expect(stderr).toMatch(/^✖ USAGE {2}[^\n]+\.\n {4}data: [^\n]+\.\n {4}next: [^\n]+\n$/)
    const [, sentence, next] = /^✖ USAGE {2}(.+)\n.+\n {4}next: (.+)\n$/.exec(stderr)!
    expect(sentence).toContain(named)
    expect(next).toContain(`npx bootkeeper ${name} --help`)
    // Where guard passes words on, its own are in front.
    const asJson = await ops(app, name, '--json', ...words)
    expect([asJson.exitCode, asJson.stderr, JSON.parse(asJson.stdout).error.code]).toEqual([64, '', 'USAGE'])
  }

  test('has a help with its options', () => {
    expect(help.length).toBeGreaterThan(60)
  })

  test('an option that it does not know', async () => {
    await isRefused(['--nope'], '--nope')
    await isRefused(['-x'], '-x')
  }, 60_000)

  test('an option without its value, and a switch with one', async () => {
    const options = [...help.matchAll(/^ {2}(--[\w-]+)( [A-Z]+)? {2,}\S/gm)]
    if (/--json/.test(help)) expect(options.length).toBeGreaterThan(0)
    for (const [, option, value] of options) {
      if (value === undefined) await isRefused([`${option}=yes`], option!)
      else {
        await isRefused([option!, '--nope'], option!)
        // The last word, so that nothing can be its value; --json would come after it.
        const { exitCode, stderr } = await ops(app, name, option!)
        expect([exitCode, stderr]).toEqual([64, expect.stringContaining(`${option} needs a value.`)])
      }
    }
  }, 120_000)

  test('a word too many', async () => {
    // What follows the script is the script's.
    if (name === 'guard') await isRefused(['a.ts', 'b', 'c'], 'There is no script a.ts')
    else await isRefused(['a', 'b', 'c', 'd'], 'is one word too many')
  }, 60_000)

  test('a word too few', async () => {
    if (needing.includes(name)) await isRefused([], 'One more word is needed: ')
    else expect(needing).not.toContain(name)
  }, 60_000)

  test.each(refused[name] ?? [])(
    'refuses $words',
    async ({ words, names }) => {
      await isRefused(words, names)
      expect(app.files()).toEqual([])
    },
    60_000,
  )

  const bySchema = refusedBySchema[name]
  if (bySchema)
    test('what only the schema tells', async () => {
      expect((await boot(app)).exitCode).toBe(0)
      const files = app.files()
      for (const { words, names } of bySchema) await isRefused(words, names)
      expect(app.files()).toEqual(files)
    }, 240_000)
})

test('a --json behind the script is for the script: the errors of guard are for people then', async () => {
  const app = makeApp()
  for (const words of [
    ['none.ts', '--json'],
    ['--reason', 'a --json', 'none.ts'],
    ['--reason=x', 'none.ts', '--json'],
  ]) {
    const { exitCode, stdout, stderr } = await ops(app, 'guard', ...words)
    expect([words, exitCode, stdout, stderr.split('  ')[0]]).toEqual([words, 64, '', '✖ USAGE'])
  }
  const own = await ops(app, 'guard', '--reason', 'x', '--json', 'none.ts', 'word')
  expect([own.exitCode, own.stderr, JSON.parse(own.stdout).error.code]).toEqual([64, '', 'USAGE'])
}, 60_000)

test('a command that there is not, and the version', async () => {
  const app = makeApp()
  const { exitCode, stdout, stderr } = await ops(app, 'lists')
  expect([exitCode, stdout]).toEqual([64, ''])
  expect(stderr).toMatch(
    /^✖ USAGE {2}There is no command "lists"\.\n.+\n {4}next: npx bootkeeper --help lists them\.\n$/,
  )
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  expect(await ops(app, '--version')).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' })
})
