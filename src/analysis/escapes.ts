// Findings of the third kind: ways out of what can be read. Other programs, code made at run time, modules that are not
// known, calls of what nobody can name, the client in the hands of a package, files removed.
// Guarantees: each of them counts as destructive on everything.

import type ts from 'typescript'
import { type Flow, holds } from './flow.ts'
import type { Modules } from './modules.ts'
import { anything, type Effect } from './prisma-calls.ts'
import { bare, constantText, isMember, memberName, symbolOf } from './syntax.ts'

/** Modules that run programs or code. */
const programs =
  /^(node:)?(child_process|worker_threads|cluster|vm|repl|inspector|test)(\/|$)|^(execa|zx|cross-spawn|shelljs|tinyexec|nano-spawn|node-pty|npm-run-all|concurrently|piscina|tinypool|isolated-vm|vm2|@prisma\/internals|prisma)(\/|$)/
const codeMakers = new Set(['eval', 'Function', 'createRequire', 'Bun', 'Deno', 'importScripts'])
const processDoors = new Set(['getBuiltinModule', 'binding', '_linkedBinding', 'dlopen', 'mainModule'])
const fileRemovers = new Set(
  'rm rmSync rmdir rmdirSync unlink unlinkSync rename renameSync truncate truncateSync ftruncate ftruncateSync'.split(
    ' ',
  ),
)
const databaseFile = /\.(db|sqlite3?)(-wal|-shm|-journal)?$/i

export function findEscapes(modules: Modules, flow: Flow) {
  const { ts } = modules
  return function effectsOf(node: ts.Node): Effect[] {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
      const isType = ts.isImportDeclaration(node) ? node.importClause?.isTypeOnly : node.isTypeOnly
      return isType || !node.moduleSpecifier ? [] : loaded(node.moduleSpecifier)
    }
    if (ts.isExternalModuleReference(node)) return loaded(node.expression)
    if (ts.isIdentifier(node)) return named(node)
    if (isMember(modules, node)) return member(node)
    if (ts.isTaggedTemplateExpression(node)) return flow.of(node.tag) & holds.dynamic ? [unnamed(node.tag)] : []
    return ts.isCallExpression(node) || ts.isNewExpression(node) ? called(node) : []
  }

  function loaded(specifier: ts.Expression | undefined): Effect[] {
    const name = specifier && ts.isStringLiteralLike(specifier) ? specifier.text : undefined
    if (name === undefined) return [anything('a module whose name is only known at run time')]
    if (programs.test(name)) return [anything(`${name}, which runs other programs or code`)]
    const kind = modules.kindOf(name, specifier!.getSourceFile())
    return kind === 'unknown' ? [anything(`the module ${name}, which was not found`)] : []
  }

  function named(node: ts.Identifier): Effect[] {
    if (!codeMakers.has(node.text)) return []
    const { parent } = node
    // Only the global: not a member or a key of that name, and not what the project itself calls so.
    const isKey = (isMember(modules, parent) && parent.expression !== node) || ts.isPropertyAssignment(parent)
    const isImport = node.text === 'createRequire'
    return !isKey && (isImport || symbolOf(modules, node) === undefined)
      ? [anything(`${node.text}, which runs code that is not here`)]
      : []
  }

  function member(node: ts.PropertyAccessExpression | ts.ElementAccessExpression): Effect[] {
    const name = memberName(modules, node)
    const owner = bare(modules, node.expression)
    const isGlobal = ts.isIdentifier(owner) && /^(process|module|globalThis|global|window|self)$/.test(owner.text)
    if (isGlobal && (name === undefined || processDoors.has(name) || codeMakers.has(name) || name === 'require'))
      return name === undefined && owner.getText() === 'process'
        ? []
        : [anything(`${owner.getText()}.${name ?? '[…]'}`)]
    return []
  }

  function called(node: ts.CallExpression | ts.NewExpression): Effect[] {
    const callee = bare(modules, node.expression)
    const args = node.arguments ?? []
    if (callee.kind === ts.SyntaxKind.ImportKeyword) return loaded(args[0])
    const name = isMember(modules, callee)
      ? memberName(modules, callee)
      : ts.isIdentifier(callee)
        ? callee.text
        : undefined
    if (ts.isIdentifier(callee) && name === 'require' && !symbolOf(modules, callee)) return loaded(args[0])
    if (isMember(modules, callee) && name === 'constructor') return [anything('constructor(), which can make code')]
    if ((name === 'setTimeout' || name === 'setInterval') && args[0] && constantText(modules, args[0]) !== undefined)
      return [anything(`${name}() of a text`)]
    const effects = files(node, name)
    if (flow.targets(node).length === 0 && flow.of(callee) & holds.dynamic) effects.push(unnamed(callee))
    else if (flow.targets(node).length === 0) effects.push(...byProxy(callee, name, args))
    if (isGivenAway(callee, args)) effects.push(anything(`the client, given to ${shown(callee)} of a package`))
    return effects
  }

  /** What nobody can name is called by way of something else: `f.call()`, `Reflect.apply(f)`, `then(f)`. */
  function byProxy(callee: ts.Expression, name: string | undefined, args: readonly ts.Expression[]): Effect[] {
    const isCaller = name !== undefined && /^(call|apply|bind)$/.test(name)
    if (isCaller && isMember(modules, callee) && flow.of(callee.expression) & holds.dynamic)
      return [unnamed(callee.expression)]
    if (/^console\b/.test(callee.getText())) return []
    const unknown = args.find((arg) => {
      const bits = flow.of(ts.isSpreadElement(arg) ? arg.expression : arg)
      return bits & holds.dynamic && (bits & holds.client || isCaller)
    })
    return unknown ? [unnamed(unknown)] : []
  }

  /** What a package does with a client is not read. Prisma's own makers of extensions apart. */
  function isGivenAway(callee: ts.Expression, args: readonly ts.Expression[]): boolean {
    const bits = flow.of(callee)
    if (!(bits & holds.package) || bits & holds.client || /^Prisma\b/.test(callee.getText())) return false
    return args.some((arg) => flow.of(ts.isSpreadElement(arg) ? arg.expression : arg) & holds.client)
  }

  function files(node: ts.CallExpression | ts.NewExpression, name: string | undefined): Effect[] {
    if (name === undefined || flow.targets(node).length > 0) return []
    if (fileRemovers.has(name)) return [anything(`${name}(), which may remove the database's file`)]
    if (!/^(write|append|copy|cp|create|open|symlink|link)/.test(name)) return []
    const text = (node.arguments ?? [])
      .map((arg) => constantText(modules, arg))
      .find((each) => databaseFile.test(each ?? ''))
    return text === undefined ? [] : [anything(`${name}() of ${text}`)]
  }

  function unnamed(callee: ts.Expression): Effect {
    return anything(`${shown(callee)}(), whose name is only known at run time`)
  }

  function shown(node: ts.Node): string {
    const text = node.getText().replace(/\s+/g, ' ')
    return text.length > 40 ? `${text.slice(0, 39)}…` : text
  }
}
