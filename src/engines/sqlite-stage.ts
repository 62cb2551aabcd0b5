// Puts the rows of a file into temporary tables beside an SQLite database, where SQL can compare them with what is
// there: one table a model, each reference as the line of the row that it names. Nothing of the database is changed.
// Guarantees: memory does not grow with the file (temporary tables live in SQLITE_TMPDIR); every value was checked.
//
// A table s<n> has `line`, the row's place; `x`, why it is left out; `k`, its key as references name it; `f`, the
// serial id that it gets; c<n> the scalars, q<n> raw foreign keys, r<n> references, h<n> columns that the schema does
// not know. Rows with a negative line stand for rows that are only in the database.

import type Database from 'better-sqlite3'
import type { Field } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import type { JsonRow, SourceHeader, SourceRow } from '../import-source.ts'
import { type Mapping, type SourceMap, serialKey } from './import-mapping.ts'
import { type Cell, type CellForm, sqliteCells, type ToCell, ValueWithoutPlace, WrongValue } from './sqlite-cells.ts'
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

/** Keys of this many rows are kept in memory, so that references to them are resolved while the file is read. */
const mostKeysInMemory = 400_000
const deepestReference = 12
/** SQLite takes 32,766 in one statement. */
const mostParameters = 10_000
const mostWaitingLength = 4 * 1024 * 1024

export class Stage {
  readonly models: StagedModel[]
  private readonly byName: Map<string, StagedRows>
  private readonly unknownRows = new Map<string, number>()

  constructor(
    readonly database: Database.Database,
    private readonly header: SourceHeader,
    { mappings, unknown }: SourceMap,
    tables: (mapping: Mapping) => SqliteTableInfo,
    readonly form: CellForm = sqliteCells,
  ) {
    const referred = new Set(mappings.flatMap(({ references }) => references.map(({ to }) => to)))
    const keys = new Map<number, Keys>()
    for (const index of referred) keys.set(index, new Keys())
    const staged = mappings.map(
      (mapping) => new StagedRows(database, header, mapping, tables(mapping), keys.get(mapping.index), keys, form),
    )
    this.models = staged.map(({ model }) => model)
    this.byName = new Map(staged.map((each) => [each.model.mapping.name, each]))
    for (const name of unknown) this.unknownRows.set(name, 0)
  }

  add({ model, row, place }: SourceRow): void {
    const staged = this.byName.get(model)
    if (staged) {
      staged.add(row, place)
      return
    }
    const count = this.unknownRows.get(model)
    if (count === undefined)
      throw new BootkeeperError('IMPORT_INVALID', `${this.where(place, model)}: the header does not describe ${model}.`)
    this.unknownRows.set(model, count + 1)
  }

  /** Models of the file that the schema does not have, with their rows. */
  get unknown(): [string, number][] {
    return [...this.unknownRows]
  }

  where(place: number, model: string): string {
    return whereIs(this.header, place, model)
  }

  /** Sets `x` where `where` holds. Gives the number of rows. */
  leaveOut(model: StagedModel, reason: string, where: string): number {
    const sql = `UPDATE ${model.name} SET x = ? WHERE x IS NULL AND (${where})`
    const { changes } = this.database.prepare(sql).run(reason)
    if (changes > 0) model.hasLeftOut = true
    return changes
  }

  /** References that come before the rows they name, now that all rows are there. */
  resolve(): void {
    for (const staged of this.byName.values()) staged.flush()
    for (const { model } of this.byName.values())
      for (const index of model.openReferences) {
        const to = this.models[model.mapping.references[index]!.to] as StagedModel
        this.indexKeys(to)
        this.database.exec(`UPDATE ${model.name} SET r${index} =
          coalesce((SELECT t.line FROM ${to.name} t WHERE t.k = ${model.name}.r${index}), r${index})
          WHERE typeof(r${index}) = 'text'`)
      }
  }

  private indexKeys(model: StagedModel): void {
    const name = model.name.replace('temp.', '')
    try {
      this.database.exec(`CREATE UNIQUE INDEX IF NOT EXISTS temp.k_${name} ON ${name} (k) WHERE k IS NOT NULL`)
    } catch (cause) {
      const twice = this.database
        .prepare(
          `SELECT k, min(line) AS first, max(line) AS last FROM ${model.name} WHERE k IS NOT NULL GROUP BY k HAVING count(*) > 1 LIMIT 1`,
        )
        .get() as { k: string; first: number; last: number } | undefined
      if (!twice) throw cause
      throw sameKey(this.header, model.mapping, twice.k, twice.first, twice.last)
    }
  }
}

function whereIs({ hasLines }: SourceHeader, place: number, model: string): string {
  return hasLines ? `line ${place}` : `row ${place} of ${model}`
}

function sameKey(header: SourceHeader, { name }: Mapping, key: string, first: number, second: number): BootkeeperError {
  return new BootkeeperError(
    'IMPORT_INVALID',
    `${whereIs(header, second, name)}: ${name} ${key.slice(1, -1).slice(0, 100)} is there already, ${whereIs(header, first, name)}.`,
  )
}

/** The keys of a model's rows, while they are few enough to be kept. */
class Keys {
  private lines: Map<string | number, number> | undefined = new Map()

  get areKept(): boolean {
    return this.lines !== undefined
  }

  find(key: string | number): number | undefined {
    return this.lines?.get(key)
  }

  add(key: string | number, line: number): void {
    if (!this.lines) return
    this.lines.set(key, line)
    if (this.lines.size > mostKeysInMemory) this.lines = undefined
  }
}

/** Inserts many rows with one statement: a third of the time. */
class RowWriter {
  private readonly rowsAtOnce: number
  private readonly insert: { rare: Database.Statement; one: Database.Statement; many: Database.Statement }
  private waiting: Cell[] = []
  private waitingRows = 0
  private waitingLength = 0

  /** `usual` and `rare` are names of columns. */
  constructor(
    database: Database.Database,
    table: string,
    private readonly usual: string[],
    rare: string[],
  ) {
    this.rowsAtOnce = Math.max(1, Math.min(50, Math.floor(mostParameters / usual.length)))
    const prepare = (names: string[], rows: number) => {
      const row = `(${names.map(() => '?').join(',')})`
      return database.prepare(`INSERT INTO ${table} (${names.join(',')}) VALUES ${Array(rows).fill(row).join(',')}`)
    }
    this.insert = {
      rare: prepare([...usual, ...rare], 1),
      one: prepare(usual, 1),
      many: prepare(usual, this.rowsAtOnce),
    }
  }

  addUsual(cells: Cell[]): void {
    for (const cell of cells) {
      this.waiting.push(cell)
      if (typeof cell === 'string' || cell instanceof Buffer) this.waitingLength += cell.length
    }
    this.waitingRows++
    if (this.waitingRows === this.rowsAtOnce) {
      this.insert.many.run(this.waiting)
      this.forget()
    } else if (this.waitingLength > mostWaitingLength) this.flush()
  }

  addRare(cells: Cell[], reason: string | null, raw: Cell[]): void {
    this.insert.rare.run(...cells, reason, ...raw)
  }

  flush(): void {
    const { length } = this.usual
    for (let row = 0; row < this.waitingRows; row++)
      this.insert.one.run(this.waiting.slice(row * length, (row + 1) * length))
    this.forget()
  }

  private forget(): void {
    this.waiting.length = 0
    this.waitingRows = 0
    this.waitingLength = 0
  }
}

interface StagedCell {
  member: string | undefined
  toCell: ToCell
  isRequired: boolean
}

class StagedRows {
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
  private readonly keyMembers: string[]
  private readonly idMembers: string[]

  constructor(
    database: Database.Database,
    private readonly header: SourceHeader,
    mapping: Mapping,
    table: SqliteTableInfo,
    /** Where rows of other models refer to these rows. */
    private readonly keys: Keys | undefined,
    private readonly keysOf: Map<number, Keys>,
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
    this.keyMembers = source.key
    // What `{"#": …}` holds: the referenced fields, which are the primary key unless the relation names others.
    this.idMembers = source.primaryKey
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
    const { keys, keyMembers } = this
    if (!keys) return null
    const parts = keyMembers.map((member) => row[member] ?? null)
    const isWhole = parts.length > 0 && parts.every((part) => part !== null)
    const key = isWhole ? (parts.length === 1 ? parts[0] : parts) : this.idOf(row)
    if (key === undefined) return null
    const simple = simpleKey(key)
    if (keys.areKept) {
      const first = keys.find(simple)
      if (first !== undefined) throw sameKey(this.header, this.model.mapping, keyText(key), first, line)
      keys.add(simple, line)
    }
    return keyText(key)
  }

  private idOf(row: JsonRow): { '#': unknown } | undefined {
    const parts = this.idMembers.map((member) => row[member] ?? null)
    if (parts.length === 0 || parts.some((part) => part === null)) return undefined
    return { '#': parts.length === 1 ? parts[0] : parts }
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

/** Never looks like a number: a line is one. */
function keyText(key: unknown): string {
  return `[${JSON.stringify(key)}]`
}

function simpleKey(key: unknown): string | number {
  return typeof key === 'string' || typeof key === 'number' ? key : `\0${JSON.stringify(key)}`
}

function requireShallow(value: unknown, error: () => Error): void {
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > deepestReference) throw error()
    level = level.flatMap((each) => (typeof each === 'object' && each !== null ? Object.values(each) : []))
  }
}

function affinity(declared: string): string {
  // A declared type that SQL cannot repeat as it stands is none.
  return /^[A-Za-z_][\w ()]*$/.test(declared) ? declared : declared === '' ? '' : quoted(declared)
}
