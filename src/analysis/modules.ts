// The script and every module of the project that it imports, parsed and bound by TypeScript: names are resolved, types
// are not. Guarantees: nothing of a script is run; a file that cannot be parsed is an error that names the place; an
// import that leads nowhere known is told, not passed over.

import { existsSync, realpathSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, sep } from 'node:path'
import type ts from 'typescript'
import { BootkeeperError } from '../errors.ts'

/** `client`: the generated Prisma client. `data`: JSON. `unknown`: it was not found. */
export type ModuleKind = 'local' | 'client' | 'builtin' | 'package' | 'data' | 'unknown'

export interface Modules {
  ts: typeof ts
  checker: ts.TypeChecker
  files: ts.SourceFile[]
  kindOf(specifier: string, from: ts.SourceFile): ModuleKind
}

/** Throws SCRIPT_INVALID. `clientFolders`: where the generators of the schema write their clients. */
export async function readModules(script: string, clientFolders: string[]): Promise<Modules> {
  const { default: typescript } = await import('typescript')
  const entry = realpathSync(script)
  const options = readOptions(typescript, entry)
  const host = typescript.createCompilerHost(options)
  const cache = typescript.createModuleResolutionCache(dirname(entry), (name) => name, options)
  const clients = clientFolders.map((folder) => (existsSync(folder) ? realpathSync(folder) : folder) + sep)

  const resolve = (specifier: string, from: string): { kind: ModuleKind; path?: string } => {
    // A driver, so that what is done with it is read as with one of a package.
    if (specifier === 'node:sqlite') return { kind: 'package' }
    if (specifier.startsWith('node:') || builtinModules.includes(specifier)) return { kind: 'builtin' }
    const { resolvedModule } = typescript.resolveModuleName(specifier, from, options, host, cache)
    const isPrisma = /^(@prisma|\.prisma)\/client(\/|$)/.test(specifier)
    if (!resolvedModule) return { kind: isPrisma ? 'client' : 'unknown' }
    const { resolvedFileName, isExternalLibraryImport } = resolvedModule
    if (isExternalLibraryImport || resolvedFileName.includes('/node_modules/'))
      return { kind: isPrisma ? 'client' : 'package' }
    const path = withoutDeclaration(resolvedFileName)
    if (path === undefined) return { kind: 'unknown' }
    if (clients.some((folder) => path.startsWith(folder))) return { kind: 'client' }
    if (path.endsWith('.json')) return { kind: 'data' }
    return /\.[cm]?[jt]sx?$/.test(path) ? { kind: 'local', path } : { kind: 'unknown' }
  }
  host.resolveModuleNameLiterals = (literals, from) =>
    literals.map(({ text }) => {
      const { kind, path } = resolve(text, from)
      if (kind !== 'local' || path === undefined) return { resolvedModule: undefined }
      return {
        resolvedModule: { resolvedFileName: path, extension: extensionOf(path), isExternalLibraryImport: false },
      }
    })

  const roots = [entry]
  for (;;) {
    const program = typescript.createProgram(roots, options, host)
    const files = program.getSourceFiles().filter(({ isDeclarationFile }) => !isDeclarationFile)
    for (const file of files) requireParsed(typescript, program, file)
    // What require() names in a TypeScript file is not followed by the program itself.
    const missing = files
      .flatMap((file) => requiredBy(typescript, file).map((specifier) => resolve(specifier, file.fileName)))
      .flatMap(({ kind, path }) => (kind === 'local' && path && !program.getSourceFile(path) ? [path] : []))
    if (missing.length > 0) {
      roots.push(...missing)
      continue
    }
    return {
      ts: typescript,
      checker: program.getTypeChecker(),
      files,
      kindOf: (specifier, from) => resolve(specifier, from.fileName).kind,
    }
  }
}

/** As tsx resolves: the paths of the nearest tsconfig.json, and files without their endings. */
function readOptions(typescript: typeof ts, entry: string): ts.CompilerOptions {
  const own: ts.CompilerOptions = {
    module: typescript.ModuleKind.ESNext,
    moduleResolution: typescript.ModuleResolutionKind.Bundler,
    target: typescript.ScriptTarget.ESNext,
    jsx: typescript.JsxEmit.Preserve,
    allowJs: true,
    noLib: true,
    noEmit: true,
    types: [],
    maxNodeModuleJsDepth: 0,
  }
  const path = typescript.findConfigFile(dirname(entry), (name) => typescript.sys.fileExists(name))
  if (path === undefined) return own
  const { config } = typescript.readConfigFile(path, (name) => typescript.sys.readFile(name))
  const host = { ...typescript.sys, readDirectory: () => [] }
  const { options } = typescript.parseJsonConfigFileContent(config ?? {}, host, dirname(path))
  const { paths, baseUrl, pathsBasePath, customConditions } = options
  const kept = { paths, baseUrl, pathsBasePath, customConditions }
  return { ...own, ...Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined)) }
}

/** The program behind a declaration file, where it lies beside it. */
function withoutDeclaration(path: string): string | undefined {
  const declared = /\.d\.([cm]?)ts$/.exec(path)
  if (!declared) return path
  const program = `${path.slice(0, declared.index)}.${declared[1]}js`
  return existsSync(program) ? program : undefined
}

function extensionOf(path: string): ts.Extension {
  return /\.[cm]?[jt]sx?$/.exec(path)![0] as ts.Extension
}

function requireParsed(typescript: typeof ts, program: ts.Program, file: ts.SourceFile): void {
  const [first] = program.getSyntacticDiagnostics(file)
  if (!first) return
  const { line } = file.getLineAndCharacterOfPosition(first.start ?? 0)
  const message = typescript.flattenDiagnosticMessageText(first.messageText, ' ').replace(/\.$/, '')
  throw new BootkeeperError('SCRIPT_INVALID', `${file.fileName}, line ${line + 1}: ${message}.`)
}

function requiredBy(typescript: typeof ts, file: ts.SourceFile): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if (
      typescript.isCallExpression(node) &&
      typescript.isIdentifier(node.expression) &&
      node.expression.text === 'require'
    ) {
      const [specifier] = node.arguments
      if (specifier && typescript.isStringLiteralLike(specifier)) found.push(specifier.text)
    }
    typescript.forEachChild(node, visit)
  }
  visit(file)
  return found
}
