// Finds the Prisma schema, one file or a folder of them, and reads from it what a boot needs to know before any engine
// runs: the files, the provider, the generators. Guarantees: no wasm and no child process (a boot that changes nothing
// calls this), the same files in the same order on every machine, and no failure on a schema that Prisma would refuse.

import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { BootkeeperError } from '../errors.ts'
import type { SchemaFile } from './schema-engine.ts'

export type { SchemaFile } from './schema-engine.ts'

export interface SchemaSet {
  /** The file, or the folder. */
  location: string
  /** With absolute paths, sorted by path. */
  files: SchemaFile[]
  generators: { name: string; provider: string; output?: string }[]
  /** Of the datasource; '' when it names none. */
  provider: 'sqlite' | 'postgresql' | (string & {})
}

export async function findSchema(cwd: string, setting?: string): Promise<string> {
  if (setting) {
    const location = resolve(cwd, setting)
    if ((await kindOf(location)) === undefined) throw notFound(`PRISMA_SCHEMA names ${location}, which does not exist.`)
    return location
  }
  for (const name of ['prisma/schema.prisma', 'schema.prisma'])
    if ((await kindOf(join(cwd, name))) === 'file') return join(cwd, name)
  if ((await schemaPaths(join(cwd, 'prisma/schema'))).length > 0) return join(cwd, 'prisma/schema')
  if ((await schemaPaths(join(cwd, 'prisma'))).length > 0) return join(cwd, 'prisma')
  throw notFound(`There is no prisma/schema.prisma in ${resolve(cwd)}.`)
}

export async function readSchemaFiles(location: string): Promise<SchemaSet> {
  const kind = await kindOf(location)
  if (kind === undefined) throw notFound(`The schema ${location} does not exist.`)
  const paths = kind === 'file' ? [resolve(location)] : await schemaPaths(location)
  if (paths.length === 0) throw notFound(`The folder ${location} holds no .prisma file.`)
  const files = await Promise.all(paths.map(async (path) => ({ path, content: await readFile(path, 'utf8') })))
  const blocks = files.flatMap(({ content }) => readBlocks(content))
  return {
    location,
    files,
    generators: blocks
      .filter(({ keyword }) => keyword === 'generator')
      .map(({ name, values: { provider = '', output } }) => ({
        name,
        provider,
        ...(output !== undefined && { output }),
      })),
    provider: blocks.find(({ keyword }) => keyword === 'datasource')?.values.provider ?? '',
  }
}

async function kindOf(path: string): Promise<'file' | 'folder' | undefined> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}

/** Every *.prisma file in the folder, at any depth and through links, as Prisma takes them; none if there is no folder. */
async function schemaPaths(folder: string, above: string[] = []): Promise<string[]> {
  if ((await kindOf(folder)) !== 'folder') return []
  const real = await realpath(folder)
  // A link to a folder above it would never end.
  if (above.includes(real)) return []
  const found: string[] = []
  for (const name of await readdir(folder)) {
    const path = resolve(folder, name)
    const kind = await kindOf(path)
    if (kind === 'folder') found.push(...(await schemaPaths(path, [...above, real])))
    else if (kind === 'file' && name.endsWith('.prisma')) found.push(path)
  }
  return found.sort()
}

interface Block {
  keyword: 'generator' | 'datasource'
  name: string
  values: Record<string, string>
}

/** Reads the string values of generator and datasource blocks; whatever else is in the file is passed over. */
function readBlocks(content: string): Block[] {
  const blocks: Block[] = []
  let block: Block | undefined
  for (const line of content.split(/\r?\n/)) {
    const text = line.trim()
    if (block === undefined) {
      const [, keyword, name] = /^(generator|datasource)\s+(\w+)\s*\{/.exec(text) ?? []
      if (keyword === undefined || name === undefined) continue
      block = { keyword: keyword as Block['keyword'], name, values: {} }
      blocks.push(block)
    }
    // Prisma wants one value a line; a block on one line is read all the same.
    for (const [, key, value] of withoutComment(text).matchAll(/(\w+)\s*=\s*\[?\s*("(?:[^"\\]|\\.)*")/g))
      if (key !== undefined && value !== undefined) block.values[key] = unquoted(value)
    if (
      withoutComment(text)
        .replace(/"(?:[^"\\]|\\.)*"/g, '')
        .includes('}')
    )
      block = undefined
  }
  return blocks
}

function withoutComment(line: string): string {
  return line.replace(/("(?:[^"\\]|\\.)*")|\/\/.*$/g, (_, string: string | undefined) => string ?? '')
}

function unquoted(value: string): string {
  return value.slice(1, -1).replace(/\\(.)/g, '$1')
}

function notFound(message: string): BootkeeperError {
  return new BootkeeperError('SCHEMA_NOT_FOUND', message)
}
