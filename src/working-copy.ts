// The working copy: the plain copy of the database that a boot has beside an encoded backup, to try a schema change on
// and to put back where the app does not come up, also where no key is here that decrypts the backup.
// Guarantees: it is what the backup holds, byte for byte; for its owner alone; gone once the app came up, or with the
// next boot, unless that one may have to put it back.

import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from './config.ts'
import { asBootkeeperError, BootkeeperError } from './errors.ts'
import { renameDurably, sha256OfFile } from './files.ts'
import { type BackupFile, stemOf } from './manifest.ts'
import { isEncoded, withContent } from './stored-file.ts'

/** Makes the verified copy `plain`, a temporary file in the directory of the state, the working copy of a backup. */
export async function keepAsWorkingCopy(config: Config, plain: string, file: BackupFile): Promise<string> {
  const path = workingCopyPath(config, file)
  await renameDurably(plain, path)
  return path
}

/** Removes all but the one of `keptStem`. */
export async function sweepWorkingCopies({ stateDir }: Config, keptStem: string | undefined): Promise<void> {
  for (const name of await readdir(stateDir)) {
    const stem = /^(backup_.+)\.(db|dump)(-wal|-shm|-journal)?$/.exec(name)?.[1]
    if (stem !== undefined && stem !== keptStem) await rm(join(stateDir, name), { force: true })
  }
}

/** Gives `use` the plain copy of a backup: its file, its working copy, or what its file is decoded to. */
export async function withPlainCopy<Result>(
  config: Config,
  file: BackupFile,
  use: (path: string) => Promise<Result>,
): Promise<Result> {
  const path = workingCopyPath(config, file)
  const isThere =
    isEncoded(file) && (await sha256OfFile(path).catch(() => undefined)) === (file.content?.sha256 ?? file.sha256)
  if (isThere) return await use(path)
  return await withContent(config, file, use).catch((error: unknown) => {
    const { code, message, next } = asBootkeeperError(error)
    if (code !== 'KEY_NEEDED' && code !== 'DECRYPTION_FAILED') throw error
    throw new BootkeeperError(code, message, {
      cause: error,
      next,
      safe: `The database is as the schema change made it. How it was before is in ${stemOf(file.name)}.`,
    })
  })
}

/** Under the name that the backup's file has without its encoding. */
function workingCopyPath({ stateDir }: Config, { name }: BackupFile): string {
  return join(stateDir, name.replace(/(\.(gz|zst|bz2))?(\.age)?$/, ''))
}
