// In maintenance mode: puts the raw copy of a backup in the place of the database, which no app has open.
// Guarantees: it is `db:restore`, under the same lock; nothing is changed before the person has typed the code of what
// they were shown; what was there is backed up first, or where it is damaged set aside.

import { command } from '../command-hint.ts'
import type { Config } from '../config.ts'
import { BootkeeperError } from '../errors.ts'
import { copyOf, type Manifest, rowsOf } from '../manifest.ts'
import { applyRestore, planRestore, type RestorePlan } from '../restore.ts'
import { type Confirmations, hashOf } from './confirmations.ts'
import type { CopyPlan, OperationRequest } from './contract.ts'
import type { Databases, Ground } from './database.ts'
import type { Operations } from './operations.ts'

interface CopyFlowTools {
  config: Config
  databases: Databases
  operations: Operations
  confirmations: Confirmations
  isMaintenance: boolean
  onRestored: () => Promise<void>
}

const steps = {
  check: 'Read the copy back and check it',
  replace: 'Back up what is there, and put the copy in its place',
}

export function openCopyFlow(tools: CopyFlowTools) {
  const { config, databases, operations, confirmations, isMaintenance, onRestored } = tools

  function requireMaintenance(): void {
    if (isMaintenance) return
    throw new BootkeeperError('REQUEST_REFUSED', 'A copy takes the place of the database only while no app runs.', {
      next: 'Look inside the backup, and restore it from there.',
    })
  }

  async function withPlan<Result>(
    { config, engine }: Ground,
    stem: string,
    use: (plan: RestorePlan, shown: Omit<CopyPlan, 'confirmation'>) => Promise<Result>,
  ): Promise<Result> {
    const plan = await planRestore(config, engine, stem)
    try {
      return await use(plan, shownOf(plan, engine.description))
    } finally {
      await plan.discard()
    }
  }

  return {
    async check(request: Extract<OperationRequest, { kind: 'check-copy' }>) {
      requireMaintenance()
      const begun = { kind: 'check-copy' as const, request, subject: request.backup, steps: [steps.check] }
      return await operations.start(begun, async (report) => {
        await report.step(steps.check)
        return await databases.withGround('a look at a copy', (ground) =>
          withPlan(ground, request.backup, async (_, shown) => ({
            ...shown,
            confirmation: confirmations.issue(report.id, shown),
          })),
        )
      })
    },

    async putBack(request: Extract<OperationRequest, { kind: 'put-back' }>) {
      requireMaintenance()
      const checked = operations.find(request.plan)
      if (checked.kind !== 'check-copy' || checked.state !== 'done')
        throw new BootkeeperError('PLAN_CHANGED', 'There is no plan that this would confirm.')
      const confirmed = confirmations.redeem(request.plan, request.code)
      const stem = checked.request.backup
      const begun = {
        ...{ kind: 'put-back' as const, request: { ...request, code: '' }, subject: stem },
        steps: [steps.check, steps.replace],
      }
      return await operations.start(begun, async (report) => {
        await report.step(steps.check)
        return await databases.withGroundAlone('a restore in the console', (ground) =>
          withPlan(ground, stem, async (plan, shown) => {
            if (hashOf(shown) !== confirmed)
              throw new BootkeeperError('PLAN_CHANGED', 'What is there has changed since it was shown.')
            await report.step(steps.replace)
            const operation = { action: 'restore', entity: 'database', ids: [stem] }
            return await ground.record(operation, async (note) => {
              const { before, aside, notes } = await applyRestore(config, ground.engine, plan, ground.origin)
              if (before) report.backedUp(before)
              note({ ...(before ? { precededBy: before } : {}), ...(aside ? { metadata: { aside } } : {}) })
              await onRestored()
              return { restored: stem, notes, ...(aside ? { aside } : {}) }
            })
          }),
        )
      })
    },
  }
}

function shownOf({ manifest, present }: RestorePlan, into: string): Omit<CopyPlan, 'confirmation'> {
  const { stem, createdAt } = manifest
  const rows = rowsOf(manifest)
  return {
    ...{ stem, createdAt, present, into },
    sizeBytes: sizeOf(manifest),
    ...(rows === undefined ? {} : { rows }),
    ...(manifest.database === into ? {} : { otherDatabase: manifest.database }),
    command: command('restore', stem, '--apply'),
  }
}

function sizeOf(manifest: Manifest): number {
  const { sizeBytes, content } = copyOf(manifest)!
  return content?.sizeBytes ?? sizeBytes
}
