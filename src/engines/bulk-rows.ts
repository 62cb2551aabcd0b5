// Rows of a file as the cells of their tables, in one pass and without a database: the straight way of an import, for
// tables that are empty. Guarantees: it gives what the general way (sqlite-stage.ts and what follows) would store, or it
// gives up. Whatever is wrong, missing, twice there or refers to a row that did not come yet is for the general way.

import type { Field } from '../data-model.ts'
import type { JsonRow, SourceHeader, SourceRow } from '../import-source.ts'
import { type Mapping, type SourceMap, serialKey } from './import-mapping.ts'
import { Keys, keyOfRow, simpleKey } from './reference-keys.ts'
import { type Cell, cellOf, hiddenCell, type ToCell } from './sqlite-cells.ts'

/** The cells of some rows of one model, row after row. Plain data: it can go from one thread to another. */
export interface BulkBatch {
  /** Number of the mapping. */
  model: number
  rows: number
  cells: Cell[]
}

/** What is known when the last row was read. */
export interface BulkEnd {
  models: { rows: number; lost: [string, number][] }[]
  /** Models of the file that the schema does not have, with their rows. */
  unknown: [string, number][]
}

/** How the rows of a model become those of its table. */
export interface BulkPlan {
  mapping: Mapping
  columns: BulkColumn[]
  /** Columns that the schema does not know: they follow the others. */
  hidden: string[]
  /** Fields by which other rows of the file refer to these; none where nothing does. */
  referred: string[]
}

type BulkColumn = { name: string; field: Field } & (
  | { member: string; toCell: ToCell }
  | { reference: number; part: number }
)

/** The general way is needed; nothing is wrong so far. */
export class NotStraight extends Error {}

const rowsPerBatch = 500
const mostBatchLength = 1024 * 1024

/** `columnsOf`: the columns of a table that can be written. Throws NotStraight where the header alone asks for more. */
export function planBulk(
  { mappings }: SourceMap,
  header: SourceHeader,
  columnsOf: (mapping: Mapping) => string[],
): BulkPlan[] {
  if (!header.hasLines || mappings.length === 0) throw new NotStraight()
  if (new Set(mappings.map(({ target }) => target)).size < mappings.length) throw new NotStraight()
  return mappings.map((mapping) => {
    const { source, target, references, raw, missing, index } = mapping
    if (source.isPartial || source.fields.length === 0) throw new NotStraight()
    // What the file does not have must be nothing in a new row too.
    if (missing.some((field) => field.isRequired || field.default !== undefined || field.isUpdatedAt))
      throw new NotStraight()
    const columns = target.fields
      .filter((field) => !missing.includes(field))
      .map((field) => column(mapping, header, field))
    const writable = columnsOf(mapping)
    if (columns.some(({ name }) => !writable.includes(name))) throw new NotStraight()
    if (references.some(({ rawMembers }) => rawMembers) || raw.some(({ member }) => member)) throw new NotStraight()
    const known = new Set(target.fields.map((field) => field.column))
    const hidden = (source.columns ?? []).filter((name) => writable.includes(name) && !known.has(name))
    const referring = mappings.flatMap((each) => each.references.filter(({ to }) => to === index))
    const referred = [...new Set(referring.flatMap(({ relation }) => relation.to))]
    return { mapping, columns, hidden, referred }
  })
}

function column({ cells, references }: Mapping, header: SourceHeader, field: Field): BulkColumn {
  const name = field.column
  const cell = cells.find((each) => each.field === field)
  const from = references.flatMap(({ relation }, reference) => {
    const part = relation.from.indexOf(field.name)
    return part < 0 ? [] : [{ name, field, reference, part }]
  })
  if (cell?.member !== undefined && from.length === 0) {
    const toCell = cellOf(field, cell.source?.type ?? field.type, header.engine === 'sqlite')
    return { name, field, member: cell.member, toCell }
  }
  // A column of two foreign keys has its value from whichever of them is there.
  if (cell || from.length !== 1) throw new NotStraight()
  return from[0] as BulkColumn
}

/** Every column that a batch has, in its order. */
export function columnNames({ columns, hidden }: BulkPlan): string[] {
  return [...columns.map(({ name }) => name), ...hidden]
}

export class BulkRows {
  private readonly models: ModelRows[]
  private readonly byName: Map<string, ModelRows>
  private readonly unknown: Map<string, number>

  constructor(plans: BulkPlan[], unknown: string[]) {
    this.models = []
    for (const plan of plans) this.models.push(new ModelRows(plan, this.models, plans))
    this.byName = new Map(this.models.map((model) => [model.plan.mapping.name, model]))
    this.unknown = new Map(unknown.map((name) => [name, 0]))
  }

  /** Gives a batch when one is full. Throws NotStraight, and what a wrong value throws. */
  add({ model: name, row }: SourceRow): BulkBatch | undefined {
    const model = this.byName.get(name)
    if (model) return model.add(row)
    const count = this.unknown.get(name)
    if (count === undefined) throw new NotStraight()
    this.unknown.set(name, count + 1)
    return undefined
  }

  /** The batches that are not full. */
  rest(): BulkBatch[] {
    return this.models.flatMap((model) => model.take() ?? [])
  }

  end(): BulkEnd {
    return {
      models: this.models.map(({ rows, lost }) => ({ rows, lost: [...lost] })),
      unknown: [...this.unknown],
    }
  }
}

class ModelRows {
  rows = 0
  readonly lost = new Map<string, number>()
  /** By the key of a row: the fields by which others refer to it; alone where it is one field only. */
  private readonly keys: Keys<Cell | Cell[]> | undefined
  private readonly known: Set<string>
  private readonly referredAt: number[]
  private readonly idAt: number
  private lastId = Number.NEGATIVE_INFINITY
  private cells: Cell[] = []
  private waitingRows = 0
  private length = 0
  /** By reference: where in the referred fields of its model each of its own parts is. */
  private readonly parts: number[][]
  private readonly found: (Cell | Cell[])[]

  constructor(
    readonly plan: BulkPlan,
    private readonly all: ModelRows[],
    plans: BulkPlan[],
  ) {
    const { mapping, columns, referred } = plan
    this.keys = referred.length > 0 ? new Keys() : undefined
    this.known = new Set([
      ...columns.flatMap((each) => ('member' in each ? [each.member] : [])),
      ...mapping.references.map(({ member }) => member),
    ])
    const positionOf = (name: string | undefined) => columns.findIndex(({ field }) => field.name === name)
    this.referredAt = referred.map(positionOf)
    if (this.referredAt.includes(-1)) throw new NotStraight()
    const serial = serialKey(mapping.target)
    this.idAt = positionOf(serial?.name)
    if (serial && this.idAt < 0) throw new NotStraight()
    this.parts = mapping.references.map(({ relation, to }) =>
      relation.to.map((name) => (plans[to] as BulkPlan).referred.indexOf(name)),
    )
    this.found = mapping.references.map(() => null)
  }

  add(row: JsonRow): BulkBatch | undefined {
    const { columns, hidden, mapping } = this.plan
    const { cells, found } = this
    const first = cells.length
    let present = this.findReferences(row)
    for (const each of columns) {
      if ('member' in each) {
        const value = row[each.member]
        if (value !== undefined) present++
        if (value === undefined || value === null) {
          if (each.field.isRequired) throw new NotStraight()
          cells.push(null)
        } else {
          const cell = each.toCell(value)
          if (typeof cell === 'string' || cell instanceof Buffer) this.length += cell.length
          cells.push(cell)
        }
      } else {
        const value = found[each.reference] as Cell | Cell[]
        const at = this.parts[each.reference]![each.part] as number
        cells.push(Array.isArray(value) ? (value[at] as Cell) : value)
      }
    }
    if (hidden.length > 0 || row.$columns !== undefined) this.addHidden(row)
    let members = 0
    for (const _ in row) members++
    if (members !== present) this.noteUnknown(row)
    if (this.idAt >= 0) {
      const id = cells[first + this.idAt]
      if (typeof id !== 'number' || id <= this.lastId) throw new NotStraight()
      this.lastId = id
    }
    if (this.keys) this.addKey(this.keys, keyOfRow(row, mapping.source), first)
    this.rows++
    this.waitingRows++
    return this.waitingRows === rowsPerBatch || this.length > mostBatchLength ? this.take() : undefined
  }

  take(): BulkBatch | undefined {
    const { waitingRows: rows, cells, plan } = this
    if (rows === 0) return undefined
    this.cells = []
    this.waitingRows = 0
    this.length = 0
    return { model: plan.mapping.index, rows, cells }
  }

  /** Gives the number of members that are there. */
  private findReferences(row: JsonRow): number {
    const { references } = this.plan.mapping
    let present = 0
    for (let index = 0; index < references.length; index++) {
      const { member, relation, to } = references[index]!
      const value = row[member]
      if (value !== undefined) present++
      if (value === undefined || value === null) {
        if (relation.isRequired) throw new NotStraight()
        this.found[index] = null
        continue
      }
      const known = (this.all[to] as ModelRows).keys?.find(simpleKey(value))
      if (known === undefined || known === null) throw new NotStraight()
      this.found[index] = known
    }
    return present
  }

  private addKey(keys: Keys<Cell | Cell[]>, key: unknown, first: number): void {
    if (key === undefined) return
    const simple = simpleKey(key)
    const values = this.referredAt.map((at) => this.cells[first + at] as Cell)
    if (values.includes(null) || keys.find(simple) !== undefined) throw new NotStraight()
    keys.add(simple, values.length === 1 ? (values[0] as Cell) : values)
    if (!keys.areKept) throw new NotStraight()
  }

  private addHidden(row: JsonRow): void {
    const values = (row.$columns ?? {}) as JsonRow
    if (typeof values !== 'object' || Array.isArray(values)) throw new NotStraight()
    const { hidden } = this.plan
    for (const column of hidden) this.cells.push(hiddenCell(values[column]))
    for (const column in values) if (!hidden.includes(column)) this.note(`column ${column}`)
  }

  private noteUnknown(row: JsonRow): void {
    for (const name in row) if (!this.known.has(name) && name !== '$columns' && row[name] !== null) this.note(name)
  }

  private note(what: string): void {
    this.lost.set(what, (this.lost.get(what) ?? 0) + 1)
  }
}
