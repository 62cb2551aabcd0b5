// Findings of the first kind: methods of Prisma that change or remove rows, called or only mentioned.
// Guarantees: a name that is Prisma's alone (deleteMany, upsert) is found wherever it stands as code; one that others
// use too (delete, update) wherever what it is called on is not known to be plain.

import type ts from 'typescript'
import type { DataModel, Model } from '../data-model.ts'
import type { Clients } from './clients.ts'
import { type Touched, unite } from './finding.ts'
import { type Flow, harmlessMethods, holds } from './flow.ts'
import type { Modules } from './modules.ts'
import { nestedWrites } from './nested.ts'
import { reachOfDelete, reachOfUpdate, relationField } from './reach.ts'
import { bare, constantText, isCollection, isMember, memberName, propertyName, symbolOf } from './syntax.ts'

export interface Effect {
  what: string
  models: Touched
  structure?: true
}

const own = new Set(['deleteMany', 'updateMany', 'updateManyAndReturn', 'upsert'])
const shared = new Set(['delete', 'update'])
/** Of other libraries for databases, whose words are not Prisma's. */
const foreign = new Set(
  'del truncate deleteFrom updateTable destroy drop dropTable dropDatabase deleteOne updateOne findOneAndDelete findOneAndUpdate replaceOne bulkWrite remove clear $runCommandRaw'.split(
    ' ',
  ),
)
export function findPrismaCalls(modules: Modules, data: DataModel, flow: Flow, clients: Clients) {
  const { ts } = modules
  return function effectsOf(node: ts.Node): Effect[] {
    if (isMember(modules, node)) return member(node)
    if (ts.isBindingElement(node) && ts.isObjectBindingPattern(node.parent)) return picked(node)
    if (ts.isIdentifier(node) || ts.isStringLiteralLike(node)) return mentioned(node)
    if (ts.isBinaryExpression(node)) {
      const text = constantText(modules, node)
      return text !== undefined && own.has(text) && !isIndex(node) ? [anything(`the name "${text}"`)] : []
    }
    return []
  }

  function member(node: ts.PropertyAccessExpression | ts.ElementAccessExpression): Effect[] {
    const name = memberName(modules, node)
    if (name === undefined) return []
    const bits = flow.of(node.expression)
    const call = callOf(node)
    if (own.has(name) || (shared.has(name) && bits !== 0 && !isCollection(modules, node.expression))) {
      const model = clients.modelOf(node.expression)
      return [{ what: shown(node, call), models: model ? touchedBy(name, model, call) : 'everything' }]
    }
    if (name === 'create' || name === 'createManyAndReturn' || name === 'createMany') {
      const model = clients.modelOf(node.expression)
      const models = model && call ? nestedWrites(modules, data, model, name, call.arguments[0]) : []
      return models.length > 0 ? [{ what: `${shown(node, call)} with connect`, models }] : []
    }
    if (!call || !bits || flow.targets(call).length > 0) return []
    if (foreign.has(name) && !isCollection(modules, node.expression) && !(bits === holds.client && name === 'clear'))
      return [anything(shown(node, call))]
    // A method of the client that nobody here knows: an extension, or a name that was made up.
    return bits & holds.client && !harmlessMethods.has(name) ? [anything(shown(node, call))] : []
  }

  function touchedBy(name: string, model: Model, call: ts.CallExpression | undefined): Touched {
    if (name.startsWith('delete')) return reachOfDelete(data, model.name)
    if (!call) return 'everything'
    const [argument] = call.arguments
    const nested = nestedWrites(modules, data, model, name, argument)
    return unite(reachOfUpdate(data, model.name, fieldsOf(name, argument)), nested)
  }

  /** The names that the data of an update writes. */
  function fieldsOf(name: string, argument: ts.Expression | undefined): string[] | 'any' {
    const whole = argument && bare(modules, argument)
    if (!whole || !ts.isObjectLiteralExpression(whole)) return 'any'
    const member = whole.properties.find(
      (each) => each.name && propertyName(modules, each.name) === (name === 'upsert' ? 'update' : 'data'),
    )
    const value = member && ts.isPropertyAssignment(member) ? bare(modules, member.initializer) : undefined
    if (!value || !ts.isObjectLiteralExpression(value)) return 'any'
    const names = value.properties.map((each) => each.name && propertyName(modules, each.name))
    return names.includes(undefined) ? 'any' : (names as string[])
  }

  function picked(node: ts.BindingElement): Effect[] {
    const name = propertyName(modules, node.propertyName ?? node.name)
    if (name === undefined || !(own.has(name) || shared.has(name) || foreign.has(name))) return []
    const declaration = ts.findAncestor(node, ts.isVariableDeclaration)
    const source = declaration?.initializer
    if (!own.has(name) && source && flow.of(source) === 0) return []
    // A parameter's pattern: what is given to it is followed by its name.
    if (!own.has(name) && !source && ts.isIdentifier(node.name) && flow.of(node.name) === 0) return []
    const model = source && node.parent.parent === declaration ? clients.modelOf(source) : undefined
    const models = model && name.startsWith('delete') ? reachOfDelete(data, model.name) : 'everything'
    return [{ what: `{ ${name} }`, models }]
  }

  /** The names themselves, as text that may become a member, or as the key of a write that is put together elsewhere. */
  function mentioned(node: ts.Identifier | ts.StringLiteralLike): Effect[] {
    const { parent } = node
    if (ts.isPropertyAssignment(parent) && parent.name === node) return linked(parent)
    if (!own.has(node.text) || isExplained(node)) return []
    return [anything(ts.isIdentifier(node) ? node.text : `the name "${node.text}"`)]
  }

  /** `posts: { connect: … }` in data that is not written in the call: rows of another model change hands. */
  function linked(property: ts.PropertyAssignment): Effect[] {
    const name = propertyName(modules, property.name)
    const relation = property.parent.parent
    if (name !== 'connect' && name !== 'connectOrCreate') return []
    if (!ts.isPropertyAssignment(relation) || isInCall(property)) return []
    const field = propertyName(modules, relation.name) ?? ''
    const holders = data.models.flatMap((model) => {
      const target = relationField(data, model, field)
      return target && target.holder !== model.name && !isJoinTable(target.holder) ? [target.holder] : []
    })
    return holders.length > 0 ? [{ what: `${field}: { ${name} }`, models: [...new Set(holders)] }] : []
  }

  function isJoinTable(name: string): boolean {
    return data.models.some((model) => model.name === name && model.isJoinTable)
  }

  function isInCall(node: ts.Node): boolean {
    const call = ts.findAncestor(node, ts.isCallExpression)
    const callee = call && bare(modules, call.expression)
    return !!callee && isMember(modules, callee) && clients.modelOf(callee.expression) !== undefined
  }

  /** Named by another finding, or the name of something of the project that is read itself. */
  function isExplained(node: ts.Identifier | ts.StringLiteralLike): boolean {
    const { parent } = node
    if (isMember(modules, parent)) return parent.expression !== node
    if (isIndex(node)) return true
    if (ts.isImportSpecifier(parent) || ts.isExportSpecifier(parent) || ts.isBindingElement(parent)) return true
    if (ts.isIdentifier(node)) {
      if ('name' in parent && parent.name === node && !ts.isShorthandPropertyAssignment(parent)) return true
      // A variable: what it holds is followed from where it was set.
      return symbolOf(modules, node)?.declarations?.length !== undefined
    }
    return ts.isImportDeclaration(parent) || ts.isExportDeclaration(parent) || isLogged(node)
  }

  /** The name of a member, which is looked at as one. */
  function isIndex(node: ts.Node): boolean {
    return ts.isElementAccessExpression(node.parent) && node.parent.argumentExpression === node
  }

  function isLogged(node: ts.Node): boolean {
    return ts.isCallExpression(node.parent) && /^console\./.test(node.parent.expression.getText())
  }

  function callOf(node: ts.Node): ts.CallExpression | undefined {
    let outer = node.parent
    let inner = node
    while (ts.isParenthesizedExpression(outer) || ts.isNonNullExpression(outer) || ts.isAsExpression(outer)) {
      inner = outer
      outer = outer.parent
    }
    return ts.isCallExpression(outer) && outer.expression === inner ? outer : undefined
  }

  function shown(node: ts.Node, call: ts.CallExpression | undefined): string {
    const text = node.getText().replace(/\s+/g, ' ')
    return `${text.length > 60 ? `…${text.slice(-59)}` : text}${call ? '()' : ''}`
  }
}

export function anything(what: string): Effect {
  return { what, models: 'everything' }
}
