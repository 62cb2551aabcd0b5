// Findings of the second kind: SQL, given to Prisma or to another driver, and texts that look like it.
// Guarantees: SQL that is put together at run time counts as destructive on everything; a text that says DELETE, DROP or
// the like is found also where nobody can see it being run.

import type ts from 'typescript'
import type { DataModel } from '../data-model.ts'
import type { Flow } from './flow.ts'
import type { Modules } from './modules.ts'
import { anything, type Effect } from './prisma-calls.ts'
import { effectsOf as effectsOfSql, hasDestructiveWord, looksDestructive, unknownPart } from './sql.ts'
import { bare, constantOf, constantText, isMember, memberName, propertyName, textWithGaps } from './syntax.ts'

const prismaRaw = /^\$(executeRaw|queryRaw)(Unsafe|Typed)?$|^\$runCommandRaw$/
const drivers = new Set('exec execute query prepare batch executeMultiple unsafe raw run all get each'.split(' '))
/** On a prepared statement these take values. */
const ofStatements = new Set(['run', 'all', 'get', 'each'])
const beginsLikeSql =
  /^\s*(\(|--|\/\*|SELECT|WITH|INSERT|UPDATE|DELETE|DROP|TRUNCATE|ALTER|CREATE|REPLACE|MERGE|PRAGMA|CALL|DO|EXEC|COPY|VACUUM|SET|GRANT|BEGIN|EXPLAIN|ATTACH|REINDEX)/i

export function findSql(modules: Modules, data: DataModel, flow: Flow) {
  const { ts } = modules
  /** Texts that were read with the call that runs them. */
  const explained = new Set<ts.Node>()

  /** Parents come before their parts. */
  return function effectsOf(node: ts.Node): Effect[] {
    if (isMember(modules, node)) return mention(node)
    if (ts.isBindingElement(node)) {
      const name = propertyName(modules, node.propertyName ?? node.name) ?? ''
      return prismaRaw.test(name) ? [anything(`{ ${name} }`)] : []
    }
    if (ts.isTaggedTemplateExpression(node)) return tagged(node)
    if (ts.isCallExpression(node)) return called(node)
    return ts.isStringLiteralLike(node) || ts.isTemplateExpression(node) || ts.isBinaryExpression(node)
      ? text(node)
      : []
  }

  /** Other than called or as a tag, nobody sees what it will be given. */
  function mention(node: ts.PropertyAccessExpression | ts.ElementAccessExpression): Effect[] {
    const name = memberName(modules, node) ?? ''
    if (!prismaRaw.test(name)) return []
    let outer = node.parent
    while (ts.isParenthesizedExpression(outer) || ts.isNonNullExpression(outer)) outer = outer.parent
    if (ts.isTaggedTemplateExpression(outer) && bare(modules, outer.tag) === node) return []
    if (ts.isCallExpression(outer) && bare(modules, outer.expression) === node) return []
    return [anything(`${name}, passed on`)]
  }

  function tagged(node: ts.TaggedTemplateExpression): Effect[] {
    const tag = bare(modules, node.tag)
    const name = isMember(modules, tag) ? (memberName(modules, tag) ?? '') : ts.isIdentifier(tag) ? tag.text : ''
    const sql = templateText(node.template)
    if (prismaRaw.test(name)) {
      // A text in the place of a value is a value.
      if (ts.isTemplateExpression(node.template))
        for (const { expression } of node.template.templateSpans)
          if (ts.isStringLiteralLike(expression)) explain(expression)
      return run(name, sql, node.template)
    }
    // Of Prisma.sql and sql`…` of other drivers: a part, or the whole statement.
    if (flow.of(tag) === 0 && !/^(sql|sqltag|raw)$/i.test(name)) return []
    explain(node.template)
    if (!hasDestructiveWord(sql)) return []
    const effects = beginsLikeSql.test(sql) ? effectsOfSql(data, sql) : []
    return effects.length > 0 ? effects : [anything(`${name}\`…\` with a destructive word`)]
  }

  function called(node: ts.CallExpression): Effect[] {
    const callee = bare(modules, node.expression)
    const name = isMember(modules, callee)
      ? (memberName(modules, callee) ?? '')
      : ts.isIdentifier(callee)
        ? callee.text
        : ''
    const [first] = node.arguments
    if (prismaRaw.test(name)) {
      const inner = first && bare(modules, first)
      if (inner && ts.isTaggedTemplateExpression(inner)) return run(name, templateText(inner.template), inner.template)
      return name.endsWith('Unsafe') ? run(name, constantText(modules, first), first) : [anything(`${name}(…)`)]
    }
    if (!isMember(modules, callee)) {
      // raw(…) of Prisma, imported by its name.
      if (name !== 'raw' || !first || flow.of(callee) === 0) return []
    } else if (!drivers.has(name) || flow.of(callee.expression) === 0 || !first) return []
    if (isMember(modules, callee) && ofStatements.has(name) && isPrepared(callee.expression)) return []
    const inner = bare(modules, first)
    if (ts.isArrowFunction(inner) || ts.isFunctionExpression(inner)) return []
    const statement = ts.isObjectLiteralExpression(inner) ? memberOf(inner, ['text', 'sql']) : first
    // `get` and `each` are words of everybody: without a text that is SQL they say nothing.
    const sql = statement && constantText(modules, statement)
    if (sql === undefined)
      return ofStatements.has(name) && !mayBeText(inner)
        ? []
        : [anything(`${name}() of SQL that is put together at run time`)]
    if (name === 'raw') {
      explain(first)
      return hasDestructiveWord(sql) ? [anything('raw() with a destructive word')] : []
    }
    return beginsLikeSql.test(sql) ? run(name, sql, statement) : []
  }

  function run(name: string, sql: string | undefined, source: ts.Node | undefined): Effect[] {
    if (sql === undefined) return [anything(`${name}() of SQL that is put together at run time`)]
    if (source) explain(source)
    return effectsOfSql(data, sql)
  }

  /** A text that no call here takes, but that looks like a statement. */
  function text(node: ts.Expression): Effect[] {
    if (explained.has(node)) return []
    if (ts.isBinaryExpression(node) && node.operatorToken.kind !== ts.SyntaxKind.PlusToken) return []
    if (ts.isImportDeclaration(node.parent) || ts.isExportDeclaration(node.parent)) return []
    if (ts.isCallExpression(node.parent) && /^console\./.test(node.parent.expression.getText())) return []
    const whole = textWithGaps(modules, node)
    if (whole === undefined || !looksDestructive(whole)) return []
    explain(node)
    const effects = whole.includes(unknownPart) ? [] : effectsOfSql(data, whole)
    return effects.length > 0 ? effects : [anything('a text that looks like destructive SQL')]
  }

  function explain(node: ts.Node): void {
    explained.add(node)
    // A constant that holds the text is read where it is run.
    if (ts.isIdentifier(node)) {
      const set = constantOf(modules, node)
      if (set) explain(set)
    }
    const isText =
      ts.isStringLiteralLike(node) ||
      ts.isTemplateExpression(node) ||
      ts.isBinaryExpression(node) ||
      ts.isParenthesizedExpression(node)
    if (isText) ts.forEachChild(node, explain)
  }

  function templateText(template: ts.TemplateLiteral): string {
    if (ts.isNoSubstitutionTemplateLiteral(template)) return template.text
    return template.head.text + template.templateSpans.map(({ literal }) => ` ${unknownPart} ${literal.text}`).join('')
  }

  function memberOf(object: ts.ObjectLiteralExpression, names: string[]): ts.Expression | undefined {
    const found = object.properties.find((each) => each.name && names.includes(propertyName(modules, each.name) ?? ''))
    return found && ts.isPropertyAssignment(found) ? found.initializer : undefined
  }

  function mayBeText(node: ts.Expression): boolean {
    return (
      ts.isIdentifier(node) ||
      ts.isTemplateExpression(node) ||
      ts.isBinaryExpression(node) ||
      ts.isCallExpression(node) ||
      isMember(modules, node)
    )
  }

  function isPrepared(receiver: ts.Expression): boolean {
    let node = bare(modules, receiver)
    if (ts.isIdentifier(node)) node = bare(modules, constantOf(modules, node) ?? node)
    if (!ts.isCallExpression(node)) return false
    const callee = bare(modules, node.expression)
    return (
      isMember(modules, callee) &&
      ['prepare', 'pluck', 'raw', 'expand', 'bind'].includes(memberName(modules, callee) ?? '')
    )
  }
}
