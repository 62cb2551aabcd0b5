// Whether a value looks like lists of titles, for the formats to recognise themselves by. Guarantees: by the shape
// alone, so that a wrong value in a list is an error in a known file, not an unknown file.

import { hasText, isObject, listShape, placeless, settingShape } from './library-shape.ts'

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
