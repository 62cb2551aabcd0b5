// The one builder behind the older formats: who has which titles in which list becomes rows of the bundled app's models.
// Guarantees: every entry arrives, once for each user and media; what was joined, settled or could not be kept as it
// was is said in the notes; nothing is invented, so a member without a value is left out.

import type { Findings } from './findings.ts'
import type { DecodeContext, Decoded, JsonRow, SourceModel, SourceRow, TitleQuery } from './format.ts'
import { isTmdbId, settingNames } from './library-shape.ts'
import { quoted } from './quote.ts'

export type Status = 'WATCHED' | 'WATCHLIST' | 'BLOCKED'
export type MediaType = 'movie' | 'tv'

/** What any file may say of a media. The first value given counts, later entries fill the gaps. */
interface MediaMembers {
  tmdbId?: number | undefined
  mediaType?: MediaType | undefined
  /** Absent only where there is an id. */
  title?: string | undefined
  releaseYear?: string | undefined
  overview?: string | undefined
  posterUrl?: string | undefined
  backdropUrl?: string | undefined
  voteAverage?: number | undefined
}

export interface LibraryEntry extends MediaMembers {
  status: Status
  /** ISO 8601 in UTC. */
  addedAt?: string | undefined
}

export interface LibraryUser {
  username: string
  movieProfile?: string | undefined
  tvProfile?: string | undefined
  /** ISO 8601 in UTC. */
  createdAt?: string | undefined
  entries: LibraryEntry[]
}

export interface Library {
  version?: string | undefined
  /** ISO 8601 in UTC. */
  createdAt?: string | undefined
  /** By the names of the bundled schema. */
  settings: JsonRow
  users: LibraryUser[]
  findings: Findings
}

/** Before the id, as the title of an entry that has none. */
const standInPrefix = 'TMDB '

const mediaTexts = ['releaseYear', 'overview', 'posterUrl', 'backdropUrl'] as const

// User and UserMedia have ids in the bundled schema, but no file does, and no row refers to one.
const models: Record<string, SourceModel> = {
  SystemConfig: model(
    {
      id: 'Int',
      ...Object.fromEntries(settingNames.map((name) => [name, 'String?'])),
      isConfigured: 'Boolean?',
    },
    { key: ['id'], primaryKey: ['id'] },
  ),
  User: model(
    { username: 'String', movieProfile: 'String?', tvProfile: 'String?', createdAt: 'DateTime?' },
    { key: ['username'], primaryKey: [] },
  ),
  Media: model(
    {
      id: 'Int',
      tmdbId: 'Int?',
      mediaType: 'String?',
      title: 'String',
      ...Object.fromEntries(mediaTexts.map((name) => [name, 'String?'])),
      voteAverage: 'Float?',
    },
    {
      key: ['tmdbId'],
      primaryKey: ['id'],
      looseKey: ['title', 'mediaType'],
      standIns: { title: { prefix: standInPrefix, of: 'tmdbId' } },
    },
  ),
  UserMedia: model(
    { user: '-> User', media: '-> Media', status: 'Enum MediaStatus', addedAt: 'DateTime?' },
    { key: ['user', 'media'], primaryKey: [] },
  ),
}

function model(types: Record<string, string>, keys: Omit<SourceModel, 'fields'>): SourceModel {
  return { fields: Object.entries(types).map(([name, type]) => ({ name, type })), ...keys, isPartial: true }
}

export async function decodeLibrary(library: Library, context: DecodeContext): Promise<Decoded> {
  const { version, createdAt, settings, findings } = library
  const users = joinUsers(library.users, findings)
  const idOf = await resolveTitles(users, context, findings)
  const shelf = new Shelf(findings)
  const owned = users.map((user) => ({ user, marks: markLists(user, shelf, idOf, findings) }))
  const media = shelf.all()
  const userRows = owned.map(({ user: { username, movieProfile, tvProfile, createdAt } }) =>
    given({ username, movieProfile, tvProfile, createdAt }),
  )
  const hasSettings = Object.keys(settings).length > 0
  const { SystemConfig, ...others } = models
  return {
    ...given({ version, createdAt }),
    // Without settings the file says nothing of them, not that there are none.
    models: hasSettings && SystemConfig ? { SystemConfig, ...others } : others,
    rows: [
      ...rowsOf('SystemConfig', hasSettings ? [{ id: 1, ...settings }] : []),
      ...rowsOf('User', userRows),
      ...rowsOf('Media', media),
      ...rowsOf(
        'UserMedia',
        owned.flatMap(({ user, marks }) => settle(user, marks, findings)),
      ),
    ],
    leftBehind: findings.leftBehind(),
    notes: findings.notes(),
    users: owned.map(({ user, marks }) => ({ name: user.username, entries: countLists(marks) })),
  }
}

/** Usernames are unique in the schema, in a file they need not be. */
function joinUsers(users: LibraryUser[], findings: Findings): LibraryUser[] {
  const joined = new Map<string, LibraryUser>()
  for (const user of users) {
    const before = joined.get(user.username)
    if (before) findings.note('sameUser', quoted(user.username), user.username)
    joined.set(user.username, {
      ...user,
      ...(before && given({ ...before, entries: [...before.entries, ...user.entries] })),
    })
  }
  return [...joined.values()]
}

const resolversAtOnce = 8
/** Asks the app for the ids that the file does not have, once for each title, type and year. */
async function resolveTitles(
  users: LibraryUser[],
  { resolveTitle }: DecodeContext,
  findings: Findings,
): Promise<(entry: LibraryEntry) => number | undefined> {
  const queries = new Map<string, TitleQuery>()
  for (const { title, tmdbId, mediaType, releaseYear: year } of resolveTitle ? users.flatMap(entriesOf) : []) {
    if (tmdbId !== undefined || title === undefined) continue
    const key = queryKey(title, mediaType, year)
    if (!queries.has(key)) queries.set(key, { title, mediaType, year })
  }
  const ids = new Map<string, number>()
  const waiting = queries.entries()
  const ask = async () => {
    for (const [key, query] of waiting) {
      const id = await Promise.resolve(query)
        .then(resolveTitle)
        // One title that cannot be asked for must not cost the others.
        .catch(() => findings.note('resolverFailed', quoted(query.title)))
      if (!isTmdbId(id)) continue
      ids.set(key, id)
      findings.note('resolved', quoted(query.title))
    }
  }
  await Promise.all(Array.from({ length: resolversAtOnce }, ask))
  return ({ title, tmdbId, mediaType, releaseYear }) =>
    tmdbId ?? (title === undefined ? undefined : ids.get(queryKey(title, mediaType, releaseYear)))
}

function entriesOf({ entries }: LibraryUser): LibraryEntry[] {
  return entries
}

function queryKey(title: string, mediaType: MediaType | undefined, year: string | undefined): string {
  return JSON.stringify([comparable(title), mediaType ?? null, year ?? null])
}

/** Titles are the same when they differ in case, Unicode form and outer spaces alone. */
function comparable(title: string): string {
  return title.normalize('NFKC').trim().toLowerCase()
}

interface Media extends MediaMembers {
  id: number
}

/** Every media of the file once, for all users: by its id, and without one by its title and type. */
class Shelf {
  private readonly media: Media[] = []
  private readonly byId = new Map<number, Media>()
  private readonly byTitle = new Map<string, Media>()

  constructor(private readonly findings: Findings) {}

  place(entry: LibraryEntry, tmdbId: number | undefined): Media {
    if (tmdbId === undefined) return this.placeUnresolved(entry)
    const found = this.byId.get(tmdbId)
    if (!found) {
      const added = this.add({ ...membersOf(entry), tmdbId })
      this.byId.set(tmdbId, added)
      return added
    }
    // TMDB counts films and series apart, so a film and a series may have the same number; the schema has it once.
    if (found.mediaType && entry.mediaType && found.mediaType !== entry.mediaType)
      return this.placeClash({ ...entry, title: entry.title ?? standIn(tmdbId) }, tmdbId)
    return fillGaps(found, entry)
  }

  /** Rows of all media. Call it once, when all are placed. */
  all(): JsonRow[] {
    return this.media.map((media) => {
      if (media.title === undefined) this.findings.note('noTitle', standIn(media.tmdbId))
      if (media.tmdbId === undefined) this.findings.note('unresolved', nameOf(media))
      const { id, tmdbId, mediaType, title = standIn(tmdbId), voteAverage } = media
      const texts = Object.fromEntries(mediaTexts.map((name) => [name, media[name]]))
      return given({ id, tmdbId, mediaType, title, ...texts, voteAverage })
    })
  }

  private placeClash(entry: LibraryEntry, tmdbId: number): Media {
    const media = this.placeUnresolved(entry)
    this.findings.note('typeClash', `${nameOf(media)} (${tmdbId})`, media)
    return media
  }

  private placeUnresolved(entry: LibraryEntry): Media {
    const key = JSON.stringify([comparable(entry.title ?? ''), entry.mediaType ?? null])
    const found = this.byTitle.get(key)
    if (!found) {
      const added = this.add({ ...membersOf(entry), tmdbId: undefined })
      this.byTitle.set(key, added)
      return added
    }
    if (found.releaseYear && entry.releaseYear && found.releaseYear !== entry.releaseYear)
      this.findings.note('yearsDiffer', nameOf(found), found)
    return fillGaps(found, { ...entry, tmdbId: undefined })
  }

  private add(members: MediaMembers): Media {
    const media = { id: this.media.length + 1, ...members }
    this.media.push(media)
    return media
  }
}

function membersOf({ status: _, addedAt: __, ...members }: LibraryEntry): MediaMembers {
  return members
}

function fillGaps(media: Media, entry: LibraryEntry): Media {
  for (const [name, value] of Object.entries(membersOf(entry))) {
    const members = media as unknown as Record<string, unknown>
    members[name] ??= value
  }
  return media
}

function standIn(tmdbId: number | undefined): string {
  return `${standInPrefix}${tmdbId}`
}

function nameOf({ title, tmdbId }: Media): string {
  return quoted(title ?? standIn(tmdbId))
}

/** When the media was put into each list. */
type Mark = Map<Status, string | undefined>

function markLists(
  user: LibraryUser,
  shelf: Shelf,
  idOf: (entry: LibraryEntry) => number | undefined,
  findings: Findings,
): Map<Media, Mark> {
  const marks = new Map<Media, Mark>()
  for (const entry of user.entries) {
    const media = shelf.place(entry, idOf(entry))
    const mark: Mark = marks.get(media) ?? new Map()
    if (mark.has(entry.status)) findings.note('twice', `${nameOf(media)} of ${quoted(user.username)}`, mark)
    mark.set(entry.status, mark.get(entry.status) ?? entry.addedAt)
    marks.set(media, mark)
  }
  return marks
}

const precedence: Status[] = ['BLOCKED', 'WATCHED', 'WATCHLIST']

/** One row for each media: the strongest list counts, and the time of another only where it has none. */
function settle({ username }: LibraryUser, marks: Map<Media, Mark>, findings: Findings): JsonRow[] {
  noteUntyped(username, [...marks.keys()], findings)
  return [...marks].map(([media, mark]) => {
    const lists = precedence.filter((status) => mark.has(status))
    if (lists.length > 1) findings.note('severalLists', `${nameOf(media)} of ${quoted(username)}`)
    const addedAt = lists.map((status) => mark.get(status)).find((time) => time !== undefined)
    return given({ user: username, media: media.tmdbId ?? { '#': media.id }, status: lists[0], addedAt })
  })
}

/** A title to block may be meant for the film or the series of that name: it wins over neither, and the user may wonder. */
function noteUntyped(username: string, media: Media[], findings: Findings): void {
  const typed = new Set(media.flatMap(({ mediaType, title }) => (mediaType && title ? comparable(title) : [])))
  for (const each of media)
    if (!each.mediaType && each.tmdbId === undefined && typed.has(comparable(each.title ?? '')))
      findings.note('untypedToo', `${nameOf(each)} of ${quoted(username)}`)
}

/** As the file has them, before an entry in several lists was settled. */
function countLists(marks: Map<Media, Mark>): Record<string, number> {
  const counts: Record<string, number> = { movies: 0, series: 0, watchlist: 0, blocked: 0 }
  for (const [{ mediaType }, mark] of marks) {
    for (const status of mark.keys()) {
      const list = status === 'WATCHED' ? watchedList(mediaType) : status.toLowerCase()
      counts[list] = (counts[list] ?? 0) + 1
    }
  }
  return counts
}

function watchedList(mediaType: MediaType | undefined): string {
  return mediaType === undefined ? 'watchedOfUnknownType' : mediaType === 'tv' ? 'series' : 'movies'
}

/** Without the members that have no value. */
function given<Members extends object>(members: Members): Given<Members> {
  const kept: Partial<Members> = {}
  for (const name of Object.keys(members) as (keyof Members)[])
    if (members[name] !== undefined) kept[name] = members[name]
  return kept as Given<Members>
}

type Given<Members> = { [Name in keyof Members]: Exclude<Members[Name], undefined> }

function rowsOf(model: string, rows: JsonRow[]): SourceRow[] {
  return rows.map((row, index) => ({ model, row, place: index + 1 }))
}
