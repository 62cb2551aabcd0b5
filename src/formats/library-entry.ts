// What the older formats have in common: entries, lists and settings, in every spelling that was seen in any of them,
// because files mix them. Guarantees: a member that is not known is named in the findings, never refused; a value of
// the wrong type is refused with its path; null is the same as absent; text is taken as it is.

import { z } from 'zod'
import type { JsonRow } from './format.ts'
import type { LibraryEntry, MediaType, Status } from './library.ts'

export type Path = (string | number)[]

/** Where something stands. `path` is the place itself; by `kind`, such as `users[].data`, such places are counted. */
export class Place {
  constructor(
    private readonly parent?: Place,
    private readonly part: string | number = '',
    private readonly isAnyUser = false,
  ) {}

  member(name: string): Place {
    return new Place(this, name)
  }

  element(index: number): Place {
    return new Place(this, index)
  }

  /** Of an object from username to account. */
  user(name: string): Place {
    return new Place(this, name, true)
  }

  get path(): Path {
    return this.parent ? [...this.parent.path, this.part] : []
  }

  get kind(): string {
    if (!this.parent) return ''
    if (typeof this.part === 'number') return `${this.parent.kind}[]`
    return joined(this.parent.kind, this.isAnyUser ? '*' : nameIn(this.part))
  }
}

export const root = new Place()

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An object of which these members are known. The names of the others are its member `unknown`. */
export function members<Shape extends z.ZodRawShape>(shape: Shape, error?: string) {
  const known = new Set(Object.keys(shape))
  const object = z.object({ ...shape, unknown: z.array(z.string()) }, error)
  return z.preprocess((value) => {
    if (!isObject(value)) return value
    const unknown: string[] = []
    const given: Record<string, unknown> = { unknown }
    for (const name of Object.keys(value))
      if (!known.has(name)) unknown.push(name)
      else if (value[name] !== null) given[name] = value[name]
    return given
  }, object)
}

const highestId = 2 ** 31 - 1

/** Fits the schema's Int. */
export function isTmdbId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= highestId
}

const text = z.string().optional()
const tmdbId = z
  .preprocess(
    (value) => (typeof value === 'string' && /^\s*\d*\s*$/.test(value) ? numberIn(value) : value),
    z.custom<number | undefined>(
      (value) => value === undefined || isTmdbId(value),
      `should be a whole number from 1 to ${highestId}, or text of its digits`,
    ),
  )
  .optional()
const year = z
  .custom<string | number>(
    (value) => typeof value === 'string' || Number.isSafeInteger(value),
    'should be text or a whole number',
  )
  .optional()

const entryShape = {
  title: text,
  tmdb_id: tmdbId,
  tmdbId,
  media_type: text,
  mediaType: text,
  release_year: year,
  releaseYear: year,
  year,
  releaseDate: year,
  release_date: year,
  poster_url: text,
  posterUrl: text,
  overview: text,
  backdrop_url: text,
  backdropUrl: text,
  vote_average: z.number().optional(),
  voteAverage: z.number().optional(),
  rating: z.number().optional(),
  added_at: text,
  addedAt: text,
  noted_at: text,
}

const entry = z.preprocess(
  (value) => (typeof value === 'string' ? { title: value } : value),
  members(entryShape, 'should be a title, or an object with one').refine(
    ({ title, tmdb_id, tmdbId }) => hasText(title) || tmdb_id !== undefined || tmdbId !== undefined,
    // With abort, zod goes no further than the first of them.
    { error: 'has neither a title nor a TMDB id', abort: true },
  ),
)
const list = z.array(entry).optional()
const typedLists = members({ movies: list, series: list })

type Entry = z.infer<typeof entry>
type TypedLists = z.infer<typeof typedLists>

/** What the present data has no place for. */
const placeless = {
  jellyfin_synced_at: z.unknown().optional(),
  jellyfin_total_watched: z.unknown().optional(),
  jellyseerr_synced_at: z.unknown().optional(),
  jellyseerr_available: z.unknown().optional(),
  available_but_unwatched: z.unknown().optional(),
}

const listShape = {
  movies: list,
  series: list,
  tv: list,
  watchlist: z.union([z.array(entry), typedLists]).optional(),
  'watchlist.movies': list,
  'watchlist.series': list,
  items: list,
  do_not_recommend: list,
  blocked: list,
  ...placeless,
}

/** Lists, directly or within `data`. Which of the two it is differs between files of one format, too. */
export const accountShape = { ...listShape, data: members(listShape).optional() }

const settingTexts = {
  jellyfinUrl: text,
  jellyseerrUrl: text,
  jellyseerrApiKey: text,
  tmdbApiKey: text,
  geminiApiKey: text,
  openrouterApiKey: text,
  aiProvider: text,
  aiModel: text,
}

/** Settings that are text, by the names of the bundled schema. */
export const settingNames = Object.keys(settingTexts) as (keyof typeof settingTexts)[]
export const settingShape = { ...settingTexts, geminiModel: text, isConfigured: z.boolean().optional() }
export const accountWithSettingsShape = { ...listShape, data: members({ ...listShape, ...settingShape }).optional() }

/** What a file says of itself, and a user's own members. */
export const headShape = { version: z.union([z.string(), z.number()]).optional(), exported_at: text }
export const profileShape = { movieProfile: text, tvProfile: text, createdAt: text, created_at: text }
export const username = z.string().refine(hasText, { error: 'is empty', abort: true })

/**
 * By username, with nothing for a mark: a member that is no user, whose value is not looked at. A Map, because an
 * object cannot have every name as a key, such as __proto__.
 */
export function byUsername<Account extends z.ZodType>(
  account: Account,
  isMark: (name: string, value: unknown) => boolean,
) {
  return z.preprocess(
    (value) =>
      isObject(value)
        ? new Map(Object.entries(value).map(([name, each]) => [name, isMark(name, each) ? undefined : each]))
        : value,
    z.map(z.string().refine(hasText, 'is a user without a name'), account.optional()),
  )
}

const listsSchema = members(listShape)
const settingsSchema = members(settingShape)
const profileSchema = members(profileShape)
const headSchema = members(headShape)

type Lists = z.infer<typeof listsSchema>
type Settings = Omit<z.infer<typeof settingsSchema>, 'unknown'>
type Profile = Omit<z.infer<typeof profileSchema>, 'unknown'>
type HeadMembers = Omit<z.infer<typeof headSchema>, 'unknown'>

export interface Head {
  version: string | undefined
  createdAt: string | undefined
}

/** Many files have these names for other things, such as the series of a chart: their elements must look like entries. */
const commonNames = ['items', 'series', 'tv', 'blocked']

/** Has it one of the lists? By the shape alone: a wrong value in a list is an error, not another format. */
export function looksLikeLists(value: unknown): boolean {
  if (!isObject(value)) return false
  return Object.keys(listShape).some((name) => {
    const list = Object.hasOwn(value, name) && !Object.hasOwn(placeless, name) ? value[name] : undefined
    if (commonNames.includes(name)) return hasEntries(list)
    return Array.isArray(list) || (name === 'watchlist' && looksLikeAccount(list))
  })
}

/** Has it the two lists of every account? Their elements count too, because any file may have objects in objects. */
export function looksLikeAccount(value: unknown): boolean {
  if (!isObject(value)) return false
  const { movies, series } = value
  return hasEntries(movies) || hasEntries(series) || (Array.isArray(movies) && movies.length === 0)
}

function hasEntries(list: unknown): boolean {
  return Array.isArray(list) && list.some(looksLikeEntry)
}

function looksLikeEntry(value: unknown): boolean {
  if (isObject(value)) return ['title', 'tmdb_id', 'tmdbId'].some((name) => Object.hasOwn(value, name))
  return typeof value === 'string' && hasText(value)
}

/** By names alone: for where the rest of the file tells already what it is. */
export function hasKnownNames(value: unknown): boolean {
  return isObject(value) && Object.keys(value).some((name) => isListName(name) || Object.hasOwn(settingShape, name))
}

export function isListName(name: string): boolean {
  return Object.hasOwn(listShape, name)
}

/** Counts what is there beside the known members. */
export function leaveUnknown({ unknown }: { unknown: string[] }, place: Place, findings: Findings): void {
  for (const name of unknown) findings.leave(place.member(name).kind)
}

export function readAccount(account: Lists & { data?: Lists | undefined }, place: Place, findings: Findings) {
  leaveUnknown(account, place, findings)
  const { data } = account
  const inData = place.member('data')
  if (data) leaveUnknown(data, inData, findings)
  return [...(data ? readLists(data, inData, findings) : []), ...readLists(account, place, findings)]
}

/** All entries of all lists, each with its status and the type that its list tells. */
function readLists(lists: Omit<Lists, 'unknown'>, place: Place, findings: Findings): LibraryEntry[] {
  for (const name of Object.keys(placeless) as (keyof typeof placeless)[]) findings.leave(name, sizeOf(lists[name]))
  const { watchlist } = lists
  const typed: Partial<TypedLists> = Array.isArray(watchlist) ? {} : (watchlist ?? {})
  const at = (...names: string[]) => names.reduce((outer, name) => outer.member(name), place)
  if (typed.unknown) leaveUnknown({ unknown: typed.unknown }, at('watchlist'), findings)
  const read = (status: Status, mediaType: MediaType | undefined, entries: Entry[] | undefined, listPlace: Place) =>
    (entries ?? []).map((each, index) => readEntry(each, status, mediaType, listPlace.element(index), findings))
  return [
    ...read('WATCHED', 'movie', lists.movies, at('movies')),
    ...read('WATCHED', 'tv', lists.series, at('series')),
    ...read('WATCHED', 'tv', lists.tv, at('tv')),
    ...read('WATCHLIST', undefined, Array.isArray(watchlist) ? watchlist : undefined, at('watchlist')),
    ...read('WATCHLIST', 'movie', typed.movies, at('watchlist', 'movies')),
    ...read('WATCHLIST', 'tv', typed.series, at('watchlist', 'series')),
    ...read('WATCHLIST', 'movie', lists['watchlist.movies'], at('watchlist.movies')),
    ...read('WATCHLIST', 'tv', lists['watchlist.series'], at('watchlist.series')),
    ...read('WATCHLIST', 'movie', lists.items, at('items')),
    ...read('BLOCKED', undefined, lists.do_not_recommend, at('do_not_recommend')),
    ...read('BLOCKED', undefined, lists.blocked, at('blocked')),
  ]
}

function readEntry(
  entry: Entry,
  status: Status,
  listType: MediaType | undefined,
  place: Place,
  findings: Findings,
): LibraryEntry {
  leaveUnknown(entry, place, findings)
  const first = spellings(entry, place, findings)
  const givenType = first(['media_type', 'mediaType'], nonEmpty)
  return {
    status,
    title: hasText(entry.title) ? entry.title : undefined,
    tmdbId: first(['tmdb_id', 'tmdbId'], (value) => value as number),
    mediaType: givenType === undefined ? listType : readType(givenType, place, findings),
    releaseYear: first(['release_year', 'releaseYear', 'year', 'releaseDate', 'release_date'], readYear),
    overview: nonEmpty(entry.overview),
    posterUrl: first(['poster_url', 'posterUrl'], nonEmpty),
    backdropUrl: first(['backdrop_url', 'backdropUrl'], nonEmpty),
    voteAverage: first(['vote_average', 'voteAverage', 'rating'], (value) => value as number),
    addedAt: first(['added_at', 'addedAt', 'noted_at'], readTime),
  }
}

/** Of several spellings the first with a value counts; another value in a later one is left behind by its name. */
function spellings<Members extends object>(members: Members, place: Place, findings: Findings) {
  return <Value>(
    names: (keyof Members & string)[],
    read: (value: unknown, place: Place, findings: Findings) => Value | undefined,
  ): Value | undefined => {
    let chosen: Value | undefined
    for (const name of names) {
      if (members[name] === undefined) continue
      const at = place.member(name)
      const value = read(members[name], at, findings)
      chosen ??= value
      if (value !== undefined && value !== chosen) findings.leave(at.kind)
    }
    return chosen
  }
}

function readType(value: string, place: Place, findings: Findings): MediaType | undefined {
  const type = value.trim().toLowerCase()
  if (type === 'movie' || type === 'tv') return type
  findings.note('otherType', `${quoted(value)} at ${showPath(place.path)}`)
  return undefined
}

/** A date is cut to its year; any other text stays as it is. */
function readYear(value: unknown): string | undefined {
  const year = String(value)
  return nonEmpty(/^(\d{4})-\d{2}(-\d{2}(?!\d).*)?$/s.exec(year)?.[1] ?? year)
}

export function readProfile(profile: Profile, place: Place, findings: Findings) {
  return {
    movieProfile: nonEmpty(profile.movieProfile),
    tvProfile: nonEmpty(profile.tvProfile),
    createdAt: spellings(profile, place, findings)(['createdAt', 'created_at'], readTime),
  }
}

export function readHead({ version, exported_at }: HeadMembers, place: Place, findings: Findings): Head {
  return {
    version: nonEmpty(version === undefined ? undefined : String(version)),
    createdAt: readTime(exported_at, place.member('exported_at'), findings),
  }
}

/** By the names of the bundled schema. `into` are settings that were read before: those stay. */
export function readSettings(settings: Settings, place: Place, findings: Findings, into: JsonRow = {}): JsonRow {
  const { geminiModel, isConfigured } = settings
  const leave = (name: string) => findings.leave(place.member(name).kind)
  const read: JsonRow = {}
  for (const name of settingNames) read[name] = nonEmpty(settings[name])
  // Later writers put aiModel into geminiModel too, for older readers.
  if (nonEmpty(geminiModel) !== undefined && read.aiModel !== undefined && read.aiModel !== geminiModel)
    leave('geminiModel')
  read.aiModel ??= nonEmpty(geminiModel)
  read.isConfigured = isConfigured
  for (const [name, value] of Object.entries(read)) {
    if (value === undefined) continue
    into[name] ??= value
    if (into[name] !== value) leave(name)
  }
  return into
}

const timeForm =
  /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,12}))?)?\s?(?:Z|([+-])(\d\d):?([0-5]\d)?)?)?$/i

/** ISO 8601 with milliseconds and Z. Without a zone it is UTC: so the writers meant it. */
function readTime(value: unknown, place: Place, findings: Findings): string | undefined {
  const given = nonEmpty(value)
  if (given === undefined) return undefined
  const time = given.length <= 60 ? toUtc(given.trim()) : undefined
  if (time === undefined) findings.note('unreadableTime', `${quoted(given)} at ${showPath(place.path)}`)
  return time
}

function toUtc(text: string): string | undefined {
  const [, date, clock = '00:00', seconds = '00', fraction = '', sign, hours = '0', minutes = '0'] =
    timeForm.exec(text) ?? []
  const local = `${date}T${clock}:${seconds}.${fraction.slice(0, 3).padEnd(3, '0')}Z`
  const at = Date.parse(local)
  // Date.parse takes the 30th of February for a day in March.
  if (Number.isNaN(at) || new Date(at).toISOString() !== local) return undefined
  const offset = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -60_000 : 60_000)
  const utc = new Date(at - offset).toISOString()
  return /^\d{4}-/.test(utc) ? utc : undefined
}

function numberIn(digits: string): number | undefined {
  return digits.trim() === '' ? undefined : Number(digits)
}

function hasText(value: string | undefined): value is string {
  return value !== undefined && value.trim() !== ''
}

/** Empty text is no value. */
function nonEmpty(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** How many things are left behind with a value: the entries of a list, or of an object of lists. */
function sizeOf(value: unknown): number {
  if (value === undefined || value === null) return 0
  const parts = isObject(value) ? Object.values(value) : [value]
  return parts.reduce<number>((sum, part) => sum + (Array.isArray(part) ? part.length : 1), 0)
}

/** As `users[3].data.movies[17]`; long names are cut. */
export function showPath(path: Path): string {
  const shown = path.reduce<string>(
    (before, part) => (typeof part === 'number' ? `${before}[${part}]` : joined(before, nameIn(part))),
    '',
  )
  return cut(shown, 200)
}

function joined(before: string, name: string): string {
  if (before === '') return name
  return name.startsWith('"') ? `${before}[${name}]` : `${before}.${name}`
}

function nameIn(name: string): string {
  return isPlain(name) ? name : quoted(name)
}

function isPlain(name: string): boolean {
  return /^[\p{L}_$][\p{L}\p{N}_$-]{0,39}$/u.test(name)
}

/** Text of a file as it may stand in a message: cut, in quotes, without control characters. */
export function quoted(value: string): string {
  return JSON.stringify(cut(value, 40)).replace(/[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\ufffd')
}

/** Cuts between characters, and looks at no more of a long text than it needs. */
export function cut(value: string, most: number): string {
  const characters = [...value.slice(0, 2 * most + 2)]
  return characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : value
}

const sentences = {
  otherVersion: () => 'The file names a version that was not seen before; it was read like the known ones',
  otherName: (n) => `${count(n, 'user has', 'users have')} another name inside; the name outside was taken`,
  sameUser: (n) =>
    `${count(n, 'username stands', 'usernames stand')} in the file several times; their lists were joined`,
  unreadableTime: (n) => `${count(n, 'time', 'times')} could not be read and ${n === 1 ? 'was' : 'were'} left out`,
  otherType: (n) => `${count(n, 'entry has', 'entries have')} a media type other than movie and tv; it was left out`,
  twice: (n) =>
    `${count(n, 'entry stands', 'entries stand')} in a list more than once and ${n === 1 ? 'counts' : 'count'} once`,
  severalLists: (n) =>
    `${count(n, 'entry stands', 'entries stand')} in several lists of one user; BLOCKED wins over WATCHED, and WATCHED over WATCHLIST`,
  typeClash: (n) =>
    `${count(n, 'media has', 'media have')} the TMDB id of a media of the other type, and ${n === 1 ? 'was' : 'were'} kept without it`,
  yearsDiffer: (n) =>
    `${count(n, 'title', 'titles')} without an id came with different years and ${n === 1 ? 'was' : 'were each'} taken for one media`,
  noTitle: (n) => `${count(n, 'media has', 'media have')} an id but no title`,
  resolved: (n) => `${count(n, 'title was', 'titles were')} resolved to a TMDB id`,
  resolverFailed: (n) => `${count(n, 'title', 'titles')} could not be asked for, because the resolver failed`,
  unresolved: (n) =>
    `${count(n, 'media has', 'media have')} no TMDB id and ${n === 1 ? 'is' : 'are'} kept under ${n === 1 ? 'its' : 'their'} title`,
} satisfies Record<string, (n: number) => string>

function count(n: number, one: string, several: string): string {
  return `${n} ${n === 1 ? one : several}`
}

/** What reading a file brought to light: what has no place, by name and count, and what the reader should know. */
export class Findings {
  private readonly left = new Map<string, number>()
  private readonly found = new Map<keyof typeof sentences, { count: number; examples: string[]; seen: Set<unknown> }>()

  leave(what: string, count = 1): void {
    if (count > 0) this.left.set(what, (this.left.get(what) ?? 0) + count)
  }

  /** `once`: what is counted once only. */
  note(kind: keyof typeof sentences, example: string, once?: unknown): void {
    const found = this.found.get(kind) ?? { count: 0, examples: [], seen: new Set() }
    this.found.set(kind, found)
    if (once !== undefined && found.seen.has(once)) return
    if (once !== undefined) found.seen.add(once)
    found.count++
    if (found.examples.length < 3) found.examples.push(example)
  }

  leftBehind(): { what: string; count: number }[] {
    return [...this.left].map(([what, count]) => ({ what, count }))
  }

  /** One sentence for each kind, in the order of the table, with three examples at most. */
  notes(): string[] {
    return (Object.keys(sentences) as (keyof typeof sentences)[]).flatMap((kind) => {
      const found = this.found.get(kind)
      if (!found) return []
      const more = found.count > found.examples.length ? ` and ${found.count - found.examples.length} more` : ''
      return `${sentences[kind](found.count)}: ${found.examples.join(', ')}${more}.`
    })
  }
}
