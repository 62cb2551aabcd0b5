// What SQLite's own checks complain of, as part of one sentence.
// Guarantees: one line, however many complaints there are; their number is said.

/** SQLite puts a heading and every complaint of one database into one text. */
export function shortProblems(problems: string[]): string {
  const lines = problems
    .flatMap((text) => text.split('\n'))
    .map((line) => line.trim().replace(/\.$/, ''))
    .filter((line) => line !== '' && !/^\*\*\* in database \w+ \*\*\*$/.test(line))
  const more = lines.length - 1
  return `${lines[0] ?? 'SQLite does not say why'}${more > 0 ? ` (and ${more} more)` : ''}`
}
