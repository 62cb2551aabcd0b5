// What the older formats have in common: the zod schemas of entries, lists, settings and profiles, in every spelling
// that was seen in any of them, because files mix them. Guarantees: a member that is not known is named, never refused;
// a value of the wrong type is refused with its path; null is the same as absent; text is taken as it is.

import { z } from 'zod'

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

export type Entry = z.infer<typeof entry>
export type TypedLists = z.infer<typeof typedLists>

/** What the present data has no place for. */
export const placeless = {
  jellyfin_synced_at: z.unknown().optional(),
  jellyfin_total_watched: z.unknown().optional(),
  jellyseerr_synced_at: z.unknown().optional(),
  jellyseerr_available: z.unknown().optional(),
  available_but_unwatched: z.unknown().optional(),
}

export const listShape = {
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

export type Lists = z.infer<typeof listsSchema>
export type Settings = Omit<z.infer<typeof settingsSchema>, 'unknown'>
export type Profile = Omit<z.infer<typeof profileSchema>, 'unknown'>
export type HeadMembers = Omit<z.infer<typeof headSchema>, 'unknown'>

function numberIn(digits: string): number | undefined {
  return digits.trim() === '' ? undefined : Number(digits)
}

export function hasText(value: string | undefined): value is string {
  return value !== undefined && value.trim() !== ''
}
