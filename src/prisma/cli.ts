// The real Prisma CLI, run as a child process on Bootkeeper's own schema engine. Guarantees: no download and no
// question to a terminal; whatever the exit code, it is returned; on abort the whole process group is gone before the
// promise rejects. With `url` the CLI works on that database, whatever the user's config says.

import { existsSync } from 'node:fs'
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { BootkeeperError } from '../errors.ts'
import { resolvePackage } from './schema-engine.ts'

export interface PrismaResult {
  exitCode: number
  stdout: string
  stderr: string
}

export interface PrismaOptions {
  cwd: string
  /** The database to work on, in place of the one that the user's config names. Sets DATABASE_URL too. */
  url?: string
  signal?: AbortSignal
  /** Prisma's own engine binary, which must be there already. */
  nativeEngine?: boolean
  env?: Record<string, string>
}

const killAfterMs = 2000

export async function runPrisma(args: string[], options: PrismaOptions): Promise<PrismaResult> {
  const { signal } = options
  signal?.throwIfAborted()
  const { words, env } =
    options.url === undefined ? { words: args, env: {} } : pointedAt(options.url, args, options.cwd)
  // A process group of its own: the CLI starts engines and generators, which must not outlive it.
  const child = execa(process.execPath, [prismaCli(options.cwd), ...words], {
    cwd: options.cwd,
    stdin: 'ignore',
    detached: true,
    reject: false,
    env: { ...environment(options), ...env, ...options.env },
  })
  const killGroup = (how: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, how)
    } catch {
      // The group is gone.
    }
  }
  const killAtExit = (): void => killGroup('SIGKILL')
  let escalation: NodeJS.Timeout | undefined
  const abort = (): void => {
    killGroup('SIGTERM')
    escalation = setTimeout(killAtExit, killAfterMs)
  }
  // A detached child is not ended with its parent.
  process.once('exit', killAtExit)
  signal?.addEventListener('abort', abort, { once: true })
  try {
    const { exitCode, stdout, stderr, code, shortMessage } = await child
    if (signal?.aborted) {
      killGroup('SIGKILL')
      throw signal.reason
    }
    if (exitCode === undefined && code !== undefined)
      throw new BootkeeperError('PRISMA_FAILED', `The Prisma CLI could not be run: ${shortMessage}.`)
    return { exitCode: exitCode ?? 1, stdout, stderr: exitCode === undefined ? `${stderr}\n${shortMessage}` : stderr }
  } finally {
    clearTimeout(escalation)
    process.off('exit', killAtExit)
    signal?.removeEventListener('abort', abort)
  }
}

function prismaCli(cwd: string): string {
  const path = resolvePackage('prisma/build/index.js', cwd)
  if (path !== undefined) return path
  throw new BootkeeperError('PRISMA_FAILED', 'The Prisma CLI is not installed.', { next: 'npm install prisma@7.10.0' })
}

function environment({ cwd, url, nativeEngine }: PrismaOptions): Record<string, string> {
  return {
    CHECKPOINT_DISABLE: '1',
    NO_COLOR: '1',
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    // Prisma starts the engine in the folder of the config, which need not be the project.
    BOOTKEEPER_PROJECT_DIR: resolve(cwd),
    BOOTKEEPER_FROM_SOURCE: import.meta.url.endsWith('.ts') ? '1' : '',
    // The engine finds its Node by its first line, and the Node that runs this may not be on the path.
    PATH: [dirname(process.execPath), process.env.PATH].filter(Boolean).join(delimiter),
    ...(url !== undefined && { DATABASE_URL: url }),
    ...(!nativeEngine && { PRISMA_SCHEMA_ENGINE_BINARY: join(ownRoot(), 'bin', 'schema-engine.js') }),
  }
}

/** The arguments and variables that put override.config.ts between the CLI and the user's config. */
function pointedAt(url: string, args: string[], cwd: string): { words: string[]; env: Record<string, string> } {
  const { words, config } = takeConfig(args)
  const userConfig = config === undefined ? findConfig(cwd) : resolve(cwd, config)
  const base = userConfig === undefined ? cwd : dirname(userConfig)
  // .ts beside this file in a checkout, .js in a build.
  const override = fileURLToPath(new URL(`./override.config${import.meta.url.slice(-3)}`, import.meta.url))
  return {
    words: [...words, '--config', override],
    env: { BOOTKEEPER_OVERRIDE_URL: absoluteUrl(url, base), BOOTKEEPER_USER_CONFIG: userConfig ?? '' },
  }
}

function takeConfig(args: string[]): { words: string[]; config: string | undefined } {
  const at = args.findIndex((word) => word === '--config' || word.startsWith('--config='))
  if (at < 0) return { words: args, config: undefined }
  const isPair = args[at] === '--config'
  return { words: args.toSpliced(at, isPair ? 2 : 1), config: isPair ? args[at + 1] : args[at]?.slice(9) }
}

const extensions = ['.js', '.ts', '.mjs', '.cjs', '.mts', '.cts']

/** As Prisma 7.10 looks for it. */
function findConfig(cwd: string): string | undefined {
  const bases = ['prisma7.config', '.config/prisma7', 'prisma.config', '.config/prisma', '.config/prisma.config']
  const names = bases.flatMap((base) => extensions.map((extension) => resolve(cwd, base + extension)))
  return names.find((name) => existsSync(name))
}

/** A relative file: url is relative to the user's config, and Prisma would read it from the folder of the override. */
function absoluteUrl(url: string, base: string): string {
  const path = /^file:(?!\/)(.*)$/.exec(url)?.[1]
  return path === undefined || path.startsWith(':') || isAbsolute(path) ? url : `file:${resolve(base, path)}`
}

/** bin/ is beside src/ in a checkout and beside dist/ in a build. */
function ownRoot(): string {
  const above = fileURLToPath(new URL('../../', import.meta.url))
  return existsSync(join(above, 'bin', 'schema-engine.js')) ? above : dirname(above)
}
