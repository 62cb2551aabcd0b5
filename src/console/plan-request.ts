// What was chosen for a plan, as the import takes it, and as a command that does the same.
// Guarantees: both say the same; the command can be typed as it stands.

import { command } from '../command-hint.ts'
import type { Lock } from '../encryption.ts'
import type { ImportRequest } from '../import.ts'
import type { OperationOf } from './contract.ts'

export function importRequest(
  { mode, keepExisting, userName, only }: OperationOf<'plan'>['request'],
  path: string,
  { name, copyOf }: { name: string; copyOf?: string },
): ImportRequest {
  const more = { ...(only ? { only } : {}), ...(copyOf === undefined ? {} : { backup: copyOf }) }
  return { path, name, userName, mode, keepExisting: mode === 'merge' && keepExisting, strict: false, ...more }
}

/** Of a raw copy there is one for all of it only. `typed`: what the file was opened with here. */
export function commandFor(
  { mode, keepExisting, userName, only }: OperationOf<'plan'>['request'],
  { name, copyOf }: { name: string; copyOf?: string },
  typed: Lock | undefined,
): string | undefined {
  const key = typed === undefined ? [] : [typed === 'passphrase' ? '--passphrase-file' : '--identity', 'FILE']
  if (copyOf !== undefined) return mode === 'replace' ? command('restore', copyOf, '--apply', ...key) : undefined
  const words = [name, '--mode', mode]
  if (mode === 'merge' && keepExisting) words.push('--keep-existing')
  if (userName !== undefined) words.push('--user', userName)
  if (only) words.push('--only', only.map((word) => word.replaceAll(',', '\\,')).join(','))
  return command('import', ...words, '--apply', ...key)
}
