// How far a change of a model reaches by the data model alone: rows that a foreign key deletes or empties with it, and
// the rows that a nested write or a reference touches. Guarantees: the database does nothing to a model that is not
// named here, its own triggers apart.

import type { DataModel, Model, Relation } from '../data-model.ts'

/** The model itself, and each whose rows go or lose their reference when its rows go. */
export function reachOfDelete(data: DataModel, name: string): string[] {
  const reached = new Set([name])
  // A row that goes takes others along; one that only loses its reference does not.
  const gone = new Set([name])
  for (const next of gone)
    for (const { model, relation } of referencesTo(data, next)) {
      const action = relation.onDelete ?? (relation.isRequired ? 'Restrict' : 'SetNull')
      if (action === 'Restrict' || action === 'NoAction') continue
      reached.add(model.name)
      if (action === 'Cascade') gone.add(model.name)
    }
  return [...reached]
}

/** The model itself, and those that refer to it: an update may change what they refer to. */
export function reachOfUpdate(data: DataModel, name: string, fields: string[] | 'any'): string[] {
  const following = referencesTo(data, name).filter(
    ({ relation }) => fields === 'any' || relation.to.some((to) => fields.includes(to)),
  )
  return [...new Set([name, ...following.map(({ model }) => model.name)])]
}

export interface FieldTarget {
  target: string
  /** Whose rows hold the reference: they change when it is set, emptied, or pointed elsewhere. */
  holder: string
}

/** undefined: no relation of that name. */
export function relationField(data: DataModel, model: Model, field: string): FieldTarget | undefined {
  const own = model.relations.find(({ name }) => name === field)
  if (own) return { target: own.target, holder: model.name }
  for (const other of data.models)
    for (const relation of other.relations) {
      if (relation.target !== model.name || relation.opposite !== field) continue
      if (!other.isJoinTable) return { target: other.name, holder: other.name }
      const far = other.relations.find((each) => each !== relation)
      return { target: far?.target ?? model.name, holder: other.name }
    }
  return undefined
}

function referencesTo(data: DataModel, name: string): { model: Model; relation: Relation }[] {
  return data.models.flatMap((model) =>
    model.relations.filter(({ target }) => target === name).map((relation) => ({ model, relation })),
  )
}
