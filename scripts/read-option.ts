// Values of options, read. Guarantees: one that cannot be used is one sentence that names the option, the value and what
// it takes.

import { BootkeeperError } from '../src/errors.ts'

/** `--limit 20`. undefined: not given. */
export function countOption(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const count = /^\d{1,7}$/.test(value) ? Number(value) : 0
  if (count >= 1) return count
  throw new BootkeeperError('USAGE', `--${name} takes a whole number from 1 to 9999999, not "${value}".`)
}

export function choiceOption<const Choice extends string>(
  name: string,
  value: string | undefined,
  choices: readonly Choice[],
): Choice | undefined {
  const found = choices.find((choice) => choice === value)
  if (value === undefined || found !== undefined) return found
  const all = `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`
  throw new BootkeeperError('USAGE', `--${name} takes ${all}, not "${value}".`)
}

/** `--since 2026-11-20`, `--since 7d`: a moment, as a UTC time in ISO 8601. */
export function timeOption(name: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined
  const [, count, unit] = /^(\d{1,6})(min|h|d)$/.exec(value) ?? []
  const unitMs = { min: 60_000, h: 3_600_000, d: 86_400_000 }[unit ?? '']
  const at = unitMs
    ? Date.now() - Number(count) * unitMs
    : /^\d{4}-\d\d-\d\d/.test(value)
      ? Date.parse(value)
      : Number.NaN
  if (!Number.isNaN(new Date(at).getTime())) return new Date(at).toISOString()
  throw new BootkeeperError('USAGE', `--${name} takes a date or a time, such as 2026-11-20, 36h or 7d, not "${value}".`)
}
