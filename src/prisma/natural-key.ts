// Chooses the natural key of every model: what an export calls its rows by, so that references survive another
// database with other serial ids. Guarantees: the choice depends on the schema alone, not on the order of the models,
// and no key contains itself.
//
// The rule, in this order. A candidate field is never Float, Decimal, Json, Bytes, a list or a @secret.
//   1. the first required @unique field
//   2. the first @@unique of required fields
//   3. the first optional @unique field (a row where it is null is called by its id)
//   4. an @id or @@id that is not autoincrement
//   5. none: rows are called by `{"#": id}`
// A foreign key in a candidate stands for the target's natural key, so the whole of it must be in the candidate. Where
// the candidates of some models lead in a circle, all of them are struck out and the next ones are tried.

import type { Field, KeyPart, Model } from '../data-model.ts'

/** Sets `naturalKey` on every model. */
export function chooseNaturalKeys(models: Model[]): void {
  const candidates = new Map(models.map((model) => [model.name, candidatesOf(model)]))
  for (;;) {
    const chosen = new Map(models.map((model) => [model.name, candidates.get(model.name)?.[0] ?? []]))
    const circular = models.filter((model) => leadsBack(model, models, chosen))
    if (circular.length === 0) {
      for (const model of models) model.naturalKey = chosen.get(model.name) ?? []
      return
    }
    for (const model of circular) candidates.get(model.name)?.shift()
  }
}

function candidatesOf(model: Model): KeyPart[][] {
  const field = (name: string) => model.fields.find((each) => each.name === name)
  const required = (names: string[]) => names.every((name) => field(name)?.isRequired)
  const singles = model.uniques.filter((names) => names.length === 1)
  const compounds = model.uniques.filter((names) => names.length > 1)
  const serial = model.primaryKey.some((name) => field(name)?.isAutoincrement)
  const ordered = [
    ...singles.filter(required),
    ...compounds.filter(required),
    ...singles.filter((names) => !required(names)),
    ...(serial || model.primaryKey.length === 0 ? [] : [model.primaryKey]),
  ]
  return ordered.flatMap((names) => {
    const fields = names.map(field)
    if (!fields.every((each) => each !== undefined && canBeKey(each))) return []
    const parts = partsOf(model, names)
    return parts ? [parts] : []
  })
}

function canBeKey(field: Field): boolean {
  return !field.isList && !field.isSecret && !['Float', 'Decimal', 'Json', 'Bytes'].includes(field.type)
}

/** The fields of a candidate, foreign keys as the relation they belong to; nothing where one is there only in part. */
function partsOf(model: Model, names: string[]): KeyPart[] | undefined {
  const parts: KeyPart[] = []
  const covered = new Set<string>()
  for (const name of names) {
    if (covered.has(name)) continue
    const relations = model.relations.filter((relation) => relation.from.includes(name))
    if (relations.length === 0) {
      parts.push({ kind: 'field', name })
      continue
    }
    const whole = relations
      .filter((relation) => relation.from.every((from) => names.includes(from)))
      .sort((a, b) => b.from.length - a.from.length)[0]
    if (!whole) return undefined
    for (const from of whole.from) covered.add(from)
    parts.push({ kind: 'relation', name: whole.name })
  }
  return parts
}

function leadsBack(start: Model, models: Model[], chosen: Map<string, KeyPart[]>): boolean {
  const seen = new Set<string>()
  const queue = targetsOf(start, chosen)
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (name === start.name) return true
    if (seen.has(name)) continue
    seen.add(name)
    const model = models.find((each) => each.name === name)
    if (model) queue.push(...targetsOf(model, chosen))
  }
  return false
}

function targetsOf(model: Model, chosen: Map<string, KeyPart[]>): string[] {
  return (chosen.get(model.name) ?? []).flatMap((part) => {
    const relation = part.kind === 'relation' && model.relations.find(({ name }) => name === part.name)
    return relation ? [relation.target] : []
  })
}
