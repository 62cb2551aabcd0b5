// An older format, or one of the app's own, is data: a zod schema and a mapping to rows in the encoding of the current
// export format (docs/reference/export-format.md). Guarantees: a decoder drops nothing silently; what has no place is
// counted in `leftBehind`.

import type { z } from 'zod'
import type { Certainty, SourceModel, SourceRow } from '../import-source.ts'

export type { Certainty, JsonRow, SourceModel, SourceRow } from '../import-source.ts'

/** What a file of an older format becomes. */
export interface Decoded {
  version?: string
  createdAt?: string
  app?: string
  models: Record<string, SourceModel>
  rows: SourceRow[]
  leftBehind: { what: string; count: number }[]
  /** What the reader should know: conflicts that were settled, entries that were joined. One sentence each. */
  notes: string[]
  /** Per user the number of distinct entries of each list, for inspection. */
  users?: { name: string; entries: Record<string, number> }[]
}

export interface TitleQuery {
  title: string
  mediaType: string | undefined
  year: string | undefined
}

/** Finds the id of a title, for an app that has a way to ask. Undefined: not known. It may throw; the entry is kept. */
export type ResolveTitle = (query: TitleQuery) => Promise<number | undefined> | number | undefined

export interface DecodeContext {
  /** Whose a file without a username is. */
  userName?: string
  resolveTitle?: ResolveTitle
}

/** A format that is read whole, as one JSON value. Made by `defineFormat`. */
export interface Format<Value = unknown> {
  name: string
  /** For people: "multi-user export (2.0.3 to 2.4.1)". */
  title: string
  /** By the shape of the top alone: a wrong value deeper down is an error in a known file, not an unknown file. */
  recognise(value: unknown): Certainty | undefined
  /** Strict about types. Members that it does not know are not refused: `decode` names them in `leftBehind`. */
  schema: z.ZodType<Value>
  /** Throws BootkeeperError USER_NEEDED where the file does not say whose it is and the context does not either. */
  decode(value: Value, context: DecodeContext): Decoded | Promise<Decoded>
}

/** For an app's own formats: see docs/how-tos/import-your-own-format.md. Only helps the types along. */
export function defineFormat<Value>(format: Format<Value>): Format<Value> {
  return format
}
