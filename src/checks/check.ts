// What a check of the doctor is given, and what it answers.
// Guarantees: a check changes nothing, and answers for itself alone: what it throws becomes a line of the report.

import type { Config } from '../config.ts'
import type { Engine, Examination } from '../engines/engine.ts'
import type { ErrorCode } from '../errors.ts'

export interface Finding {
  verdict: 'ok' | 'warn' | 'fail'
  text: string
  /** The command, or the deed, that mends it. */
  next?: string
  /** Of a failure: it decides the exit code. */
  code?: ErrorCode
}

export interface Patient {
  config: Config
  engine: Engine
  /** Read every page and row of the database. */
  full: boolean
  /** What looking at the database gave: looked at once, however many checks ask. 'none': there is no database. */
  examine(): Promise<Examination | 'none'>
}

export interface Check {
  name: string
  look(patient: Patient): Promise<Finding | Finding[]>
}

export function ok(text: string): Finding {
  return { verdict: 'ok', text }
}

export function warn(text: string, next: string): Finding {
  return { verdict: 'warn', text, next }
}

export function fail(code: ErrorCode, text: string, next: string): Finding {
  return { verdict: 'fail', text, next, code }
}

export const dayMs = 86_400_000

/** Since then, in the unit that fits: `3 hours`. */
export function ageOf(at: string): string {
  const minutes = Math.max(0, Math.floor((Date.now() - Date.parse(at)) / 60_000))
  if (minutes < 120) return counted(minutes, 'minute')
  return minutes < 2 * 24 * 60 ? counted(Math.floor(minutes / 60), 'hour') : counted(Math.floor(minutes / 1440), 'day')
}

export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
