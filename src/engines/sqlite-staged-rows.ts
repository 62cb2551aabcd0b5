// Puts the rows of one model into its temporary table, each value checked and in the form that SQLite stores.
// Guarantees: what has no place in the schema is counted; a wrong value is an error with its place; a reference becomes
// the line of its row at once where that came before and is still in memory, else it stays text for the stage to resolve.

import type Database from 'better-sqlite3'
import type { Field } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import type { JsonRow, SourceHeader } from '../import-source.ts'
import { type Mapping, serialKey } from './import-mapping.ts'
import { type Keys, keyOfRow, keyText, requireShallow, sameKey, simpleKey, whereIs } from './reference-keys.ts'
import { type Cell, type CellForm, type ToCell, ValueWithoutPlace, WrongValue } from './sqlite-cells.ts'
import { RowWriter } from './sqlite-row-writer.ts'
import { quoted } from './sqlite-rows.ts'
import type { SqliteTableInfo } from './sqlite-tables.ts'

export interface StagedModel {
  mapping: Mapping
  table: SqliteTableInfo
  /** Of the temporary table. */
  name: string
  rows: number
  /** By field name: the column of the temporary table. */
  cellColumns: Map<string, string>
  rawColumns: Map<string, string>
  hiddenColumns: Map<string, string>
  /** References that are still text: their rows come later in the file, or are not in it. */
  openReferences: number[]
  /** Whether every row has a serial id of its own: seen by their rising. */
  hasRisingIds: boolean
  /** Whether `x` is set in any row: asking all of them would take as long as the import of many. */
  hasLeftOut: boolean
  /** Members that are empty in some row. */
  emptyMembers: Set<string>
  /** By member without a place, and by column: rows that have a value there. */
  lost: Map<string, number>
}

interface StagedCell {
  member: string | undefined
  toCell: ToCell
  isRequired: boolean
}

export class StagedRows {
  readonly model: StagedModel
  private readonly writer: RowWriter
  private readonly idAt: number
  private lastId = Number.NEGATIVE_INFINITY
  private readonly known: Set<string>
  private readonly cells: StagedCell[]
  private readonly plainKeys: { member: string; toCell: ToCell; field?: Field }[]
  private readonly firstCell: number
  private reason: string | null = null
  private hasRaw = false
  private raw: Cell[]

  constructor(
    database: Database.Database,
    private readonly header: SourceHeader,
    mapping: Mapping,
    table: SqliteTableInfo,
    /** Where rows of other models refer to these rows. */
    private readonly keys: Keys<number> | undefined,
    private readonly keysOf: Map<number, Keys<number>>,
    private readonly form: CellForm,
  ) {
    const { cells, raw, references, source, target, index } = mapping
    const name = `temp.s${index}`
    const isKnown = new Set(target.fields.map(({ column }) => column))
    const hidden = (source.columns ?? []).filter((column) =>
      table.columns.some((each) => each.name === column && !each.isGenerated && !isKnown.has(column)),
    )
    this.model = {
      mapping,
      table,
      name,
      rows: 0,
      cellColumns: new Map(cells.map(({ field }, at) => [field.name, `c${at}`])),
      rawColumns: new Map(raw.map(({ field }, at) => [field.name, `q${at}`])),
      hiddenColumns: new Map(hidden.map((column, at) => [column, `h${at}`])),
      openReferences: [],
      hasRisingIds: true,
      hasLeftOut: false,
      emptyMembers: new Set(),
      lost: new Map(),
    }
    const type = (column: string) => table.columns.find((each) => each.name === column)?.type ?? ''
    const columns = [
      'line INTEGER PRIMARY KEY',
      'x',
      'k',
      'f INTEGER',
      ...cells.map(({ field }, at) => `c${at} ${affinity(type(field.column))}`),
      ...raw.map(({ field }, at) => `q${at} ${affinity(type(field.column))}`),
      ...references.map((_, at) => `r${at}`),
      ...hidden.map((column, at) => `h${at} ${affinity(type(column))}`),
    ]
    database.exec(`CREATE TABLE ${name} (${columns.join(', ')})`)
    const names = columns.map((column) => column.split(' ')[0] as string)
    // What nearly every row leaves empty costs time to bind.
    const isUsual = (each: string) => !/^([xf]|q\d+)$/.test(each) && (each !== 'k' || keys !== undefined)
    const rare = names.filter((each) => each === 'x' || /^q\d+$/.test(each))
    this.writer = new RowWriter(database, name, names.filter(isUsual), rare)
    this.firstCell = keys ? 2 : 1
    this.raw = raw.map(() => null)
    const serial = serialKey(target)?.name
    this.idAt = serial === undefined ? -1 : cells.findIndex(({ field, member }) => field.name === serial && member)
    this.model.hasRisingIds = this.idAt >= 0
    const verbatim = header.engine === 'sqlite'
    this.cells = cells.map(({ member, field, source: given }) => ({
      member,
      toCell: form.cellOf(field, given?.type ?? field.type, verbatim),
      isRequired: field.isRequired,
    }))
    const referring = new Set(references.flatMap(({ rawMembers }) => rawMembers ?? []))
    this.plainKeys = raw.flatMap(({ member, field }) =>
      member === undefined
        ? []
        : [
            {
              member,
              toCell: form.cellOf(field, field.type, verbatim),
              ...(referring.has(member) ? {} : { field }),
            },
          ],
    )
    this.known = new Set([
      ...[...cells, ...raw].flatMap(({ member }) => member ?? []),
      ...references.flatMap(({ member, rawMembers }) => rawMembers ?? [member]),
    ])
  }

  add(row: JsonRow, line: number): void {
    const cells = this.cellsOf(row, line)
    const reason = this.reason
    const { hasRaw, model } = this
    if (model.hasRisingIds) {
      const id = cells[this.firstCell + this.idAt]
      if (typeof id === 'number' && id > this.lastId) this.lastId = id
      else model.hasRisingIds = false
    }
    if (reason !== null) model.hasLeftOut = true
    if (reason === null && !hasRaw) this.writer.addUsual(cells)
    else this.writer.addRare(cells, reason, this.raw)
    model.rows++
  }

  /** What nearly every row has. A reason to leave it out, and raw foreign keys, are put beside. */
  private cellsOf(row: JsonRow, line: number): Cell[] {
    const { model, keys } = this
    const { references } = model.mapping
    this.reason = null
    this.hasRaw = false
    const cells: Cell[] = keys ? [line, this.keyOf(row, line)] : [line]
    let present = 0
    for (const cell of this.cells) {
      const { member } = cell
      const value = member === undefined ? undefined : row[member]
      if (value !== undefined) present++
      if (value === undefined || value === null) {
        if (cell.isRequired && member !== undefined) model.emptyMembers.add(member)
        cells.push(null)
      } else cells.push(this.convert(cell, value, line))
    }
    for (const { member, toCell, field } of this.plainKeys) {
      const value = row[member]
      if (value !== undefined) present++
      if (value === undefined || value === null) continue
      // One that is a reference is only checked here; of another, such as half of a foreign key, the value is kept.
      if (field === undefined) this.convert({ member, toCell, isRequired: false }, value, line)
      else this.setRaw([field.name], [value], line, member)
    }
    for (let index = 0; index < references.length; index++) {
      const { member, rawMembers, relation } = references[index]!
      const value = rawMembers ? rawReference(row, rawMembers) : row[member]
      if (value !== undefined && !rawMembers) present++
      if (value === undefined || value === null) {
        if (relation.isRequired) model.emptyMembers.add(member)
        cells.push(null)
      } else cells.push(this.reference(value, index, line))
    }
    if (model.hiddenColumns.size > 0 || row.$columns !== undefined) this.addHidden(row, line, cells)
    let members = 0
    for (const _ in row) members++
    if (members !== present) this.noteUnknown(row)
    return cells
  }

  private convert({ member, toCell }: StagedCell, value: unknown, line: number): Cell {
    try {
      return toCell(value)
    } catch (error) {
      if (error instanceof WrongValue) throw this.wrong(line, member ?? '', error.message)
      if (!(error instanceof ValueWithoutPlace)) throw error
      this.reason ??= `${member} has ${error.message}`
      return null
    }
  }

  private noteUnknown(row: JsonRow): void {
    const { lost } = this.model
    for (const name in row)
      if (!this.known.has(name) && name !== '$columns' && row[name] !== null) lost.set(name, (lost.get(name) ?? 0) + 1)
  }

  flush(): void {
    this.writer.flush()
  }

  private wrong(line: number, member: string, reason: string): BootkeeperError {
    const { name } = this.model.mapping
    return new BootkeeperError('IMPORT_INVALID', `${whereIs(this.header, line, name)}: ${name}.${member} ${reason}.`)
  }

  /** As references name the row; null where none do. */
  private keyOf(row: JsonRow, line: number): string | null {
    const { keys } = this
    const key = keys && keyOfRow(row, this.model.mapping.source)
    if (key === undefined) return null
    const simple = simpleKey(key)
    if (keys?.areKept) {
      const first = keys.find(simple)
      if (first !== undefined) throw sameKey(this.header, this.model.mapping, keyText(key), first, line)
      keys.add(simple, line)
    }
    return keyText(key)
  }

  /** The line that it names, or its text where that is not known yet. */
  private reference(value: NonNullable<unknown>, index: number, line: number): Cell {
    const { member, relation, to } = this.model.mapping.references[index]!
    if (typeof value === 'object') {
      requireShallow(value, () => this.wrong(line, member, 'is nested too deep to be a reference'))
      const raw = (value as { '#'?: unknown })['#']
      if (Array.isArray(raw) && raw.includes(null)) {
        // A foreign key of which a part is null refers to nothing, but is kept as it is.
        this.setRaw(relation.from, raw, line, member)
        return null
      }
    } else if (typeof value === 'boolean') throw this.wrong(line, member, 'should be a reference, not true or false')
    const known = this.keysOf.get(to)?.find(simpleKey(value))
    if (known !== undefined) return known
    if (!this.model.openReferences.includes(index)) this.model.openReferences.push(index)
    return keyText(value)
  }

  private setRaw(from: string[], values: unknown[], line: number, member: string): void {
    const { raw } = this.model.mapping
    if (!this.hasRaw) this.raw = raw.map(() => null)
    this.hasRaw = true
    from.forEach((name, part) => {
      const at = raw.findIndex(({ field }) => field.name === name)
      const value = values[part]
      if (value === null || value === undefined) return
      const { field } = raw[at] as { field: Field }
      this.raw[at] = this.convert(
        { member, toCell: this.form.cellOf(field, field.type, true), isRequired: false },
        value,
        line,
      )
    })
  }

  private addHidden(row: JsonRow, line: number, cells: Cell[]): void {
    const values = (row.$columns ?? {}) as JsonRow
    if (typeof values !== 'object' || Array.isArray(values)) throw this.wrong(line, '$columns', 'should be an object')
    const { hiddenColumns, lost } = this.model
    for (const column of hiddenColumns.keys()) {
      try {
        cells.push(this.form.hiddenCell(values[column]))
      } catch (error) {
        throw this.wrong(line, `$columns.${column}`, (error as Error).message)
      }
    }
    for (const column in values)
      if (!hiddenColumns.has(column)) lost.set(`column ${column}`, (lost.get(`column ${column}`) ?? 0) + 1)
  }
}

/** A file of a time when the foreign key was a plain value. */
function rawReference(row: JsonRow, members: string[]): { '#': unknown } | undefined {
  const values = members.map((member) => row[member] ?? null)
  if (values.every((value) => value === null)) return undefined
  return { '#': values.length === 1 ? values[0] : values }
}

function affinity(declared: string): string {
  // A declared type that SQL cannot repeat as it stands is none.
  return /^[A-Za-z_][\w ()]*$/.test(declared) ? declared : declared === '' ? '' : quoted(declared)
}
