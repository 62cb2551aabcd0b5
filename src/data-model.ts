// What a Prisma schema says about the data, in our own words: models, scalars, references, keys and annotations.
// Types only, so that every layer may speak of a model without knowing Prisma. Views are no data and are not here;
// what Prisma hides (@ignore, @@ignore, Unsupported) is found in the database's own catalogue.

export interface DataModel {
  models: Model[]
  enums: EnumType[]
}

export interface Model {
  name: string
  /** Its table, after @@map. */
  table: string
  /** The PostgreSQL schema, where @@schema names one. */
  schema?: string
  fields: Field[]
  /** The owning sides only: the foreign keys that this table holds. */
  relations: Relation[]
  /** Field names of the @id or @@id; empty where there is none. */
  primaryKey: string[]
  /** Field names of each @unique, in the order of the fields, then of each @@unique. */
  uniques: string[][]
  /** How other rows name a row of this model; empty where only `{"#": value}` can. */
  naturalKey: KeyPart[]
  /** The table behind an implicit many-to-many relation: columns A and B, each a reference. */
  isJoinTable: boolean
  /** The comment of the schema, without annotations. */
  description?: string
  /** `/// @config`: one row of settings. */
  isConfig: boolean
  /** `/// @user`: its rows are the people whose data it is. */
  isUser: boolean
  /** `/// @transient`: not exported. */
  isTransient: boolean
  /** `/// @protected FIELD`: rows where this field is true are never deleted by a restore. */
  protectedField?: string
}

export type ScalarType =
  | 'String'
  | 'Int'
  | 'BigInt'
  | 'Float'
  | 'Decimal'
  | 'Boolean'
  | 'DateTime'
  | 'Json'
  | 'Bytes'
  | 'Enum'

export interface Field {
  name: string
  /** Its column, after @map. */
  column: string
  type: ScalarType
  /** The enum's name and values, where the type is Enum. */
  enum?: EnumType
  isList: boolean
  isRequired: boolean
  isId: boolean
  isUnique: boolean
  isAutoincrement: boolean
  isUpdatedAt: boolean
  /** The comment of the schema, without annotations. */
  description?: string
  /** `/// @secret`: masked wherever it is shown. */
  isSecret: boolean
  /** `/// @health PATH`: the address of a service, and what is asked there to see whether it is up. */
  healthPath?: string
  /** The schema gives it a value where a new row has none. */
  hasDefault: boolean
  /** The default as Prisma states it: a value, a list, or a function by its name. */
  default?: unknown
  /** `@db.X(args)`. */
  nativeType?: { name: string; args: string[] }
}

export interface EnumType {
  name: string
  values: EnumValue[]
}

export interface EnumValue {
  name: string
  /** What the database holds, after @map. */
  stored: string
}

export interface Relation {
  /** The relation field's name; `A` or `B` in a join table. */
  name: string
  target: string
  /** Field names of this model, the foreign key. */
  from: string[]
  /** Field names of the target, in the same order. */
  to: string[]
  isRequired: boolean
  /** The name of the relation field at the other end. */
  opposite?: string
  /** What the schema says of it; without a word, `SetNull` for an optional relation and `Restrict` for a required one. */
  onDelete?: ReferentialAction
}

export type ReferentialAction = 'Cascade' | 'Restrict' | 'NoAction' | 'SetNull' | 'SetDefault'

/** A part of a natural key: a scalar of the row itself, or a reference, which stands for the target's own key. */
export type KeyPart = { kind: 'field'; name: string } | { kind: 'relation'; name: string }
