// SQLite: copies with a read transaction held, schema changes on a copy that is swapped in, putting a copy back.
// Guarantees: a copy holds every row committed before it began, also with a -wal that was never checkpointed and with
// writers at work; the live file is only ever replaced whole, by a rename under its exclusive lock.

import { rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import Database from 'better-sqlite3'
import { type Child, startChild } from '../child.ts'
import { BootkeeperError } from '../errors.ts'
import { copyData, fsyncFile, makeDirectory, partialPath, sha256OfFile } from '../files.ts'
import type { Engine, Loss, Rehearsal, VerifiedCopy } from './engine.ts'
import type { compare } from './sqlite-compare.ts'
import type { examine } from './sqlite-examine.ts'
import type * as operations from './sqlite-operations.ts'
import { signatureOf, structureOf } from './sqlite-operations.ts'
import { shortProblems } from './sqlite-problems.ts'
import type { validate } from './sqlite-validate.ts'

type Operations = typeof operations & {
  compare: typeof compare
  examine: typeof examine
  validate: typeof validate
}

/** The file that a `file:` address names, as Prisma reads it: relative to the working directory, no percent signs decoded. */
export function sqlitePath(url: string): string {
  return resolve(url.replace(/^file:(\/\/(?=\/))?/, '').split('?')[0]!)
}

export function openSqlite(databaseUrl: string, { busyMs }: { busyMs: number }): Engine {
  const path = sqlitePath(databaseUrl)
  let worker: Child<Operations> | undefined
  const work = () => (worker ??= startChild<Operations>('./sqlite-child', import.meta.url))
  const stopWork = async () => {
    await worker?.kill()
    worker = undefined
  }

  return {
    kind: 'sqlite',
    isFile: true,
    description: path,
    url: `file:${path}`,
    copyExtension: 'db',
    compressesCopies: false,
    workDirectory: dirname(path),

    async signature() {
      return signatureOf(path)
    },

    async sizeBytes() {
      const sizes = await Promise.all(
        [path, `${path}-wal`].map((file) =>
          stat(file).then(
            (s) => s.size,
            () => 0,
          ),
        ),
      )
      return sizes[0]! + sizes[1]!
    },

    async structure() {
      return structureOf({ path, busyMs })
    },

    async copy(partial, signal) {
      for (let attempt = 1; ; attempt += 1) {
        const copy = await copyOnce(partial, signal)
        const { problems } = copy
        if (problems.length === 0) return copy
        await removeDatabase(partial)
        const live = await work().call('checkLive', { path, busyMs }, signal)
        if (live.length > 0 || attempt === 2)
          throw new BootkeeperError(
            'DATABASE_CORRUPT',
            `${path} is damaged: ${shortProblems(live.length > 0 ? live : problems)}.`,
          )
      }
    },

    async checkCopy(copyFile, signal, expected) {
      return await work().call('check', { path: copyFile, ...expected }, signal)
    },

    async examine(full) {
      return await work().call('examine', { path, busyMs, full })
    },

    async makeScratch(directory) {
      const scratch = join(directory, 'scratch.db')
      return { url: `file:${scratch}`, remove: () => removeDatabase(scratch) }
    },

    async rehearse(before, source, signal) {
      const scratch = partialPath(path)
      if (before) await copyData(before, scratch, signal)
      return rehearsal(scratch, before, source, signal)
    },

    async putBack(copyFile, why, expected) {
      const finished = partialPath(path)
      try {
        // A boot makes it as well.
        await makeDirectory(dirname(path))
        await copyData(copyFile, finished)
        const { problems, notes } = await work().call('validate', { path: finished, ...expected })
        if (problems.length > 0) throw new BootkeeperError('BACKUP_DAMAGED', `${copyFile} is damaged: ${problems[0]}.`)
        await fsyncFile(finished)
        const aside = `${path}.${why}-${new Date().toISOString().replace(/[:.]/g, '-')}`
        const swapped = await work().call('swapIn', { live: path, finished, source: undefined, aside, busyMs })
        return { ...swapped, notes }
      } catch (error) {
        await stopWork()
        await removeDatabase(finished)
        throw error
      } finally {
        await stopWork()
      }
    },

    async appliedMigrations() {
      if (signatureOf(path) === 'none') return []
      const database = new Database(path, { readonly: true, fileMustExist: true, timeout: busyMs })
      try {
        const known = database.prepare("SELECT 1 FROM sqlite_master WHERE name = '_prisma_migrations'").get()
        if (!known) return []
        const rows = database
          .prepare('SELECT migration_name AS name FROM _prisma_migrations WHERE rolled_back_at IS NULL')
          .all()
        return (rows as { name: string }[]).map(({ name }) => name)
      } finally {
        database.close()
      }
    },

    close: stopWork,
  }

  async function copyOnce(
    partial: string,
    signal: AbortSignal | undefined,
  ): Promise<VerifiedCopy & { problems: string[] }> {
    const { source, settled, hasWal } = await work().call('hold', { path, busyMs }, signal)
    const copiedWal = `${partial}-wal`
    const read = await copyData(path, partial, signal)
    if (hasWal) await copyData(`${path}-wal`, copiedWal, signal)
    const { keepWal } = await work().call('release', { copiedWal }, signal)
    if (!keepWal) await rm(copiedWal, { force: true })
    if (keepWal) await work().call('foldWal', { path: partial }, signal)
    // Two readings side by side: the one proves the structure, the other is what later readings are compared with. The
    // disk writes meanwhile.
    const [problems, sha256] = await Promise.all([
      work().call('check', { path: partial }, signal),
      sha256OfFile(partial, signal),
      keepWal ? undefined : fsyncFile(partial),
    ])
    const counts = problems.length === 0 ? await work().call('countTables', { path: partial }, signal) : {}
    // With a log folded in, the file is another one than was read.
    if (read !== undefined && !keepWal && read !== sha256)
      problems.push('the copy does not read back as it was written')
    const { size } = await stat(partial)
    return { source, settled, sizeBytes: size, sha256, counts, check: 'read back, quick_check ok', problems }
  }

  function rehearsal(scratch: string, before: string | undefined, source: string, signal?: AbortSignal): Rehearsal {
    return {
      url: `file:${scratch}`,
      isolated: true,
      async apply(sql) {
        await work().call('runScript', { path: scratch, sql }, signal)
      },
      async losses(): Promise<Loss[]> {
        return before ? await work().call('compare', { before, after: scratch }, signal) : []
      },
      async adopt() {
        const problems = await work().call('check', { path: scratch }, signal)
        if (problems.length > 0)
          throw new BootkeeperError('SCHEMA_CHANGE_FAILED', `The changed copy is damaged: ${problems[0]}.`)
        await fsyncFile(scratch)
        try {
          await work().call('swapIn', { live: path, finished: scratch, source, aside: undefined, busyMs })
        } finally {
          await stopWork()
        }
      },
      async discard() {
        await stopWork()
        await removeDatabase(scratch)
      },
    }
  }
}

async function removeDatabase(path: string): Promise<void> {
  for (const ending of ['', '-wal', '-shm', '-journal']) await rm(path + ending, { force: true })
}
