// How things are, for the first page: the database, the backups, the last starts, and why a boot failed.
// Guarantees: it answers also where the database, the state or the folder of backups cannot be read: what is not known is
// left out; nothing is changed or waited for.

import { stat } from 'node:fs/promises'
import type { Config } from '../config.ts'
import { openEngine } from '../engines/open.ts'
import type { BootkeeperError } from '../errors.ts'
import { readLastDrill } from '../last-drill.ts'
import { copyOf, listBackups, type Manifest } from '../manifest.ts'
import { type BootState, readState } from '../state.ts'
import type { DatabaseView, Operation, Overview } from './contract.ts'
import { failureOf } from './operations.ts'

const shownRestores = 5

export interface OverviewFacts {
  app: string
  bootkeeper: string
  isSetUp: boolean
  appRuns: boolean
  hasSettings: boolean
  failure: BootkeeperError | undefined
  running: Operation | undefined
  /** Newest first. */
  restores: Operation[]
  /** When this console began. */
  since: string
}

export async function overviewOf(
  config: Config,
  { failure, running, restores, since, ...facts }: OverviewFacts,
): Promise<Overview> {
  const [database, boots, backups] = await Promise.all([
    databaseView(config),
    readState(config.stateDir).then(
      (state) => state.boots,
      (): BootState['boots'] => [],
    ),
    listBackups(config.backupsDir).catch(() => undefined),
  ])
  const newest = backups?.at(-1)
  const lastDrill = await readLastDrill(config.stateDir, backups ?? [])
  return {
    ...facts,
    database,
    uploadLimitBytes: config.uploadLimitBytes,
    boots: boots
      .slice(-5)
      .reverse()
      .map(({ at, outcome, code, steps }) => ({ at, outcome, steps, ...(code ? { code } : {}) })),
    ...(failure ? { failure: failureView(failure, backups ?? []) } : {}),
    restores: restores.slice(0, shownRestores).map(({ id, kind, subject, endedAt = '' }) => ({
      ...{ id, subject, endedAt },
      kind: kind as Overview['restores'][number]['kind'],
    })),
    ...(failure && restores.some(({ startedAt }) => startedAt >= since) ? { isMended: true } : {}),
    ...(running ? { running: { id: running.id, kind: running.kind } } : {}),
    ...(backups
      ? {
          backups: {
            count: backups.length,
            ...(newest ? { newest: { stem: newest.stem, createdAt: newest.createdAt } } : {}),
          },
        }
      : {}),
    ...(lastDrill ? { lastDrill } : {}),
  }
}

function failureView(failure: BootkeeperError, backups: Manifest[]): NonNullable<Overview['failure']> {
  const { step, next } = failure
  // The first that is named is the one to put back; of others it is said what they are.
  const named = next.split(/[^\w.-]+/).map((word) => word.replace(/\.$/, ''))
  const advised = named.flatMap((word) => backups.find((each) => each.stem === word && copyOf(each)) ?? [])[0]
  return {
    ...failureOf(failure),
    ...(step ? { step } : {}),
    ...(advised ? { advised: { stem: advised.stem, createdAt: advised.createdAt } } : {}),
  }
}

async function databaseView(config: Config): Promise<DatabaseView> {
  const engine = await openEngine(config.databaseUrl, { busyMs: 0 })
  try {
    const { kind, description, isFile } = engine
    const sizeOf = (path: string) =>
      stat(path).then(
        ({ size }) => size,
        () => undefined,
      )
    const sizeBytes = isFile ? await sizeOf(description) : await engine.sizeBytes().catch(() => undefined)
    const walBytes = isFile ? await sizeOf(`${description}-wal`) : undefined
    return {
      ...{ engine: kind, description },
      ...(sizeBytes === undefined ? {} : { sizeBytes }),
      ...(walBytes === undefined ? {} : { walBytes }),
    }
  } finally {
    await engine.close().catch(() => undefined)
  }
}
