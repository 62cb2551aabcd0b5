// How the models of a file meet those of the schema: by name, by table, field by field. Nothing of the file is passed
// over unseen: what has no counterpart is in the mapping too. Guarantees: the same file and schema give the same mapping.

import type { DataModel, Field, Model, Relation } from '../data-model.ts'
import type { SourceField, SourceHeader, SourceModel } from '../import-source.ts'

export interface Mapping {
  /** Position in the list of mappings; names its tables. */
  index: number
  /** The model's name in the file. */
  name: string
  source: SourceModel
  target: Model
  /** Scalars that are no foreign keys. `member` is missing for one that the file does not have but others refer to. */
  cells: { member: string | undefined; field: Field; source: SourceField | undefined }[]
  references: Reference[]
  /** Foreign keys, as raw values: of rows whose reference is none. `member` where the file has it as a plain value. */
  raw: { member: string | undefined; field: Field }[]
  /** Members that the schema has no place for. */
  unknown: string[]
  missing: Field[]
}

export interface Reference {
  member: string
  /** Where the file has the foreign key as plain values: their members. */
  rawMembers?: string[]
  relation: Relation
  /** The mapping that its rows are in. */
  to: number
}

export interface SourceMap {
  mappings: Mapping[]
  /** Models of the file without a counterpart. */
  unknown: string[]
}

export function mapSource({ models }: DataModel, header: SourceHeader): SourceMap {
  const unknown: string[] = []
  const found: [string, SourceModel, Model][] = []
  for (const [name, source] of Object.entries(header.models)) {
    const target =
      models.find((each) => each.name === name) ?? models.find((each) => each.table === (source.table ?? name))
    if (target) found.push([name, source, target])
    else unknown.push(name)
  }
  const mappings = found.map(([name, source, target], index) => mapModel(index, name, source, target, models))
  // A reference may name rows that are only in the database; its model needs a place all the same.
  for (let index = 0; index < mappings.length; index++) {
    for (const reference of mappings[index]!.references) {
      const target = models.find(({ name }) => name === reference.relation.target) as Model
      let to = mappings.find((each) => each.target === target)
      if (!to) {
        const source: SourceModel = { fields: [], key: target.naturalKey.map(({ name }) => name), primaryKey: [] }
        to = mapModel(mappings.length, target.name, source, target, models)
        mappings.push(to)
      }
      reference.to = to.index
    }
  }
  return { mappings, unknown }
}

function mapModel(index: number, name: string, source: SourceModel, target: Model, models: Model[]): Mapping {
  const taken = new Set<string>()
  const find = (fits: (field: SourceField) => boolean) => {
    const found = source.fields.find((field) => !taken.has(field.name) && fits(field))
    if (found) taken.add(found.name)
    return found
  }
  const isReference = ({ type }: SourceField) => type.startsWith('-> ')
  const columnsOf = (relation: Relation) => relation.from.map((from) => fieldOf(target, from).column).join()

  const references: Reference[] = []
  for (const relation of target.relations) {
    const field =
      find((each) => isReference(each) && each.name === relation.name) ??
      find((each) => isReference(each) && each.columns?.join() === columnsOf(relation))
    if (field) references.push({ member: field.name, relation, to: -1 })
  }
  const foreign = new Set(target.relations.flatMap(({ from }) => from))
  const plain = (field: Field) =>
    find((each) => !isReference(each) && each.name === field.name) ??
    find((each) => !isReference(each) && (each.column ?? each.name) === field.column)

  const referred = new Set(
    models.flatMap((model) => model.relations.filter((each) => each.target === target.name).flatMap(({ to }) => to)),
  )
  const needed = (field: Field) => referred.has(field.name) || target.primaryKey.includes(field.name)
  const cells: Mapping['cells'] = []
  const raw: Mapping['raw'] = []
  const missing: Field[] = []
  for (const field of target.fields) {
    const given = plain(field)
    if (foreign.has(field.name)) {
      raw.push({ member: given?.name, field })
      const hasReference = references.some(({ relation }) => relation.from.includes(field.name))
      if (!given && !hasReference) missing.push(field)
    } else if (given) cells.push({ member: given.name, field, source: given })
    else {
      missing.push(field)
      if (needed(field)) cells.push({ member: undefined, field, source: undefined })
    }
  }
  for (const relation of target.relations) {
    if (references.some((each) => each.relation === relation)) continue
    const members = relation.from.flatMap((from) => raw.find(({ field }) => field.name === from)?.member ?? [])
    if (members.length === relation.from.length)
      references.push({ member: members.join(), rawMembers: members, relation, to: -1 })
  }
  const unknown = source.fields.map((field) => field.name).filter((each) => !taken.has(each))
  return { index, name, source, target, cells, references, raw, unknown, missing }
}

export function fieldOf(model: Model, name: string): Field {
  const field = model.fields.find((each) => each.name === name)
  if (!field) throw new Error(`${model.name} has no field ${name}`)
  return field
}

/** The one integer that numbers the rows and means nothing else: another database may number them otherwise. */
export function serialKey({ primaryKey, fields, relations, naturalKey }: Model): Field | undefined {
  const field = primaryKey.length === 1 ? fields.find(({ name }) => name === primaryKey[0]) : undefined
  if (!field || (field.type !== 'Int' && field.type !== 'BigInt')) return undefined
  if (relations.some(({ from }) => from.includes(field.name))) return undefined
  return naturalKey.some(({ name }) => name === field.name) ? undefined : field
}
