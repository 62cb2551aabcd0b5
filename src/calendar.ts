// The day, week, month and year that a moment falls into, by the clocks of a time zone.
// Guarantees: a day of 23 or 25 hours, where clocks are changed, is one day; weeks are those of ISO 8601.

export const periodNames = ['daily', 'weekly', 'monthly', 'yearly'] as const
export type PeriodName = (typeof periodNames)[number]

/** Such as 2026-11-20, 2026-W47, 2026-11 and 2026. */
export function calendarPeriods(timeMs: number, timeZone: string): Record<PeriodName, string> {
  const parts = formatterOf(timeZone).formatToParts(timeMs)
  const [year, month, day] = ['year', 'month', 'day'].map((name) => parts.find(({ type }) => type === name)!.value)
  return {
    daily: `${year}-${month}-${day}`,
    weekly: isoWeek(`${year}-${month}-${day}`),
    monthly: `${year}-${month}`,
    yearly: year!,
  }
}

/** That of this process: TZ, else that of the system. */
export function localTimeZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone
}

const formatters = new Map<string, Intl.DateTimeFormat>()

/** Making one takes longer than a hundred uses. */
function formatterOf(timeZone: string): Intl.DateTimeFormat {
  const options = { timeZone, calendar: 'gregory', year: 'numeric', month: '2-digit', day: '2-digit' } as const
  const formatter = formatters.get(timeZone) ?? new Intl.DateTimeFormat('en-US', options)
  formatters.set(timeZone, formatter)
  return formatter
}

/** The year and number of a week are those of its Thursday. */
function isoWeek(day: string): string {
  const date = new Date(`${day}T00:00:00Z`)
  date.setUTCDate(date.getUTCDate() + 4 - (date.getUTCDay() || 7))
  const year = date.getUTCFullYear()
  const week = Math.floor((date.getTime() - Date.UTC(year, 0, 1)) / (7 * 24 * 3_600_000)) + 1
  return `${year}-W${String(week).padStart(2, '0')}`
}
