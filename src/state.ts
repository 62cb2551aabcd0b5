// What one boot must know of those before it: attempts since the app was last up, the pinned copy, what the newest copy
// and export were made of, the fingerprint that is in step. One small file, written atomically.
// Guarantees: a state that cannot be read counts as none: everything is then done again, and nothing is pruned until a
// copy has proved itself anew.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeJsonAtomically } from './files.ts'

const stepSchema = z.object({
  name: z.string(),
  state: z.enum(['done', 'skipped', 'failed']),
  ms: z.number(),
  text: z.string(),
})

const bootSchema = z.object({
  at: z.string(),
  outcome: z.enum(['ready', 'failed']),
  code: z.string().optional(),
  steps: z.array(stepSchema),
})

const stateSchema = z.object({
  version: z.literal(1),
  /** When this state was begun: of what was made before, nobody knows any more whether the app came up on it. */
  begunAt: z.string().optional(),
  /** Boots begun since the app was last ready. */
  attempts: z.number().int().default(0),
  /** The newest backup that the app came up on. */
  pinned: z.string().optional(),
  /** The backup whose copy holds what the database holds at this signature. */
  copy: z.object({ stem: z.string(), source: z.string() }).optional(),
  /** The newest verified export: what it was made of. */
  export: z.object({ stem: z.string(), source: z.string() }).optional(),
  /** The fingerprint at which database, schema and client were last in step. */
  inStep: z.string().optional(),
  /** Makes each code for a data loss good for once: it changes when one was used. */
  lossSalt: z.string().default(''),
  /** A schema change that went live in a boot whose app has not been ready yet: the backup to put back. */
  unprovenChange: z.string().optional(),
  /** The backup whose copy was put back last. */
  restored: z.object({ stem: z.string(), at: z.string() }).optional(),
  /** Backups that a start with an empty database left behind, as it was told to: never removed. */
  leftBehind: z.array(z.string()).default([]),
  /** What the newest boot launched, for the health check. */
  launched: z.enum(['app', 'console']).optional(),
  boots: z.array(bootSchema).default([]),
})

export type BootState = z.infer<typeof stateSchema>
export type BootRecord = z.infer<typeof bootSchema>
export type StepRecord = z.infer<typeof stepSchema>

const keptBoots = 20

export async function readState(stateDir: string): Promise<BootState> {
  const text = await readFile(join(stateDir, 'state.json'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  try {
    return stateSchema.parse(JSON.parse(text))
  } catch {
    return stateSchema.parse({ version: 1 })
  }
}

export async function writeState(stateDir: string, state: BootState): Promise<void> {
  await writeJsonAtomically(join(stateDir, 'state.json'), { ...state, boots: state.boots.slice(-keptBoots) })
}
