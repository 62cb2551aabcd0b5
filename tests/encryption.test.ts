// Compression and encryption of files, against the real programs.
// Guarantees tested: age and the compressors read what is written here, and the other way round; what is cut short,
// reordered, changed in one byte or encrypted for somebody else never reads to its end. SEED=n repeats a run.

import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Compression, readDecompressed } from '../src/compression.ts'
import { type AgeSettings, readConfig } from '../src/config.ts'
import { newIdentity, proveDecryption } from '../src/encryption.ts'
import { asBootkeeperError, BootkeeperError } from '../src/errors.ts'
import { encodeFile, openEncoding } from '../src/stored-file.ts'
import { age, ageWithPassphrase, hasAge, makeKeys } from './age.ts'
import { makeFolder } from './harness.ts'
import { randomFrom, seed } from './random.ts'

const folder = makeFolder()
let made = 0
const newPath = () => join(folder, `file-${made++}`)
const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const compressions: Compression[] = ['none', 'gzip', 'zstd', 'bzip2']

/** Half of it compresses. */
function someBytes(size: number): Buffer {
  return Buffer.concat([randomBytes(Math.floor(size / 2)), Buffer.alloc(Math.ceil(size / 2), 'text, ')])
}

async function encode(content: Buffer, compression: Compression, settings: AgeSettings): Promise<string> {
  const [plain, target] = [newPath(), newPath()]
  writeFileSync(plain, content)
  const encoding = await openEncoding({ compression, age: settings })
  const stored = await encodeFile(plain, target, { sha256: sha(content), encoding })
  const bytes = readFileSync(target)
  expect(stored).toEqual({ sizeBytes: bytes.length, sha256: sha(bytes) })
  expect(statSync(target).mode & 0o777).toBe(0o600)
  return target
}

async function decode(path: string, keys: AgeSettings): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of readDecompressed(path, keys)) pieces.push(piece)
  return Buffer.concat(pieces)
}

async function codeOf(path: string, keys: AgeSettings): Promise<string> {
  try {
    await decode(path, keys)
    return 'read to its end'
  } catch (error) {
    return asBootkeeperError(error).code
  }
}

const program: Record<Exclude<Compression, 'none'>, string> = { gzip: 'gzip', zstd: 'zstd', bzip2: 'bzip2' }

describe.runIf(hasAge)('the program age', () => {
  const content = someBytes(300_000)

  test.each(compressions)(
    'recipients, %s: each reads what the other wrote',
    async (compression) => {
      const [mine, other] = [makeKeys(), makeKeys()]
      const ours = await encode(content, compression, { recipients: `${other.recipient}, ${mine.recipient}` })
      const inside = age('--decrypt', '-i', mine.file, ours)
      const plain =
        compression === 'none' ? inside : execFileSync(program[compression], ['-dc'], { input: inside, maxBuffer: 1e9 })
      expect(plain.equals(content)).toBe(true)

      const [raw, theirs] = [newPath(), newPath()]
      const packed =
        compression === 'none'
          ? content
          : execFileSync(program[compression], ['-c'], { input: content, maxBuffer: 1e9 })
      writeFileSync(raw, packed)
      for (const words of [[], ['--armor']]) {
        age('--encrypt', ...words, '-r', mine.recipient, '-o', theirs, raw)
        expect((await decode(theirs, { identityFile: mine.file })).equals(content)).toBe(true)
        expect((await decode(theirs, { identity: mine.identity })).equals(content)).toBe(true)
      }
      expect(await codeOf(theirs, { identityFile: other.file })).toBe('DECRYPTION_FAILED')
    },
    240_000,
  )

  test.each(compressions)(
    'a passphrase, %s: each reads what the other wrote',
    async (compression) => {
      const ours = await encode(content, compression, { passphrase: 'correct horse' })
      const out = newPath()
      ageWithPassphrase('correct horse', '--decrypt', '-o', out, ours)
      const inside = readFileSync(out)
      const plain =
        compression === 'none' ? inside : execFileSync(program[compression], ['-dc'], { input: inside, maxBuffer: 1e9 })
      expect(plain.equals(content)).toBe(true)

      const [raw, theirs, file] = [newPath(), newPath(), newPath()]
      writeFileSync(
        raw,
        compression === 'none' ? content : execFileSync(program[compression], ['-c'], { input: content }),
      )
      ageWithPassphrase('correct horse', '--encrypt', '--passphrase', '-o', theirs, raw)
      writeFileSync(file, 'correct horse\n')
      expect((await decode(theirs, { passphraseFile: file })).equals(content)).toBe(true)
      expect(await codeOf(theirs, { passphrase: 'Correct horse' })).toBe('DECRYPTION_FAILED')
    },
    240_000,
  )
})

test(`whatever is encoded is decoded to the same bytes (seed ${seed})`, async () => {
  const { identity, recipient } = await newIdentity()
  const chunk = 64 * 1024
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...compressions),
      fc.boolean(),
      fc.oneof(fc.nat(300), fc.constantFrom(chunk - 1, chunk, chunk + 1, 2 * chunk, 5 * chunk + 7)),
      async (compression, encrypts, size) => {
        const content = someBytes(size)
        const path = await encode(content, compression, encrypts ? { recipients: recipient } : {})
        expect((await decode(path, { identity })).equals(content)).toBe(true)
        if (encrypts) expect(await codeOf(path, {})).toBe('KEY_NEEDED')
      },
    ),
    { numRuns: 40, seed },
  )
}, 120_000)

/** Where the header ends: behind the line with its checksum, and 16 bytes of nonce. */
function payloadOf(file: Buffer): { head: Buffer; chunks: Buffer[] } {
  const at = file.indexOf('\n', file.indexOf('\n--- ') + 1) + 1 + 16
  const chunks: Buffer[] = []
  for (let start = at; start < file.length; start += 65_552) chunks.push(file.subarray(start, start + 65_552))
  return { head: file.subarray(0, at), chunks }
}

describe.each(compressions)('damage, %s', (compression) => {
  test(`cut off anywhere, chunks in another order, a changed byte: never read to its end (seed ${seed})`, async () => {
    const random = randomFrom(seed)
    const [mine, other] = [await newIdentity(), await newIdentity()]
    const keys = { identity: mine.identity }
    const content = randomBytes(300_000)
    const good = readFileSync(await encode(content, compression, { recipients: mine.recipient }))
    const another = readFileSync(await encode(randomBytes(300_000), compression, { recipients: mine.recipient }))
    const { head, chunks } = payloadOf(good)
    expect(chunks).toHaveLength(5)
    const damaged = new Map<string, Buffer>()
    const cuts = [head.length - 1, head.length, head.length + 1, good.length - 1]
    for (let n = 1; n <= 5; n += 1) cuts.push(head.length + 65_552 * n - 1, head.length + 65_552 * n)
    for (let n = 0; n < 30; n += 1) cuts.push(200 + Math.floor(random() * (good.length - 201)))
    for (const cut of cuts.filter((at) => at < good.length)) damaged.set(`cut at ${cut}`, good.subarray(0, cut))
    const order = (...which: number[]) => Buffer.concat([head, ...which.map((i) => chunks[i]!)])
    damaged.set('first two swapped', order(1, 0, 2, 3, 4))
    damaged.set('last first', order(4, 0, 1, 2, 3))
    damaged.set('one left out', order(0, 1, 3, 4))
    damaged.set('one twice', order(0, 1, 1, 2, 3, 4))
    damaged.set('the last twice', order(0, 1, 2, 3, 4, 4))
    damaged.set('the last alone', order(4))
    damaged.set('a chunk of another file', Buffer.concat([head, ...chunks.slice(0, 4), payloadOf(another).chunks[4]!]))
    damaged.set('the header of another file', Buffer.concat([payloadOf(another).head, ...chunks]))
    damaged.set('something behind its end', Buffer.concat([good, Buffer.from('more')]))
    // Every byte of the header behind the word that says what the file is, and some of the rest.
    for (let at = 22; at < head.length; at += 1) damaged.set(`byte ${at}`, flipped(good, at, random))
    for (let n = 0; n < 60; n += 1) {
      const at = head.length + Math.floor(random() * (good.length - head.length))
      damaged.set(`byte ${at}`, flipped(good, at, random))
    }
    const path = newPath()
    for (const [how, bytes] of damaged) {
      writeFileSync(path, bytes)
      expect(`${how}: ${await codeOf(path, keys)}`).toBe(`${how}: DECRYPTION_FAILED`)
    }
    writeFileSync(path, good)
    expect(await codeOf(path, { identity: other.identity })).toBe('DECRYPTION_FAILED')
    expect((await decode(path, keys)).equals(content)).toBe(true)
  }, 240_000)
})

function flipped(file: Buffer, at: number, random: () => number): Buffer {
  const bytes = Buffer.from(file)
  bytes[at] = bytes[at]! ^ (1 << Math.floor(random() * 8))
  return bytes
}

test.runIf(hasAge)('an armored file that was cut short or changed is refused', async () => {
  const keys = makeKeys()
  const [raw, path] = [newPath(), newPath()]
  writeFileSync(raw, randomBytes(100_000))
  age('--encrypt', '--armor', '-r', keys.recipient, '-o', path, raw)
  const text = readFileSync(path, 'utf8')
  const lines = text.trimEnd().split('\n')
  for (const [how, bad] of Object.entries({
    'no end': lines.slice(0, -1).join('\n'),
    'half of it': text.slice(0, text.length / 2),
    'a line twice': [...lines.slice(0, 100), lines[99], ...lines.slice(100)].join('\n'),
    'other signs': text.replace(/(?<=\n.{10})./, '!'),
    'more behind': `${text}more`,
  })) {
    writeFileSync(path, bad)
    expect(`${how}: ${await codeOf(path, { identityFile: keys.file })}`).toBe(`${how}: DECRYPTION_FAILED`)
  }
  writeFileSync(path, text.replaceAll('\n', '\r\n'))
  expect((await decode(path, { identityFile: keys.file })).equals(readFileSync(raw))).toBe(true)
})

test('settings that cannot be right stop with a sentence that shows no secret', async () => {
  const { identity, recipient } = await newIdentity()
  const file = (text: string) => {
    const path = newPath()
    writeFileSync(path, text)
    return path
  }
  const attempts: [Record<string, string>, RegExp][] = [
    [{ BACKUP_AGE_RECIPIENTS: identity }, /BACKUP_AGE_RECIPIENTS has another value, but takes public keys/],
    [{ BACKUP_AGE_RECIPIENTS: 'ssh-ed25519 AAAA' }, /takes public keys of age/],
    [{ BACKUP_AGE_RECIPIENTS: `${recipient}x` }, /The key in BACKUP_AGE_RECIPIENTS is no public key of age/],
    [{ BACKUP_AGE_RECIPIENTS: `${recipient} age1abc` }, /Key 2 in BACKUP_AGE_RECIPIENTS is no public key/],
    [{ BACKUP_AGE_RECIPIENTS: '/no/such/file' }, /there is no such file \/no\/such\/file/],
    [{ BACKUP_AGE_RECIPIENTS: file('# nobody\n') }, /has no key in it/],
    [{ BACKUP_AGE_RECIPIENTS: file(`${identity}\n`) }, /is no public key of age/],
    [{ BACKUP_AGE_RECIPIENTS: recipient, BACKUP_AGE_PASSPHRASE: 'a secret' }, /exclude each other/],
    [{ BACKUP_AGE_PASSPHRASE: 'a secret', BACKUP_AGE_PASSPHRASE_FILE: 'a' }, /exclude each other/],
    [{ BACKUP_AGE_IDENTITY: identity, BACKUP_AGE_IDENTITY_FILE: 'a' }, /exclude each other/],
    [{ BACKUP_AGE_PASSPHRASE_FILE: '/no/such/file' }, /there is no such file/],
    [{ BACKUP_AGE_PASSPHRASE_FILE: file('\n') }, /is empty/],
    [{ BACKUP_AGE_IDENTITY: 'a secret' }, /takes a secret key of age/],
    [{ BACKUP_AGE_IDENTITY_FILE: identity }, /the key itself goes into BACKUP_AGE_IDENTITY/],
    [{ BACKUP_AGE_RECIPIENTS: recipient, BACKUP_AGE_IDENTITY: `${identity}x` }, /no secret key of age/],
    [{ BACKUP_AGE_RECIPIENTS: recipient, BACKUP_AGE_IDENTITY_FILE: file('') }, /has no key in it/],
    [
      { BACKUP_AGE_RECIPIENTS: recipient, BACKUP_AGE_IDENTITY_FILE: file('-----BEGIN OPENSSH PRIVATE KEY-----\n') },
      /is a key of SSH or TLS/,
    ],
  ]
  for (const [env, wanted] of attempts) {
    const error = await (async () => await openEncoding(readConfig([], env)))().then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(error, JSON.stringify(Object.keys(env))).toBeInstanceOf(BootkeeperError)
    const { code, message } = error as BootkeeperError
    expect(code).toBe('SETTINGS_INVALID')
    expect(message).toMatch(wanted)
    expect(message).not.toContain(identity.slice(20))
    expect(message).not.toContain('a secret"')
  }
  const words = file(`# two people\n${recipient}\n\n${recipient}\n`)
  expect((await openEncoding(readConfig([], { BACKUP_AGE_RECIPIENTS: words }))).recipients).toEqual({
    keys: [recipient, recipient],
  })
})

test('the doctor’s probe: proven with the identity or the passphrase, and said where nobody here could read it', async () => {
  const [mine, other] = [await newIdentity(), await newIdentity()]
  const prove = async (env: Record<string, string>) => await proveDecryption(readConfig([], env))
  expect(await prove({})).toEqual({ ok: true, text: 'Backups are not encrypted.' })
  expect((await prove({ BACKUP_AGE_PASSPHRASE: 'ten signs!' })).ok).toBe(true)
  expect(await prove({ BACKUP_AGE_PASSPHRASE: 'nine sign' })).toEqual({
    ok: false,
    text: 'The passphrase has 9 signs: at least 10 are needed, 20 are good.',
  })
  const recipients = { BACKUP_AGE_RECIPIENTS: mine.recipient }
  expect((await prove({ ...recipients, BACKUP_AGE_IDENTITY: mine.identity })).ok).toBe(true)
  expect(await prove(recipients)).toEqual({ ok: false, text: expect.stringContaining('Nobody here can read') })
  expect(await prove({ ...recipients, BACKUP_AGE_IDENTITY: other.identity })).toEqual({
    ok: false,
    text: expect.stringContaining('opens none of the backups'),
  })
  expect((await prove({ BACKUP_AGE_RECIPIENTS: '/no/such/file' })).ok).toBe(false)
})

test('a compressor that ends before its input does, in front of an encrypted file, proves nothing', async () => {
  const { identity, recipient } = await newIdentity()
  // Two members: the first one ends well long before the file is cut short.
  const raw = newPath()
  const member = execFileSync('bzip2', ['-c'], { input: randomBytes(200_000), maxBuffer: 1e9 })
  writeFileSync(raw, Buffer.concat([member, member]))
  const path = await encode(readFileSync(raw), 'none', { recipients: recipient })
  const { head, chunks } = payloadOf(readFileSync(path))
  for (let n = 1; n < chunks.length; n += 1) {
    writeFileSync(path, Buffer.concat([head, ...chunks.slice(0, n)]))
    expect(await codeOf(path, { identity })).toBe('DECRYPTION_FAILED')
  }
  expect(existsSync(path)).toBe(true)
})
