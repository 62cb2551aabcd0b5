// Looks into a file, in the child process that reads it for an import: what it is, and whether a key opens it.
// Guarantees: nothing is changed; the whole file was read before anything is said of what is in it.

import { isAbsolute, resolve } from 'node:path'
import { type Child, startChild } from './child.ts'
import type { Config } from './config.ts'
import type { DataModel, Model } from './data-model.ts'
import type { FileDescription, operations } from './import-child.ts'
import type { JsonRow } from './import-source.ts'

/** Reads the file and says what it is. Throws FORMAT_UNKNOWN, EXPORT_DAMAGED, IMPORT_INVALID. */
export async function inspectFile(
  config: Config,
  path: string,
  { userName, model, onProgress, signal }: InspectOptions = {},
): Promise<FileDescription> {
  const request = { ...fileRequest(config, path, userName), ...(model ? { model } : {}) }
  return await inChild((child) => child.call('inspect', request, signal), onProgress)
}

/** Whether the keys of the settings open the encrypted file. Throws DECRYPTION_FAILED, SETTINGS_INVALID. */
export async function opensFile(config: Config, path: string): Promise<boolean> {
  return await inChild((child) => child.call('opens', fileRequest(config, path, undefined)))
}

/** The first row that the file has of each of these models. Throws as `inspectFile` does. */
export async function firstRowsOf(config: Config, path: string, models: Model[]): Promise<Record<string, JsonRow>> {
  return await inChild((child) => child.call('firstRows', { ...fileRequest(config, path, undefined), models }))
}

export interface InspectOptions {
  userName?: string | undefined
  /** Says which model the people are, and which the settings. */
  model?: DataModel | undefined
  onProgress?: ((rows: number) => void) | undefined
  signal?: AbortSignal | undefined
}

/** Gives the use of the child process that reads files, which ends with it. */
export async function inChild<Result>(
  use: (child: Child<typeof operations>) => Promise<Result>,
  onProgress?: (rows: number) => void,
): Promise<Result> {
  const child = startChild<typeof operations>('./import-child', import.meta.url, onProgress)
  try {
    return await use(child)
  } finally {
    await child.kill()
  }
}

export function fileRequest(config: Config, path: string, userName: string | undefined) {
  return {
    path: isAbsolute(path) ? path : resolve(path),
    keys: config.keys,
    ...(userName === undefined ? {} : { userName }),
    ...(config.importFormats === undefined ? {} : { extensions: resolve(config.importFormats) }),
  }
}
