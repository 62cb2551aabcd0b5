// Small questions about a piece of syntax that all parts of the analysis ask: what runs of it, what text it surely is,
// which name a member has. Guarantees: a text is only given where it can be no other.

import type ts from 'typescript'
import type { Modules } from './modules.ts'
import { unknownPart } from './sql.ts'

/** Every node that is code, parents first; types say nothing about what runs. `visit` gives false to go no deeper. */
export function walkCode({ ts }: Modules, root: ts.Node, visit: (node: ts.Node) => unknown): void {
  const each = (node: ts.Node): void => {
    if (ts.isExpressionWithTypeArguments(node)) {
      each(node.expression)
      return
    }
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return
    if (visit(node) !== false) ts.forEachChild(node, each)
  }
  each(root)
}

/** The expression without what only types or waits. */
export function bare({ ts }: Modules, node: ts.Expression): ts.Expression {
  let inner = node
  while (
    ts.isParenthesizedExpression(inner) ||
    ts.isAsExpression(inner) ||
    ts.isTypeAssertionExpression(inner) ||
    ts.isNonNullExpression(inner) ||
    ts.isSatisfiesExpression(inner) ||
    ts.isAwaitExpression(inner)
  )
    inner = inner.expression
  return inner
}

/** The symbol that a name stands for, through the imports of the project; undefined for a global. */
export function symbolOf({ ts, checker }: Modules, node: ts.Identifier): ts.Symbol | undefined {
  const symbol = ts.isShorthandPropertyAssignment(node.parent)
    ? checker.getShorthandAssignmentValueSymbol(node.parent)
    : ts.isExportSpecifier(node.parent)
      ? checker.getExportSpecifierLocalTargetSymbol(node.parent)
      : checker.getSymbolAtLocation(node)
  if (!symbol || !(symbol.flags & ts.SymbolFlags.Alias)) return symbol?.declarations?.length ? symbol : undefined
  const aliased = checker.getAliasedSymbol(symbol)
  return aliased.declarations?.length ? aliased : symbol
}

/** The text that the expression is, whatever happens at run time. */
export function constantText(modules: Modules, node: ts.Expression | undefined): string | undefined {
  const text = node && textWithGaps(modules, node)
  return text === undefined || text.includes(unknownPart) ? undefined : text
}

/** The same with `unknownPart` for what is only known at run time; undefined where nothing of it is known. */
export function textWithGaps(modules: Modules, node: ts.Expression, depth = 0): string | undefined {
  const { ts } = modules
  const inner = bare(modules, node)
  const part = (piece: ts.Expression) => textWithGaps(modules, piece, depth + 1) ?? unknownPart
  if (depth > 50) return undefined
  if (ts.isStringLiteralLike(inner) || ts.isNumericLiteral(inner)) return inner.text
  if (ts.isTemplateExpression(inner))
    return (
      inner.head.text + inner.templateSpans.map(({ expression, literal }) => part(expression) + literal.text).join('')
    )
  if (ts.isBinaryExpression(inner) && inner.operatorToken.kind === ts.SyntaxKind.PlusToken)
    return part(inner.left) + part(inner.right)
  if (!ts.isIdentifier(inner)) return undefined
  const initializer = constantOf(modules, inner)
  return initializer && textWithGaps(modules, initializer, depth + 1)
}

/** What a `const` was set to. */
export function constantOf(modules: Modules, node: ts.Identifier): ts.Expression | undefined {
  const { ts } = modules
  const declarations = symbolOf(modules, node)?.declarations ?? []
  const [only] = declarations
  if (declarations.length !== 1 || !only || !ts.isVariableDeclaration(only) || !ts.isIdentifier(only.name))
    return undefined
  return ts.getCombinedNodeFlags(only) & ts.NodeFlags.Const ? only.initializer : undefined
}

/** The name of a member in `a.name`, `a['name']`; undefined where it is computed. */
export function memberName(
  modules: Modules,
  node: ts.PropertyAccessExpression | ts.ElementAccessExpression,
): string | undefined {
  return modules.ts.isPropertyAccessExpression(node) ? node.name.text : constantText(modules, node.argumentExpression)
}

/** The name of a property in a literal, a class or a pattern; undefined where it is computed. */
export function propertyName(modules: Modules, name: ts.PropertyName | ts.BindingName | undefined): string | undefined {
  const { ts } = modules
  if (!name || ts.isObjectBindingPattern(name) || ts.isArrayBindingPattern(name)) return undefined
  return ts.isComputedPropertyName(name) ? constantText(modules, name.expression) : name.text
}

export function isMember(
  modules: Modules,
  node: ts.Node,
): node is ts.PropertyAccessExpression | ts.ElementAccessExpression {
  return modules.ts.isPropertyAccessExpression(node) || modules.ts.isElementAccessExpression(node)
}

/** `new Map()` and its like, in a `const`: their `delete` and `set` concern no database. */
export function isCollection(modules: Modules, node: ts.Expression): boolean {
  const { ts } = modules
  let inner = bare(modules, node)
  if (ts.isIdentifier(inner)) inner = bare(modules, constantOf(modules, inner) ?? inner)
  return (
    ts.isNewExpression(inner) &&
    ts.isIdentifier(inner.expression) &&
    /^(Map|Set|WeakMap|WeakSet|URLSearchParams|Headers|FormData)$/.test(inner.expression.text) &&
    symbolOf(modules, inner.expression) === undefined
  )
}
