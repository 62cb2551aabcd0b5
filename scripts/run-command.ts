// Runs one command: prints its errors, sets the exit code. The only place beside start.ts that does.
// Guarantees: a failure is a code, one sentence, what became of the data and what to run next; with --json one object.

import { parseArgs, type ParseArgsConfig } from 'node:util'
import { asBootkeeperError, BootkeeperError } from '../src/errors.ts'

export async function runCommand(
  name: string,
  words: string[],
  load: (() => Promise<(words: string[]) => Promise<number>>) | undefined,
): Promise<void> {
  try {
    if (!load) throw new BootkeeperError('USAGE', `There is no command "${name}".`, { next: 'npx bootkeeper --help lists them.' })
    process.exitCode = await (await load())(words)
  } catch (thrown) {
    const error = asBootkeeperError(thrown)
    const { code, message, safe, next, exitCode } = error
    if (words.includes('--json')) process.stdout.write(`${JSON.stringify({ error: { code, message, safe, next } })}\n`)
    else process.stderr.write(`✖ ${code}  ${message}\n    data: ${safe}\n    next: ${next}\n`)
    if (code === 'INTERNAL') process.stderr.write(`${error.cause instanceof Error ? error.cause.stack : error.stack}\n`)
    process.exitCode = exitCode
  }
}

/** Throws USAGE for words that the command does not know. undefined: the help was asked for, and printed. */
export function readWords<Options extends NonNullable<ParseArgsConfig['options']>>(
  words: string[],
  help: string,
  options: Options,
  { min = 0, max = 0 }: { min?: number; max?: number } = {},
) {
  const all = { ...options, help: { type: 'boolean', short: 'h' } } as const
  let parsed: ReturnType<typeof parseArgs<{ args: string[]; options: Options & { help: { type: 'boolean' } }; allowPositionals: true }>>
  try {
    parsed = parseArgs({ args: words, options: all, allowPositionals: true }) as never
  } catch (error) {
    throw new BootkeeperError('USAGE', (error as Error).message.split('. ')[0]!.replace(/\.?$/, '.'), { cause: error })
  }
  if ((parsed.values as { help?: boolean }).help) {
    process.stdout.write(`${help.trim()}\n`)
    return undefined
  }
  const { length } = parsed.positionals
  if (length < min) throw new BootkeeperError('USAGE', `${min - length} more ${min - length === 1 ? 'word is' : 'words are'} needed.`)
  if (length > max) throw new BootkeeperError('USAGE', `"${parsed.positionals[max]}" is one word too many.`)
  return parsed
}
