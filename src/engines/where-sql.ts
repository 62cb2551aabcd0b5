// A checked filter as SQL with parameters: one translator, and what the two dialects differ in. Guarantees: no value of a
// filter is ever part of the text; unknown (NULL) is neither true nor false, as it is to Prisma's client.

import type { Field, Model } from '../data-model.ts'
import { quoted } from './sqlite-rows.ts'
import type { Condition, FilterValue } from './where-filter.ts'

export type ToParameter = (value: FilterValue) => unknown

export interface WhereDialect {
  /** The table as SQL names it. */
  tableOf(model: Model): string
  /** What stands for the n-th value of a statement, from 1. */
  placeholder(n: number): string
  /** A value of the field as the driver takes it. */
  parameter(field: Field): ToParameter
  /** Where a column may also hold numbers in the place of text: its values as such. */
  asNumber?(field: Field): ToParameter | undefined
}

/** The values that it needs are added to `values`. `alias` is the model's own table. */
export function whereSql(condition: Condition, alias: string, dialect: WhereDialect, values: unknown[]): string {
  const bind = (value: unknown) => dialect.placeholder(values.push(value))
  let aliases = 0

  const compared = (x: string, field: Field, write: (toParameter: ToParameter) => string) => {
    const asNumber = dialect.asNumber?.(field)
    const plain = write(dialect.parameter(field))
    return asNumber ? `(CASE typeof(${x}) WHEN 'text' THEN ${plain} ELSE ${write(asNumber)} END)` : `(${plain})`
  }

  const translate = (each: Condition, own: string): string => {
    const column = (field: Field) => `${own}.${quoted(field.column)}`
    switch (each.kind) {
      case 'all':
      case 'any': {
        const isAll = each.kind === 'all'
        if (each.parts.length === 0) return isAll ? 'TRUE' : 'FALSE'
        return `(${each.parts.map((part) => translate(part, own)).join(isAll ? ' AND ' : ' OR ')})`
      }
      case 'not':
        return `(NOT ${translate(each.part, own)})`
      case 'compare': {
        const x = column(each.field)
        return compared(x, each.field, (toParameter) => `${x} ${each.operator} ${bind(toParameter(each.value))}`)
      }
      case 'in': {
        const x = column(each.field)
        if (each.values.length === 0) return each.isNot ? 'TRUE' : 'FALSE'
        const list = (toParameter: ToParameter) => each.values.map((value) => bind(toParameter(value))).join(', ')
        return compared(x, each.field, (toParameter) => `${x} ${each.isNot ? 'NOT IN' : 'IN'} (${list(toParameter)})`)
      }
      case 'null':
        return `(${column(each.field)} IS ${each.isNot ? 'NOT ' : ''}NULL)`
      case 'like':
        return `(${column(each.field)} LIKE ${bind(each.pattern)})`
      case 'related': {
        const { model, relation, target, part, isNot } = each
        const other = `w${++aliases}`
        const on = relation.to.map((name, at) => {
          const from = columnOf(model, relation.from[at] as string)
          return `${other}.${quoted(columnOf(target, name))} = ${own}.${quoted(from)}`
        })
        const rows = `FROM ${dialect.tableOf(target)} AS ${other} WHERE ${on.join(' AND ')}`
        const inner = translate(part, other)
        const found = `SELECT ${isNot ? `NOT ${inner}` : inner} ${rows}`
        return `(CASE WHEN EXISTS (SELECT 1 ${rows}) THEN (${found}) ELSE ${isNot ? 'TRUE' : 'FALSE'} END)`
      }
    }
  }
  return translate(condition, alias)
}

export function columnOf(model: Model, name: string): string {
  return model.fields.find((field) => field.name === name)?.column ?? name
}
