// The file of a restore: one that was brought, the export of a backup, or what is read out of the copy of a backup that
// has no export. Guarantees: an encrypted one is opened by the key that was typed for it, or by that of the settings; an
// error names the file as people do, not by where the server keeps it; what was read out of a copy is gone afterwards.

import { join } from 'node:path'
import type { Config } from '../config.ts'
import { BootkeeperError } from '../errors.ts'
import { withExportOfCopy } from '../export-copy.ts'
import { exportPath } from '../import.ts'
import type { FileDescription } from '../import-child.ts'
import { copyOf, exportOf, readManifest } from '../manifest.ts'
import type { Source } from './contract.ts'
import type { Database, Databases } from './database.ts'
import { damagedNext, openFileKeys } from './file-keys.ts'
import type { Reporter } from './operations.ts'
import type { Uploads } from './uploads.ts'

export interface SourceFile {
  source: Source
  /** What people call it. */
  name: string
  /** As it is stored: of a raw copy, the copy. */
  path: string
  /** The stem, where there is only a raw copy. */
  copyOf?: string
  /** Of a copy: when it was made, and by which app. What is read out of it is always of this moment. */
  made?: Pick<FileDescription, 'createdAt' | 'app'>
}

/** What can be read as a file of data. */
export interface ReadableFile {
  path: string
  name: string
  /** The settings, with the key that opens it. */
  config: Config
}

/** Of a copy: what it is itself, and not the file that was made of it just now. */
export function described(file: SourceFile, found: FileDescription): FileDescription {
  if (file.made === undefined) return found
  const { version: _, ...rest } = found
  return { ...rest, title: 'Raw copy of the database', ...file.made }
}

export const unpackStep = 'Check the copy and read its data out of it'

export function openSources(config: Config, uploads: Uploads, databases: Databases) {
  const keys = openFileKeys(config)

  async function locate(source: Source): Promise<SourceFile> {
    if ('upload' in source) return { source, ...(await uploads.find(source.upload)) }
    const manifest = await readManifest(config.backupsDir, source.backup)
    if (!exportOf(manifest) && copyOf(manifest)) return await locateCopy(source.backup)
    return { source, name: manifest.stem, path: await exportPath(config, source.backup) }
  }

  /** Also of a backup that has an export. */
  async function locateCopy(backup: string): Promise<SourceFile> {
    const manifest = await readManifest(config.backupsDir, backup)
    const file = copyOf(manifest)
    if (!file) throw new BootkeeperError('BACKUP_NOT_FOUND', `${manifest.stem} has no copy.`)
    const { stem, createdAt, app } = manifest
    const made = { createdAt, ...(app ? { app: `${app.name} ${app.version}` } : {}) }
    return { source: { backup: stem }, name: stem, path: join(config.backupsDir, file.name), copyOf: stem, made }
  }

  /** Under the ops lock, for as long as `use` runs. `report` gets the step that reads a copy. */
  async function withData<Result>(
    file: SourceFile,
    database: Database,
    report: Pick<Reporter, 'step' | 'rows' | 'signal'>,
    use: (file: ReadableFile) => Promise<Result>,
  ): Promise<Result> {
    const own = keys.configFor(file.source)
    const read = (path: string) => use({ path, name: file.name, config: own }).catch(speakOf(path, file.name))
    const { engine, schema, origin } = database
    const work = async () => {
      if (file.copyOf === undefined) return await read(file.path)
      await report.step(unpackStep)
      const watch = { signal: report.signal, onProgress: report.rows }
      return await withExportOfCopy({ config: own, engine, schema, origin }, file.copyOf, watch, read)
    }
    return await work().catch(keys.explain(file.source, file))
  }

  return {
    locate,
    locateCopy,
    withData,

    /** The same for what only reads: a file needs no lock. */
    async withFile<Result>(
      file: SourceFile,
      report: Pick<Reporter, 'step' | 'rows' | 'signal'>,
      use: (file: ReadableFile) => Promise<Result>,
    ): Promise<Result> {
      if (file.copyOf !== undefined)
        return await databases.withDatabase('a look into a copy', (database) => withData(file, database, report, use))
      return await use({ path: file.path, name: file.name, config: keys.configFor(file.source) })
        .catch(speakOf(file.path, file.name))
        .catch(keys.explain(file.source, file))
    },

    /** Runs what opens the copy of a backup by itself. */
    async withKeyOf<Result>(file: SourceFile, run: (own: Config) => Promise<Result>): Promise<Result> {
      return await run(keys.configFor(file.source)).catch(keys.explain(file.source, file))
    },

    /** Takes a passphrase or a key for an encrypted file: see FileKeys. */
    async unlock(source: Source, secret: string, address: string): Promise<void> {
      await keys.unlock(source, await locate(source), secret, address)
    },
    typedFor: (source: Source) => keys.typedFor(source),
    forgetKey: (source: Source) => keys.forget(source),
    forgetKeys: () => keys.forgetAll(),
  }
}

export type Sources = ReturnType<typeof openSources>

const nextInPage: Partial<Record<string, string>> = {
  FORMAT_UNKNOWN: 'Choose another file. If this one was cut short, take it again from where it came from.',
  EXPORT_DAMAGED: damagedNext,
  DECRYPTION_FAILED: damagedNext,
  IMPORT_INVALID: 'Correct the named place in the file, or choose another one.',
  USER_NEEDED: 'Say whose the file is.',
  NOT_IN_FILE: 'Choose among those, or all of the file.',
  USAGE: 'Look into the file again, and choose anew.',
}

function speakOf(path: string, name: string): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof BootkeeperError)) throw error
    const { code, message, safe, next, exitCode } = error
    throw new BootkeeperError(code, message.replaceAll(path, `“${name}”`), {
      cause: error,
      exitCode,
      safe,
      next: nextInPage[code] ?? next,
    })
  }
}
