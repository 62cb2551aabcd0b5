// Reads a script, and every module of the project that it imports, and says whether it may change or remove rows, and of
// which models. Nothing is run. Guarantees: what cannot be told counts as destructive on everything; packages are not
// read, but one that is given the client, or runs programs, is a finding; a script that cannot be parsed is an error.

import { findClients } from './analysis/clients.ts'
import { findEscapes } from './analysis/escapes.ts'
import { type Finding, type Touched, unite } from './analysis/finding.ts'
import { traceFlow } from './analysis/flow.ts'
import { readModules } from './analysis/modules.ts'
import { findPrismaCalls } from './analysis/prisma-calls.ts'
import { findSql } from './analysis/raw-sql.ts'
import { walkCode } from './analysis/syntax.ts'
import type { DataModel } from './data-model.ts'

export type { Finding, Touched } from './analysis/finding.ts'

export interface ScriptAnalysis {
  /** The script and the modules of the project that it imports. */
  files: string[]
  findings: Finding[]
  isDestructive: boolean
  /** The models whose rows may go or change. */
  models: Touched
  /** Tables or columns may go: only a copy of the database brings these back. */
  structure: boolean
}

/** Throws SCRIPT_INVALID. `clientFolders`: where the schema's generators write the Prisma client. */
export async function analyseScript(
  script: string,
  data: DataModel,
  clientFolders: string[] = [],
): Promise<ScriptAnalysis> {
  const modules = await readModules(script, clientFolders)
  const flow = traceFlow(modules)
  const clients = findClients(modules, data)
  const finders = [
    findPrismaCalls(modules, data, flow, clients),
    findSql(modules, data, flow),
    findEscapes(modules, flow),
  ]
  const findings: Finding[] = []
  for (const file of modules.files)
    walkCode(modules, file, (node) => {
      for (const find of finders)
        for (const effect of find(node)) {
          const { line } = file.getLineAndCharacterOfPosition(node.getStart(file))
          findings.push({ file: file.fileName, line: line + 1, ...effect })
        }
    })
  const unique = findings.filter(
    (one, i) =>
      findings.findIndex((each) => each.line === one.line && each.file === one.file && each.what === one.what) === i,
  )
  return {
    files: modules.files.map(({ fileName }) => fileName),
    findings: unique,
    isDestructive: unique.length > 0,
    models: unique.map(({ models }) => models).reduce(unite, []),
    structure: unique.some(({ structure }) => structure === true),
  }
}
