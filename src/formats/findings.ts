// What reading a file of an older format brought to light beside its rows. Guarantees: counted exactly; one sentence
// for each kind, with three examples at most.

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
  untypedToo: (n) =>
    `${count(n, 'title stands', 'titles stand')} in a list that tells no media type, and with one in another list of the user; both were kept, because they need not be the same`,
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
