// keygen: makes a key pair of age, as age-keygen does.
// Guarantees: the secret key is written to a new file, for its owner alone, and shown nowhere.

import { open } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { newIdentity } from '../src/encryption.ts'
import { BootkeeperError } from '../src/errors.ts'
import { fsyncDirectory } from '../src/files.ts'
import { readWords } from './run-command.ts'

const help = `
Makes a key pair for encrypted backups: the secret key in a new file, the public key for BACKUP_AGE_RECIPIENTS. Keep the
file apart from the backups, and twice: without it nobody can read them again.

  npx bootkeeper keygen backup-key.txt
  npx bootkeeper keygen backup-key.txt --json

  --json   print one object: identityFile, recipient
`

export default async function keygen(words: string[]): Promise<number> {
  const parsed = readWords(words, help, { json: { type: 'boolean' } }, { needed: ['the file for the secret key'] })
  if (!parsed) return 0
  const path = resolve(parsed.positionals[0]!)
  const { identity, recipient } = await newIdentity()
  const handle = await open(path, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    const nowhere = 'cannot be made: there is no such directory'
    const why = { EEXIST: 'is there already', ENOENT: nowhere, ENOTDIR: nowhere }[error.code ?? '']
    if (why === undefined) throw error
    throw new BootkeeperError('USAGE', `${path} ${why}.`)
  })
  try {
    await handle.writeFile(`# created: ${new Date().toISOString()}\n# public key: ${recipient}\n${identity}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await fsyncDirectory(dirname(path))
  if (parsed.values.json) process.stdout.write(`${JSON.stringify({ identityFile: path, recipient })}\n`)
  else
    process.stdout.write(
      `✔ ${path} has the secret key. Keep it apart from the backups, and twice.\n  BACKUP_AGE_RECIPIENTS=${recipient}\n`,
    )
  return 0
}
