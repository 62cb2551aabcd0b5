// The console's operations on backups: take one, read one back, restore one for practice.
// Guarantees: they are what the commands do, under the same locks; damage that is found ends in an error that names the
// file; the database is only read.

import { join } from 'node:path'
import { takeBackup } from '../backup.ts'
import type { Config } from '../config.ts'
import { drillBackup } from '../drill.ts'
import { BootkeeperError } from '../errors.ts'
import { exportDatabase } from '../export.ts'
import { newStem, readManifest } from '../manifest.ts'
import { verifyBackup } from '../verify.ts'
import type { OperationRequest, VerifyResult } from './contract.ts'
import type { Databases } from './database.ts'
import type { Operations, Reporter } from './operations.ts'

interface BackupFlowTools {
  config: Config
  databases: Databases
  operations: Operations
}

const steps = {
  copy: 'Copy the database and check the copy',
  export: 'Write the data as JSON and read it back',
  read: 'Compare every file with its checksum, and read what is inside',
  drill: 'Restore it into a scratch database',
}

export function openBackupFlow({ config, databases, operations }: BackupFlowTools) {
  return {
    async backUp(request: Extract<OperationRequest, { kind: 'backup' }>) {
      const begun = { kind: 'backup' as const, request, subject: 'a backup', steps: [steps.copy, steps.export] }
      return await operations.start(begun, async (report) => {
        await report.step(steps.copy)
        return await databases.withDatabase('a backup in the console', async ({ engine, schema, origin, record }) => {
          const why = { ...origin, trigger: 'manual' as const, reason: 'asked for in the console' }
          const stem = await newStem(config.backupsDir)
          const { trigger, reason } = why
          const operation = { action: 'backup', entity: 'backup', ids: [stem], metadata: { trigger, reason } }
          await record(operation, async () => {
            await takeBackup(config, engine, why, report.signal, { stem })
            await report.step(steps.export)
            const watch = { signal: report.signal, onProgress: report.rows }
            await exportDatabase(config, engine, schema, why, stem, watch)
          })
          const { files } = await readManifest(config.backupsDir, stem)
          return { stem, files: files.map(({ name, sizeBytes }) => ({ name, sizeBytes })) }
        })
      })
    },

    async verify(request: Extract<OperationRequest, { kind: 'verify' }>) {
      const { stem } = await readManifest(config.backupsDir, request.backup)
      const names = [steps.read, ...(request.drill ? [steps.drill] : [])]
      return await operations.start({ kind: 'verify', request, subject: stem, steps: names }, async (report) => {
        await report.step(steps.read)
        const { ok, code, problem = '', notes } = await verifyBackup(config, stem, report.rows, report.signal)
        if (!ok) throw notGood(code, stem, withoutFolder(config, problem))
        if (!request.drill) return { notes }
        await report.step(steps.drill)
        return await drill(stem, notes, report)
      })
    },
  }

  async function drill(stem: string, notes: string[], report: Reporter): Promise<VerifyResult> {
    return await databases.withDatabase('a drill in the console', async ({ engine, schema, origin }) => {
      const tools = { config, engine, schema, origin, onProgress: report.rows, signal: report.signal }
      const result = await drillBackup(tools, stem)
      if (!result.ok) throw notGood('BACKUP_DAMAGED', stem, withoutFolder(config, result.problem ?? ''))
      return { notes: [...notes, ...result.notes], restored: result.parts }
    })
  }
}

/** For people who know the backup by its name, and not by where it lies. */
export function withoutFolder({ backupsDir }: Pick<Config, 'backupsDir'>, text: string): string {
  return text.replaceAll(join(backupsDir, '/'), '')
}

/** What keeps a file from being read is no damage, and is not said to be. */
function notGood(code: BootkeeperError['code'] | undefined, stem: string, problem: string): BootkeeperError {
  const isDamage = code === undefined || code === 'BACKUP_DAMAGED' || code === 'EXPORT_DAMAGED'
  return new BootkeeperError(code ?? 'BACKUP_DAMAGED', problem.includes(stem) ? problem : `${stem}: ${problem}`, {
    safe: 'The database was only read. The backup is as it was found.',
    ...(isDamage
      ? { next: 'Take a new backup now, while the data is there. To restore, choose another backup of the list.' }
      : {}),
  })
}
