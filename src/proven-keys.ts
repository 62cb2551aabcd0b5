// Which public keys somebody has opened a backup for, here, with the secret key that lives elsewhere. Such backups can
// only be read back byte by byte when they are made; once the key was shown to open one of them, the others of the same
// keys count as verified too. Guarantees: no key is stored, only checksums of public ones; a file that is lost or cannot
// be read proves nothing, so nothing goes by it.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeJsonAtomically } from './files.ts'
import type { Manifest } from './manifest.ts'

const fileSchema = z.object({ version: z.literal(1), opened: z.record(z.string(), z.object({ at: z.string() })) })

/** The same for the same public keys in any order. */
export function checksumOfKeys(publicKeys: readonly string[]): string {
  return createHash('sha256').update(publicKeys.toSorted().join('\n')).digest('hex')
}

/** By checksum of public keys: when a backup was first opened for them. */
export type ProvenKeys = ReadonlyMap<string, string>

export async function readProvenKeys(stateDir: string): Promise<ProvenKeys> {
  return new Map(Object.entries(await readOpened(stateDir)).map(([keys, { at }]) => [keys, at]))
}

/** Called when all that is inside `manifest` was read. */
export async function noteOpened(stateDir: string, { files }: Pick<Manifest, 'files'>): Promise<void> {
  const opened = await readOpened(stateDir)
  const keys = files.flatMap(({ encryptedFor }) => encryptedFor ?? []).filter((key) => !Object.hasOwn(opened, key))
  if (keys.length === 0) return
  const at = new Date().toISOString()
  for (const key of keys) opened[key] = { at }
  await writeJsonAtomically(pathIn(stateDir), { version: 1, opened })
}

async function readOpened(stateDir: string): Promise<Record<string, { at: string }>> {
  try {
    return fileSchema.parse(JSON.parse(await readFile(pathIn(stateDir), 'utf8'))).opened
  } catch {
    return {}
  }
}

function pathIn(stateDir: string): string {
  return join(stateDir, 'proven-keys.json')
}
