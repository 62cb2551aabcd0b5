// The layers of docs/architecture.md, read from the imports of every source file.
// Guarantees tested: imports go downwards; the folders of layer 3 know nothing of each other; the environment and the
// bundled app's models are known in one place each.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { root } from './harness.ts'

/** A file without its ending, or a folder. */
const layers: Record<1 | 2 | 3 | 4, string[]> = {
  1: ['start', 'scripts/', 'src/console/'],
  2: [
    'boot',
    'supervise',
    'prepare',
    'backup',
    'best-backup',
    'prune',
    'pin',
    'missing-database',
    'restore',
    'verify',
    'drill',
    'doctor',
    'checks/',
    'schema',
    'client',
    'export',
    'export-latest',
    'export-file',
    'export-copy',
    'export-child',
    'record',
    'backup-records',
    'guard',
    'import',
    'import-child',
    'import-people',
    'inspect-file',
    'import-bulk',
    'import-bulk-worker',
    'working-copy',
    'table-backup',
  ].map(inSrc),
  3: [
    ...['prisma/', 'engines/', 'formats/', 'stores/', 'catalogue/', 'analysis/'],
    ...[
      'manifest',
      'operation-log',
      'operation-log-check',
      'operations',
      'state',
      'timeline',
      'data-loss',
      'app-identity',
      'command-hint',
      'compression',
      'retention',
      'encryption',
      'stored-file',
      'proven-keys',
      'last-drill',
      'script-analysis',
      'restore-script',
      'scope-words',
      'table-summary',
    ],
  ].map(inSrc),
  4: [
    'config',
    'errors',
    'log',
    'files',
    'lock',
    'child',
    'thread',
    'signals',
    'data-model',
    'import-source',
    'scope',
    'retention-policy',
    'calendar',
  ].map(inSrc),
}

/** Imports that go upwards all the same, and why. */
const upwards: Record<string, string> = {
  'src/boot.ts -> src/console/server.ts':
    'the console is the app where no app is named, and the page of maintenance mode',
}

/** Imports from one folder of layer 3 into another, and why. */
const sideways: Record<string, string> = {}

// import-child.ts sets SQLITE_TMPDIR, which SQLite takes from the environment and from nowhere else.
const environmentReaders = ['src/config.ts', 'src/log.ts', 'src/import-child.ts', /^src\/prisma\//]

interface Import {
  from: string
  to: string
}

const sources = ['start.ts', ...filesIn('scripts'), ...filesIn('src')].filter(
  (file) => file.endsWith('.ts') && !file.startsWith('src/catalogue/client/'),
)
const imports = sources.flatMap(importsOf)

test('every source file has its layer', () => {
  for (const file of sources) expect(layerOf(file), file).toBeDefined()
  expect(imports.length).toBeGreaterThan(100)
})

test('what a file imports exists', () => {
  for (const { from, to } of imports) expect(existsSync(join(root, to)), `${from} -> ${to}`).toBe(true)
})

test('imports go downwards only', () => {
  const found = imports.filter(({ from, to }) => layerOf(to)! < layerOf(from)!).map(shown)
  expect([...new Set(found)].sort()).toEqual(Object.keys(upwards).sort())
})

test('the folders of layer 3 do not import each other', () => {
  const folder = (file: string) => layers[3].find((part) => part.endsWith('/') && file.startsWith(part))
  const found = imports.filter(({ from, to }) => folder(from) && folder(to) && folder(from) !== folder(to)).map(shown)
  expect([...new Set(found)].sort()).toEqual(Object.keys(sideways).sort())
})

test('only the places that may do so read the environment', () => {
  for (const file of sources) {
    if (environmentReaders.some((one) => (typeof one === 'string' ? one === file : one.test(file)))) continue
    expect(code(file), file).not.toMatch(/process\s*\.\s*env|\benv\b.*from 'node:process'/)
  }
  const inLog = [...code('src/log.ts').matchAll(/process\.env\.(\w+)/g)].map(([, name]) => name)
  expect(new Set(inLog)).toEqual(new Set(['NO_COLOR']))
})

test('nothing but the formats knows the models of the bundled app', () => {
  const schema = readFileSync(join(root, 'prisma/schema.prisma'), 'utf8')
  const models = [...schema.matchAll(/^(?:model|enum) (\w+)/gm)].map(([, name]) => name!)
  expect(models).toContain('UserMedia')
  // A word such as User is also plain English: it counts where it stands alone in quotes, or as a member.
  const distinct = models.filter((name) => /[a-z][A-Z]/.test(name))
  const plain = models.filter((name) => !distinct.includes(name))
  const fields = ['tmdbId', 'jellyfinUrl', 'movieProfile', 'tvProfile']
  const named = new RegExp(
    `\\b(${[...distinct, ...fields].join('|')})\\b|(['"\`.])(${plain.join('|')})\\2|FROM "?(${plain.join('|')})\\b`,
  )
  for (const file of sources.filter((file) => !file.startsWith('src/formats/')))
    expect(named.exec(code(file))?.[0], file).toBeUndefined()
})

function layerOf(file: string): number | undefined {
  const name = file.replace(/\.d\.ts$|\.ts$/, '')
  const found = Object.entries(layers).find(([, parts]) =>
    parts.some((part) => (part.endsWith('/') ? file.startsWith(part) : name === part)),
  )
  return found && Number(found[0])
}

/** Static, dynamic and type-only imports, and modules that are started as a child process or a worker. */
function importsOf(file: string): Import[] {
  const text = code(file)
  const named = [
    ...text.matchAll(/\b(?:from|import)\s*\(?\s*'(\.[^']+)'/g),
    ...text.matchAll(/(?:startChild(?:<[^(]*>)?|new URL)\(\s*[`'](\.\/[\w.-]+)/g),
  ].map(([, target]) => target!)
  return named
    .map((target) =>
      relative(root, join(root, dirname(file), /\.(ts|js|wasm)$/.test(target) ? target : `${target}.ts`)),
    )
    .filter((target) => target.endsWith('.ts'))
    .map((to) => ({ from: file, to }))
}

function shown({ from, to }: Import): string {
  return `${from} -> ${to}`
}

/** The text without its comments. */
function code(file: string): string {
  return readFileSync(join(root, file), 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '')
}

function inSrc(name: string): string {
  return `src/${name}`
}

function filesIn(folder: string): string[] {
  return readdirSync(join(root, folder)).flatMap((name) => {
    const path = join(folder, name)
    return statSync(join(root, path)).isDirectory() ? filesIn(path) : [path]
  })
}
