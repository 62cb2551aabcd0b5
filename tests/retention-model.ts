// The rules of "What is kept" in docs/reference/backups-on-disk.md once more, as plainly as they can be said, one
// question after the other, and random histories to ask them of. Written from the page, not from src/retention.ts.

import type { RetentionEntry, RetentionFacts } from '../src/retention.ts'
import type { BackupKind, Policies, Policy } from '../src/retention-policy.ts'

export interface History {
  backups: RetentionEntry[]
  policies: Policies
  facts: RetentionFacts
  now: Date
}

export interface ModelVerdict {
  keep: boolean
  /** Every rule that would say so. */
  rules: string[]
}

const dayMs = 86_400_000
const here = 'sqlite /app/data/app.db'

export function model({ backups, policies, facts, now }: History): ModelVerdict[] {
  const time = (b: RetentionEntry) => Date.parse(b.createdAt)
  const isNewer = (a: RetentionEntry, b: RetentionEntry) =>
    time(a) === time(b) ? backups.indexOf(a) > backups.indexOf(b) : time(a) > time(b)
  const isKnownTrigger = (b: RetentionEntry) =>
    ['boot', 'manual', 'scheduled', 'pre-restore', 'pre-sync', 'guard'].includes(b.trigger)
  const isFuture = (b: RetentionEntry) => time(b) > now.getTime()
  const counts = (b: RetentionEntry) => b.database === facts.database && isKnownTrigger(b) && !isFuture(b)
  const ours = backups.filter(counts)

  const kind = (b: RetentionEntry): BackupKind => {
    if (b.trigger === 'pre-restore' || b.trigger === 'pre-sync' || b.trigger === 'guard') return 'safety'
    if (b.scope !== 'everything') return 'tables'
    return b.trigger as BackupKind
  }
  const tables = (b: RetentionEntry): string => {
    if (b.scope === 'everything') return '*'
    return b.scope.whole ? `whole ${b.scope.models[0]}` : [...b.scope.models].sort().join('+')
  }
  const inSameSet = (a: RetentionEntry, b: RetentionEntry) =>
    kind(a) === kind(b) && tables(a) === tables(b) && (kind(a) === 'tables' || a.trigger === b.trigger)
  const holdsAsMuch = (a: RetentionEntry, b: RetentionEntry): boolean => {
    if (b.hasCopy && !a.hasCopy) return false
    if (a.scope === 'everything') return true
    if (b.scope === 'everything') return false
    const [one, other] = [a.scope, b.scope]
    if (!other.models.every((name) => one.models.includes(name))) return false
    if (!one.where) return true
    // The histories write a filter in one way only.
    return (
      JSON.stringify(one.where) === JSON.stringify(other.where) &&
      one.models[0] === other.models[0] &&
      one.whole === other.whole
    )
  }
  const isNewestOf = (b: RetentionEntry, some: RetentionEntry[]) =>
    some.includes(b) && some.every((other) => other === b || isNewer(b, other))

  const pinned = ours.find((b) => b.trigger === 'boot' && b.stem === facts.pinned)
  const unproven = ours.filter((b) => {
    if (b.trigger !== 'boot' || !b.hasCopy) return false
    if (facts.pinned !== undefined) return pinned?.hasCopy === true && isNewer(b, pinned)
    return facts.begunAt !== undefined && time(b) >= Date.parse(facts.begunAt)
  })
  const isFirst = (b: RetentionEntry) => unproven.includes(b) && unproven.every((c) => c === b || isNewer(c, b))

  /** Rules 1 to 7, and the two ends of what failing boots left. */
  const always = (b: RetentionEntry): string[] => {
    if (b.database !== facts.database) return ['other-database']
    if (!isKnownTrigger(b)) return ['unknown-trigger']
    if (isFuture(b)) return ['future']
    const why: string[] = []
    if (b.pinned) why.push('pinned')
    if (b.stem === facts.pinned) why.push('in-use')
    if (facts.leftBehind.includes(b.stem)) why.push('left-behind')
    if (b.stem in facts.inUse) why.push('in-use')
    if (b.unknownFile) why.push('unknown-file')
    for (const set of [ours.filter((c) => inSameSet(b, c)), ours.filter((c) => inSameSet(b, c) && c.hasCopy)]) {
      if (
        isNewestOf(
          b,
          set.filter((c) => c.isVerified),
        )
      )
        why.push('last-verified')
      if (
        isNewestOf(
          b,
          set.filter((c) => c.mayHoldRows),
        )
      )
        why.push('holds-rows')
      if (
        isNewestOf(
          b,
          set.filter((c) => c.mayHoldRows && c.isVerified),
        )
      )
        why.push('holds-rows')
    }
    if (!ours.some((c) => isNewer(c, b) && c.isVerified && holdsAsMuch(c, b))) why.push('not-covered')
    if (isFirst(b) || isNewestOf(b, unproven)) why.push('unproven')
    return why
  }

  const tooMany = (b: RetentionEntry): string[] => {
    const why: string[] = []
    if (unproven.includes(b) && !isFirst(b) && !isNewestOf(b, unproven)) why.push('unproven')
    if (b.isFailedStart && ours.filter((c) => c.isFailedStart && isNewer(c, b)).length >= 3) why.push('failed-start')
    return why
  }

  const period = (b: RetentionEntry, rule: string): string => {
    const day = new Date(time(b)).toLocaleDateString('sv-SE', { timeZone: facts.timeZone })
    if (rule === 'daily') return day
    if (rule === 'monthly') return day.slice(0, -3)
    if (rule === 'yearly') return day.slice(0, -6)
    // Weeks begin on Mondays, as 1970-01-05 was one.
    return String(Math.floor((Date.parse(day) / dayMs - 4) / 7))
  }

  /** What of the policy lets it stay; or why it must go. */
  const byPolicy = (b: RetentionEntry): { stay: string[]; go: string[] } => {
    const policy = policies[kind(b)]
    if (!policy) return { stay: ['no-policy'], go: [] }
    if (kind(b) === 'boot' && !pinned) return { stay: ['no-proof'], go: [] }
    if (b.stem === facts.exported) return { stay: ['in-use'], go: [] }
    if (policy.maxAgeMs !== undefined && now.getTime() - time(b) > policy.maxAgeMs) return { stay: [], go: ['max-age'] }
    const verified = ours.filter((c) => c.isVerified && inSameSet(b, c))
    const stay: string[] = []
    if (policy.last !== undefined && verified.filter((c) => isNewer(c, b)).length < policy.last) stay.push('last')
    for (const rule of ['daily', 'weekly', 'monthly', 'yearly'] as const) {
      if (policy[rule] === undefined || !b.isVerified) continue
      const mine = period(b, rule)
      if (verified.some((c) => isNewer(c, b) && period(c, rule) === mine)) continue
      const newerPeriods = new Set(verified.filter((c) => isNewer(c, b)).map((c) => period(c, rule)))
      if (newerPeriods.size < policy[rule]) stay.push(rule)
    }
    const hasCounts = ['last', 'daily', 'weekly', 'monthly', 'yearly'].some((rule) => rule in policy)
    if (!hasCounts) return { stay: ['max-age', 'max-size'], go: [] }
    return { stay, go: ['beyond'] }
  }

  const verdicts = backups.map((b): ModelVerdict & { fixed: boolean } => {
    const must = always(b)
    if (!counts(b)) return { keep: true, rules: must, fixed: true }
    const many = tooMany(b)
    const { stay, go } = byPolicy(b)
    if (many.length > 0) return { keep: must.length > 0, rules: must.length > 0 ? must : many, fixed: must.length > 0 }
    const rules = [...must, ...stay]
    return rules.length > 0
      ? { keep: true, rules, fixed: must.length > 0 || b.stem === facts.exported }
      : { keep: false, rules: go, fixed: false }
  })

  for (const [name, policy] of Object.entries(policies)) {
    if (policy.maxTotalBytes === undefined || (name === 'boot' && !pinned)) continue
    const kept = () =>
      backups.map((b, i) => ({ b, v: verdicts[i]! })).filter(({ b, v }) => v.keep && counts(b) && kind(b) === name)
    while (kept().reduce((sum, { b }) => sum + b.sizeBytes, 0) > policy.maxTotalBytes) {
      const loose = kept().filter(({ v }) => !v.fixed)
      const oldest = loose.find(({ b }) => loose.every((other) => other.b === b || isNewer(other.b, b)))
      if (!oldest) break
      Object.assign(oldest.v, { keep: false, rules: ['max-size'] })
    }
  }
  return verdicts.map(({ keep, rules }) => ({ keep, rules }))
}

/** Years of boots, backups and idle months, under clocks that go wrong. */
export function randomHistory(random: () => number): History {
  const below = (n: number) => Math.floor(random() * n)
  const pick = <T>(...some: T[]): T => some[below(some.length)]!
  const chance = (p: number) => random() < p
  const timeZone = pick(
    'UTC',
    'Europe/Berlin',
    'America/New_York',
    'America/St_Johns',
    // Half an hour of summer time; a day that never was, 2011-12-30; clocks that change at midnight.
    'Australia/Lord_Howe',
    'Pacific/Apia',
    'America/Santiago',
  )
  // Around the change of clocks in spring and autumn, the turn of a year, and that missing day.
  const nowMs =
    pick(
      Date.UTC(2026, 2, 29),
      Date.UTC(2026, 9, 25),
      Date.UTC(2025, 10, 2),
      Date.UTC(2027, 0, 2),
      Date.UTC(2011, 11, 31),
      Date.UTC(2024, 1, 29),
    ) + below(4 * dayMs)
  const size = below(pick(4, 12, 40))
  const span = pick(3_600_000, 3 * dayMs, 40 * dayMs, 900 * dayMs)
  const times = Array.from({ length: size }, () => nowMs - below(span)).sort((a, b) => a - b)
  let skewMs = 0
  const failing = chance(0.1)
  const backups: RetentionEntry[] = times.map((atMs, i) => {
    if (chance(0.05)) skewMs = chance(0.5) ? 0 : pick(-1, 1) * below(pick(5_000, 3_600_000, 400 * dayMs))
    const shownMs = atMs + skewMs
    // Several within one second, and within one millisecond.
    const createdAt = new Date(chance(0.2) ? Math.floor(shownMs / 1000) * 1000 : shownMs).toISOString()
    const trigger =
      failing && chance(0.5)
        ? 'pre-restore'
        : pick('boot', 'boot', 'boot', 'manual', 'manual', 'scheduled', 'scheduled', 'pre-restore', 'guard', 'pre-sync')
    const models = pick(['A'], ['A'], ['B'], ['A', 'B'], ['B', 'A'])
    const isPart = trigger !== 'boot' && chance(0.35)
    const where = chance(0.4)
      ? { where: { color: pick('red', 'blue') }, ...(chance(0.3) ? { whole: true as const } : {}) }
      : {}
    return {
      stem: `backup_${i}`,
      createdAt,
      trigger: chance(0.02) ? 'replica' : trigger,
      scope: isPart ? { models, ...where } : 'everything',
      database: chance(0.05) ? 'postgresql db:5432/app' : here,
      sizeBytes: 1 + below(1_000),
      isVerified: chance(0.8),
      hasCopy: !isPart && chance(0.85),
      mayHoldRows: chance(0.85),
      pinned: chance(0.04),
      isFailedStart: trigger === 'pre-restore' && !isPart && chance(0.5),
      ...(chance(0.02) ? { unknownFile: 'notes.txt' } : {}),
    }
  })
  if (chance(0.3))
    for (const [i, backup] of backups.slice(1).entries()) if (chance(0.35)) backup.createdAt = backups[i]!.createdAt
  const boots = backups.filter(({ trigger }) => trigger === 'boot')
  const anyStem = () => (backups.length > 0 ? backups[below(backups.length)]!.stem : 'backup_none')
  const lastBoots = boots.slice(-4)
  const pinnedStem = chance(0.75) ? (lastBoots[below(4)]?.stem ?? 'backup_gone') : undefined
  const facts: RetentionFacts = {
    database: here,
    timeZone,
    inUse: Object.fromEntries(Array.from({ length: below(3) }, () => [anyStem(), 'in use'])),
    leftBehind: chance(0.1) ? [anyStem()] : [],
    ...(pinnedStem === undefined ? {} : { pinned: chance(0.1) ? 'backup_gone' : pinnedStem }),
    ...(chance(0.5) ? { exported: anyStem() } : {}),
    ...(chance(0.6) ? { begunAt: new Date(nowMs - below(span)).toISOString() } : {}),
  }
  const policies: Policies = {}
  for (const kind of ['boot', 'manual', 'scheduled', 'safety', 'tables'] as const)
    if (chance(0.85)) policies[kind] = randomPolicy(random)
  return { backups, policies, facts, now: new Date(chance(0.1) ? nowMs - below(span) : nowMs) }
}

function randomPolicy(random: () => number): Policy {
  const below = (n: number) => Math.floor(random() * n)
  const policy: Policy = {}
  for (const rule of ['last', 'daily', 'weekly', 'monthly', 'yearly'] as const)
    if (random() < 0.4) policy[rule] = 1 + below(5)
  if (random() < 0.35) policy.maxAgeMs = (1 + below(random() < 0.5 ? 72 : 24 * 400)) * 3_600_000
  if (random() < 0.35) policy.maxTotalBytes = 1 + below(8_000)
  return policy
}
