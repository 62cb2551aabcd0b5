// Says which row of the file is which row of the database, and which serial id each will have. It all happens in
// temporary tables: m<n> pairs lines with row ids. Guarantees: no row of either side is in two pairs; rows are told by
// natural key, else by a primary key that is no serial number, else by everything that they say; the same file
// imported twice finds all of its rows the second time.

import type { Field, Relation } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import { fieldOf, type Reference, serialKey } from './import-mapping.ts'
import { quoted } from './sqlite-rows.ts'
import type { Stage } from './sqlite-stage.ts'
import type { StagedModel } from './sqlite-staged-rows.ts'

/** Must be defined on the connection: text without case, Unicode form and outer spaces. */
export const looseFunction = 'bookkeeper_loose'

/** Values of a staged row as they will be stored, and the joins that they need. */
export class Values {
  readonly joins: string[] = []

  constructor(
    private readonly identity: Identity,
    readonly model: StagedModel,
    readonly alias: string,
  ) {}

  /** Undefined: the file says nothing of this field. */
  of(field: Field): string | undefined {
    return this.value(this.model, this.alias, field)
  }

  private value(model: StagedModel, alias: string, field: Field): string | undefined {
    const cell = model.cellColumns.get(field.name)
    if (cell) return this.identity.isRenumbered(model, field) ? `${alias}.f` : `${alias}.${cell}`
    const parts: string[] = []
    model.mapping.references.forEach(({ relation, to }, index) => {
      const part = relation.from.indexOf(field.name)
      if (part < 0) return
      const target = this.identity.stage.models[to] as StagedModel
      const referred = fieldOf(target.mapping.target, relation.to[part]!)
      const narrow = this.identity.narrowColumn(target, referred)
      const value = narrow
        ? `${this.join(this.identity.narrow(target), `${alias}.r${index}`)}.${narrow}`
        : this.value(target, this.join(target.name, `${alias}.r${index}`), referred)
      if (value) parts.push(value)
    })
    const raw = model.rawColumns.get(field.name)
    if (raw && (parts.length > 0 || model.mapping.raw.some((each) => each.field === field && each.member)))
      parts.push(`${alias}.${raw}`)
    return parts.length > 1 ? `coalesce(${parts.join(', ')})` : parts[0]
  }

  private readonly aliases = new Map<string, string>()

  private join(table: string, line: string): string {
    const join = `${table} ${line}`
    const known = this.aliases.get(join)
    if (known) return known
    const alias = `${this.alias}${this.aliases.size + 1}`
    this.aliases.set(join, alias)
    this.joins.push(`LEFT JOIN ${table} AS ${alias} ON ${alias}.line = ${line}`)
    return alias
  }

  get from(): string {
    return [`${this.model.name} AS ${this.alias}`, ...this.joins].join(' ')
  }
}

export class Identity {
  /** Models whose rows get another serial id than the file says, at least in part. */
  private readonly renumbered = new Set<StagedModel>()
  private readonly narrowColumns = new Map<StagedModel, Field[]>()
  private readonly done = new Set<StagedModel>()
  private readonly needs = new Map<StagedModel, Set<StagedModel>>()
  /** References that tell no rows apart, because that would lead in a circle. */
  private readonly circular = new Set<Relation>()

  constructor(
    readonly stage: Stage,
    /** With `replace`, only protected rows keep their ids. */
    private readonly keepsIds: (model: StagedModel) => 'all' | 'protected' | 'none',
    /** With `merge`: what a row that is there already keeps of its fields. */
    private readonly keepsFields: ((model: StagedModel, field: Field) => boolean) | undefined,
    /** The primary keys of the file are those of the database, serial ones as well: they come first. */
    private readonly byPrimaryKey = false,
  ) {}

  isRenumbered(model: StagedModel, field: Field): boolean {
    return this.renumbered.has(model) && serialKey(model.mapping.target)?.name === field.name
  }

  narrow(model: StagedModel): string {
    return `temp.n${model.mapping.index}`
  }

  /**
   * Where the value of a field that references need can be read from a table of nothing else: rows are long, and every
   * reference looks into another page of theirs. Undefined before the model's ids are settled.
   */
  narrowColumn(model: StagedModel, field: Field): string | undefined {
    const columns = this.narrowColumns.get(model)
    return columns?.includes(field) ? `v${columns.indexOf(field)}` : undefined
  }

  private makeNarrow(model: StagedModel): void {
    const { target } = model.mapping
    const isReferred = ({ to }: Reference) => this.stage.models[to] === model
    const relations = this.stage.models.flatMap(({ mapping }) => mapping.references.filter(isReferred))
    const names = new Set(relations.flatMap(({ relation }) => relation.to))
    const values = new Values(this, model, 's')
    const fields = [...names].map((name) => fieldOf(target, name)).filter((field) => values.of(field) !== undefined)
    if (fields.length === 0) return
    const paired = this.keepsFields && this.hasPairs(model)
    const columns = fields.map((field) => {
      const value = values.of(field)
      // A row that is there already keeps its primary key, whatever the file calls it.
      return paired && this.keepsFields?.(model, field)
        ? `iif(l.${this.rowid(model)} IS NULL, ${value}, l.${quoted(field.column)})`
        : value
    })
    const join = paired
      ? `LEFT JOIN ${this.pairs(model)} AS m ON m.line = s.line LEFT JOIN ${this.live(model)} AS l ON l.${this.rowid(model)} = m.rid`
      : ''
    this.database.exec(`CREATE TABLE ${this.narrow(model)} (line INTEGER PRIMARY KEY, ${fields.map((_, at) => `v${at}`).join(', ')});
      INSERT INTO ${this.narrow(model)} SELECT s.line, ${columns.join(', ')} FROM ${values.from} ${join}`)
    this.narrowColumns.set(model, fields)
  }

  hasPairs(model: StagedModel): boolean {
    return this.exists(`SELECT 1 FROM ${this.pairs(model)}`)
  }

  pairs(model: StagedModel): string {
    return `temp.m${model.mapping.index}`
  }

  live(model: StagedModel): string {
    return `main.${quoted(model.mapping.target.table)}`
  }

  rowid(model: StagedModel): string {
    const { rowid } = model.table
    if (!rowid)
      throw new BootkeeperError(
        'IMPORT_CONFLICT',
        `The table "${model.mapping.target.table}" has no row ids (WITHOUT ROWID): rows cannot be imported into it yet.`,
      )
    return rowid
  }

  hasRows(model: StagedModel): boolean {
    return this.exists(`SELECT 1 FROM ${this.live(model)}`)
  }

  private get database() {
    return this.stage.database
  }

  private exists(sql: string): boolean {
    return this.database.prepare(`SELECT EXISTS (${sql} LIMIT 1)`).pluck().get() === 1
  }

  /** For each model, those first that its identity hangs on. */
  findAll(): void {
    this.chooseMeans()
    for (const model of this.stage.models) this.find(model)
  }

  /**
   * What tells a model's rows apart may itself refer to rows, whose identity must be known before. References in keys
   * come first: these never lead in a circle (natural-key.ts). Each other reference is used as well, unless it would
   * close a circle.
   */
  private chooseMeans(): void {
    const { models } = this.stage
    const leadsTo = (from: StagedModel, to: StagedModel, seen = new Set<StagedModel>()): boolean => {
      if (from === to) return true
      if (seen.has(from)) return false
      seen.add(from)
      return [...(this.needs.get(from) ?? [])].some((next) => leadsTo(next, to, seen))
    }
    for (const model of models) this.needs.set(model, new Set())
    for (const pass of ['keys', 'rest'] as const)
      for (const model of models) {
        const { target, references } = model.mapping
        const key = new Set([...this.keyFields(model).map(({ name }) => name), ...target.primaryKey])
        for (const { relation, to } of references) {
          const referred = models[to] as StagedModel
          const isKey = relation.from.some((name) => key.has(name))
          if (isKey !== (pass === 'keys')) continue
          if (leadsTo(referred, model)) this.circular.add(relation)
          else this.needs.get(model)?.add(referred)
        }
      }
  }

  private find(model: StagedModel): void {
    if (this.done.has(model)) return
    for (const needed of this.needs.get(model) ?? []) this.find(needed)
    this.database.exec(`CREATE TABLE ${this.pairs(model)} (line INTEGER PRIMARY KEY, rid INTEGER UNIQUE)`)
    if (this.hasRows(model)) {
      if (this.byPrimaryKey) this.pairByPrimaryKey(model)
      this.pairByNaturalKey(model)
      if (!this.byPrimaryKey && !serialKey(model.mapping.target)) this.pairByPrimaryKey(model)
      this.pairByContent(model)
    }
    this.number(model)
    this.makeNarrow(model)
    this.done.add(model)
  }

  private keyFields({ mapping: { target } }: StagedModel): Field[] {
    const names = target.naturalKey.flatMap((part) =>
      part.kind === 'field' ? [part.name] : (target.relations.find(({ name }) => name === part.name)?.from ?? []),
    )
    return [...new Set(names)].map((name) => fieldOf(target, name))
  }

  private pairByNaturalKey(model: StagedModel): void {
    this.pairByFields(model, this.keyFields(model))
  }

  private pairByPrimaryKey(model: StagedModel): void {
    const { target } = model.mapping
    this.pairByFields(
      model,
      target.primaryKey.map((name) => fieldOf(target, name)),
    )
  }

  private pairByFields(model: StagedModel, fields: Field[]): void {
    const values = new Values(this, model, 's')
    const on = fields.map((field) => {
      const value = values.of(field)
      return value && `l.${quoted(field.column)} = ${value}`
    })
    if (fields.length === 0 || on.some((each) => each === undefined)) return
    const rid = `l.${this.rowid(model)}`
    this.database.exec(`INSERT OR IGNORE INTO ${this.pairs(model)}
      SELECT s.line, ${rid} FROM ${values.from} CROSS JOIN ${this.live(model)} AS l ON ${on.join(' AND ')}
      WHERE s.x IS NULL AND s.line > 0 AND s.line NOT IN (SELECT line FROM ${this.pairs(model)})
        AND ${rid} NOT IN (SELECT rid FROM ${this.pairs(model)}) ORDER BY s.line`)
  }

  /** Rows that no key tells apart: the first with certain values is the first with these values, and so on. */
  private pairByContent(model: StagedModel): void {
    const { target, source } = model.mapping
    const keyFields = this.keyFields(model)
    const values = new Values(this, model, 's')
    const keyValues = keyFields.map((field) => values.of(field))
    const keyless = (parts: (string | undefined)[]) =>
      parts.length === 0
        ? 'true'
        : `(${parts.map((part) => (part === undefined ? 'true' : `${part} IS NULL`)).join(' OR ')})`
    // A primary key that says which row it is has been asked already.
    if (target.primaryKey.length > 0 && (this.byPrimaryKey || !serialKey(target))) return
    const loose = source.looseKey?.flatMap((name) => target.fields.find((field) => field.name === name) ?? [])
    const told = (loose ?? target.fields).filter(
      (field) =>
        field.name !== serialKey(target)?.name && !this.isInCircle(model, field) && values.of(field) !== undefined,
    )
    const hash = (parts: string[]) =>
      parts.map((part) => `quote(${loose ? `${looseFunction}(${part})` : part})`).join(" || ',' || ") || "''"
    const staged = hash(told.map((field) => values.of(field) as string))
    const live = hash(told.map((field) => `l.${quoted(field.column)}`))
    const rid = `l.${this.rowid(model)}`
    const lines = `temp.hs${model.mapping.index}`
    const rows = `temp.hl${model.mapping.index}`
    const liveKeyless = keyless(keyFields.map((field) => `l.${quoted(field.column)}`))
    const serial = serialKey(target)
    const hint = (serial && model.cellColumns.get(serial.name)) ?? 'line'
    const id = serial ? `l.${quoted(serial.column)}` : 'NULL'
    const rest = (table: string, name: string) =>
      `SELECT ${name}, h, row_number() OVER (PARTITION BY h ORDER BY ${name}) AS n FROM ${table}
        WHERE ${name} NOT IN (SELECT ${name} FROM ${this.pairs(model)})`
    // Of several equal rows those with the same id first: they were one and the same, or it makes no difference.
    this.database.exec(`
      CREATE TABLE ${lines} AS SELECT s.line AS line, s.${hint} AS id, ${staged} AS h FROM ${values.from}
        WHERE s.x IS NULL AND s.line > 0 AND ${keyless(keyValues)} AND s.line NOT IN (SELECT line FROM ${this.pairs(model)});
      CREATE TABLE ${rows} AS SELECT ${rid} AS rid, ${id} AS id, ${live} AS h FROM ${this.live(model)} AS l
        WHERE ${liveKeyless} AND ${rid} NOT IN (SELECT rid FROM ${this.pairs(model)});
      CREATE INDEX ${rows}_i ON ${rows.replace('temp.', '')} (h, id);
      INSERT OR IGNORE INTO ${this.pairs(model)}
        SELECT a.line, b.rid FROM ${lines} a JOIN ${rows} b ON a.h = b.h AND a.id = b.id;
      CREATE TABLE ${rows}_n AS ${rest(rows, 'rid')};
      CREATE INDEX ${rows}_h ON ${rows.replace('temp.', '')}_n (h, n);
      INSERT INTO ${this.pairs(model)}
        SELECT a.line, b.rid FROM (${rest(lines, 'line')}) a JOIN ${rows}_n b ON a.h = b.h AND a.n = b.n;
      DROP TABLE ${lines}; DROP TABLE ${rows}; DROP TABLE ${rows}_n`)
  }

  private isInCircle(model: StagedModel, field: Field): boolean {
    return model.mapping.references.some(
      ({ relation }) => this.circular.has(relation) && relation.from.includes(field.name),
    )
  }

  /** Serial ids: those of the database for rows that it has, the file's where they are free, the next ones else. */
  private number(model: StagedModel): void {
    const key = serialKey(model.mapping.target)
    const cell = key && model.cellColumns.get(key.name)
    if (!key || !cell) return
    const keeps = this.hasRows(model) ? this.keepsIds(model) : 'none'
    const isFreeOfTrouble =
      keeps === 'none' &&
      !this.exists(`SELECT 1 FROM ${model.name} WHERE line < 0`) &&
      (model.hasRisingIds ||
        (!this.exists(`SELECT 1 FROM ${model.name} WHERE ${cell} IS NULL AND x IS NULL`) &&
          !this.exists(`SELECT 1 FROM ${model.name} WHERE x IS NULL GROUP BY ${cell} HAVING count(*) > 1`)))
    if (isFreeOfTrouble) return
    this.renumbered.add(model)
    const live = this.live(model)
    const id = `l.${quoted(key.column)}`
    const kept =
      keeps === 'protected'
        ? `AND l.${quoted(fieldOf(model.mapping.target, model.mapping.target.protectedField!).column)}`
        : ''
    const taken =
      keeps === 'none' ? 'false' : `EXISTS (SELECT 1 FROM ${live} AS l WHERE ${id} = ${model.name}.${cell} ${kept})`
    if (keeps !== 'none')
      this.database.exec(`UPDATE ${model.name} SET f = (SELECT ${id} FROM ${this.pairs(model)} m JOIN ${live} AS l
        ON l.${this.rowid(model)} = m.rid WHERE m.line = ${model.name}.line ${kept}) WHERE line > 0`)
    this.database.exec(`UPDATE ${model.name} SET f = ${cell} WHERE f IS NULL AND x IS NULL AND ${cell} IS NOT NULL
      AND (line < 0 OR NOT ${taken})
      AND line IN (SELECT min(line) FROM ${model.name} WHERE x IS NULL GROUP BY ${cell});
      UPDATE ${model.name} SET f = a.n FROM (
        SELECT line, row_number() OVER (ORDER BY line) + max(
          ifnull((SELECT max(${id}) FROM ${live} AS l), 0), ifnull((SELECT max(${cell}) FROM ${model.name}), 0),
          ${this.sequence(model)}) AS n
        FROM ${model.name} WHERE f IS NULL AND x IS NULL AND line > 0) AS a WHERE a.line = ${model.name}.line`)
  }

  /** The highest id that the table ever gave out, where it says so. */
  private sequence({ mapping: { target } }: StagedModel): string {
    const has = this.exists(`SELECT 1 FROM main.sqlite_master WHERE name = 'sqlite_sequence'`)
    const name = `'${target.table.replaceAll("'", "''")}'`
    return has ? `ifnull((SELECT max(seq) FROM main.sqlite_sequence WHERE name = ${name}), 0)` : '0'
  }
}
