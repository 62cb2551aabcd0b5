// Before anything runs in a checkout: compiles better-sqlite3 where that was not done, builds dist/ where a source is
// newer. `npm ci` runs no install script here (.npmrc), because one of them would download a database engine.
// Guarantees: an installed package or an image, which has no sources, is left alone; nothing is done twice.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const built = join(root, 'dist', 'start.js')
const sources = ['start.ts', 'scripts', 'src', 'web'].map((name) => join(root, name)).filter((path) => existsSync(path))

if (sources.length === 4) {
  if (!canOpenSqlite()) npm('rebuild', 'better-sqlite3', '--ignore-scripts=false', '--foreground-scripts')
  if (!existsSync(built) || Math.max(...sources.map(newest)) > statSync(built).mtimeMs) npm('run', '--silent', 'build')
}

function canOpenSqlite() {
  try {
    const Database = createRequire(import.meta.url)('better-sqlite3')
    new Database(':memory:').close()
    return true
  } catch {
    return false
  }
}

function newest(path) {
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.mtimeMs
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))))
}

function npm(...words) {
  const { status } = spawnSync('npm', words, { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
