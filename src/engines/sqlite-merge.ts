// What an import does to an SQLite database, from the staged rows: counted for the plan, and done. Both use the same
// conditions, so the plan says what happens. Guarantees: rows are inserted in the order of the file; triggers do not
// fire; nothing is committed here.

import type { Field } from '../data-model.ts'
import type { ImportOptions, ModelCounts } from './engine-import.ts'
import { fieldOf, serialKey } from './import-mapping.ts'
import { bulkRows, raiseSequence, suspend } from './sqlite-bulk-load.ts'
import { type Identity, Values } from './sqlite-identity.ts'
import { mostExamples } from './sqlite-names.ts'
import { quoted, text } from './sqlite-rows.ts'
import type { Stage } from './sqlite-stage.ts'
import type { StagedModel } from './sqlite-staged-rows.ts'

export type MergeOptions = Pick<ImportOptions, 'mode' | 'keepExisting' | 'now'>

/** Functions that the connection must define: a new id of that kind for each row. */
export const idFunction = 'bookkeeper_id'

export class Merge {
  /** Models of which some row says something else than the database. */
  private readonly changed = new Set<StagedModel>()

  constructor(
    private readonly stage: Stage,
    private readonly identity: Identity,
    private readonly options: MergeOptions,
  ) {}

  /** With `replace` every row is written anew, unless the file says only a part of it: then it is changed in place. */
  private isAnew({ mapping }: StagedModel): boolean {
    return this.options.mode === 'replace' && !mapping.source.isPartial
  }

  private get database() {
    return this.stage.database
  }

  /** As SQL. */
  private get now(): string {
    return text(this.options.now.toISOString().replace('Z', '+00:00'))
  }

  /** Leaves out rows that lack what the schema requires and gives no default for. */
  leaveOutIncomplete(): void {
    for (const model of this.stage.models) {
      const { target } = model.mapping
      const values = new Values(this.identity, model, 's')
      for (const field of target.fields) {
        const value = values.of(field)
        if (!field.isRequired || field.isList || this.defaultOf(field) !== undefined || model.rows === 0) continue
        if (serialKey(target)?.name === field.name || field.isAutoincrement) continue
        if (value !== undefined && !this.mayBeEmpty(model, field)) continue
        const isAbsent = value === undefined ? 'true' : `${value} IS NULL`
        const isNew = this.isAnew(model) ? 'true' : `s.line NOT IN (${this.paired(model)})`
        const lines = `SELECT s.line FROM ${values.from} WHERE s.x IS NULL AND s.line > 0 AND ${isAbsent} AND ${isNew}`
        this.stage.leaveOut(model, `it has no ${field.name}, which the schema requires`, `line IN (${lines})`)
      }
    }
  }

  /** Whether some row of the file has nothing for the field. */
  private mayBeEmpty({ mapping, emptyMembers }: StagedModel, field: Field): boolean {
    const cell = mapping.cells.find((each) => each.field === field)
    if (cell) return cell.member === undefined || emptyMembers.has(cell.member)
    return mapping.references.every(
      ({ member, relation }) => !relation.from.includes(field.name) || !relation.isRequired || emptyMembers.has(member),
    )
  }

  counts(model: StagedModel): ModelCounts {
    const { name } = model.mapping
    const one = (sql: string) => this.database.prepare(sql).pluck().get() as number
    const skipped = model.hasLeftOut ? one(`SELECT count(*) FROM ${model.name} WHERE x IS NOT NULL AND line > 0`) : 0
    const live = this.identity.hasRows(model) ? one(`SELECT count(*) FROM ${this.identity.live(model)}`) : 0
    const paired = live === 0 ? 0 : one(`SELECT count(*) FROM (${this.paired(model)})`)
    const updated = paired === 0 ? 0 : this.findChanged(model)
    const kept = this.options.mode === 'merge' ? live - paired : this.keptRows(model)
    const changes = this.changedFields(model)
    return {
      model: name,
      rows: model.rows,
      created: model.rows - skipped - paired,
      updated,
      unchanged: paired - updated,
      skipped,
      removed: live - paired - kept,
      kept,
      ...(changes.length > 0 ? { changes } : {}),
    }
  }

  /** The first rows of each kind that was counted: lines of the file, and row ids of the database. */
  firstOf(model: StagedModel, { created, updated, removed, kept }: ModelCounts) {
    const { identity } = this
    const pairs = identity.pairs(model)
    const live = `l.${identity.rowid(model)}`
    const first = (count: number, sql: string) =>
      count === 0 ? [] : (this.database.prepare(`${sql} LIMIT ${mostExamples}`).pluck().all() as number[])
    const unpaired = `SELECT ${live} FROM ${identity.live(model)} AS l WHERE NOT EXISTS (SELECT 1 FROM ${pairs} AS m
      JOIN ${model.name} AS s ON s.line = m.line WHERE m.rid = ${live} AND s.x IS NULL)`
    const isKept = this.options.mode === 'merge' ? 'true' : (this.keptCondition(model) ?? 'false')
    return {
      created: first(
        created,
        `SELECT s.line FROM ${model.name} AS s WHERE s.x IS NULL AND s.line > 0
          AND NOT EXISTS (SELECT 1 FROM ${pairs} AS m WHERE m.line = s.line) ORDER BY s.line`,
      ),
      updated: first(
        updated,
        `SELECT m.rid FROM ${this.changedLines(model)} AS u JOIN ${pairs} AS m ON m.line = u.line ORDER BY u.line`,
      ),
      removed: first(removed, `${unpaired} AND NOT (${isKept}) ORDER BY ${live}`),
      kept: first(kept, `${unpaired} AND (${isKept}) ORDER BY ${live}`),
    }
  }

  /** With `replace`: protected rows that are not in the file stay. */
  private keptRows(model: StagedModel): number {
    const condition = this.keptCondition(model)
    if (!condition) return 0
    return this.database
      .prepare(`SELECT count(*) FROM ${this.identity.live(model)} AS l WHERE ${condition}`)
      .pluck()
      .get() as number
  }

  private keptCondition(model: StagedModel): string | undefined {
    const { target } = model.mapping
    if (!target.protectedField) return undefined
    return `l.${quoted(fieldOf(target, target.protectedField).column)} IS TRUE AND l.${this.identity.rowid(model)} NOT IN
      (SELECT m.rid FROM ${this.identity.pairs(model)} m JOIN ${model.name} s ON s.line = m.line WHERE s.x IS NULL)`
  }

  /** Lines of rows that are in the database and can be imported. */
  private paired(model: StagedModel): string {
    return `SELECT m.line FROM ${this.identity.pairs(model)} m JOIN ${model.name} p ON p.line = m.line WHERE p.x IS NULL`
  }

  private changedLines(model: StagedModel): string {
    return `temp.u${model.mapping.index}`
  }

  /** Columns that an update sets, with their new values. `changedAt` is for rows that are known to change. */
  private settable(
    model: StagedModel,
    values: Values,
    changedAt?: string,
  ): { name: string; column: string; value: string }[] {
    const { target, source } = model.mapping
    const fields = target.fields.flatMap((field) => {
      if (target.primaryKey.includes(field.name)) return []
      const value = values.of(field)
      const column = quoted(field.column)
      const open = field.isUpdatedAt ? changedAt : undefined
      const { name } = field
      if (!value) return open ? [{ name, column, value: open }] : []
      const given = this.withoutStandIn(model, values, field, value)
      return [{ name, column, value: source.isPartial ? `coalesce(${given}, ${open ?? `l.${column}`})` : given }]
    })
    const hidden = [...model.hiddenColumns].map(([column, staged]) => ({
      name: column,
      column: quoted(column),
      value: `s.${staged}`,
    }))
    return [...fields, ...hidden]
  }

  private withoutStandIn({ mapping }: StagedModel, values: Values, field: Field, value: string): string {
    const standIn = mapping.source.standIns?.[field.name]
    const other = standIn && mapping.target.fields.find(({ name }) => name === standIn.of)
    const of = other && values.of(other)
    return of ? `nullif(${value}, ${text(standIn.prefix)} || ${of})` : value
  }

  private findChanged(model: StagedModel): number {
    const { identity } = this
    this.database.exec(`CREATE TABLE ${this.changedLines(model)} (line INTEGER PRIMARY KEY)`)
    if (this.options.keepExisting && this.options.mode === 'merge') return 0
    const values = new Values(identity, model, 's')
    const differs = this.settable(model, values).map(({ column, value }) => `l.${column} IS NOT ${value}`)
    if (differs.length === 0) return 0
    const { changes } = this.database
      .prepare(`INSERT INTO ${this.changedLines(model)} SELECT s.line FROM ${this.besideLive(model, values)}
        WHERE s.x IS NULL AND (${differs.join(' OR ')})`)
      .run()
    if (changes > 0) this.changed.add(model)
    return changes
  }

  /** Rows of the file, with those of the database that they are. */
  private besideLive(model: StagedModel, values: Values): string {
    const { identity } = this
    return `${values.from} JOIN ${identity.pairs(model)} AS m ON m.line = s.line
      JOIN ${identity.live(model)} AS l ON l.${identity.rowid(model)} = m.rid`
  }

  private changedFields(model: StagedModel): NonNullable<ModelCounts['changes']> {
    if (!this.changed.has(model)) return []
    const values = new Values(this.identity, model, 's')
    const columns = this.settable(model, values)
    const rows = this.database
      .prepare(`SELECT ${columns.map(({ column, value }) => `sum(l.${column} IS NOT ${value})`).join(', ')}
        FROM ${this.besideLive(model, values)} JOIN ${this.changedLines(model)} AS u ON u.line = s.line`)
      .raw()
      .get() as number[]
    return columns.flatMap(({ name }, at) => (rows[at]! > 0 ? { field: name, rows: rows[at]! } : []))
  }

  apply(model: StagedModel): void {
    const { rows, mapping } = model
    // Where most of the table is new, indexes are built at the end.
    const isBulk = rows > bulkRows && (this.options.mode === 'replace' || !this.identity.hasRows(model))
    const restore = suspend(this.database, mapping.target.table, isBulk)
    if (this.options.mode === 'replace') this.remove(model)
    if (!this.isAnew(model)) this.update(model)
    this.insert(model)
    if (this.options.mode === 'replace') raiseSequence(this.database, mapping)
    restore()
  }

  private remove(model: StagedModel): void {
    const stays = this.isAnew(model)
      ? []
      : [
          `l.${this.identity.rowid(model)} IN (SELECT rid FROM ${this.identity.pairs(model)} WHERE line IN (${this.paired(model)}))`,
        ]
    const kept = [this.keptCondition(model) ?? [], stays].flat().join(' OR ')
    this.database.exec(
      kept !== ''
        ? `DELETE FROM ${this.identity.live(model)} AS l WHERE NOT (${kept})`
        : `DELETE FROM ${this.identity.live(model)}`,
    )
  }

  private update(model: StagedModel): void {
    if (!this.changed.has(model)) return
    const lines = this.changedLines(model)
    const values = new Values(this.identity, model, 's')
    const columns = this.settable(model, values, this.now)
    const rowid = this.identity.rowid(model)
    const live = this.identity.live(model)
    this.database.exec(`UPDATE ${live} SET ${columns.map(({ column }, at) => `${column} = v.v${at}`).join(', ')}
      FROM (SELECT m.rid AS rid, ${columns.map(({ value }, at) => `${value} AS v${at}`).join(', ')}
        FROM ${this.besideLive(model, values)} JOIN ${lines} AS u ON u.line = s.line) AS v
      WHERE ${quoted(model.mapping.target.table)}.${rowid} = v.rid`)
  }

  private insert(model: StagedModel): void {
    const { target } = model.mapping
    if (model.rows === 0) return
    const values = new Values(this.identity, model, 's')
    const columns: string[] = []
    const sources: string[] = []
    for (const field of target.fields) {
      const value = values.of(field)
      const fallback = this.defaultOf(field)
      const isGiven = value !== undefined && !model.mapping.missing.includes(field)
      if (serialKey(target)?.name === field.name && value !== undefined) {
        columns.push(quoted(field.column))
        sources.push(value)
      } else if (isGiven) {
        columns.push(quoted(field.column))
        const takesDefault = fallback !== undefined && (field.isRequired || model.mapping.source.isPartial)
        sources.push(takesDefault ? `ifnull(${value}, ${fallback})` : value)
      } else if (fallback !== undefined) {
        columns.push(quoted(field.column))
        sources.push(fallback)
      }
    }
    for (const [column, staged] of model.hiddenColumns) {
      columns.push(quoted(column))
      sources.push(`s.${staged}`)
    }
    const isNew =
      this.isAnew(model) || !this.identity.hasPairs(model)
        ? ''
        : `AND s.line NOT IN (SELECT line FROM ${this.identity.pairs(model)})`
    this.database.exec(`INSERT INTO ${this.identity.live(model)} (${columns.join(', ')})
      SELECT ${sources.join(', ')} FROM ${values.from} WHERE s.x IS NULL AND s.line > 0 ${isNew} ORDER BY s.line`)
  }

  /** What a new row gets where the file has no value, as SQL. */
  private defaultOf(field: Field): string | undefined {
    const { now } = this
    if (field.isUpdatedAt) return now
    const value = field.default
    if (value === undefined || value === null || Array.isArray(value)) return undefined
    if (typeof value === 'object') {
      const { name } = value as { name?: string }
      if (name === 'now') return now
      if (name === 'dbgenerated') return this.stage.form.fillsDefaults ? 'NULL' : undefined
      return name === 'uuid' || name === 'cuid' || name === 'ulid' || name === 'nanoid'
        ? `${idFunction}(${text(name)}, s.line)`
        : undefined
    }
    switch (field.type) {
      case 'Enum':
        return text(field.enum?.values.find(({ name }) => name === value)?.stored ?? String(value))
      case 'Boolean':
        return value === true || value === 'true' ? '1' : '0'
      case 'Int':
      case 'BigInt':
      case 'Float':
      case 'Decimal':
        return String(value)
      case 'Bytes':
        return `x'${Buffer.from(String(value), 'base64').toString('hex')}'`
      case 'DateTime':
        return text(String(value).replace(/Z$/, '+00:00'))
      default:
        return text(String(value))
    }
  }
}
