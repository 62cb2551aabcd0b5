// db:doctor: one line per check, and where it is not well the command to run next.
// Guarantees: changes nothing; the exit code is 0 unless a check fails, and then that of the first failure.

import { styleText } from 'node:util'
import { type Diagnosis, diagnose } from '../src/doctor.ts'
import { isTerminal } from '../src/log.ts'
import { readWords } from './run-command.ts'
import { withProgress } from './terminal-progress.ts'

const help = `
Looks at everything that a backup and a start of the app depend on, and says what is not well and what to run. Changes
nothing; the app may go on running.

  npm run db:doctor
  npm run db:doctor -- --full
  npm run db:doctor -- --settings
  npm run db:doctor -- --json

  --full       read every page and row of the database, and check its references (otherwise a quick check)
  --settings   show every setting that is in force, with secrets masked
  --json       print one object: verdict, findings, settings

✔ is well, ! is a warning, ✖ is a failure. The exit code is 0 without a failure, also with warnings; otherwise it is that
of the first failure: docs/reference/exit-codes.md.
`

export default async function doctor(words: string[]): Promise<number> {
  const parsed = readWords(words, help, {
    full: { type: 'boolean' },
    settings: { type: 'boolean' },
    json: { type: 'boolean' },
  })
  if (!parsed) return 0
  const { full = false, settings = false, json = false } = parsed.values
  const diagnosis = await withProgress('looking', () => diagnose({ full }))
  if (json) {
    const { exitCode: _, ...shown } = diagnosis
    process.stdout.write(`${JSON.stringify(shown)}\n`)
  } else process.stdout.write(show(diagnosis, settings))
  return diagnosis.exitCode
}

const marks = { ok: ['green', '✔'], warn: ['yellow', '!'], fail: ['red', '✖'] } as const

function show({ findings, settings }: Diagnosis, withSettings: boolean): string {
  const style = (format: Parameters<typeof styleText>[0], text: string) =>
    isTerminal() ? styleText(format, text) : text
  const width = Math.max(...findings.map(({ check }) => check.length))
  const lines = findings.flatMap(({ check, verdict, text, next }) => [
    `${style(marks[verdict][0], marks[verdict][1])} ${style('bold', check.padEnd(width))}  ${text}`,
    ...(next === undefined ? [] : [`  ${' '.repeat(width)}  ${style('dim', 'next:')} ${next}`]),
  ])
  const number = (verdict: string) => findings.filter((finding) => finding.verdict === verdict).length
  const [warnings, failures] = [number('warn'), number('fail')]
  const counts = [
    failures > 0 ? `${failures} ${failures === 1 ? 'failure' : 'failures'}` : '',
    warnings > 0 ? `${warnings} ${warnings === 1 ? 'warning' : 'warnings'}` : '',
  ].filter(Boolean)
  lines.push('', counts.length > 0 ? `${counts.join(', ')}.` : 'All is well.')
  const nameWidth = Math.max(...settings.map(({ name }) => name.length))
  if (withSettings)
    for (const { name, value = '(not set)', isDefault } of settings)
      lines.push(`  ${name.padEnd(nameWidth)}  ${value}${isDefault && value !== '(not set)' ? '  (default)' : ''}`)
  return `${lines.join('\n')}\n`
}
