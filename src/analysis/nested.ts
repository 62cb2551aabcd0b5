// Nested writes: what the argument of a create, update or upsert does to the rows of other models.
// Guarantees: a part of the argument that is not written out, and could hold a nested write, stands for everything.

import type ts from 'typescript'
import type { DataModel, Model } from '../data-model.ts'
import { type Touched, unite } from './finding.ts'
import type { Modules } from './modules.ts'
import { reachOfDelete, reachOfUpdate, relationField } from './reach.ts'
import { bare, propertyName } from './syntax.ts'

const removing = new Set(['delete', 'deleteMany'])
const changing = new Set(['update', 'updateMany', 'upsert'])
const relinking = new Set(['set', 'disconnect', 'connect', 'connectOrCreate'])
const making = new Set(['create', 'createMany'])

/**
 * The models, beside `model`, that the call `method` touches. Prisma takes no nested writes in the data of *Many; in that
 * of create it takes none that touch other rows but a `connect`, so that data from elsewhere passes there.
 */
export function nestedWrites(
  modules: Modules,
  data: DataModel,
  model: Model,
  method: string,
  argument: ts.Expression | undefined,
): Touched {
  const { ts } = modules
  if (/Many/.test(method)) return []
  const isCreate = method === 'create'
  if (!argument) return []
  const members = isCreate ? ['data'] : method === 'upsert' ? ['create', 'update'] : ['data']
  const whole = literal(argument)
  if (!whole) return isCreate ? [] : 'everything'
  let touched: Touched = []
  for (const name of members) {
    const { value, isCertain } = memberOf(whole, name)
    const strict = !isCreate && name !== 'create'
    if (!isCertain && strict) return 'everything'
    if (value) touched = unite(touched, dataOf(model, value, strict, 0))
  }
  return touched

  function dataOf(owner: Model, value: ts.Expression, strict: boolean, depth: number): Touched {
    const unseen: Touched = strict ? 'everything' : []
    const object = literal(value)
    if (!object || depth > 20) {
      const list = bare(modules, value)
      if (!ts.isArrayLiteralExpression(list)) return unseen
      return list.elements.reduce((all: Touched, each) => unite(all, dataOf(owner, each, strict, depth + 1)), [])
    }
    let found: Touched = []
    for (const property of object.properties) {
      const name = property.name && propertyName(modules, property.name)
      if (name === undefined) {
        found = unite(found, unseen)
        continue
      }
      if (owner.fields.some((field) => field.name === name)) continue
      const relation = relationField(data, owner, name)
      const inner = ts.isPropertyAssignment(property)
        ? property.initializer
        : ts.isShorthandPropertyAssignment(property)
          ? property.name
          : undefined
      const nested = inner && literal(inner)
      if (!relation || !nested) found = unite(found, unseen)
      else found = unite(found, operationsOf(owner, relation, nested, strict, depth))
    }
    return found
  }

  function operationsOf(
    owner: Model,
    { target, holder }: { target: string; holder: string },
    operations: ts.ObjectLiteralExpression,
    strict: boolean,
    depth: number,
  ): Touched {
    const other = data.models.find(({ name }) => name === target)
    let found: Touched = []
    for (const property of operations.properties) {
      const name = property.name && propertyName(modules, property.name)
      const value = ts.isPropertyAssignment(property) ? property.initializer : undefined
      if (name === undefined || !other) found = unite(found, strict ? 'everything' : [])
      else if (removing.has(name)) found = unite(found, reachOfDelete(data, target))
      else if (changing.has(name)) {
        const inner = value ? changeOf(other, value, depth) : 'everything'
        found = unite(unite(found, reachOfUpdate(data, target, 'any')), name === 'updateMany' ? [] : inner)
      } else if (relinking.has(name)) {
        if (holder !== owner.name) found = unite(found, [holder])
      } else if (making.has(name)) found = unite(found, value ? dataOf(other, value, false, depth + 1) : [])
      else found = unite(found, 'everything')
    }
    return found
  }

  /** `{ where, data }`, `{ where, create, update }`, a list of these, or for a single row the data itself. */
  function changeOf(other: Model, value: ts.Expression, depth: number): Touched {
    const list = bare(modules, value)
    if (ts.isArrayLiteralExpression(list))
      return list.elements.reduce((all: Touched, each) => unite(all, changeOf(other, each, depth + 1)), [])
    const object = literal(value)
    if (!object || depth > 20) return 'everything'
    const inner = memberOf(object, 'data').value ?? memberOf(object, 'update').value
    return dataOf(other, inner ?? value, true, depth + 1)
  }

  /** Only what is written in place: a constant could be added to after it was made. */
  function literal(value: ts.Expression): ts.ObjectLiteralExpression | undefined {
    const node = bare(modules, value)
    return ts.isObjectLiteralExpression(node) ? node : undefined
  }

  function memberOf(object: ts.ObjectLiteralExpression, name: string): { value?: ts.Expression; isCertain: boolean } {
    const found = object.properties.find((each) => each.name && propertyName(modules, each.name) === name)
    const hidden = object.properties.some((each) => !each.name || propertyName(modules, each.name) === undefined)
    if (found && ts.isPropertyAssignment(found)) return { value: found.initializer, isCertain: !hidden }
    if (found && ts.isShorthandPropertyAssignment(found)) return { value: found.name, isCertain: !hidden }
    return { isCertain: false }
  }
}
