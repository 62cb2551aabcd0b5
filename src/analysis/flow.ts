// Where in a script a Prisma client, or what was got from one, may be: a flow through variables, parameters, properties,
// returns and modules that forgets the order of things. Guarantees: what may hold a client is never taken for plain
// data; what is taken for a client may be plain data, which costs no more than a backup.

import type ts from 'typescript'
import { indexFunctions } from './functions.ts'
import type { Modules } from './modules.ts'
import { bare, isMember, memberName, propertyName, symbolOf, walkCode } from './syntax.ts'

/** What an expression may hold, as a sum. */
export const holds = {
  /** A client, a model of one, one of its methods, or a container of these. */
  client: 1,
  /** Something of a package, whose code is not read. */
  package: 2,
  /** A member whose name is only known at run time: calling it may do anything. */
  dynamic: 4,
}
const anything = holds.client | holds.package | holds.dynamic

/** Methods of a client and of its models, whose results are plain data. */
export const dataMethods = new Set(
  'findMany findFirst findFirstOrThrow findUnique findUniqueOrThrow count aggregate groupBy create createMany createManyAndReturn update updateMany updateManyAndReturn upsert delete deleteMany $connect $disconnect $on $queryRaw $queryRawUnsafe $queryRawTyped $executeRaw $executeRawUnsafe'.split(
    ' ',
  ),
)
/** With those that every object, list and promise has. Called by its name, none of them changes a row by itself. */
export const harmlessMethods = new Set([
  ...dataMethods,
  ...'$transaction $extends $use $metrics then catch finally map flatMap forEach filter find findIndex some every reduce push unshift pop shift slice splice concat at entries keys values get set has add join includes indexOf sort reverse toString call apply bind next return close end'.split(
    ' ',
  ),
])

export interface Flow {
  of(expression: ts.Expression): number
  /** The functions of the project that a call may run. */
  targets(call: ts.CallExpression | ts.NewExpression): ts.SignatureDeclaration[]
}

export function traceFlow(modules: Modules): Flow {
  const { ts, checker, files } = modules
  const bySymbol = new Map<ts.Symbol, number>()
  const byProperty = new Map<string, number>()
  const byFunction = new Map<ts.Node, number>()
  const { byName: functionsByName, literals, functionsIn, functionsOf, targetsOf } = indexFunctions(modules)
  let hasChanged = true
  /** Whether some property holds a client, so that a member whose name nobody knows may be it. */
  let isStored = false

  const raise = <Key>(map: Map<Key, number>, key: Key | undefined, bits: number) => {
    if (key === undefined || bits === 0) return
    const before = map.get(key) ?? 0
    if ((before | bits) === before) return
    map.set(key, before | bits)
    hasChanged = true
    if ((map as Map<unknown, number>) === byProperty && bits & holds.client) isStored = true
  }

  // Fifty rounds are more than any chain of names needs; where they are not enough, nothing is plain data.
  let rounds = 0
  for (; hasChanged && rounds < 50; rounds += 1) {
    hasChanged = false
    for (const file of files) walkCode(modules, file, step)
  }
  const of = hasChanged ? () => anything : bitsOf
  return { of, targets: targetsOf }

  function step(node: ts.Node): void {
    if (ts.isImportDeclaration(node)) importInto(node)
    else if (ts.isImportEqualsDeclaration(node) && ts.isExternalModuleReference(node.moduleReference))
      raise(bySymbol, checker.getSymbolAtLocation(node.name), anything)
    else if (ts.isVariableDeclaration(node) && node.initializer) bind(node.name, bitsOf(node.initializer))
    else if (ts.isForOfStatement(node)) {
      if (ts.isVariableDeclarationList(node.initializer))
        for (const { name } of node.initializer.declarations) bind(name, bitsOf(node.expression))
      else assign(node.initializer, bitsOf(node.expression))
    } else if (ts.isBinaryExpression(node) && isAssignment(node)) assign(node.left, bitsOf(node.right))
    else if (ts.isPropertyDeclaration(node) && node.initializer)
      raise(byProperty, propertyName(modules, node.name) ?? '*', bitsOf(node.initializer))
    else if (ts.isPropertyAssignment(node))
      raise(byProperty, propertyName(modules, node.name) ?? '*', bitsOf(node.initializer))
    else if (ts.isShorthandPropertyAssignment(node)) raise(byProperty, node.name.text, bitsOf(node.name))
    else if (ts.isParameter(node)) {
      if (node.initializer) bind(node.name, bitsOf(node.initializer))
      if (ts.isParameterPropertyDeclaration(node, node.parent) && ts.isIdentifier(node.name))
        raise(byProperty, node.name.text, bitsOf(node.name))
    } else if (ts.isClassLike(node)) {
      const base = node.heritageClauses?.find(({ token }) => token === ts.SyntaxKind.ExtendsKeyword)?.types[0]
      if (base && node.name) raise(bySymbol, checker.getSymbolAtLocation(node.name), bitsOf(base.expression))
    } else if (ts.isExportAssignment(node))
      raise(bySymbol, (node as unknown as { symbol?: ts.Symbol }).symbol, bitsOf(node.expression))
    else if ((ts.isReturnStatement(node) || ts.isYieldExpression(node)) && node.expression)
      raise(byFunction, ts.findAncestor(node, ts.isFunctionLike), bitsOf(node.expression))
    else if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) raise(byFunction, node, bitsOf(node.body))
    else if (ts.isCallExpression(node) || ts.isNewExpression(node)) passOn(node)
  }

  function importInto({ importClause, moduleSpecifier }: ts.ImportDeclaration): void {
    if (!importClause || importClause.isTypeOnly || !ts.isStringLiteral(moduleSpecifier)) return
    const kind = modules.kindOf(moduleSpecifier.text, moduleSpecifier.getSourceFile())
    if (kind === 'local' || kind === 'builtin' || kind === 'data') return
    const whole = kind === 'client' ? holds.client : kind === 'package' ? holds.package : anything
    const { name, namedBindings } = importClause
    if (name) raise(bySymbol, checker.getSymbolAtLocation(name), whole)
    if (namedBindings && ts.isNamespaceImport(namedBindings))
      raise(bySymbol, checker.getSymbolAtLocation(namedBindings.name), whole)
    else if (namedBindings)
      for (const { name: local, propertyName: imported, isTypeOnly } of namedBindings.elements) {
        const from = (imported ?? local).text
        const bits = kind === 'client' ? bitsOfClientExport(from) : whole
        if (!isTypeOnly) raise(bySymbol, checker.getSymbolAtLocation(local), bits)
      }
  }

  /** Enums and types of the generated client are plain; what makes SQL is read for itself. */
  function bitsOfClientExport(name: string): number {
    if (name === 'PrismaClient' || name === 'default') return holds.client
    return name === 'Prisma' || /^[a-z]/.test(name) || name === 'Sql' ? holds.package : 0
  }

  function bind(name: ts.BindingName, bits: number): void {
    if (ts.isIdentifier(name)) {
      raise(bySymbol, checker.getSymbolAtLocation(name), bits)
      return
    }
    for (const element of name.elements) {
      if (ts.isOmittedExpression(element)) continue
      const computed =
        element.propertyName && propertyName(modules, element.propertyName) === undefined && bits ? holds.dynamic : 0
      const key = ts.isObjectBindingPattern(name)
        ? propertyName(modules, element.propertyName ?? element.name)
        : undefined
      const stored = key === undefined ? 0 : (byProperty.get(key) ?? 0)
      bind(element.name, bits | computed | stored | (element.initializer ? bitsOf(element.initializer) : 0))
    }
  }

  function assign(target: ts.Expression, bits: number): void {
    if (bits === 0) return
    const left = bare(modules, target)
    if (ts.isIdentifier(left)) raise(bySymbol, symbolOf(modules, left), bits)
    else if (isMember(modules, left)) {
      raise(byProperty, memberName(modules, left) ?? '*', bits)
      fill(left.expression, bits)
    } else
      walkCode(modules, left, (node) => {
        if (ts.isIdentifier(node)) raise(bySymbol, symbolOf(modules, node), bits | holds.dynamic)
        if (isMember(modules, node)) raise(byProperty, memberName(modules, node) ?? '*', bits)
      })
  }

  /** What is put into a container makes the container, by whatever name it was reached, one that holds it. */
  function fill(container: ts.Expression, bits: number): void {
    const inner = bare(modules, container)
    if (ts.isIdentifier(inner)) raise(bySymbol, symbolOf(modules, inner), bits)
    else if (isMember(modules, inner)) {
      raise(byProperty, memberName(modules, inner) ?? '*', bits)
      fill(inner.expression, bits)
    }
  }

  /** Gives what a call is called with to what it may run. */
  function passOn(call: ts.CallExpression | ts.NewExpression): void {
    const targets = targetsOf(call)
    const args = call.arguments ?? []
    const given = args.map((arg) => bitsOf(ts.isSpreadElement(arg) ? arg.expression : arg))
    const spreadAt = args.findIndex((arg) => ts.isSpreadElement(arg))
    for (const target of targets)
      for (const [i, parameter] of target.parameters.entries()) {
        const fromSpread = spreadAt >= 0 && i >= spreadAt ? given.slice(spreadAt) : []
        const bits = (parameter.dotDotDotToken ? given.slice(i) : [given[i] ?? 0, ...fromSpread]).reduce(
          (a, b) => a | b,
          0,
        )
        bind(parameter.name, bits)
      }
    const callee = bare(modules, call.expression)
    const member = isMember(modules, callee) ? callee : undefined
    const name = member && memberName(modules, member)
    const receiver = member ? bitsOf(member.expression) : 0
    const passed = given.reduce((a, b) => a | b, 0)
    if (passed && !(receiver & holds.client)) {
      if (member) fill(member.expression, passed)
      // Object.assign, Reflect.set and their like.
      if (targets.length === 0) for (const arg of args) fill(ts.isSpreadElement(arg) ? arg.expression : arg, passed)
    }
    if (receiver & holds.client && name !== undefined && dataMethods.has(name)) return
    const isOwn = receiver & holds.client && (name === '$transaction' || name === '$extends')
    const bits = isOwn ? holds.client : receiver | passed
    if (bits === 0) return
    for (const arg of args)
      for (const target of functionsIn(arg)) for (const { name: p } of target.parameters) bind(p, bits)
    // Nobody knows which function of the project this runs.
    const isUnknown =
      !member && ts.isIdentifier(callee) && targets.length === 0 && symbolOf(modules, callee) !== undefined
    if (passed && (isUnknown || (member && name === undefined)))
      for (const literal of literals) for (const { name: p } of literal.parameters) bind(p, passed)
  }

  function returned(functions: ts.SignatureDeclaration[]): number {
    return functions.reduce((bits, one) => bits | (byFunction.get(one) ?? 0), 0)
  }

  function bitsOf(expression: ts.Expression): number {
    const node = bare(modules, expression)
    if (ts.isIdentifier(node)) return bitsOfName(node)
    if (ts.isConditionalExpression(node)) return bitsOf(node.whenTrue) | bitsOf(node.whenFalse)
    if (ts.isBinaryExpression(node)) return bitsOfBinary(node)
    if (ts.isObjectLiteralExpression(node))
      return node.properties.reduce((bits, each) => {
        if (ts.isPropertyAssignment(each)) return bits | bitsOf(each.initializer)
        if (ts.isShorthandPropertyAssignment(each)) return bits | bitsOf(each.name)
        return bits | (ts.isSpreadAssignment(each) ? bitsOf(each.expression) : returned([each]))
      }, 0)
    if (ts.isArrayLiteralExpression(node)) return node.elements.reduce((bits, each) => bits | bitsOf(each), 0)
    if (ts.isSpreadElement(node)) return bitsOf(node.expression)
    if (ts.isYieldExpression(node)) return anything
    if (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) return returned([node])
    if (ts.isClassExpression(node)) {
      const base = node.heritageClauses?.[0]?.types[0]
      return base ? bitsOf(base.expression) : 0
    }
    if (isMember(modules, node)) return bitsOfMember(node)
    if (ts.isTaggedTemplateExpression(node)) {
      if (isMember(modules, node.tag) && dataMethods.has(memberName(modules, node.tag) ?? '')) return 0
      return bitsOf(node.tag)
    }
    return ts.isCallExpression(node) || ts.isNewExpression(node) ? bitsOfCall(node) : 0
  }

  function bitsOfName(node: ts.Identifier): number {
    const symbol = symbolOf(modules, node)
    if (!symbol) {
      if (/^(globalThis|global|window|self)$/.test(node.text)) return holds.client
      return node.text === 'arguments' ? anything : 0
    }
    const direct = checker.getSymbolAtLocation(node)
    return bitsOfSymbol(symbol) | (direct ? (bySymbol.get(direct) ?? 0) : 0)
  }

  function bitsOfSymbol(symbol: ts.Symbol): number {
    const bits = bySymbol.get(symbol) ?? 0
    const { declarations = [] } = symbol
    if (declarations.length === 0) return anything
    if (declarations.some((each) => ts.isSourceFile(each))) return bits | exportsOf(symbol)
    return declarations.reduce((all, each) => all | bitsOfDeclaration(each), bits)
  }

  /** What a declaration adds to what was found in its symbol. */
  function bitsOfDeclaration(node: ts.Declaration): number {
    if (ts.isFunctionDeclaration(node)) return returned([node])
    if (ts.isPropertyAssignment(node)) return bitsOf(node.initializer)
    if (ts.isShorthandPropertyAssignment(node)) return bitsOf(node.name)
    const isFollowed =
      ts.isVariableDeclaration(node) ||
      ts.isBindingElement(node) ||
      ts.isParameter(node) ||
      ts.isClassLike(node) ||
      ts.isFunctionLike(node) ||
      ts.isEnumDeclaration(node) ||
      ts.isExportAssignment(node) ||
      ts.isImportClause(node) ||
      ts.isImportSpecifier(node) ||
      ts.isNamespaceImport(node) ||
      ts.isInterfaceDeclaration(node) ||
      ts.isTypeAliasDeclaration(node)
    // What came into being in another way, such as `exports.name = …`, may be anything.
    return isFollowed ? 0 : anything
  }

  function exportsOf(module: ts.Symbol): number {
    return checker.getExportsOfModule(module).reduce((bits, each) => {
      const isAlias = each.flags & ts.SymbolFlags.Alias
      return bits | bitsOfSymbol(isAlias ? checker.getAliasedSymbol(each) : each)
    }, 0)
  }

  function bitsOfBinary(node: ts.BinaryExpression): number {
    const { kind } = node.operatorToken
    const either = [
      ts.SyntaxKind.BarBarToken,
      ts.SyntaxKind.QuestionQuestionToken,
      ts.SyntaxKind.AmpersandAmpersandToken,
    ]
    if (either.includes(kind)) return bitsOf(node.left) | bitsOf(node.right)
    if (isAssignment(node)) return bitsOf(node.left) | bitsOf(node.right)
    return kind === ts.SyntaxKind.CommaToken ? bitsOf(node.right) : 0
  }

  function bitsOfMember(node: ts.PropertyAccessExpression | ts.ElementAccessExpression): number {
    const name = memberName(modules, node)
    const bits = bitsOf(node.expression)
    if (name !== undefined && !/^\d+$/.test(name)) {
      const stored = (byProperty.get(name) ?? 0) | ((byProperty.get('*') ?? 0) & holds.client ? holds.dynamic : 0)
      const getters = (functionsByName.get(name) ?? []).filter((each) => ts.isGetAccessor(each))
      // The method of a model that nobody can name is that method; any other member may still be what nobody can name.
      const known = harmlessMethods.has(name) ? bits & ~holds.dynamic : bits
      return known | stored | returned(getters)
    }
    if (name !== undefined) return bits
    return bits || isStored ? bits | holds.dynamic : 0
  }

  function bitsOfCall(call: ts.CallExpression | ts.NewExpression): number {
    const callee = bare(modules, call.expression)
    const args = (call.arguments ?? []).reduce((bits, arg) => bits | bitsOf(arg), 0)
    if (callee.kind === ts.SyntaxKind.ImportKeyword) return bitsOfLoad(call.arguments?.[0])
    if (ts.isIdentifier(callee) && callee.text === 'require' && !symbolOf(modules, callee))
      return bitsOfLoad(call.arguments?.[0])
    const own = returned(targetsOf(call))
    if (isMember(modules, callee)) {
      const name = memberName(modules, callee)
      const receiver = bitsOf(callee.expression)
      if (receiver & holds.client && name !== undefined && dataMethods.has(name)) return own
      if (receiver & holds.client && name === '$extends') return holds.client
      if (receiver & holds.client && name === '$transaction')
        return (call.arguments ?? []).flatMap(functionsIn).reduce((bits, one) => bits | returned([one]), 0)
      const root = bare(modules, callee.expression)
      if (ts.isIdentifier(root) && !symbolOf(modules, root) && /^(console|JSON|Math)$/.test(root.text)) return 0
      // What the function gives is what comes out, not what it was given.
      const [first] = call.arguments ?? []
      const made = name !== undefined && /^(map|flatMap|then)$/.test(name) && first ? functionsIn(first) : []
      const bits = made.length > 0 ? (receiver & holds.package) | returned(made) : receiver | args
      return own | bits | (bits & holds.client && !ts.isNewExpression(call) ? holds.dynamic : 0)
    }
    if (ts.isNewExpression(call)) return own | bitsOf(callee) | args
    const local = ts.isIdentifier(callee) ? functionsOf(symbolOf(modules, callee)) : []
    if (local.length > 0) return own
    const bits = bitsOf(callee) | args
    return own | bits | (bits & holds.client ? holds.dynamic : 0)
  }

  function bitsOfLoad(specifier: ts.Expression | undefined): number {
    if (!specifier || !ts.isStringLiteralLike(specifier)) return anything
    const kind = modules.kindOf(specifier.text, specifier.getSourceFile())
    if (kind === 'builtin' || kind === 'data') return 0
    if (kind === 'package') return holds.package
    const module = kind === 'local' ? checker.getSymbolAtLocation(specifier) : undefined
    return module ? exportsOf(module) : kind === 'client' ? holds.client : anything
  }

  function isAssignment({ operatorToken: { kind } }: ts.BinaryExpression): boolean {
    return kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment
  }
}
