// Retention: says of every backup whether it is kept or removed, and why. It reads nothing and removes nothing.
// Guarantees: nothing goes without a newer verified backup that holds as much; never the last verified one of its set,
// the newest that holds rows, a pinned one, one left behind, nor anything that is not surely ours. What a wrong clock
// dated into the future counts for nothing and stays. docs/reference/backups-on-disk.md has the rules in words.

import { calendarPeriods, periodNames } from './calendar.ts'
import {
  type BackupKind,
  countRules,
  describeAge,
  describePolicy,
  type Policies,
  type Policy,
} from './retention-policy.ts'
import type { PartialScope, Scope } from './scope.ts'

/** One backup, as far as it matters here. */
export interface RetentionEntry {
  stem: string
  /** ISO 8601. */
  createdAt: string
  trigger: string
  scope: Scope
  /** Engine and address: what it is a backup of. */
  database: string
  sizeBytes: number
  isVerified: boolean
  hasCopy: boolean
  /** False only where it is known to hold none. */
  mayHoldRows: boolean
  /** Somebody asked to keep it. */
  pinned: boolean
  /** What a boot put aside when the app did not come up on it. */
  isFailedStart: boolean
  /** A file on disk that goes by its name, but that its manifest does not know. */
  unknownFile?: string | undefined
}

/** What is known beyond the backups themselves. */
export interface RetentionFacts {
  /** Of what the present settings say. */
  database: string
  /** The newest that the app came up on. */
  pinned?: string | undefined
  /** What boots refer to, and in which words. */
  inUse: Record<string, string>
  leftBehind: string[]
  /** The newest that a boot exported. It may go where boots fail again and again: the next boot exports anew. */
  exported?: string | undefined
  /** Since when boots keep account. Of what is older nobody knows whether the app came up on it. */
  begunAt?: string | undefined
  /** Days, weeks, months and years begin there. */
  timeZone: string
}

export const retentionRules = [
  ...(['other-database', 'unknown-trigger', 'unknown-file', 'pinned', 'in-use', 'left-behind', 'future'] as const),
  ...(['no-policy', 'no-proof', ...countRules, 'max-age', 'max-size'] as const),
  ...(['unproven', 'failed-start', 'last-verified', 'holds-rows', 'not-covered', 'beyond', 'by-hand'] as const),
] as const

/** The one that decided. */
export type RetentionRule = (typeof retentionRules)[number]

export interface Verdict {
  stem: string
  keep: boolean
  rule: RetentionRule
  /** In words. */
  reason: string
}

type Why = Omit<Verdict, 'stem' | 'keep'>
type Judged = RetentionEntry & { kind: BackupKind; timeMs: number; set: string }

/** Of failed starts, more than these add nothing. */
const keptFailedStarts = 3

/** One verdict for each, in their order. Of two of the same time the later one in `backups` counts as newer. */
export function judge(backups: RetentionEntry[], policies: Policies, facts: RetentionFacts, now: Date): Verdict[] {
  const nowMs = now.getTime()
  const outside = new Map(backups.map((each) => [each, whyOutside(each, facts, nowMs)]))
  const oldestFirst = backups
    .filter((each) => !outside.get(each))
    .map((each) => ({ each, entry: asJudged(each) }))
    .sort((a, b) => a.entry.timeMs - b.entry.timeMs)
  const entryOf = new Map(oldestFirst.map(({ each, entry }) => [each, entry]))
  const entries = oldestFirst.map(({ entry }) => entry)

  const must = new Map(
    entries.flatMap((entry) => {
      const why = whyMustStay(entry, facts)
      return why ? [[entry, why] as const] : []
    }),
  )
  const thinned = thinOut(entries, facts)
  const isProven = entries.some(({ stem, trigger }) => trigger === 'boot' && stem === facts.pinned)
  const wanted = new Map<Judged, Verdict>()
  for (const set of setsOf(entries))
    for (const [entry, why] of select(set, policies[set[0]!.kind], isProven, facts, nowMs)) wanted.set(entry, why)
  const safe = protect(entries, thinned.ends)

  const verdicts = new Map<Judged, Verdict>()
  for (const entry of entries) {
    const { stem } = entry
    const stays = must.get(entry)
    const tooMuch = thinned.between.get(entry)
    const choice = tooMuch ? { stem, keep: false, ...tooMuch } : wanted.get(entry)!
    const kept = safe.get(entry)
    if (stays) verdicts.set(entry, { stem, keep: true, ...stays })
    else verdicts.set(entry, !choice.keep && kept ? { stem, keep: true, ...kept } : choice)
  }
  const isFixed = (entry: Judged) => must.has(entry) || safe.has(entry) || entry.stem === facts.exported
  for (const kind of new Set(entries.map((each) => each.kind))) {
    const { maxTotalBytes } = policies[kind] ?? {}
    if (maxTotalBytes === undefined || (kind === 'boot' && !isProven)) continue
    fitInto(
      maxTotalBytes,
      entries.filter((each) => each.kind === kind),
      verdicts,
      isFixed,
    )
  }
  return backups.map((each) => {
    const why = outside.get(each)
    return why ? { stem: each.stem, keep: true, ...why } : verdicts.get(entryOf.get(each)!)!
  })
}

/** `a` holds at least what `b` holds of, each at its own time. */
export function covers(a: RetentionEntry, b: RetentionEntry): boolean {
  if (b.hasCopy && !a.hasCopy) return false
  if (a.scope === 'everything') return true
  if (b.scope === 'everything') return false
  const other = b.scope
  const same = sorted(a.scope.where ?? null) === sorted(other.where ?? null) && a.scope.models[0] === other.models[0]
  const isWide = a.scope.where === undefined || (same && a.scope.whole === other.whole)
  return isWide && other.models.every((model) => (a.scope as PartialScope).models.includes(model))
}

/** What counts together in a policy: `everything`, or the table or tables. */
export function describeGroup(scope: Scope): string {
  if (scope === 'everything') return scope
  return scope.whole ? `${scope.models[0]} and all that hangs on it` : [...scope.models].sort().join(', ')
}

/** undefined: of a trigger that this version does not know. */
export function kindOf({ trigger, scope }: Pick<RetentionEntry, 'trigger' | 'scope'>): BackupKind | undefined {
  if (['pre-restore', 'pre-sync', 'guard'].includes(trigger)) return 'safety'
  if (trigger !== 'boot' && trigger !== 'manual' && trigger !== 'scheduled') return undefined
  return scope === 'everything' ? trigger : 'tables'
}

// What these are is not known well enough, so they neither go nor make others go.
function whyOutside(entry: RetentionEntry, { database }: RetentionFacts, nowMs: number): Why | undefined {
  const timeMs = Date.parse(entry.createdAt)
  if (entry.database !== database) return { rule: 'other-database', reason: `of another database: ${entry.database}` }
  if (!kindOf(entry)) return { rule: 'unknown-trigger', reason: `made by "${entry.trigger}", which is not known here` }
  if (!(timeMs <= nowMs))
    return { rule: 'future', reason: `the clock is before the time that it was made: ${entry.createdAt}` }
  return undefined
}

function asJudged(entry: RetentionEntry): Judged {
  const kind = kindOf(entry)!
  const set = JSON.stringify([kind, kind === 'tables' ? '' : entry.trigger, describeGroup(entry.scope)])
  return { ...entry, kind, set, timeMs: Date.parse(entry.createdAt) }
}

function setsOf(entries: Judged[]): Judged[][] {
  const sets = new Map<string, Judged[]>()
  for (const entry of entries) sets.set(entry.set, [...(sets.get(entry.set) ?? []), entry])
  return [...sets.values()]
}

function whyMustStay({ stem, pinned, unknownFile }: Judged, facts: RetentionFacts): Why | undefined {
  if (pinned) return { rule: 'pinned', reason: 'pinned' }
  if (stem === facts.pinned) return { rule: 'in-use', reason: 'the newest that the app came up on' }
  if (facts.leftBehind.includes(stem)) return { rule: 'left-behind', reason: 'left behind by a start without it' }
  const use = Object.hasOwn(facts.inUse, stem) ? facts.inUse[stem] : undefined
  if (use) return { rule: 'in-use', reason: use }
  if (unknownFile)
    return { rule: 'unknown-file', reason: `${unknownFile} goes by its name, but is not in its manifest` }
  return undefined
}

/** What the policy says of one set, oldest first. */
function select(
  set: Judged[],
  policy: Policy | undefined,
  isProven: boolean,
  { timeZone, exported }: RetentionFacts,
  nowMs: number,
): Map<Judged, Verdict> {
  const { kind } = set[0]!
  const result = new Map<Judged, Verdict>()
  const say = (entry: Judged, keep: boolean, rule: RetentionRule, reason: string) =>
    void result.set(entry, { stem: entry.stem, keep, rule, reason })
  if (!policy) {
    const reason = kind === 'manual' ? 'made on purpose, and no policy is set' : 'no policy is set'
    for (const entry of set) say(entry, true, 'no-policy', reason)
    return result
  }
  if (kind === 'boot' && !isProven) {
    for (const entry of set)
      say(entry, true, 'no-proof', 'of no backup that a boot made is it known that the app came up on it')
    return result
  }
  const chosen = chooseByCount(set, policy, timeZone)
  const hasCounts = countRules.some((rule) => policy[rule] !== undefined)
  for (const entry of set) {
    const why = chosen.get(entry)
    if (entry.stem === exported) say(entry, true, 'in-use', 'has the newest export of a boot')
    else if (policy.maxAgeMs !== undefined && nowMs - entry.timeMs > policy.maxAgeMs)
      say(entry, false, 'max-age', `older than ${describeAge(policy.maxAgeMs)}`)
    else if (why) say(entry, true, why.rule, why.reason)
    else if (hasCounts) say(entry, false, 'beyond', `beyond ${describePolicy(policy)}`)
    else say(entry, true, policy.maxAgeMs === undefined ? 'max-size' : 'max-age', `within ${describePolicy(policy)}`)
  }
  return result
}

// Only verified backups take a place: a damaged one must not push a good one out.
function chooseByCount(set: Judged[], policy: Policy, timeZone: string): Map<Judged, Why> {
  const chosen = new Map<Judged, Why>()
  let newerVerified = 0
  for (const entry of set.toReversed()) {
    if (newerVerified < (policy.last ?? 0)) chosen.set(entry, { rule: 'last', reason: `newest ${policy.last}` })
    if (entry.isVerified) newerVerified += 1
  }
  const periodsOf = new Map(set.map((entry) => [entry, calendarPeriods(entry.timeMs, timeZone)]))
  for (const rule of periodNames) {
    const periods = new Set<string>()
    for (const entry of set.toReversed().filter(({ isVerified }) => isVerified)) {
      const period = periodsOf.get(entry)![rule]
      if (periods.has(period) || periods.size >= (policy[rule] ?? 0)) continue
      periods.add(period)
      if (!chosen.has(entry)) chosen.set(entry, { rule, reason: `${rule} of ${period}` })
    }
  }
  return chosen
}

interface Thinned {
  between: Map<Judged, Why>
  ends: Map<Judged, Why>
}

/**
 * A loop of failing boots must not fill the disk. Of the copies that boots made since the app last came up, the first
 * one, made before anything went wrong, and the newest stay; of what failed starts put aside the newest few.
 */
function thinOut(entries: Judged[], { pinned, begunAt }: RetentionFacts): Thinned {
  const copies = entries.filter(({ trigger, hasCopy }) => trigger === 'boot' && hasCopy)
  const at = copies.findIndex(({ stem }) => stem === pinned)
  // With a lost state nobody can tell what the app came up on: only what was made since then is thinned out.
  const begunMs = begunAt === undefined ? Number.NaN : Date.parse(begunAt)
  const sinceBegun = copies.filter(({ timeMs }) => timeMs >= begunMs)
  const unproven = at >= 0 ? copies.slice(at + 1) : pinned === undefined ? sinceBegun : []
  const failed = entries.filter(({ isFailedStart }) => isFailedStart)
  const why = (reason: string): Why => ({ rule: 'unproven', reason: `${reason} since the app last came up` })
  return {
    ends: new Map([
      ...unproven.slice(0, 1).map((entry) => [entry, why('the first copy')] as const),
      ...unproven
        .slice(1)
        .map((entry) => [entry, why('the newest copy')] as const)
        .slice(-1),
    ]),
    between: new Map([
      ...unproven.slice(1, -1).map((entry) => [entry, why('between the first and the newest copy')] as const),
      ...failed.slice(0, -keptFailedStarts).map((entry) => {
        const reason = `older than the newest ${keptFailedStarts} that the app did not come up on`
        return [entry, { rule: 'failed-start', reason } as Why] as const
      }),
    ]),
  }
}

/** What stays though no policy would keep it. */
function protect(entries: Judged[], ends: Thinned['ends']): Map<Judged, Why> {
  const safe = new Map<Judged, Why>(ends)
  const add = (entry: Judged | undefined, why: Why) => {
    if (entry && !safe.has(entry)) safe.set(entry, why)
  }
  // An export holds less than a copy, so the newest of either stays.
  for (const all of setsOf(entries))
    for (const set of [all, all.filter(({ hasCopy }) => hasCopy)]) {
      const verified = set.filter(({ isVerified }) => isVerified)
      add(verified.at(-1), { rule: 'last-verified', reason: 'the last verified one of its kind' })
      for (const some of [verified, set])
        add(
          some.findLast(({ mayHoldRows }) => mayHoldRows),
          { rule: 'holds-rows', reason: 'the newest that holds rows' },
        )
    }
  for (const [i, entry] of entries.entries()) {
    const isCovered = entries.some((other, j) => j > i && other.isVerified && covers(other, entry))
    if (!isCovered) add(entry, { rule: 'not-covered', reason: 'no newer verified backup holds as much' })
  }
  return safe
}

/** Removes the oldest that a policy alone keeps, until the rest fits. */
function fitInto(
  maxTotalBytes: number,
  entries: Judged[],
  verdicts: Map<Judged, Verdict>,
  isFixed: (entry: Judged) => boolean,
): void {
  let total = entries.filter((each) => verdicts.get(each)!.keep).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  for (const entry of entries) {
    if (total <= maxTotalBytes) return
    if (!verdicts.get(entry)!.keep || isFixed(entry)) continue
    const reason = `beyond ${describePolicy({ maxTotalBytes })}`
    verdicts.set(entry, { stem: entry.stem, keep: false, rule: 'max-size', reason })
    total -= entry.sizeBytes
  }
}

function sorted(value: unknown): string {
  return JSON.stringify(value, (_, inner) =>
    inner && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
