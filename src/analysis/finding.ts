// What the reading of a script found. Types only.

/** `everything`: it cannot be told which. */
export type Touched = string[] | 'everything'

export interface Finding {
  /** An absolute path. */
  file: string
  line: number
  /** In a few words: the call, the statement, or why it cannot be told. */
  what: string
  /** The models whose rows may go or change, those that hang on them included. */
  models: Touched
  /** Tables or columns may go as well, which no export brings back. */
  structure?: true
}

export function unite(a: Touched, b: Touched): Touched {
  return a === 'everything' || b === 'everything' ? 'everything' : [...new Set([...a, ...b])]
}
