// Reads the data model out of the Prisma schema files, by Prisma's own parser. Guarantees: every model, every scalar
// and every foreign key that Prisma knows is there, implicit many-to-many tables included, in the order of the files
// sorted by path; a schema that Prisma does not accept is refused with Prisma's own words.

import { stripVTControlCharacters } from 'node:util'
import { getDMMF } from '@prisma/get-dmmf'
import type { DataModel, EnumType, Field, Model, ReferentialAction, Relation, ScalarType } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import { chooseNaturalKeys } from './natural-key.ts'

export interface SchemaFile {
  path: string
  content: string
}

export async function readDataModel(files: SchemaFile[]): Promise<DataModel> {
  const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
  const parsed = parse(sorted)
  const views = viewNames(sorted)
  const enums = parsed.enums.map(enumType)
  const documents = parsed.models.filter((model) => !views.has(model.name))
  const models = documents.map((document) => modelOf(document, enums, documents))
  models.push(...joinTables(documents, models))
  chooseNaturalKeys(models)
  return { models, enums }
}

type Dmmf = Extract<ReturnType<typeof getDMMF>, { datamodel: unknown }>['datamodel']
type DmmfModel = Dmmf['models'][number]
type DmmfField = DmmfModel['fields'][number]

function parse(files: SchemaFile[]): Dmmf {
  const document = getDMMF({ datamodel: files.map(({ path, content }) => [path, content]) })
  if ('datamodel' in document) return document.datamodel
  const cause = document.error
  throw new BootkeeperError('SCHEMA_INVALID', `Prisma does not accept the schema: ${reasonOf(cause.message)}`, {
    cause,
  })
}

/** Prisma's message is JSON around coloured text. */
function reasonOf(message: string): string {
  let text = message
  try {
    text = JSON.parse(message).message ?? message
  } catch {
    // Already plain text.
  }
  return stripVTControlCharacters(text).trim()
}

/** The parser shows views as models, so the blocks are told apart by their keyword. */
function viewNames(files: SchemaFile[]): Set<string> {
  const named = (keyword: string) =>
    files.flatMap(({ content }) =>
      [...content.matchAll(new RegExp(`^\\s*${keyword}\\s+(\\w+)\\s*\\{`, 'gm'))].map((match) => match[1] ?? ''),
    )
  const models = new Set(named('model'))
  return new Set(named('view').filter((name) => !models.has(name)))
}

function enumType(source: Dmmf['enums'][number]): EnumType {
  return {
    name: source.name,
    values: source.values.map((value) => ({ name: value.name, stored: value.dbName ?? value.name })),
  }
}

function modelOf(source: DmmfModel, enums: EnumType[], documents: DmmfModel[]): Model {
  const fields = source.fields.filter((field) => field.kind !== 'object').map((field) => fieldOf(field, enums, source))
  for (const field of source.fields) healthOf(field, source)
  const ids = fields.filter((field) => field.isId).map((field) => field.name)
  const annotations = annotationsOf(source.documentation)
  const protectedField = annotations.get('protected')
  return {
    name: source.name,
    table: source.dbName ?? source.name,
    ...(source.schema ? { schema: source.schema } : {}),
    fields,
    relations: source.fields
      .filter((field) => field.relationFromFields?.length)
      .map((field) => relationOf(field, source.name, documents)),
    primaryKey: source.primaryKey ? [...source.primaryKey.fields] : ids,
    uniques: [
      ...fields.filter((field) => field.isUnique).map((field) => [field.name]),
      ...source.uniqueFields.map((names) => [...names]),
    ],
    naturalKey: [],
    isJoinTable: false,
    ...describedBy(source.documentation),
    isConfig: annotations.has('config'),
    isUser: annotations.has('user'),
    isTransient: annotations.has('transient'),
    ...(protectedField ? { protectedField } : {}),
  }
}

function fieldOf(source: DmmfField, enums: EnumType[], model: DmmfModel): Field {
  const [nativeName, nativeArgs] = source.nativeType ?? []
  const byName = enums.find(({ name }) => name === source.type)
  const generator = (source.default as { name?: string } | undefined)?.name
  return {
    name: source.name,
    column: source.dbName ?? source.name,
    type: source.kind === 'enum' ? 'Enum' : (source.type as ScalarType),
    ...(source.kind === 'enum' && byName ? { enum: byName } : {}),
    isList: source.isList,
    isRequired: source.isRequired,
    isId: source.isId,
    isUnique: source.isUnique,
    isAutoincrement: generator === 'autoincrement',
    isUpdatedAt: source.isUpdatedAt ?? false,
    ...describedBy(source.documentation),
    isSecret: annotationsOf(source.documentation).has('secret'),
    ...healthOf(source, model),
    hasDefault: source.hasDefaultValue,
    ...(source.default === undefined ? {} : { default: source.default }),
    ...(nativeName ? { nativeType: { name: nativeName, args: [...(nativeArgs ?? [])] } } : {}),
  }
}

function relationOf(source: DmmfField, model: string, documents: DmmfModel[]): Relation {
  const opposite = documents
    .find(({ name }) => name === source.type)
    ?.fields.find(
      (field) => field.relationName === source.relationName && field.type === model && field.name !== source.name,
    )
  return {
    name: source.name,
    target: source.type,
    from: [...(source.relationFromFields ?? [])],
    to: [...(source.relationToFields ?? [])],
    isRequired: source.isRequired,
    ...(opposite ? { opposite: opposite.name } : {}),
    ...(source.relationOnDelete ? { onDelete: source.relationOnDelete as ReferentialAction } : {}),
  }
}

const annotation = /^\s*@(config|user|transient|secret|protected|health)\b[ \t]*(\S*)/gm

/** `@config`, `@protected isAdmin`: one annotation a line, its argument as the value. */
function annotationsOf(documentation: string | undefined): Map<string, string> {
  const matches = (documentation ?? '').matchAll(annotation)
  return new Map([...matches].map((match) => [match[1] ?? '', match[2] ?? '']))
}

/** The lines of the comment that are for people. */
function describedBy(documentation: string | undefined): { description?: string } {
  const lines = (documentation ?? '').split('\n').filter((line) => !/^\s*@\w/.test(line))
  const description = lines.join(' ').replace(/\s+/g, ' ').trim()
  return description === '' ? {} : { description }
}

/** Throws SCHEMA_INVALID where nobody could ever ask for it. */
function healthOf(source: DmmfField, model: DmmfModel): { healthPath?: string } {
  const annotations = annotationsOf(source.documentation)
  const path = annotations.get('health')
  if (path === undefined) return {}
  const reason =
    source.type !== 'String' || source.isList
      ? 'belongs to a String, the address of a service'
      : !annotationsOf(model.documentation).has('config')
        ? 'belongs to a field of a model with @config, where settings are'
        : annotations.has('secret')
          ? 'does not go with @secret: an address that is tested is shown'
          : !/^\/(?!\/)[^\s#\\]*$/.test(path)
            ? `takes a path that begins with one /, such as @health /status, not "${path}"`
            : undefined
  if (reason === undefined) return { healthPath: path }
  throw new BootkeeperError('SCHEMA_INVALID', `${model.name}.${source.name}: @health ${reason}.`, {
    next: 'Correct the comment above the field in the schema.',
  })
}

/**
 * Prisma keeps an implicit many-to-many relation in a table that no model names: `_` and the relation's name. Column A
 * is the model that comes first by name, or, where both sides are one model, the one whose field comes first.
 */
function joinTables(documents: DmmfModel[], models: Model[]): Model[] {
  const sides = new Map<string, { model: string; field: string; target: string }[]>()
  for (const { name: model, fields } of documents)
    for (const field of fields)
      if (field.kind === 'object' && field.isList && field.relationName && !ownedElsewhere(field, documents)) {
        const side = { model, field: field.name, target: field.type }
        sides.set(field.relationName, [...(sides.get(field.relationName) ?? []), side])
      }
  return [...sides].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, ends]) => joinTable(name, ends, models))
}

/** A list that is the other end of a plain foreign key. */
function ownedElsewhere(field: DmmfField, documents: DmmfModel[]): boolean {
  const target = documents.find(({ name }) => name === field.type)
  return target?.fields.some((other) => other.relationName === field.relationName && !other.isList) ?? true
}

function joinTable(
  relationName: string,
  ends: { model: string; field: string; target: string }[],
  models: Model[],
): Model {
  const [first, second = first] = [...ends].sort((a, b) => (`${a.model} ${a.field}` < `${b.model} ${b.field}` ? -1 : 1))
  if (!first || !second) throw new Error(`relation ${relationName} has no ends`)
  // In a self relation, the row that holds the first field sits in column A.
  const targets = { A: first.model, B: second.model }
  const opposites = { A: first.field, B: second.field }
  const schema = models.find(({ name }) => name === targets.A)?.schema
  const name = `_${relationName}`
  return {
    name,
    table: name,
    ...(schema ? { schema } : {}),
    fields: [joinField('A', targets.A, models), joinField('B', targets.B, models)],
    relations: (['A', 'B'] as const).map((column) => ({
      name: column,
      target: targets[column],
      from: [column],
      to: [idOf(targets[column], models).name],
      isRequired: true,
      opposite: opposites[column],
      onDelete: 'Cascade' as const,
    })),
    primaryKey: ['A', 'B'],
    uniques: [],
    naturalKey: [],
    isJoinTable: true,
    isConfig: false,
    isUser: false,
    isTransient: models.some((model) => model.isTransient && (model.name === targets.A || model.name === targets.B)),
  }
}

function joinField(name: string, target: string, models: Model[]): Field {
  const id = idOf(target, models)
  return {
    name,
    column: name,
    type: id.type,
    ...(id.enum ? { enum: id.enum } : {}),
    isList: false,
    isRequired: true,
    isId: false,
    isUnique: false,
    isAutoincrement: false,
    isUpdatedAt: false,
    isSecret: false,
    hasDefault: false,
    ...(id.nativeType ? { nativeType: id.nativeType } : {}),
  }
}

/** Prisma demands a single @id on both sides of an implicit relation. */
function idOf(modelName: string, models: Model[]): Field {
  const id = models.find(({ name }) => name === modelName)?.fields.find((field) => field.isId)
  if (!id) throw new BootkeeperError('SCHEMA_INVALID', `${modelName} has a many-to-many relation, but no single @id.`)
  return id
}
