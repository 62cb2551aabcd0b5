// The `bootkeeper` command: without a name it boots, with one it runs that command. Each command is a file beside this.
// Guarantees: an unknown name is one clear sentence and exit 64; a command's code is loaded only when it is called.

import { bootkeeperVersion } from '../src/app-identity.ts'
import { type CommandModule, endQuietlyWithoutReader, runCommand } from './run-command.ts'

const commands: Record<string, { summary: string; load: () => Promise<CommandModule> }> = {
  backup: { summary: 'take a backup now', load: () => import('./backup.ts') },
  list: { summary: 'show the backups', load: () => import('./list.ts') },
  log: { summary: 'show what was done here', load: () => import('./log.ts') },
  catalogue: { summary: 'make the index of backups anew', load: () => import('./catalogue.ts') },
  verify: { summary: 'read backups back and compare their checksums', load: () => import('./verify.ts') },
  prune: { summary: 'remove the backups that no policy keeps', load: () => import('./prune.ts') },
  pin: { summary: 'keep a backup for good', load: () => import('./pin.ts') },
  restore: { summary: 'put a backup back', load: () => import('./restore.ts') },
  export: { summary: 'write the data as JSON', load: () => import('./export.ts') },
  import: { summary: 'read a file of any known format into the database', load: () => import('./import.ts') },
  inspect: { summary: 'say what a file is', load: () => import('./inspect.ts') },
  diff: { summary: 'compare a backup with the database, or two backups', load: () => import('./diff.ts') },
  keygen: { summary: 'make a key pair for encrypted backups', load: () => import('./keygen.ts') },
  doctor: { summary: 'look at everything, and say what is not well', load: () => import('./doctor.ts') },
  guard: {
    summary: 'run a script, with the rows that it may change backed up before',
    load: () => import('./guard.ts'),
  },
  generate: { summary: 'run prisma generate, offline', load: () => import('./generate.ts') },
  health: { summary: 'exit 0 when the app is up (for HEALTHCHECK)', load: () => import('./health.ts') },
}

const [name, ...words] = process.argv.slice(2)
if (name === undefined || name === '--') await import('../start.ts')
else if (name === '--version' || name === '-V') {
  endQuietlyWithoutReader()
  process.stdout.write(`${bootkeeperVersion()}\n`)
} else if (name === '--help' || name === '-h' || name === 'help') {
  endQuietlyWithoutReader()
  const rows = Object.entries(commands).map(([key, { summary }]) => `  ${key.padEnd(10)}${summary}`)
  process.stdout.write(`bootkeeper: boots a Prisma app with its data safe.

  bootkeeper -- COMMAND …    boot, then start COMMAND
  bootkeeper NAME --help     how to use a command
  bootkeeper --version       which one this is

${rows.join('\n')}
`)
} else {
  await runCommand(name, words, commands[name]?.load)
}
