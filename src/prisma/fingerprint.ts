// What decides whether `prisma db push` and `prisma generate` would do anything, as one sha256.
// Guarantees: schema files, Prisma's version, the mode, the migrations and the database's own structure all count, so a
// database that was changed by hand has another fingerprint.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { SchemaFile } from './schema-files.ts'

export function fingerprintOf(parts: {
  files: SchemaFile[]
  prismaVersion: string
  engine: string
  mode: string
  migrations: string[]
  structure: string
}): string {
  const hash = createHash('sha256')
  const { files, ...rest } = parts
  for (const part of [...files.flatMap(({ path, content }) => [path, content]), JSON.stringify(rest)])
    hash.update(`${Buffer.byteLength(part)}\n`).update(part)
  return hash.digest('hex')
}

/** The version of the Prisma CLI that a command in `cwd` would run: the project's own, else the one we bring. */
export async function prismaVersion(cwd: string): Promise<string> {
  for (const base of [pathToFileURL(join(cwd, 'package.json')).href, import.meta.url]) {
    try {
      const file = createRequire(base).resolve('prisma/package.json')
      return (JSON.parse(await readFile(file, 'utf8')) as { version: string }).version
    } catch {}
  }
  return 'none'
}
