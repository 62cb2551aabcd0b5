// Reads what the older formats have in common, once it was checked: entries, lists, profiles and settings. Guarantees:
// of several spellings the first with a value counts; what has no place is named in the findings, never dropped.

import type { Findings } from './findings.ts'
import type { JsonRow } from './format.ts'
import type { LibraryEntry, MediaType, Status } from './library.ts'
import {
  type Entry,
  type HeadMembers,
  hasText,
  isObject,
  type Lists,
  type Profile,
  placeless,
  type Settings,
  settingNames,
  type TypedLists,
} from './library-shape.ts'
import { type Place, showPath } from './place.ts'
import { quoted } from './quote.ts'

export interface Head {
  version: string | undefined
  createdAt: string | undefined
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
  const leave = (name: string) =>
    findings.leave(`${place.member(name).kind}, because another place of the file says otherwise`)
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
