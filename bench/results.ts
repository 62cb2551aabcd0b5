// What a measurement says: medians, ratios, peak memory; and the table that shows it.
// Guarantees: a ratio is the median of the ratios of pairs that ran one after the other, with the smallest and largest
// beside it; a contender that failed says so in its row, and how often.

import { formatBytes } from '../src/log.ts'
import { median, type Sample } from './measure.ts'

export interface Spread {
  median: number
  min: number
  max: number
}

export interface Result {
  name: string
  ms: Spread
  /** To the baseline's; absent for the baseline itself. */
  ratio?: Spread
  peakBytes: number
  ownPeakBytes: number
  samples: number
  failures: string[]
  parts?: Record<string, number>
}

export interface Comparison {
  what: string
  rows: number
  baseline: string
  results: Result[]
}

export function compare(what: string, rows: number, baseline: string, samples: Map<string, Sample[]>): Comparison {
  const base = samples.get(baseline) ?? []
  const results = [...samples].map(([name, taken]): Result => {
    const parts = partsOf(taken)
    return {
      name,
      ms: spread(taken.map(({ ms }) => ms)),
      ...(name === baseline
        ? {}
        : { ratio: spread(taken.map(({ ms }, round) => ms / (base[round]?.ms ?? Number.NaN))) }),
      peakBytes: Math.max(...taken.map(({ peakBytes }) => peakBytes)),
      ownPeakBytes: Math.max(...taken.map(({ ownPeakBytes }) => ownPeakBytes)),
      samples: taken.length,
      failures: taken.flatMap(({ failure }) => failure ?? []),
      ...(parts ? { parts } : {}),
    }
  })
  return { what, rows, baseline, results }
}

export function showComparison({ what, rows, baseline, results }: Comparison): string {
  const head = [
    `${what}, ${formatRows(rows)}`,
    'median',
    'min to max',
    `ratio to ${baseline}`,
    'min to max',
    'peak memory',
    'own',
  ]
  const body = results.map(({ name, ms, ratio, peakBytes, ownPeakBytes, failures, samples }) => [
    name,
    formatTime(ms.median),
    `${formatTime(ms.min)} to ${formatTime(ms.max)}`,
    ratio ? formatRatio(ratio.median) : '',
    ratio ? `${formatRatio(ratio.min)} to ${formatRatio(ratio.max)}` : '',
    peakBytes ? formatBytes(peakBytes) : '',
    ownPeakBytes ? formatBytes(ownPeakBytes) : '',
    failures.length > 0 ? `${failures.length} of ${samples}: ${failures[0]}` : '',
  ])
  const parts = results.flatMap(({ name, parts }) => (parts ? [`  ${name}: ${showParts(parts)}`] : []))
  return [...aligned([head, ...body]), ...parts].join('\n')
}

export function formatRows(rows: number): string {
  if (rows >= 1_000_000) return `${rows / 1_000_000} million rows`
  return rows >= 1_000 ? `${rows / 1_000} thousand rows` : `${rows} rows`
}

export function formatTime(ms: number): string {
  if (ms < 100) return `${ms.toFixed(1)} ms`
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`
}

function formatRatio(ratio: number): string {
  // What is left after a subtraction can be nothing, or less.
  if (ratio <= 0) return '0'
  return ratio < 0.5 ? `1/${(1 / ratio).toFixed(1)}` : ratio.toFixed(2)
}

function showParts(parts: Record<string, number>): string {
  return Object.entries(parts)
    .map(([name, ms]) => `${name} ${formatTime(ms)}`)
    .join(', ')
}

function aligned(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row, at) => {
    const cells = row.map((cell, column) =>
      column === 0 || column === 7 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column]!),
    )
    return `${at === 0 ? '' : '  '}${at === 0 ? cells[0]!.padEnd(widths[0]! + 2) : cells[0]}  ${cells.slice(1).join('  ')}`.trimEnd()
  })
}

export function spread(values: number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/** The median of each part. */
function partsOf(samples: Sample[]): Record<string, number> | undefined {
  const names = Object.keys(samples[0]?.parts ?? {})
  if (names.length === 0) return undefined
  return Object.fromEntries(
    names.map((name) => [name, median(samples.map(({ parts }) => parts?.[name] ?? Number.NaN))]),
  )
}
