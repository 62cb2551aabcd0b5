// Random Prisma schemas, and random rows that fit them, for round trips. The same seed gives the same schema and rows.
// Schemas have what real ones have: every scalar, enums with @map, @map and @@map, composite keys, self relations,
// circles of optional foreign keys, many-to-many, models whose only key is a serial id or none but a @@unique.

import type Database from 'better-sqlite3'
import type { DataModel, Field, Model } from '../../src/data-model.ts'
import { randomFrom } from '../random.ts'

type Random = () => number
const pick = <Item>(random: Random, items: readonly Item[]): Item => items[Math.floor(random() * items.length)] as Item
const chance = (random: Random, of: number) => random() < of
const upTo = (random: Random, most: number) => Math.floor(random() * (most + 1))

const scalars = ['String', 'Int', 'BigInt', 'Float', 'Decimal', 'Boolean', 'DateTime', 'Json', 'Bytes', 'Kind', 'Level']

export function randomSchema(seed: number): string {
  const random = randomFrom(seed)
  const names = Array.from({ length: 1 + upTo(random, 4) }, (_, index) => `M${index}`)
  const models = names.map((name) => new RandomModel(name, random))
  for (const [index, model] of models.entries())
    for (let relations = upTo(random, 2); relations > 0; relations--) model.refer(pick(random, models), index, models)
  for (let links = upTo(random, 1); links > 0; links--) {
    const [a, b] = [pick(random, models), pick(random, models)]
    if (a !== b && a.hasSingleId && b.hasSingleId) {
      a.lines.push(`  links${a.lines.length}_${b.name} ${b.name}[] @relation("L${a.name}${b.name}")`)
      b.lines.push(`  links${b.lines.length}_${a.name} ${a.name}[] @relation("L${a.name}${b.name}")`)
    }
  }
  return `datasource db {
  provider = "sqlite"
}
generator client {
  provider = "prisma-client"
  output = "./generated"
}
enum Kind {
  A @map("a'b")
  B
  C @map("ü")
}
enum Level {
  LOW
  HIGH
}
${models.map((model) => model.text()).join('\n')}
`
}

class RandomModel {
  readonly lines: string[] = []
  private readonly blocks: string[] = []
  readonly idKind: 'serial' | 'string' | 'int' | 'pair' | 'unique'
  private relations = 0

  constructor(
    readonly name: string,
    private readonly random: Random,
  ) {
    this.idKind = pick(random, ['serial', 'serial', 'serial', 'string', 'int', 'pair', 'unique'])
    const mapped = () => (chance(random, 0.2) ? ` @map("col ${this.lines.length}")` : '')
    if (this.idKind === 'serial') this.lines.push(`  id Int @id @default(autoincrement())${mapped()}`)
    if (this.idKind === 'string') this.lines.push(`  id String @id${mapped()}`)
    if (this.idKind === 'int') this.lines.push(`  id Int @id${mapped()}`)
    if (this.idKind === 'pair') {
      this.lines.push(`  ka String${mapped()}`, '  kb Int')
      this.blocks.push('  @@id([ka, kb])')
    }
    if (this.idKind === 'unique') this.lines.push(`  code String @unique${mapped()}`)
    for (let fields = upTo(random, 6); fields > 0; fields--) {
      const type = pick(random, scalars)
      const isUnique = (type === 'String' || type === 'Int' || type === 'BigInt') && chance(random, 0.2)
      const mark = chance(random, 0.4) ? '?' : ''
      this.lines.push(`  f${this.lines.length} ${type}${mark}${isUnique ? ' @unique' : ''}${mapped()}`)
    }
    if (chance(random, 0.2)) this.blocks.push(`  @@map("table ${name.toLowerCase()}")`)
  }

  get hasSingleId(): boolean {
    return this.idKind === 'serial' || this.idKind === 'string' || this.idKind === 'int'
  }

  /** Required only to models before this one: a circle needs a way in. */
  refer(target: RandomModel, index: number, models: RandomModel[]): void {
    const { random, name } = this
    const number = ++this.relations
    const isRequired = models.indexOf(target) < index && chance(random, 0.5)
    const mark = isRequired ? '' : '?'
    const relation = `R${name}_${number}`
    const [fields, columns, references] = {
      serial: [['Int'], [`r${number}`], ['id']],
      int: [['Int'], [`r${number}`], ['id']],
      string: [['String'], [`r${number}`], ['id']],
      unique: [['String'], [`r${number}`], ['code']],
      pair: [
        ['String', 'Int'],
        [`r${number}a`, `r${number}b`],
        ['ka', 'kb'],
      ],
    }[target.idKind] as [string[], string[], string[]]
    columns.forEach((column, part) => {
      this.lines.push(`  ${column} ${fields[part]}${mark}${chance(random, 0.2) ? ` @map("${column} x")` : ''}`)
    })
    this.lines.push(
      `  to${number} ${target.name}${mark} @relation("${relation}", fields: [${columns}], references: [${references}], onDelete: NoAction, onUpdate: NoAction)`,
    )
    target.lines.push(`  back${target.lines.length}_${name}_${number} ${name}[] @relation("${relation}")`)
    // A natural key with a reference in it.
    if (isRequired && columns.length === 1 && chance(random, 0.3)) {
      this.lines.push(`  n${number} Int`)
      this.blocks.push(`  @@unique([${columns[0]}, n${number}])`)
    }
  }

  text(): string {
    return `model ${this.name} {\n${[...this.lines, ...this.blocks].join('\n')}\n}`
  }
}

/** Fills every table, in an order in which every required reference finds its row. */
export function fillRandomly(database: Database.Database, { models }: DataModel, seed: number, mostRows: number): void {
  const random = randomFrom(seed)
  const rows = new Map<string, Record<string, unknown>[]>()
  database.pragma('foreign_keys = off')
  for (const model of inOrder(models)) {
    const made: Record<string, unknown>[] = []
    rows.set(model.name, made)
    const used = new Set<string>()
    for (let count = upTo(random, mostRows); count > 0; count--) {
      const row = randomRow(model, rows, random)
      if (!row || !isNew(model, row, used)) continue
      made.push(row)
    }
    // Serial ids rise, but have gaps.
    const columns = model.fields.map(({ column }) => `"${column}"`)
    const insert = database.prepare(
      `INSERT INTO "${model.table}" (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`,
    )
    for (const row of made) insert.run(model.fields.map(({ name }) => row[name] ?? null))
  }
}

function inOrder(models: Model[]): Model[] {
  const ordered: Model[] = []
  const visit = (model: Model, path: Model[]) => {
    if (ordered.includes(model) || path.includes(model)) return
    for (const { target, isRequired } of model.relations)
      if (isRequired) visit(models.find(({ name }) => name === target) as Model, [...path, model])
    ordered.push(model)
  }
  for (const model of models) visit(model, [])
  return ordered
}

function randomRow(model: Model, rows: Map<string, Record<string, unknown>[]>, random: Random) {
  const row: Record<string, unknown> = {}
  const foreign = new Set(model.relations.flatMap(({ from }) => from))
  for (const field of model.fields)
    if (!foreign.has(field.name)) row[field.name] = randomValue(field, random, rows.get(model.name)?.length ?? 0)
  for (const relation of model.relations) {
    const targets = relation.target === model.name ? rows.get(model.name) : rows.get(relation.target)
    const target =
      targets && targets.length > 0 && (relation.isRequired || chance(random, 0.7)) ? pick(random, targets) : undefined
    if (!target && relation.isRequired) return undefined
    relation.from.forEach((from, part) => {
      row[from] = target ? target[relation.to[part] as string] : null
    })
  }
  return row
}

function isNew(model: Model, row: Record<string, unknown>, used: Set<string>): boolean {
  const keys = [model.primaryKey, ...model.uniques]
    .filter((names) => names.length > 0 && names.every((name) => row[name] !== null && row[name] !== undefined))
    .map((names) => JSON.stringify([names, names.map((name) => String(row[name]))]))
  if (keys.some((key) => used.has(key))) return false
  for (const key of keys) used.add(key)
  return true
}

const strings = [
  '',
  ' ',
  'a',
  'A',
  'ä',
  'e\u0301',
  '😀',
  '"',
  "'",
  '\\',
  '\n',
  '\u2028',
  'null',
  '{"#":1}',
  '[1]',
  '0',
  '  x ',
  '\u0000',
  'ﬁ',
]

function randomText(random: Random): string {
  return Array.from({ length: upTo(random, 4) }, () => pick(random, strings)).join('')
}

function randomValue(field: Field, random: Random, made: number): unknown {
  if (field.isAutoincrement) return made * 3 + 1 + upTo(random, 1)
  if (!field.isRequired && chance(random, 0.3)) return null
  switch (field.type) {
    case 'String':
      return randomText(random)
    case 'Int':
      return pick(random, [0, 1, -1, 2147483647, -2147483648, upTo(random, 1000)])
    case 'BigInt':
      return pick(random, [
        0n,
        -1n,
        9223372036854775807n,
        -9223372036854775808n,
        9007199254740993n,
        BigInt(upTo(random, 99)),
      ])
    case 'Float':
      return pick(random, [0, 0.1, -1.5, 1e308, 5e-324, 1 / 3, random() * 1e6, 3])
    case 'Decimal':
      return pick(random, [0, 1, 12.5, -0.1, 1e20, random()])
    case 'Boolean':
      return chance(random, 0.5) ? 1 : 0
    case 'DateTime':
      return pick(random, [
        '2025-01-01T00:00:00.000+00:00',
        '2025-01-01 10:00:00',
        1700000000123,
        '0001-01-01T00:00:00Z',
      ])
    case 'Json':
      return pick(random, ['{}', 'null', '[1, 2.50]', '"x"', '{"#":1}', '{ "a" : "ü" }'])
    case 'Bytes':
      return Buffer.from(randomText(random))
    default:
      return pick(random, field.enum?.values ?? []).stored
  }
}
