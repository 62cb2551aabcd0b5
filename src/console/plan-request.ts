// What was chosen for a plan, as the import takes it, and as a command that does the same.
// Guarantees: both say the same; the command can be typed as it stands.

import { command } from '../command-hint.ts'
import type { ImportRequest } from '../import.ts'
import type { OperationOf } from './contract.ts'

export function importRequest(
  { mode, keepExisting, userName, only }: OperationOf<'plan'>['request'],
  path: string,
  name: string,
): ImportRequest {
  const part = only ? { only } : {}
  return { path, name, userName, mode, keepExisting: mode === 'merge' && keepExisting, strict: false, ...part }
}

export function commandFor(request: OperationOf<'plan'>['request'], name: string): string {
  const { source, mode, keepExisting, userName, only } = request
  const file = 'backup' in source ? source.backup : name
  const words = [file, '--mode', mode]
  if (mode === 'merge' && keepExisting) words.push('--keep-existing')
  if (userName !== undefined) words.push('--user', userName)
  if (only) words.push('--only', only.map((word) => word.replaceAll(',', '\\,')).join(','))
  return command('import', ...words, '--apply')
}
