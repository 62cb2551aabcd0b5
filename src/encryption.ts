// Encryption of files with age (age-encryption.org), by its library: the `age` program reads what is written here, and
// the other way round. Guarantees: constant memory; keys are never part of a message; what is not what was encrypted
// (another key, a flipped bit, chunks cut off, swapped or from another file) throws, at the latest at its end: whoever
// reads must do nothing that cannot be undone before that.

import { readFile } from 'node:fs/promises'
import type { AgeSettings, Config } from './config.ts'
import { asBootkeeperError, BootkeeperError } from './errors.ts'

/** Where the keys are that read; they are looked up when a file needs one. Can be sent to another process. */
export type Keys = Config['keys']

/** Who can read what is written: the holders of these keys, or of this passphrase. */
export type Recipients = { keys: string[] } | { passphrase: string }

/**
 * log2 of the work for a passphrase: half a second and 128 MB for each file. The program `age` takes one more, but then
 * a container of 512 MB could not read two files at once.
 */
const scryptWorkFactor = 17

/** As for the password of the console. Whoever has a file can try as often as they like. */
const shortestPassphrase = 10

const magic = 'age-encryption.org/v1\n'
const armorBegin = '-----BEGIN AGE ENCRYPTED FILE-----'
const armorEnd = '-----END AGE ENCRYPTED FILE-----'
/** As many bytes of a file as `isEncrypted` needs. */
export const magicBytes = armorBegin.length

export function isEncrypted(head: Buffer): boolean {
  const text = head.toString('latin1', 0, magicBytes)
  return text.startsWith(magic) || text === armorBegin
}

/** Whether the settings ask for encryption. */
export function isEncrypting({ age }: Pick<Config, 'age'>): boolean {
  return age.recipients !== undefined || age.passphrase !== undefined || age.passphraseFile !== undefined
}

/** What backups are encrypted for; undefined where the settings ask for no encryption. Throws SETTINGS_INVALID. */
export async function readRecipients(age: AgeSettings): Promise<Recipients | undefined> {
  if (age.recipients !== undefined) {
    const isList = /^age1/.test(age.recipients)
    const text = isList ? age.recipients : await readSecret('BACKUP_AGE_RECIPIENTS', age.recipients)
    const keys = text
      .split(isList ? /[\s,]+/ : /\n/)
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'))
    if (keys.length === 0) throw wrong(`BACKUP_AGE_RECIPIENTS names ${age.recipients}, which has no key in it.`)
    const { Encrypter } = await library()
    for (const [i, key] of keys.entries())
      try {
        new Encrypter().addRecipient(key)
      } catch (cause) {
        const which = keys.length === 1 ? 'The key' : `Key ${i + 1}`
        throw wrong(`${which} in BACKUP_AGE_RECIPIENTS is no public key of age: age1 and 58 signs more.`, cause)
      }
    return { keys }
  }
  const passphrase = await readPassphrase(age)
  if (passphrase === undefined) return undefined
  // Only for what is written: what somebody else encrypted with a short one is read all the same.
  if (passphrase.length < shortestPassphrase)
    throw wrong(
      `The passphrase has ${passphrase.length} signs: at least ${shortestPassphrase} are needed, 20 are good.`,
    )
  return { passphrase }
}

/** The bytes of an age file with what `pieces` give. */
export async function* encrypt(pieces: AsyncIterable<Buffer>, recipients: Recipients): AsyncGenerator<Buffer> {
  const { Encrypter } = await library()
  const encrypter = new Encrypter()
  if ('passphrase' in recipients) {
    encrypter.setPassphrase(recipients.passphrase)
    encrypter.setScryptWorkFactor(scryptWorkFactor)
  } else for (const key of recipients.keys) encrypter.addRecipient(key)
  yield* buffers(await encrypter.encrypt(asWebStream(pieces)))
}

/**
 * What is inside the age file `path`, whose bytes `pieces` give. Throws KEY_NEEDED where there is no key, and
 * DECRYPTION_FAILED at the first chunk that is not as it was written.
 */
export async function* decrypt(
  path: string,
  pieces: AsyncIterable<Buffer>,
  head: Buffer,
  keys: Keys,
): AsyncGenerator<Buffer> {
  const { Decrypter } = await library()
  const isArmored = head.toString('latin1', 0, armorBegin.length) === armorBegin
  const binary = isArmored ? unarmored(path, pieces) : pieces
  const decrypter = new Decrypter()
  const [identities, passphrase] = [await readIdentities(keys), await readPassphrase(keys)]
  for (const identity of identities) decrypter.addIdentity(identity)
  if (passphrase !== undefined) decrypter.addPassphrase(passphrase)
  if (identities.length === 0 && passphrase === undefined) throw keyNeeded(path)
  let begun = false
  try {
    const inside = await decrypter.decrypt(asWebStream(binary))
    begun = true
    yield* buffers(inside)
  } catch (cause) {
    // A file that cannot be read is another matter.
    if (cause instanceof BootkeeperError || (cause as NodeJS.ErrnoException).syscall !== undefined) throw cause
    const why = begun ? 'it is damaged, or was cut short' : whyNotBegun(cause)
    throw new BootkeeperError('DECRYPTION_FAILED', `${path} cannot be decrypted: ${why}.`, { cause })
  }
}

const noneMatched = /^no identity matched/

function whyNotBegun(cause: unknown): string {
  const { message } = cause as Error
  if (noneMatched.test(message)) return 'the key is another one, or the beginning of the file is damaged'
  if (message.startsWith('scrypt work factor')) return 'it asks for more work for its passphrase than is done here'
  return 'its beginning is damaged, or it was cut short'
}

/** Whether it was thrown because none of the keys is one that the file was encrypted for, as far as can be told. */
export function isOtherKey(error: unknown): boolean {
  const { code, cause } = error as BootkeeperError
  return code === 'DECRYPTION_FAILED' && noneMatched.test((cause as Error | undefined)?.message ?? '')
}

/** What the age file that begins with `head` is locked with; undefined for any other file. */
export function lockOf(head: Buffer): Lock | undefined {
  if (!isEncrypted(head)) return undefined
  const text = head.toString('latin1')
  const header = text.startsWith(armorBegin)
    ? Buffer.from(text.split(/\r?\n/).slice(1, -1).join(''), 'base64').toString('latin1')
    : text
  return header.startsWith(`${magic}-> scrypt `) ? 'passphrase' : 'identity'
}

/** A file is encrypted with one passphrase, or for any number of keys. */
export type Lock = 'passphrase' | 'identity'

/** Whether the holder of `keys` can read what is encrypted for `recipients`. */
export async function canRead(recipients: Recipients, keys: Keys): Promise<boolean> {
  if ('passphrase' in recipients) return true
  const { identityToRecipient } = await library()
  const own = await Promise.all((await readIdentities(keys)).map((identity) => identityToRecipient(identity)))
  return own.some((key) => recipients.keys.includes(key))
}

/** Encrypts a probe as the settings say, and decrypts it. `text`: one sentence. */
export async function proveDecryption(config: Config): Promise<{ ok: boolean; text: string }> {
  try {
    const recipients = await readRecipients(config.age)
    if (!recipients) return { ok: true, text: 'Backups are not encrypted.' }
    const how = 'passphrase' in recipients ? 'the passphrase' : 'the identity'
    const probe = Buffer.from(`probe ${new Date().toISOString()}`)
    const sealed = await collect(encrypt(once(probe), recipients))
    if (!(await canRead(recipients, config.age))) {
      const hasIdentity = config.age.identity !== undefined || config.age.identityFile !== undefined
      return {
        ok: false,
        text: hasIdentity
          ? 'The identity here opens none of the backups that are made now: its public key is not in BACKUP_AGE_RECIPIENTS.'
          : 'Nobody here can read the encrypted backups: no identity is set. Try yours elsewhere: age --decrypt.',
      }
    }
    const opened = await collect(decrypt('the probe', once(sealed), sealed, config.age))
    return opened.equals(probe)
      ? { ok: true, text: `A probe was encrypted, and decrypted with ${how}.` }
      : { ok: false, text: 'A probe did not decrypt to what it was.' }
  } catch (error) {
    return { ok: false, text: asBootkeeperError(error).message }
  }
}

/** A new key pair of age. */
export async function newIdentity(): Promise<{ identity: string; recipient: string }> {
  const { generateIdentity, identityToRecipient } = await library()
  const identity = await generateIdentity()
  return { identity, recipient: await identityToRecipient(identity) }
}

/** Loaded where something is encrypted: its curves take longer than a boot without a change. */
async function library() {
  return await import('age-encryption')
}

async function readPassphrase({ passphrase, passphraseFile }: Keys): Promise<string | undefined> {
  if (passphraseFile === undefined) return passphrase
  // What an editor or echo puts at the end is not part of it.
  const text = (await readSecret('The passphrase', passphraseFile)).replace(/\r?\n$/, '')
  if (text === '') throw wrong(`The passphrase file ${passphraseFile} is empty.`)
  return text
}

/** A file of them is what `age-keygen` writes: comments, and one key a line. */
async function readIdentities({ identity, identityFile }: Keys): Promise<string[]> {
  if (identity === undefined && identityFile === undefined) return []
  const name = identityFile === undefined ? 'BACKUP_AGE_IDENTITY' : `The identity file ${identityFile}`
  const text = identityFile === undefined ? identity! : await readSecret('The identity', identityFile)
  if (isEncrypted(Buffer.from(text))) throw wrong(`${name} is itself encrypted: age --decrypt it into a file first.`)
  if (/^-----BEGIN .*PRIVATE KEY/m.test(text)) throw wrong(`${name} is a key of SSH or TLS, not one of age.`)
  const found = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  const { Decrypter } = await library()
  for (const each of found)
    try {
      new Decrypter().addIdentity(each)
    } catch (cause) {
      throw wrong(`${name} has a line that is no secret key of age: AGE-SECRET-KEY-1 and 58 signs more.`, cause)
    }
  if (found.length === 0) throw wrong(`${name} has no key in it.`)
  return found
}

async function readSecret(what: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error
    // A secret that was set where a path belongs must not be shown.
    const shown = path.includes('/') ? ` ${path}` : ''
    throw wrong(`${what}: there is no such file${shown}.`)
  }
}

function wrong(message: string, cause?: unknown): BootkeeperError {
  return new BootkeeperError('SETTINGS_INVALID', message, cause === undefined ? {} : { cause })
}

function keyNeeded(path: string): BootkeeperError {
  return new BootkeeperError('KEY_NEEDED', `${path} is encrypted with age, and there is no key to it here.`)
}

/** The lines of base64 between the marks of an ASCII armor, as bytes. */
async function* unarmored(path: string, pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const damaged = () => new BootkeeperError('DECRYPTION_FAILED', `${path} cannot be decrypted: its armor is damaged.`)
  let rest = ''
  let state: 'before' | 'inside' | 'short' | 'after' = 'before'
  const decode = (line: string): string => {
    const text = line.replace(/\r$/, '')
    if (state === 'before' && text === armorBegin) state = 'inside'
    else if ((state === 'inside' || state === 'short') && text === armorEnd) state = 'after'
    else if (state === 'inside' && text.length <= 64 && /^(?:[\w+/]{4})*(?:[\w+/]{2}==|[\w+/]{3}=)?$/.test(text)) {
      // Only the last line is shorter, or padded.
      if (text.length < 64 || text.endsWith('=')) state = 'short'
      return text
    } else if (!(state === 'after' && text.trim() === '')) throw damaged()
    return ''
  }
  for await (const piece of pieces) {
    const lines = (rest + piece.toString('latin1')).split('\n')
    rest = lines.pop()!
    if (rest.length > 1024) throw damaged()
    yield Buffer.from(lines.map(decode).join(''), 'base64')
  }
  yield Buffer.from(decode(rest), 'base64')
  if ((state as string) !== 'after') throw damaged()
}

/** By pulling, so that no more of the file is read than is asked for. */
function asWebStream(pieces: AsyncIterable<Buffer>): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await iterator.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      async cancel() {
        await iterator.return?.()
      },
    },
    { highWaterMark: 0 },
  )
}

async function* buffers(stream: ReadableStream<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const { buffer, byteOffset, byteLength } of stream as unknown as AsyncIterable<Uint8Array>)
    if (byteLength > 0) yield Buffer.from(buffer, byteOffset, byteLength)
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

async function collect(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const piece of pieces) parts.push(piece)
  return Buffer.concat(parts)
}
