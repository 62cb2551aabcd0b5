// Who is being booted, and by whom: the app's name and version from its package.json, Bootkeeper's own, the user.
// Guarantees: a missing or broken package.json is no failure; the boot does not depend on it.

import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface AppIdentity {
  name: string
  version: string
}

interface PackageJson {
  name?: string
  version?: string
  scripts?: Record<string, string>
}

export function appIdentity(cwd: string): AppIdentity | undefined {
  const found = readPackage(cwd)
  return found?.name ? { name: found.name, version: found.version ?? '0.0.0' } : undefined
}

export function hasScript(cwd: string, name: string): boolean {
  return readPackage(cwd)?.scripts?.[name] !== undefined
}

/** The name of the user that runs this; its number where the system knows no name, as in many containers. */
export function currentUser(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? 'unknown')
  }
}

let own: string | undefined

export function bootkeeperVersion(): string {
  own ??= ownVersion()
  return own
}

// The nearest package.json above this file: one folder up in a checkout, two in dist/.
function ownVersion(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const found = readPackage(folder)
    if (found?.name === 'bootkeeper') return found.version ?? '0.0.0'
    if (folder === dirname(folder)) return '0.0.0'
  }
}

function readPackage(folder: string): PackageJson | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageJson
  } catch {
    return undefined
  }
}
