// Which model a call is made on, where that is certain: the way back from a name to `new PrismaClient()`.
// Guarantees: a model is only named where the client and its member are followed through constants alone; all else is
// undefined, which stands for every model.

import type ts from 'typescript'
import type { DataModel, Model } from '../data-model.ts'
import type { Modules } from './modules.ts'
import { bare, constantOf, isMember, memberName, propertyName, symbolOf } from './syntax.ts'

export interface Clients {
  /** The model of `prisma.user`, however the client and the model are called here. */
  modelOf(receiver: ts.Expression): Model | undefined
  isClient(expression: ts.Expression): boolean
}

const typeName = /^(import\(.*\)\.)?(\w+\.)?(PrismaClient|TransactionClient)(<.*>)?$/

export function findClients(modules: Modules, data: DataModel): Clients {
  const { ts, checker } = modules
  const byMember = new Map(data.models.map((model) => [model.name[0]!.toLowerCase() + model.name.slice(1), model]))
  // A name that leads back to itself leads nowhere.
  const asked = new Set<ts.Node>()
  return { modelOf, isClient }

  function modelOf(receiver: ts.Expression): Model | undefined {
    const node = bare(modules, receiver)
    if (isMember(modules, node)) {
      const name = memberName(modules, node)
      return name !== undefined && isClient(node.expression) ? byMember.get(name) : undefined
    }
    if (!ts.isIdentifier(node)) return undefined
    const initializer = constantOf(modules, node)
    if (initializer) return once(initializer, () => modelOf(initializer), undefined)
    const picked = pickedFrom(symbolOf(modules, node))
    return picked && isClient(picked.from) ? byMember.get(picked.name) : undefined
  }

  function isClient(expression: ts.Expression): boolean {
    return once(expression, () => leadsToClient(bare(modules, expression)), false)
  }

  function leadsToClient(node: ts.Expression): boolean {
    if (ts.isNewExpression(node)) return isClientClass(node.expression)
    if (ts.isIdentifier(node)) return isClientSymbol(symbolOf(modules, node))
    if (ts.isConditionalExpression(node)) return isClient(node.whenTrue) && isClient(node.whenFalse)
    if (ts.isBinaryExpression(node)) {
      const { kind } = node.operatorToken
      if (kind === ts.SyntaxKind.EqualsToken) return isClient(node.right)
      const isEither = [
        ts.SyntaxKind.QuestionQuestionToken,
        ts.SyntaxKind.BarBarToken,
        ts.SyntaxKind.QuestionQuestionEqualsToken,
        ts.SyntaxKind.BarBarEqualsToken,
      ].includes(kind)
      return isEither && isClient(node.right) && (isGlobal(node.left) || isClient(node.left))
    }
    if (isMember(modules, node)) return isClientMember(node)
    if (!ts.isCallExpression(node)) return false
    const callee = bare(modules, node.expression)
    if (isMember(modules, callee)) return memberName(modules, callee) === '$extends' && isClient(callee.expression)
    if (!ts.isIdentifier(callee)) return false
    const [declaration, ...others] = symbolOf(modules, callee)?.declarations ?? []
    if (!declaration || others.length > 0) return false
    const made = ts.isFunctionDeclaration(declaration) ? declaration : constantOf(modules, callee)
    return made !== undefined && returnsClient(made)
  }

  function returnsClient(made: ts.Node): boolean {
    if (ts.isArrowFunction(made) && !ts.isBlock(made.body)) return isClient(made.body)
    if (!ts.isFunctionDeclaration(made) && !ts.isArrowFunction(made) && !ts.isFunctionExpression(made)) return false
    const [only, ...rest] = made.body && ts.isBlock(made.body) ? made.body.statements : []
    return (
      rest.length === 0 &&
      only !== undefined &&
      ts.isReturnStatement(only) &&
      !!only.expression &&
      isClient(only.expression)
    )
  }

  function isClientSymbol(symbol: ts.Symbol | undefined): boolean {
    const [declaration, ...others] = symbol?.declarations ?? []
    if (!declaration || others.length > 0) return false
    if (ts.isExportAssignment(declaration)) return isClient(declaration.expression)
    if (ts.isParameter(declaration)) return isClientType(declaration.type) || isTransaction(declaration)
    if (ts.isVariableDeclaration(declaration)) {
      if (isClientType(declaration.type)) return true
      const isConstant = ts.getCombinedNodeFlags(declaration) & ts.NodeFlags.Const
      return (
        !!isConstant &&
        ts.isIdentifier(declaration.name) &&
        !!declaration.initializer &&
        isClient(declaration.initializer)
      )
    }
    const picked = pickedFrom(symbol)
    if (!picked) return false
    const exported = exportOf(picked.from, picked.name)
    return exported !== undefined && isClientSymbol(exported)
  }

  /** `this.prisma` of a class that declares it as a client; `db.prisma` of a module of the project. */
  function isClientMember(node: ts.PropertyAccessExpression | ts.ElementAccessExpression): boolean {
    const name = memberName(modules, node)
    if (name === undefined) return false
    if (node.expression.kind !== ts.SyntaxKind.ThisKeyword) {
      const exported = exportOf(node.expression, name)
      return exported !== undefined && isClientSymbol(exported)
    }
    const owner = ts.findAncestor(node, ts.isClassLike)
    return !!owner?.members.some((member) => {
      if (ts.isPropertyDeclaration(member) && propertyName(modules, member.name) === name)
        return isClientType(member.type) || (!!member.initializer && isClient(member.initializer))
      if (!ts.isConstructorDeclaration(member)) return false
      return member.parameters.some(
        (each) =>
          ts.isParameterPropertyDeclaration(each, member) &&
          propertyName(modules, each.name) === name &&
          isClientType(each.type),
      )
    })
  }

  function exportOf(from: ts.Expression, name: string): ts.Symbol | undefined {
    const node = bare(modules, from)
    let module = ts.isIdentifier(node) ? symbolOf(modules, node) : undefined
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword && node.arguments[0])
      module = checker.getSymbolAtLocation(node.arguments[0])
    if (!module || !(module.flags & ts.SymbolFlags.ValueModule)) return undefined
    const found = checker.getExportsOfModule(module).find((each) => each.name === name)
    return found && found.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(found) : found
  }

  /** `const { name: local } = from`. */
  function pickedFrom(symbol: ts.Symbol | undefined): { from: ts.Expression; name: string } | undefined {
    const [element, ...others] = symbol?.declarations ?? []
    if (!element || others.length > 0 || !ts.isBindingElement(element) || element.dotDotDotToken || element.initializer)
      return undefined
    const { parent } = element
    const declaration = parent.parent
    const name = propertyName(modules, element.propertyName ?? element.name)
    if (name === undefined || !ts.isObjectBindingPattern(parent) || !ts.isVariableDeclaration(declaration))
      return undefined
    const isConstant = ts.getCombinedNodeFlags(declaration) & ts.NodeFlags.Const
    return isConstant && declaration.initializer ? { from: declaration.initializer, name } : undefined
  }

  /** The first parameter of what is given to `$transaction` of a client, and is only ever called by it. */
  function isTransaction(parameter: ts.ParameterDeclaration): boolean {
    const owner = parameter.parent
    if (!ts.isArrowFunction(owner) && !ts.isFunctionExpression(owner)) return false
    const call = owner.parent
    if (!ts.isCallExpression(call) || call.arguments[0] !== owner || owner.parameters[0] !== parameter) return false
    const callee = bare(modules, call.expression)
    return isMember(modules, callee) && memberName(modules, callee) === '$transaction' && isClient(callee.expression)
  }

  function isClientType(type: ts.TypeNode | undefined): boolean {
    if (type && ts.isTypeQueryNode(type) && ts.isIdentifier(type.exprName)) return isClient(type.exprName)
    return type !== undefined && typeName.test(type.getText().replace(/\s+/g, ''))
  }

  function isClientClass(expression: ts.Expression): boolean {
    const node = bare(modules, expression)
    if (isMember(modules, node)) return memberName(modules, node) === 'PrismaClient'
    if (!ts.isIdentifier(node)) return false
    const declaration = symbolOf(modules, node)?.declarations?.[0]
    if (!declaration) return false
    if (ts.isImportSpecifier(declaration)) return (declaration.propertyName ?? declaration.name).text === 'PrismaClient'
    if (ts.isBindingElement(declaration))
      return propertyName(modules, declaration.propertyName ?? declaration.name) === 'PrismaClient'
    if (!ts.isClassDeclaration(declaration)) return false
    const base = declaration.heritageClauses?.find(({ token }) => token === ts.SyntaxKind.ExtendsKeyword)?.types[0]
    return base !== undefined && isClientClass(base.expression)
  }

  /** Where a client is kept from one load of a module to the next. */
  function isGlobal(expression: ts.Expression): boolean {
    const node = bare(modules, expression)
    if (!isMember(modules, node)) return false
    const owner = bare(modules, node.expression)
    if (!ts.isIdentifier(owner)) return false
    if (/^(globalThis|global)$/.test(owner.text)) return true
    const kept = constantOf(modules, owner)
    const inner = kept && bare(modules, kept)
    return !!inner && ts.isIdentifier(inner) && /^(globalThis|global)$/.test(inner.text)
  }

  function once<Result>(node: ts.Node, ask: () => Result, otherwise: Result): Result {
    if (asked.has(node)) return otherwise
    asked.add(node)
    try {
      return ask()
    } finally {
      asked.delete(node)
    }
  }
}
