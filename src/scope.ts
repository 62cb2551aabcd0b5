// What a backup or an export is about: everything, some models, the rows of one that a filter names, or one row and all
// that hangs on it. Plain data, the same in manifests and in the header of an export.
// Guarantees: what is not everything says so; an import of it leaves all other rows alone.

import { z } from 'zod'

export const scopeSchema = z.union([
  z.literal('everything'),
  z.strictObject({
    models: z.array(z.string()).min(1),
    /** Of the first model: a filter in Prisma's words, such as `{"contentType": "furniture"}`. */
    where: z.record(z.string(), z.json()).optional(),
    /** The rows of `where`, all that hangs on them, and the rows that these refer to; `models` then are all of these. */
    whole: z.literal(true).optional(),
  }),
])

export type Scope = z.infer<typeof scopeSchema>
export type PartialScope = Exclude<Scope, 'everything'>

/** For lists and messages: `everything`, `Mod`, `Mod where {"contentType":"furniture"}`. */
export function describeScope(scope: Scope): string {
  if (scope === 'everything') return scope
  const { models, where, whole } = scope
  if (where === undefined) return models.join(', ')
  return `${models[0]} where ${JSON.stringify(where)}${whole ? ' and all that hangs on it' : ''}`
}
