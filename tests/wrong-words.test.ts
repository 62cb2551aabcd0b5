// Every command, called wrongly in each way there is.
// Guarantees tested: exit 64, nothing on stdout, one sentence that names the word at fault, no stack, and what to run
// next is the help of that very command; with --json the same as one object.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { makeApp, ops, root, type TestApp } from './harness.ts'

const commands = [
  ...readFileSync(join(root, 'scripts/bootkeeper.ts'), 'utf8').matchAll(/^ {2}(\w+): \{ summary:/gm),
].map(([, name]) => name!)

/** Values and combinations that a command refuses; a command that is not here has none. */
const refused: Record<string, { words: string[]; names: string }[]> = {
  import: [
    { words: ['x.json', '--mode', 'mirror'], names: '"mirror"' },
    { words: ['x.json', '--mode', 'replace', '--keep-existing'], names: '--keep-existing' },
  ],
  export: [
    { words: ['--compress', 'rar'], names: '"rar"' },
    { words: ['x.json.gz', '--compress', 'zstd'], names: 'x.json.gz' },
    { words: ['x.zip'], names: '.zip' },
  ],
}

/** Words that a command cannot do without. */
const needing = ['restore', 'import', 'inspect', 'diff']

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
    expect(app.files()).toEqual([])
    const asJson = await ops(app, name, ...words, '--json')
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
    await isRefused(['a', 'b', 'c', 'd'], 'is one word too many')
  }, 60_000)

  test('a word too few', async () => {
    if (needing.includes(name)) await isRefused([], 'One more word is needed: ')
    else expect(needing).not.toContain(name)
  }, 60_000)

  test.each(refused[name] ?? [])('refuses $words', async ({ words, names }) => {
    await isRefused(words, names)
  })
})

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
