// The documentation, compared with the code: settings, errors, exit codes, commands, links, and the examples of the
// how-to for other people's apps, run as they stand there on a schema that is not ours.
// Guarantees tested: what a page names exists, and what it tells to type works.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join, relative } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, expect, test } from 'vitest'
import { settingsSchema } from '../src/config.ts'
import { errorTable } from '../src/errors.ts'
import { makeFolder, poll, root } from './harness.ts'

const read = (path: string) => readFileSync(join(root, path), 'utf8')
const pages = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', ...markdownIn('docs')]
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }

test('settings.md lists exactly the variables of the schema, with their defaults and choices', () => {
  const rows = [
    ...read('docs/reference/settings.md').matchAll(/^\| `([A-Z_]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$/gm),
  ]
  const listed = Object.fromEntries(rows.map(([, name, fallback]) => [name, fallback!.replaceAll('`', '').trim()]))
  const defaults = settingsSchema.parse({}) as Record<string, unknown>
  const wanted = Object.keys(settingsSchema.shape).map((name) => [name, String(defaults[name] ?? 'not set')])
  expect(rows).toHaveLength(wanted.length)
  expect(listed).toEqual(Object.fromEntries(wanted))
  for (const [, name, , accepted] of rows) {
    // A value that no setting takes: the refusal says which ones it does.
    const { error } = settingsSchema.shape[name as keyof typeof settingsSchema.shape].safeParse('\0')
    const choices = error?.issues[0]?.code === 'invalid_value' ? error.issues[0].values : []
    for (const choice of choices) expect(`${name} ${accepted}`).toContain(`\`${String(choice)}\``)
  }
})

test('errors.md lists exactly the codes of the error table, with their exit codes', () => {
  const sections = [...read('docs/reference/errors.md').matchAll(/^### (\w+)\n\nExit code (\d+)/gm)]
  const listed = sections.map(([, code, exitCode]) => [code, Number(exitCode)])
  expect(listed).toEqual(Object.entries(errorTable).map(([code, { exitCode }]) => [code, exitCode]))
})

test('exit-codes.md puts every error code in the row of its exit code', () => {
  const page = read('docs/reference/exit-codes.md')
  for (const [code, { exitCode }] of Object.entries(errorTable)) {
    const row = page.split('\n').find((line) => line.startsWith(`| ${exitCode} |`))
    expect(row, `a row for ${exitCode}`).toContain(`\`${code}\``)
  }
})

test.each(pages)('every relative link in %s leads somewhere', (page) => {
  for (const [, target] of withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target!)) continue
    const [path, anchor] = target!.split('#')
    const file = path ? join(root, dirname(page), path) : join(root, page)
    expect(existsSync(file), `${page}: ${target}`).toBe(true)
    if (anchor) expect(anchorsOf(readFileSync(file, 'utf8')), `${page}: ${target}`).toContain(anchor)
  }
})

test('every page of docs/ is in its index', () => {
  const index = read('docs/README.md')
  for (const page of markdownIn('docs').filter((path) => path !== 'docs/README.md'))
    expect(index).toContain(`](${relative('docs', page)})`)
})

test('every command that the pages name exists', () => {
  const commands = [...read('scripts/bootkeeper.ts').matchAll(/^ {2}(\w+): \{\s*summary:/gm)].map(([, name]) => name!)
  expect(commands.length).toBeGreaterThan(0)
  for (const name of commands) expect(existsSync(join(root, 'scripts', `${name}.ts`)), name).toBe(true)
  for (const page of pages) {
    for (const [, name] of read(page).matchAll(/\bnpm run (?:--[\w-]+ )?([\w:]+)/g))
      expect(Object.keys(scripts), `${page}: npm run ${name}`).toContain(name)
    for (const [, name] of read(page).matchAll(/(?:npx |\.bin\/|": ")bootkeeper ([a-z]+)/g))
      expect(commands, `${page}: bootkeeper ${name}`).toContain(name)
    for (const [, name] of read(page).matchAll(/bin\/bootkeeper\.js ([a-z]+)/g))
      expect(commands, `${page}: bin/bootkeeper.js ${name}`).toContain(name)
  }
  const reference = read('docs/reference/commands.md')
  for (const name of commands) expect(reference).toContain(`\n## ${name}\n`)
})

test('the quick reference has every command, and nothing that is no option of one', () => {
  const page = read('docs/quick-reference.md')
  const commands = [...read('scripts/bootkeeper.ts').matchAll(/^ {2}(\w+): \{\s*summary:/gm)].map(([, name]) => name!)
  expect(commands).toContain('guard')
  for (const name of commands) expect(page, name).toMatch(new RegExp(`\`(db:${name}|npx bootkeeper ${name})\\b`))
  for (const [, name, words] of page.matchAll(/`db:(\w+)([^`]*)`/g)) {
    // Of those that are made beside this: they are checked as soon as they are there.
    if (!existsSync(join(root, 'scripts', `${name}.ts`))) continue
    const help = read(`scripts/${name}.ts`)
    for (const [option] of words!.matchAll(/--[a-z-]+/g)) {
      // Of the script that is guarded, not of the guard; and what comes with db:doctor.
      if (option === '--fix' || (option === '--drill' && !existsSync(join(root, 'scripts/doctor.ts')))) continue
      expect(help, `db:${name} ${option}`).toContain(option)
    }
  }
})

test('the commands and files of the README exist', () => {
  const readme = read('README.md')
  expect(readme).toContain('npm ci && npm start')
  expect(readme).toContain('npm ci && npm test')
  expect(Object.keys(scripts)).toEqual(expect.arrayContaining(['start', 'test']))
  for (const [, file] of readme.matchAll(/docker compose -f (\S+)/g)) expect(existsSync(join(root, file!))).toBe(true)
  expect(existsSync(join(root, 'Dockerfile'))).toBe(true)
})

interface Example {
  name: string
  text: string
}

function examplesOf(page: string): Example[] {
  const found = [...read(page).matchAll(/^<!-- test: (.+?) -->\n```\w+\n([\s\S]*?)^```$/gm)]
  return found.map(([, name, text]) => ({ name: name!, text: text! }))
}

const groups = new Set<ChildProcess>()
afterAll(() => {
  for (const { pid } of groups) signalGroup(pid!, 'SIGKILL')
})

test('the examples of the how-to for your own app work, in order, on a schema that is not ours', async () => {
  const examples = examplesOf('docs/how-tos/use-in-your-own-app.md')
  const names = examples.map(({ name }) => name)
  expect(names).toEqual(['file prisma/schema.prisma', 'file server.ts', 'generate', 'start', 'use', 'backup'])
  const app = makeProject()
  const port = String(await freePort())
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, PORT: port, LOG_FORMAT: 'pretty' }
  const shell = (text: string) => {
    const child = spawn('bash', ['-euc', text], { cwd: app, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    groups.add(child)
    const run = { child, output: '', ended: new Promise<number | null>((resolve) => child.once('close', resolve)) }
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (run.output += chunk))
    return run
  }
  const outputs: Record<string, string> = {}
  let booted: ReturnType<typeof shell> | undefined
  const boot = async (text: string) => {
    const run = shell(text)
    // The state tells when the app is ready; the log has no line for it.
    await poll(() => run.child.exitCode !== null || isReady(app, run.output), `the app:\n${run.output}`, 90_000)
    expect(run.child.exitCode, run.output).toBe(null)
    return run
  }
  const stop = async (run: ReturnType<typeof shell>) => {
    // As Ctrl-C in a terminal: to npx and all that it started.
    signalGroup(run.child.pid!, 'SIGTERM')
    await run.ended
    await poll(() => !isHeld(app), 'the lock to be free')
  }

  for (const { name, text } of examples) {
    if (name.startsWith('file ')) {
      mkdirSync(dirname(join(app, name.slice(5))), { recursive: true })
      writeFileSync(join(app, name.slice(5)), text)
    } else if (name === 'start') booted = await boot(text)
    else {
      const run = shell(text)
      expect([name, await run.ended, run.output]).toEqual([name, 0, run.output])
      outputs[name] = run.output
    }
  }
  expect(outputs.generate).toContain('prisma generate: ')
  expect(booted!.output).toContain('4 statements run, then prisma db push: in step')
  expect(booted!.output).toMatch(/↷ client\s+skipped/)
  expect(JSON.parse(outputs.use!)).toMatchObject([{ title: 'Bread', notes: 'takes a day' }])
  expect(outputs.backup).toMatch(/✔ backup_\S+\n\s+copy .*\n\s+export /)
  expect(outputs.backup).toContain('manual: the first recipe')
  expect(outputs.backup).not.toContain('✖')
  await stop(booted!)

  const backups = join(app, 'data', 'backups')
  const manifests = readdirSync(backups).filter((file) => file.endsWith('.manifest.json'))
  const manifest = manifests
    .map((file) => JSON.parse(readFileSync(join(backups, file), 'utf8')))
    .find(({ trigger }) => trigger === 'manual')
  expect(manifest).toMatchObject({ reason: 'the first recipe', app: { name: 'recipes', version: '1.0.0' } })
  expect(manifest.files[1].counts).toEqual({ Recipe: 1, Ingredient: 0 })
  const copy = new Database(join(backups, manifest.files[0].name), { readonly: true })
  expect(copy.prepare('SELECT title FROM Recipe').all()).toEqual([{ title: 'Bread' }])
  copy.close()

  const again = await boot(examples.find(({ name }) => name === 'start')!.text)
  await stop(again)
  expect(again.output).toMatch(/↷ schema\s+skipped/)
}, 240_000)

test('the examples of the how-to for tables work, in order', async () => {
  const examples = examplesOf('docs/how-tos/back-up-a-table.md')
  const app = makeProject()
  const env = { PATH: process.env.PATH, HOME: process.env.HOME }
  const shell = (text: string) => spawnSync('bash', ['-euc', text], { cwd: app, env, encoding: 'utf8' })
  const database = <Result>(use: (open: Database.Database) => Result) => {
    const open = new Database(join(app, 'data', 'app.db'))
    open.pragma('foreign_keys = on')
    try {
      return use(open)
    } finally {
      open.close()
    }
  }
  const mods = () => database((open) => open.prepare('SELECT * FROM "Mod"').all())
  const [schema, ...others] = examples
  expect(schema?.name).toBe('file prisma/schema.prisma')
  mkdirSync(join(app, 'prisma'))
  writeFileSync(join(app, 'prisma', 'schema.prisma'), schema!.text)
  expect(shell('npx bootkeeper -- true').status).toBe(0)
  database((open) =>
    open.exec(`INSERT INTO "User" VALUES (1, 'john');
      INSERT INTO "Mod" VALUES (1, 'chair', 'furniture', 1), (2, 'tank', 'vehicle', 1);
      INSERT INTO "Comment" VALUES (1, 'nice', 1)`),
  )
  const before = mods()
  const outputs: Record<string, string> = {}
  for (const { name, text } of others) {
    if (name === 'dry run') database((open) => open.exec(`DELETE FROM "Mod" WHERE "contentType" = 'furniture'`))
    const { status, stdout, stderr } = shell(text)
    // npm and the shell may have warnings of their own.
    expect([name, status, stderr]).toEqual([name, 0, expect.not.stringContaining('✖')])
    outputs[name] = stdout
    if (name === 'dry run') expect(mods()).toEqual(before.slice(1))
  }
  expect(Object.keys(outputs)).toEqual(['filter', 'one', 'dry run', 'restore'])
  expect(outputs.filter).toContain('1 row: Mod where {"contentType":"furniture"}')
  expect(outputs.filter).toContain('! Not in it: 1 of Comment')
  expect(outputs.one).toContain('4 rows: User where {"name":"john"} and all that hangs on it')
  expect(mods()).toEqual(before)
}, 240_000)

/** As after `npm install`: the packages, Bootkeeper among them, and its command in .bin. */
function makeProject(): string {
  const app = makeFolder()
  const modules = join(app, 'node_modules')
  mkdirSync(join(modules, '.bin'), { recursive: true })
  for (const name of readdirSync(join(root, 'node_modules')))
    if (!name.startsWith('.')) symlinkSync(join(root, 'node_modules', name), join(modules, name))
  symlinkSync(root, join(modules, 'bootkeeper'))
  symlinkSync('../bootkeeper/bin/bootkeeper.js', join(modules, '.bin', 'bootkeeper'))
  writeFileSync(join(app, 'package.json'), JSON.stringify({ name: 'recipes', version: '1.0.0', type: 'module' }))
  return app
}

function isReady(app: string, output: string): boolean {
  if (!/✔ launch/.test(output)) return false
  return JSON.parse(readFileSync(join(app, 'data', '.bootkeeper', 'state.json'), 'utf8')).attempts === 0
}

function isHeld(app: string): boolean {
  const side = new Database(join(app, 'data', '.bootkeeper', 'lock.db'), { timeout: 0 })
  try {
    side.exec('BEGIN EXCLUSIVE')
    return false
  } catch {
    return true
  } finally {
    side.close()
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // Nobody is left in it.
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

function markdownIn(folder: string): string[] {
  return readdirSync(join(root, folder)).flatMap((name) => {
    const path = join(folder, name)
    if (statSync(join(root, path)).isDirectory()) return markdownIn(path)
    return name.endsWith('.md') ? [path] : []
  })
}

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, '')
}

/** As GitHub names them. */
function anchorsOf(text: string): string[] {
  const headings = text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.+)$/gm)
  return [...headings].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}
