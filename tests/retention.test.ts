// Which backups are kept: random histories against the plain model of tests/retention-model.ts, and the promises one by
// one. SEED=n repeats a run; SOAK=1 runs 10,000 histories.
// Guarantees tested: the same verdicts as the documented rules give; the last verified backup and pinned ones never go; a
// second prune finds nothing more; a stricter policy keeps no more.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { calendarPeriods } from '../src/calendar.ts'
import { readConfig } from '../src/config.ts'
import { covers, judge, type RetentionEntry } from '../src/retention.ts'
import { describePolicy, type Policy, parsePolicy } from '../src/retention-policy.ts'
import { randomFrom, seed } from './random.ts'
import { type History, model, randomHistory } from './retention-model.ts'

const runs = Number(process.env.RUNS ?? (process.env.SOAK ? 10_000 : 600))
const dayMs = 86_400_000

const judged = ({ backups, policies, facts, now }: History) => judge(backups, policies, facts, now)

/** What is left of a history after a prune. */
function pruned(history: History): RetentionEntry[] {
  const verdicts = judged(history)
  return history.backups.filter((_, i) => verdicts[i]!.keep)
}

/** Calls `check` with `runs` histories; a failure names the seed of its history. */
function forHistories(check: (history: History, random: () => number) => void): void {
  for (let i = 0; i < runs; i += 1) {
    const random = randomFrom(seed + i)
    const history = randomHistory(random)
    try {
      check(history, random)
    } catch (error) {
      process.stderr.write(`SEED=${seed + i} RUNS=1 repeats this\n${JSON.stringify(history, null, 1)}\n`)
      throw error
    }
  }
}

const isOurs = ({ facts, now }: History, each: RetentionEntry) =>
  each.database === facts.database && Date.parse(each.createdAt) <= now.getTime() && each.trigger !== 'replica'

test(`${runs} random histories: the verdicts of the documented rules (seed ${seed})`, () => {
  let [kept, removed] = [0, 0]
  const rules = new Set<string>()
  forHistories((history) => {
    const verdicts = judged(history)
    for (const [i, wanted] of model(history).entries()) {
      const { stem, keep, rule } = verdicts[i]!
      expect({ stem, keep, rule: wanted.rules.includes(rule) ? 'one of them' : rule }).toEqual({
        stem: history.backups[i]!.stem,
        keep: wanted.keep,
        rule: 'one of them',
      })
      rules.add(`${keep ? 'keep' : 'remove'} ${rule}`)
      if (keep) kept += 1
      else removed += 1
    }
  })
  process.stdout.write(`seed ${seed}: ${runs} histories, ${kept} kept, ${removed} removed, by ${rules.size} rules\n`)
  // The histories must reach every rule, or the comparison says nothing about it.
  if (runs >= 600) {
    const keeps = ['other-database', 'unknown-trigger', 'unknown-file', 'pinned', 'in-use', 'left-behind', 'future']
    keeps.push('no-policy', 'no-proof', 'last', 'daily', 'weekly', 'monthly', 'yearly', 'max-age', 'max-size')
    keeps.push('unproven', 'last-verified', 'holds-rows', 'not-covered')
    const removes = ['unproven', 'failed-start', 'beyond', 'max-age', 'max-size']
    const all = [...keeps.map((rule) => `keep ${rule}`), ...removes.map((rule) => `remove ${rule}`)]
    expect([...rules].sort()).toEqual(all.sort())
  }
}, 900_000)

test(`the last verified backup never goes, of nothing (seed ${seed})`, () => {
  forHistories((history) => {
    const ours = history.backups.filter((each) => isOurs(history, each))
    const left = new Set(pruned(history).map(({ stem }) => stem))
    const label = ({ scope }: RetentionEntry) => {
      if (scope === 'everything') return scope
      return scope.whole ? `rows of ${scope.models[0]}` : [...scope.models].sort().join('+')
    }
    for (const group of new Set(ours.map(label))) {
      const verified = ours.filter((each) => label(each) === group && each.isVerified)
      const newestMs = Math.max(...verified.map(({ createdAt }) => Date.parse(createdAt)))
      const newest = verified.filter(({ createdAt }) => Date.parse(createdAt) === newestMs)
      if (verified.length > 0)
        expect(
          newest.some(({ stem }) => left.has(stem)),
          group,
        ).toBe(true)
    }
    // What goes has a newer verified one that holds as much, which stays.
    for (const gone of ours.filter(({ stem }) => !left.has(stem)))
      expect(
        ours.some(
          (each) =>
            left.has(each.stem) &&
            each.isVerified &&
            Date.parse(each.createdAt) >= Date.parse(gone.createdAt) &&
            covers(each, gone),
        ),
        gone.stem,
      ).toBe(true)
  })
}, 900_000)

test(`pinned ones, those left behind, of other databases and from the future never go (seed ${seed})`, () => {
  forHistories((history) => {
    const left = new Set(pruned(history).map(({ stem }) => stem))
    const { facts, backups } = history
    for (const each of backups)
      if (each.pinned || each.stem === facts.pinned || facts.leftBehind.includes(each.stem) || !isOurs(history, each))
        expect(left.has(each.stem), each.stem).toBe(true)
  })
}, 900_000)

test(`a second prune by the same clock finds nothing more (seed ${seed})`, () => {
  forHistories((history) => {
    const left = pruned(history)
    expect(pruned({ ...history, backups: left })).toEqual(left)
  })
}, 900_000)

test(`a clock that is set back before everything removes nothing (seed ${seed})`, () => {
  forHistories((history) => {
    const now = new Date(Math.min(...history.backups.map(({ createdAt }) => Date.parse(createdAt)), 0) - 1)
    expect(pruned({ ...history, now })).toEqual(history.backups)
  })
}, 900_000)

test(`a stricter policy keeps no more (seed ${seed})`, () => {
  forHistories((history, random) => {
    const kinds = Object.keys(history.policies) as (keyof History['policies'])[]
    const kind = kinds[Math.floor(random() * kinds.length)]
    if (!kind) return
    const policy = history.policies[kind]!
    const stricter = { ...history, policies: { ...history.policies, [kind]: tighten(policy, random) } }
    const before = new Set(pruned(history).map(({ stem }) => stem))
    for (const { stem } of pruned(stricter)) expect(before.has(stem), stem).toBe(true)
  })
}, 900_000)

function tighten(policy: Policy, random: () => number): Policy {
  const { maxTotalBytes = 10_000, maxAgeMs = 1_000 * dayMs } = policy
  const choice = Math.floor(random() * 3)
  if (choice === 0) return { ...policy, maxTotalBytes: Math.floor(maxTotalBytes * random()) + 1 }
  if (choice === 1) return { ...policy, maxAgeMs: maxAgeMs * random() }
  // With max-size, a gap that another rule makes leaves room for an older one: that is no promise.
  const lower: Policy = { ...policy }
  delete lower.maxTotalBytes
  if (policy.maxTotalBytes !== undefined) return policy
  for (const rule of ['last', 'daily', 'weekly', 'monthly', 'yearly'] as const)
    if (lower[rule] !== undefined) lower[rule] = 1 + Math.floor(random() * lower[rule])
  return lower
}

function entry(stem: string, createdAt: string, more: Partial<RetentionEntry> = {}): RetentionEntry {
  return {
    ...{ stem, createdAt, trigger: 'manual', scope: 'everything', database: 'sqlite /data/app.db', sizeBytes: 100 },
    ...{ isVerified: true, hasCopy: true, mayHoldRows: true, pinned: false, isFailedStart: false },
    ...more,
  } as RetentionEntry
}

const facts = { database: 'sqlite /data/app.db', inUse: {}, leftBehind: [], timeZone: 'Europe/Berlin' }

test('days and weeks are those of the time zone, and a day on which clocks change is one day', () => {
  // 2026-10-25 has 25 hours in Berlin: 22:30 UTC on the 24th is 00:30 there, 22:30 UTC on the 25th is 23:30.
  const at = ['2026-10-24T21:30:00Z', '2026-10-24T22:30:00Z', '2026-10-25T22:30:00Z', '2026-10-25T23:30:00Z']
  const backups = at.map((createdAt, i) => entry(`backup_${i}`, createdAt))
  const verdicts = judge(backups, { manual: { daily: 3 } }, facts, new Date('2026-10-26T12:00:00Z'))
  expect(verdicts.map(({ keep, reason }) => `${keep} ${reason}`)).toEqual([
    'true daily of 2026-10-24',
    'false beyond daily=3',
    'true daily of 2026-10-25',
    'true daily of 2026-10-26',
  ])
  const week = (at: string, timeZone = 'UTC') => calendarPeriods(Date.parse(at), timeZone).weekly
  expect(
    ['2026-12-31', '2027-01-01', '2027-01-03', '2027-01-04', '2024-12-30', '2021-01-03'].map((day) => week(day)),
  ).toEqual(['2026-W53', '2026-W53', '2026-W53', '2027-W01', '2025-W01', '2020-W53'])
  expect(week('2027-01-03T23:30:00Z', 'Europe/Berlin')).toBe('2027-W01')
})

test('the reasons, in words', () => {
  const backups = [
    entry('backup_0', '2026-01-01T10:00:00Z'),
    entry('backup_1', '2026-01-02T10:00:00Z', { pinned: true }),
    entry('backup_2', '2026-02-01T10:00:00Z', { database: 'postgresql db:5432/app' }),
    entry('backup_3', '2026-02-02T10:00:00Z', { trigger: 'scheduled' }),
    entry('backup_4', '2026-02-03T10:00:00Z', { trigger: 'boot' }),
    entry('backup_5', '2026-02-04T10:00:00Z', { scope: { models: ['Mod'] }, hasCopy: false }),
    entry('backup_6', '2026-02-05T10:00:00Z', { trigger: 'scheduled', isVerified: false }),
    entry('backup_7', '2026-02-06T10:00:00Z', { trigger: 'scheduled' }),
    entry('backup_8', '2027-01-01T10:00:00Z'),
  ]
  const policies = { scheduled: { last: 1 }, tables: { last: 5, maxAgeMs: 7 * dayMs }, boot: { last: 10 } }
  const verdicts = judge(backups, policies, facts, new Date('2026-03-01T10:00:00Z'))
  expect(verdicts.map(({ keep, reason }) => `${keep ? 'keep' : 'remove'}: ${reason}`)).toEqual([
    'keep: made on purpose, and no policy is set',
    'keep: pinned',
    'keep: of another database: postgresql db:5432/app',
    'remove: beyond last=1',
    'keep: of no backup that a boot made is it known that the app came up on it',
    'keep: the last verified one of its kind',
    'remove: beyond last=1',
    'keep: newest 1',
    'keep: the clock is before the time that it was made: 2027-01-01T10:00:00Z',
  ])
})

test('policies are read as they are written', () => {
  const count = fc.integer({ min: 1, max: 10_000 })
  const policies = fc.record(
    {
      ...{ last: count, daily: count, weekly: count, monthly: count, yearly: count },
      maxAgeMs: fc.integer({ min: 1, max: 900_000 }).map((hours) => hours * 3_600_000),
      maxTotalBytes: fc.integer({ min: 1, max: 1e12 }),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(policies, (policy) => {
      fc.pre(Object.keys(policy).length > 0)
      expect(parsePolicy(describePolicy(policy))).toEqual(policy)
    }),
    { seed },
  )
  expect(parsePolicy(' last=5 , max-age=8w,max-size=1.5GiB')).toEqual({
    ...{ last: 5, maxAgeMs: 56 * dayMs, maxTotalBytes: 1.5 * 2 ** 30 },
  })
  expect(parsePolicy('all')).toBeUndefined()
})

test.each([
  ['10', 'all, or rules such as last=10,daily=7,weekly=4'],
  ['last=0', 'a whole number from 1 to 10000 for last, not "0"'],
  ['last=5,last=6', 'each rule once; last is there twice'],
  ['max-age=30', 'an age such as 36h, 30d or 8w for max-age, not "30"'],
  ['max-size=20', 'a size such as 500MB or 20GB for max-size, not "20"'],
  ['hourly=3', '"hourly=3" is none'],
  ['last=5,', '"" is none'],
  ['last=5=6', '"last=5=6" is none'],
  ['last=1e3', 'not "1e3"'],
])('the policy %s is refused with a sentence', (text, sentence) => {
  for (const name of ['RETENTION', 'TABLE_RETENTION', 'SAFETY_RETENTION'])
    expect(() => readConfig([], { [name]: text })).toThrow(new RegExp(`^${name} is ".*", but takes .*`))
  expect(() => parsePolicy(text)).toThrow(sentence)
})

test('without settings, what somebody made on purpose has no policy', () => {
  expect(readConfig([], {}).retention).toEqual({
    boot: { last: 10 },
    scheduled: { last: 10, daily: 7, weekly: 4, monthly: 12, yearly: 3 },
    safety: { last: 10, maxAgeMs: 30 * dayMs },
    tables: { last: 5, maxAgeMs: 30 * dayMs },
  })
  expect(readConfig([], { RETENTION: 'last=3', TABLE_RETENTION: 'all', KEEP_BOOT_BACKUPS: '2' }).retention).toEqual({
    ...{ boot: { last: 2 }, manual: { last: 3 }, scheduled: { last: 3 } },
    safety: { last: 10, maxAgeMs: 30 * dayMs },
  })
})
