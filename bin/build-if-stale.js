// Before `npm start` in a checkout: builds dist/ when a source is newer, so that a clone runs what it holds.
// Guarantees: an installed package or an image, which has no sources, is left alone.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const built = join(root, 'dist', 'start.js')

function newest(path) {
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.mtimeMs
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))))
}

const sources = ['start.ts', 'scripts', 'src'].map((name) => join(root, name)).filter((path) => existsSync(path))
if (sources.length === 3 && (!existsSync(built) || Math.max(...sources.map(newest)) > statSync(built).mtimeMs)) {
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' })
  process.exitCode = status ?? 1
}
