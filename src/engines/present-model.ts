// The data model as far as a database has it: of a copy that was made before the schema got its newest models and
// fields. Guarantees: nothing is left out but what the database has no table or column for; a key or a reference with a
// part that is not there is none.

import type { DataModel, Model } from '../data-model.ts'

/** By model: the columns of its table; undefined where there is no table. */
export type ColumnsOf = (model: Model) => string[] | undefined

/** `database`: a path for SQLite, an address for PostgreSQL. */
export async function readPresentModel(
  engine: 'sqlite' | 'postgresql',
  database: string,
  model: DataModel,
): Promise<DataModel> {
  if (engine === 'sqlite') {
    const { sqliteColumns } = await import('./sqlite-export.ts')
    return presentModel(model, sqliteColumns(database))
  }
  const { postgresColumns } = await import('./postgres-export.ts')
  return presentModel(model, await postgresColumns(database, model))
}

export function presentModel({ models, enums }: DataModel, columnsOf: ColumnsOf): DataModel {
  const there = new Map(models.flatMap((model) => (columnsOf(model) ? [[model.name, withPresent(model)]] : [])))
  const hasAll = (name: string, fields: string[]) => {
    const known = there.get(name)?.fields.map((field) => field.name) ?? []
    return fields.every((field) => known.includes(field))
  }
  return {
    enums,
    models: [...there.values()].map((model) => {
      const relations = model.relations.filter(({ target, from, to }) => hasAll(model.name, from) && hasAll(target, to))
      const isThere = (part: Model['naturalKey'][number]) =>
        part.kind === 'field' ? hasAll(model.name, [part.name]) : relations.some(({ name }) => name === part.name)
      return {
        ...model,
        relations,
        primaryKey: hasAll(model.name, model.primaryKey) ? model.primaryKey : [],
        uniques: model.uniques.filter((fields) => hasAll(model.name, fields)),
        naturalKey: model.naturalKey.every(isThere) ? model.naturalKey : [],
      }
    }),
  }

  function withPresent(model: Model): Model {
    const columns = columnsOf(model) ?? []
    return { ...model, fields: model.fields.filter(({ column }) => columns.includes(column)) }
  }
}
