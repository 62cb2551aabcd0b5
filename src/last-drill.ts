// When a backup was last restored for practice, and how that went: kept beside the backups, because the one that was
// restored goes some day. Guarantees: the newest of this record and of the manifests counts; a record that cannot be read
// is as good as none.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeJsonAtomically } from './files.ts'
import type { Manifest } from './manifest.ts'

const fileSchema = z.object({
  version: z.literal(1),
  stem: z.string(),
  at: z.string(),
  problem: z.string().optional(),
})

export interface LastDrill {
  stem: string
  at: string
  problem?: string | undefined
}

/** undefined: there never was one, as far as is known. */
export async function readLastDrill(stateDir: string, backups: Manifest[]): Promise<LastDrill | undefined> {
  const drills: LastDrill[] = backups.flatMap(({ stem, lastDrill }) => (lastDrill ? [{ stem, ...lastDrill }] : []))
  try {
    const { version: _, ...record } = fileSchema.parse(JSON.parse(await readFile(pathIn(stateDir), 'utf8')))
    drills.push(record)
  } catch {
    // Of backups that are gone nothing is known then.
  }
  return drills.sort((a, b) => (a.at < b.at ? -1 : 1)).at(-1)
}

export async function noteLastDrill(stateDir: string, stem: string, check: Omit<LastDrill, 'stem'>): Promise<void> {
  await writeJsonAtomically(pathIn(stateDir), { version: 1, stem, ...check })
}

function pathIn(stateDir: string): string {
  return join(stateDir, 'last-drill.json')
}
