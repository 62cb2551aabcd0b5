// The older formats that the import knows, and how a file becomes one of them: recognised by its content, checked by the
// format's schema, decoded. Guarantees: what fits none, or two equally well, is refused; a wrong value is an error with
// its path, in plain words, short whatever the file holds.

import type { z } from 'zod'
import { BootkeeperError } from '../errors.ts'
import { databaseJson } from './database-json.ts'
import type { Certainty, DecodeContext, Decoded, Format } from './format.ts'
import { isObject } from './library-shape.ts'
import { multiUser } from './multi-user.ts'
import { payload } from './payload.ts'
import { type Path, showPath } from './place.ts'
import { cut, quoted } from './quote.ts'
import { allUsers, singleUser } from './single-user.ts'

export const knownFormats: Format[] = [multiUser, singleUser, allUsers, payload, databaseJson]

/** Throws FORMAT_UNKNOWN where no format fits, or several do and none of them is certain. */
export function recogniseFormat(value: unknown, formats: Format[]): { format: Format; certainty: Certainty } {
  const fitting = formats.flatMap((format) => {
    const certainty = format.recognise(value)
    return certainty ? [{ format, certainty }] : []
  })
  const certain = fitting.filter(({ certainty }) => certainty === 'certain')
  const [first, second] = certain.length > 0 ? certain : fitting
  if (!first)
    throw new BootkeeperError('FORMAT_UNKNOWN', `The file is ${describeTop(value)}: no known format looks like that.`)
  if (second)
    throw new BootkeeperError(
      'FORMAT_UNKNOWN',
      `The file could be ${first.format.name} (${first.format.title}) or ${second.format.name} (${second.format.title}).`,
    )
  return first
}

/** Throws IMPORT_INVALID for the first wrong value. Its `cause` is `{ path }`, for the line in the file. */
export async function decodeValue(value: unknown, format: Format, context: DecodeContext): Promise<Decoded> {
  return await format.decode(checked(value, format), context)
}

// One issue is enough, and millions of them would fill the memory. zod keeps the option for its own validate(); a later
// zod without it would give the same first issue.
const stopAtFirst: z.core.ParseContextInternal<Issue> = { abortEarly: true }

type Issue = z.core.$ZodIssue

function checked<Value>(value: unknown, { schema }: Format<Value>): Value {
  try {
    const { success, data, error } = schema.safeParse(value, stopAtFirst)
    if (success) return data
    throw invalid(value, innermost(error.issues[0] as Issue))
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new BootkeeperError(
      'IMPORT_INVALID',
      'The file is nested too deep, or wrong in too many places, to be checked.',
      { cause: { path: [] } },
    )
  }
}

/** Of a choice, what is wrong with the alternative that went furthest: that is the one which was meant. */
function innermost(issue: Issue): Issue {
  if (issue.code !== 'invalid_union') return issue
  const alternatives = issue.errors.flatMap(([first]) => (first ? [innermost(first)] : []))
  const deepest = Math.max(0, ...alternatives.map(({ path }) => path.length))
  const meant = alternatives.find(({ path }) => path.length === deepest)
  if (meant && deepest > 0) return { ...meant, path: [...issue.path, ...meant.path] }
  const wanted = alternatives.map(wantedBy)
  if (wanted.some((each) => each === undefined)) return issue
  return { code: 'custom', path: issue.path, message: `should be ${[...new Set(wanted)].join(' or ')}` }
}

const kinds: Record<string, string> = {
  array: 'a list',
  object: 'an object',
  record: 'an object',
  map: 'an object',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  null: 'null',
}

function wantedBy(issue: Issue): string | undefined {
  return issue.code === 'invalid_type' ? kinds[issue.expected] : undefined
}

function invalid(value: unknown, issue: Issue): BootkeeperError {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)))
  const found = valueAt(value, path)
  const wanted = wantedBy(issue)
  // Our own schemas speak in whole phrases; zod's words for what no one foresaw begin with a capital.
  const isOwn = /^\p{Ll}/u.test(issue.message)
  const phrase = isOwn ? issue.message : wanted ? `should be ${wanted}` : `is not accepted: ${issue.message}`
  const but = phrase.startsWith('should be ') ? `, but is ${describe(found)}` : ''
  const what = path.length === 0 ? 'The file' : showPath(path)
  const message = found === undefined && path.length > 0 ? `${what} is missing` : `${what} ${phrase}${but}`
  return new BootkeeperError('IMPORT_INVALID', cut(`${message}.`, 300), { cause: { path } })
}

function valueAt(value: unknown, path: Path): unknown {
  let found = value
  for (const part of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, part)) return undefined
    found = (found as Record<string | number, unknown>)[part]
  }
  return found
}

/** Never its text, which may be a secret, or long. */
function describe(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (isObject(value)) return 'an object'
  return typeof value === 'string' ? (value === '' ? 'empty text' : 'text') : String(value)
}

const mostNames = 8

function describeTop(value: unknown): string {
  if (!isObject(value)) return typeof value === 'number' ? 'a number' : describe(value)
  const names = Object.keys(value)
  if (names.length === 0) return 'an object without members'
  const shown = names.slice(0, mostNames).map((name) => (/^[\w.$-]{1,40}$/.test(name) ? name : quoted(name)))
  const more = names.length > mostNames ? ` and ${names.length - mostNames} more` : ''
  return `an object with the ${names.length === 1 ? 'member' : 'members'} ${shown.join(', ')}${more}`
}
