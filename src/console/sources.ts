// What a restore reads: an uploaded file, the export of a backup, or, where it has none, its raw copy.
// Guarantees: of a copy a file is made for one operation, and gone at its end; errors name what people named, and not
// where the server keeps it.

import type { Config } from '../config.ts'
import { BootkeeperError } from '../errors.ts'
import { withExportOfCopy } from '../export-copy.ts'
import { exportPath } from '../import.ts'
import type { FileDescription } from '../import-child.ts'
import { copyOf, exportOf, type Manifest, readManifest } from '../manifest.ts'
import type { Source } from './contract.ts'
import type { Database } from './database.ts'
import type { Reporter } from './operations.ts'
import type { Uploads } from './uploads.ts'

export type Located = { name: string } & ({ path: string } | { copyOf: Manifest })

/** Of a copy: what it is itself, and not the file that was made of it just now. */
export function described(file: Located, found: FileDescription): FileDescription {
  if ('path' in file) return found
  const { createdAt, app } = file.copyOf
  const { version: _, ...rest } = found
  return {
    ...rest,
    title: 'Raw copy of the database',
    createdAt,
    ...(app ? { app: `${app.name} ${app.version}` } : {}),
  }
}

const unpack = 'Check the copy and read its data out of it'

export function stepsOf(file: Located, names: string[]): string[] {
  return 'path' in file ? names : [unpack, ...names]
}

export function toolsOf({ config, engine, schema, origin }: Database) {
  return { config, engine, schema, origin }
}

export function openSources({ config, uploads }: { config: Config; uploads: Uploads }) {
  return { locate, withPath }

  /** A file, or, of a backup that has no export, the copy that one is made of. */
  async function locate(source: Source): Promise<Located> {
    if ('upload' in source) return await uploads.find(source.upload)
    const manifest = await readManifest(config.backupsDir, source.backup)
    if (!exportOf(manifest) && copyOf(manifest)) return { copyOf: manifest, name: manifest.stem }
    return { path: await exportPath(config, source.backup), name: source.backup }
  }

  async function withPath<Result>(
    file: Located,
    database: Database,
    report: Reporter,
    use: (path: string) => Promise<Result>,
  ): Promise<Result> {
    const named = (path: string) => use(path).catch(speakOf(path, file.name))
    if ('path' in file) return await named(file.path)
    await report.step(unpack)
    const watch = { signal: report.signal, onProgress: report.rows }
    return await withExportOfCopy(toolsOf(database), file.copyOf.stem, watch, named)
  }
}

const nextInPage: Partial<Record<string, string>> = {
  FORMAT_UNKNOWN: 'Choose another file. If this one was cut short, take it again from where it came from.',
  EXPORT_DAMAGED: 'Take the file again from where it came from, or choose another one.',
  IMPORT_INVALID: 'Correct the named place in the file, or choose another one.',
  USER_NEEDED: 'Say whose the file is.',
  USAGE: 'Leave the name empty.',
}

/** An error about an upload names it as the person does, not by where the server keeps it. */
export function speakOf(path: string, name: string): (error: unknown) => never {
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
