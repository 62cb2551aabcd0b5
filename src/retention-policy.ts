// How many backups are kept, and for how long, as one readable text: `last=10,daily=7,max-age=365d,max-size=20GB`.
// Guarantees: what is not understood is refused with a sentence that says which part and what is accepted; what was read
// and is written again says the same.

/** Rules that keep (`last` to `yearly`) and limits that remove what those would keep. */
export interface Policy {
  last?: number
  daily?: number
  weekly?: number
  monthly?: number
  yearly?: number
  maxAgeMs?: number
  maxTotalBytes?: number
}

/** What a policy is for. `safety`: made before something was put back, synchronised or run. `tables`: of some tables. */
export const backupKinds = ['boot', 'manual', 'scheduled', 'safety', 'tables'] as const
export type BackupKind = (typeof backupKinds)[number]

/** Of a kind without a policy everything is kept. */
export type Policies = Partial<Record<BackupKind, Policy>>

export const countRules = ['last', 'daily', 'weekly', 'monthly', 'yearly'] as const
export const policyRules = [...countRules, 'max-age', 'max-size'] as const

const exampleOfPolicy = 'all, or rules such as last=10,daily=7,weekly=4,monthly=12,yearly=3,max-age=365d,max-size=20GB'

const hourMs = 3_600_000
const ages: Record<string, number> = { h: hourMs, d: 24 * hourMs, w: 7 * 24 * hourMs }
const sizes: Record<string, number> = {
  b: 1,
  ...{ kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 },
  ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 },
}

/** `all` keeps everything: undefined. Throws a RangeError whose message says what is accepted, and what was not. */
export function parsePolicy(text: string): Policy | undefined {
  if (text.trim().toLowerCase() === 'all') return undefined
  const policy: Policy = {}
  const seen = new Set<string>()
  for (const part of text.split(',').map((each) => each.trim())) {
    const [name = '', value = ''] = part.split('=').map((each) => each.trim())
    const rule = policyRules.find((each) => each === name)
    if (!rule || part.split('=').length !== 2) throw new RangeError(`${exampleOfPolicy}; "${part}" is none`)
    if (seen.has(rule)) throw new RangeError(`each rule once; ${rule} is there twice`)
    seen.add(rule)
    if (rule === 'max-age') policy.maxAgeMs = parseAge(value)
    else if (rule === 'max-size') policy.maxTotalBytes = parseSize(value)
    else policy[rule] = parseCount(rule, value)
  }
  return policy
}

/** As `parsePolicy` reads it. */
export function describePolicy(policy: Policy): string {
  const counts = countRules.flatMap((rule) => (policy[rule] === undefined ? [] : [`${rule}=${policy[rule]}`]))
  const age = policy.maxAgeMs === undefined ? [] : [`max-age=${shortAge(policy.maxAgeMs)}`]
  const size = policy.maxTotalBytes === undefined ? [] : [`max-size=${shortSize(policy.maxTotalBytes)}`]
  return [...counts, ...age, ...size].join(',')
}

/** `30 days`; below two days in hours. */
export function describeAge(ageMs: number): string {
  const hours = ageMs / hourMs
  const [count, unit] = hours % 24 === 0 && hours >= 48 ? [hours / 24, 'day'] : [hours, 'hour']
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}

function parseCount(rule: string, value: string): number {
  const count = /^\d{1,5}$/.test(value) ? Number(value) : 0
  if (count >= 1 && count <= 10_000) return count
  throw new RangeError(`a whole number from 1 to 10000 for ${rule}, not "${value}"`)
}

function parseAge(value: string): number {
  const [, count, unit] = /^(\d{1,6})([hdw])$/i.exec(value) ?? []
  const ageMs = Number(count) * (ages[unit?.toLowerCase() ?? ''] ?? 0)
  if (ageMs > 0) return ageMs
  throw new RangeError(`an age such as 36h, 30d or 8w for max-age, not "${value}"`)
}

function parseSize(value: string): number {
  const [, count, unit] = /^(\d{1,12}(?:\.\d{1,3})?)([kmgt]?i?b)$/i.exec(value) ?? []
  const bytes = Math.floor(Number(count) * (sizes[unit?.toLowerCase() ?? ''] ?? 0))
  if (bytes > 0) return bytes
  throw new RangeError(`a size such as 500MB or 20GB for max-size, not "${value}"`)
}

function shortAge(ageMs: number): string {
  return ageMs % ages.d! === 0 ? `${ageMs / ages.d!}d` : `${ageMs / hourMs}h`
}

function shortSize(bytes: number): string {
  const [unit, scale] = Object.entries({ TB: 1e12, GB: 1e9, MB: 1e6, kB: 1e3 }).find(
    ([, size]) => bytes % size === 0,
  ) ?? ['B', 1]
  return `${bytes / scale}${unit}`
}
