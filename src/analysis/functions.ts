// The functions of the project, and which of them a call may run.
// Guarantees: a call by name may run every function of that name, whatever it is a member of.

import type ts from 'typescript'
import type { Modules } from './modules.ts'
import { bare, isMember, memberName, propertyName, symbolOf, walkCode } from './syntax.ts'

export interface Functions {
  byName: Map<string, ts.SignatureDeclaration[]>
  /** Arrow functions and function expressions: what may be passed on without a name. */
  literals: ts.SignatureDeclaration[]
  /** The functions that an argument is, or names. */
  functionsIn(arg: ts.Expression): ts.SignatureDeclaration[]
  functionsOf(symbol: ts.Symbol | undefined): ts.SignatureDeclaration[]
  targetsOf(call: ts.CallExpression | ts.NewExpression): ts.SignatureDeclaration[]
}

export function indexFunctions(modules: Modules): Functions {
  const { ts } = modules
  const byName = new Map<string, ts.SignatureDeclaration[]>()
  const literals: ts.SignatureDeclaration[] = []
  for (const file of modules.files)
    walkCode(modules, file, (node) => {
      if (!ts.isFunctionLike(node)) return
      if (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) literals.push(node)
      const name = nameOf(node)
      if (name !== undefined) byName.set(name, [...(byName.get(name) ?? []), node])
    })
  return { byName, literals, functionsIn, functionsOf, targetsOf }

  function nameOf(node: ts.SignatureDeclaration): string | undefined {
    if (ts.isConstructorDeclaration(node)) return 'constructor'
    const { parent } = node
    const own = propertyName(modules, node.name)
    if (own !== undefined) return own
    if (ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent) || ts.isPropertyDeclaration(parent))
      return propertyName(modules, parent.name)
    if (!ts.isBinaryExpression(parent) || !isMember(modules, parent.left)) return undefined
    return memberName(modules, parent.left)
  }

  function functionsIn(arg: ts.Expression): ts.SignatureDeclaration[] {
    const inner = bare(modules, arg)
    if (ts.isArrowFunction(inner) || ts.isFunctionExpression(inner)) return [inner]
    return ts.isIdentifier(inner) ? functionsOf(symbolOf(modules, inner)) : []
  }

  function functionsOf(symbol: ts.Symbol | undefined): ts.SignatureDeclaration[] {
    return (symbol?.declarations ?? []).flatMap((declaration) => {
      if (ts.isFunctionLike(declaration)) return [declaration]
      if (ts.isExportAssignment(declaration)) return functionsIn(declaration.expression)
      if (ts.isClassLike(declaration)) return declaration.members.filter(ts.isConstructorDeclaration)
      if (!ts.isVariableDeclaration(declaration) || !declaration.initializer) return []
      return functionsIn(declaration.initializer)
    })
  }

  function targetsOf(call: ts.CallExpression | ts.NewExpression): ts.SignatureDeclaration[] {
    const callee = bare(modules, call.expression)
    if (ts.isArrowFunction(callee) || ts.isFunctionExpression(callee)) return [callee]
    if (ts.isIdentifier(callee)) return functionsOf(symbolOf(modules, callee))
    if (callee.kind === ts.SyntaxKind.SuperKeyword) return byName.get('constructor') ?? []
    if (!isMember(modules, callee)) return []
    const name = memberName(modules, callee)
    const named = name === undefined ? [] : (byName.get(name) ?? [])
    return ts.isNewExpression(call) ? [...named, ...(byName.get('constructor') ?? [])] : named
  }
}
