// The options of every command that reads encrypted files: the key to them.
// Guarantees: no key and no passphrase is ever a word of a command line, where every user of the machine could read it.

import { resolve } from 'node:path'
import type { Config } from '../src/config.ts'

export const keyOptions = { identity: { type: 'string' }, 'passphrase-file': { type: 'string' } } as const

export const keyHelp = `
  --identity FILE          secret keys of age, where the file is encrypted; else BACKUP_AGE_IDENTITY_FILE
  --passphrase-file FILE   a passphrase; else BACKUP_AGE_PASSPHRASE_FILE`.slice(1)

export interface KeyWords {
  identity?: string
  'passphrase-file'?: string
}

/** The keys of a command come before those of the settings, which go on encrypting what is written. */
export function withKeys(config: Config, { identity, 'passphrase-file': passphraseFile }: KeyWords): Config {
  const { passphrase, passphraseFile: setFile, identity: setIdentity, identityFile: setIdentityFile } = config.keys
  const ofPassphrase = passphraseFile
    ? { passphraseFile: resolve(passphraseFile) }
    : { ...(passphrase ? { passphrase } : {}), ...(setFile ? { passphraseFile: setFile } : {}) }
  const ofIdentity = identity
    ? { identityFile: resolve(identity) }
    : {
        ...(setIdentity ? { identity: setIdentity } : {}),
        ...(setIdentityFile ? { identityFile: setIdentityFile } : {}),
      }
  return { ...config, keys: { ...ofPassphrase, ...ofIdentity } }
}
