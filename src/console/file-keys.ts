// Passphrases and secret keys that were typed for encrypted files, each for its own file.
// Guarantees: they are in memory only, for half an hour, until a restore of the file is done, or somebody signs out; what
// was typed is kept only if it opens the file; guessing is limited; one is tried at a time, because that takes memory.

import { lockOfFile } from '../compression.ts'
import type { Config } from '../config.ts'
import type { Keys, Lock } from '../encryption.ts'
import { asBootkeeperError, BootkeeperError } from '../errors.ts'
import { opensFile } from '../inspect-file.ts'
import type { Source } from './contract.ts'
import { openRateLimit } from './rate-limit.ts'

const halfAnHourMs = 30 * 60_000

interface FileOfSource {
  path: string
  /** For people. */
  name: string
}

export interface FileKeys {
  /** The settings, with what was typed for this file in the place of their own keys. */
  configFor(source: Source): Config
  /** What was typed for this file, if anything was. */
  typedFor(source: Source): Lock | undefined
  /** Throws KEY_REFUSED, TOO_MANY_TRIES, DECRYPTION_FAILED, and REQUEST_REFUSED for a file that is not encrypted. */
  unlock(source: Source, file: FileOfSource, secret: string, address: string): Promise<void>
  /** Passes an error on; one that a key would mend as KEY_NEEDED, with `needs`. */
  explain(source: Source, file: FileOfSource): (error: unknown) => Promise<never>
  forget(source: Source): void
  forgetAll(): void
}

export function openFileKeys(config: Config, keptMs = halfAnHourMs): FileKeys {
  const kept = new Map<string, { keys: Keys; timer: NodeJS.Timeout }>()
  const limit = openRateLimit()
  let trying: Promise<unknown> = Promise.resolve()

  function forget(id: string): void {
    clearTimeout(kept.get(id)?.timer)
    kept.delete(id)
  }

  /** After those before it. */
  async function opens(keys: Keys, path: string): Promise<boolean> {
    const tried = trying.then(() => opensFile({ ...config, keys }, path))
    trying = tried.catch(() => undefined)
    return await tried
  }

  return {
    configFor(source) {
      const found = kept.get(idOf(source))
      return found ? { ...config, keys: found.keys } : config
    },

    typedFor(source) {
      const keys = kept.get(idOf(source))?.keys
      return keys && (keys.passphrase === undefined ? 'identity' : 'passphrase')
    },

    async unlock(source, { path, name }, secret, address) {
      const lock = await lockOfFile(path)
      if (!lock)
        throw new BootkeeperError('REQUEST_REFUSED', `“${name}” is not encrypted.`, { next: 'Look into it again.' })
      limit.take(address)
      const keys = keysOf(lock, secret)
      if (!(await opens(keys, path).catch(nameIn(path, name)))) throw refused(lock, name)
      limit.forgive(address)
      const id = idOf(source)
      forget(id)
      kept.set(id, { keys, timer: setTimeout(() => forget(id), keptMs).unref() })
    },

    explain(source, { path, name }) {
      return async (error) => {
        // What was typed did open the file.
        if (kept.has(idOf(source))) throw error
        const { code } = asBootkeeperError(error)
        const mayBeKey = code === 'KEY_NEEDED' || code === 'DECRYPTION_FAILED'
        const lock = mayBeKey ? await lockOfFile(path).catch(() => undefined) : undefined
        // What the settings have was tried, and may be another key, or the file may be damaged.
        if (!lock || (code === 'DECRYPTION_FAILED' && (await opens(config.keys, path).catch(() => true)))) throw error
        throw Object.assign(
          new BootkeeperError('KEY_NEEDED', `“${name}” is encrypted, and ${words[lock].missing}.`, {
            cause: error,
            next: words[lock].next,
          }),
          { needs: lock },
        )
      }
    },

    forget: (source) => forget(idOf(source)),

    forgetAll() {
      for (const id of [...kept.keys()]) forget(id)
    },
  }
}

const words: Record<Lock, { missing: string; next: string; refused: string }> = {
  passphrase: {
    missing: 'its passphrase is not known here',
    next: 'Type the passphrase of the file.',
    refused: 'This passphrase does not open',
  },
  identity: {
    missing: 'there is no key here that it was encrypted for',
    next: 'Paste a secret key that it was encrypted for: AGE-SECRET-KEY-1 and 58 signs more.',
    refused: 'This key is none of those that can open',
  },
}

/** Of a key file, with its comments, the key. */
function keysOf(lock: Lock, secret: string): Keys {
  if (lock === 'passphrase') return { passphrase: secret }
  const identities = secret.toUpperCase().match(/AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]+/g)
  if (!identities)
    throw new BootkeeperError('KEY_REFUSED', 'This is no secret key of age.', {
      next: 'It is the line that begins with AGE-SECRET-KEY-1. A public key, which begins with age1, opens nothing.',
    })
  return { identity: identities.join('\n') }
}

function refused(lock: Lock, name: string): BootkeeperError {
  return new BootkeeperError('KEY_REFUSED', `${words[lock].refused} “${name}”.`, {
    next: lock === 'passphrase' ? 'Try again: capitals, spaces and signs count.' : 'Try another key.',
  })
}

/** An error about the key as it was typed is one of the person, not of the settings. */
function nameIn(path: string, name: string): (error: unknown) => never {
  return (error) => {
    const { code, message, next } = asBootkeeperError(error)
    if (code === 'SETTINGS_INVALID')
      throw new BootkeeperError('KEY_REFUSED', 'This is no whole secret key of age.', {
        cause: error,
        next: 'It is AGE-SECRET-KEY-1 and 58 signs more: copy all of the line.',
      })
    if (code !== 'DECRYPTION_FAILED') throw error
    throw new BootkeeperError(code, message.replaceAll(path, `“${name}”`), {
      cause: error,
      next: next.startsWith('Try') ? damagedNext : next,
    })
  }
}

export const damagedNext = 'Take the file again from where it came from, or choose another one.'

function idOf(source: Source): string {
  return 'upload' in source ? `upload ${source.upload}` : `backup ${source.backup}`
}
