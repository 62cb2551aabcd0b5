// Runs one command: prints its errors, sets the exit code. The only place beside start.ts that does.
// Guarantees: a failure is a code, one sentence, what became of the data and what to run next; with --json one object. A
// reader that went away (`| head`) cuts no work short and shows no stack.

import { parseArgs } from 'node:util'
import { asTyped, command } from '../src/command-hint.ts'
import { asBootkeeperError, BootkeeperError, errorTable } from '../src/errors.ts'

export interface CommandModule {
  /** Returns the exit code. */
  default: (words: string[]) => Promise<number>
  /** Of a command that passes words on: those that are for itself. Without it, all of them are. */
  ownWords?: (words: string[]) => string[]
  /** How to ask for its help, where it is none of `bootkeeper`'s. */
  help?: string
}

export async function runCommand(
  name: string,
  words: string[],
  load: (() => Promise<CommandModule>) | undefined,
): Promise<void> {
  endQuietlyWithoutReader()
  let own = words
  let help = command(name, '--help')
  try {
    if (!load)
      throw new BootkeeperError('USAGE', `There is no command "${name}".`, {
        next: 'npx bootkeeper --help lists them.',
      })
    const module = await load()
    own = module.ownWords?.(words) ?? words
    help = module.help ?? help
    process.exitCode = (await module.default(words)) || Number(process.exitCode ?? 0)
  } catch (thrown) {
    const error = asBootkeeperError(thrown)
    const { code, message, safe, exitCode } = error
    const next = error.next === errorTable.USAGE.next ? `Run ${help}.` : asTyped(error.next)
    if (own.includes('--json')) process.stdout.write(`${JSON.stringify({ error: { code, message, safe, next } })}\n`)
    else process.stderr.write(`✖ ${code}  ${message}\n    data: ${safe}\n    next: ${next}\n`)
    if (code === 'INTERNAL') process.stderr.write(`${error.cause instanceof Error ? error.cause.stack : error.stack}\n`)
    process.exitCode = exitCode
  }
}

/** As a program that SIGPIPE ended, for the shell: 128 + 13. */
const closedPipeExitCode = 141

/** What the command does goes on to its end: only what it says is lost. A failure keeps its own exit code. */
export function endQuietlyWithoutReader(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
      process.exitCode ||= closedPipeExitCode
    })
}

interface Option {
  type: 'string' | 'boolean'
  short?: string
  /** It may be given several times. */
  multiple?: boolean
}

type Values<Options extends Record<string, Option>> = {
  [Name in keyof Options]?: Options[Name] extends { multiple: true }
    ? string[]
    : Options[Name]['type'] extends 'string'
      ? string
      : boolean
}

/**
 * Throws USAGE for words that the command does not know, and where one that it needs is missing: `needed` says what
 * each is, in their order. undefined: the help was asked for, and printed.
 */
export function readWords<const Options extends Record<string, Option>>(
  words: string[],
  help: string,
  options: Options,
  { needed = [], max = needed.length }: { needed?: string[]; max?: number } = {},
): { values: Values<Options>; positionals: string[] } | undefined {
  const { values, positionals } = parse(words, { ...options, help: { type: 'boolean', short: 'h' } })
  if (values.help) {
    process.stdout.write(`${help.trim()}\n`)
    return undefined
  }
  const missing = needed[positionals.length]
  if (missing) throw new BootkeeperError('USAGE', `One more word is needed: ${missing}.`)
  if (positionals.length > max) throw new BootkeeperError('USAGE', `"${positionals[max]}" is one word too many.`)
  return { values: values as Values<Options>, positionals }
}

function parse(words: string[], options: Record<string, Option>) {
  try {
    return parseArgs({ args: words, options, allowPositionals: true })
  } catch (error) {
    throw new BootkeeperError('USAGE', sentenceOf((error as Error).message), { cause: error })
  }
}

/** Of what parseArgs says, in which the rest is advice for programmers. */
function sentenceOf(message: string): string {
  const first = message.split(/\.\s|\n/)[0]!.replace(/\.$/, '')
  const [, option, fault] = /^Option '(?:-\w, )?(--[\w-]+)[^']*' (argument is|argument|does not take)/.exec(first) ?? []
  if (!option) return `${first}.`
  if (fault === 'argument is') return `${option} needs a value, and what follows it begins with a dash.`
  return fault === 'argument' ? `${option} needs a value.` : `${option} takes no value.`
}
