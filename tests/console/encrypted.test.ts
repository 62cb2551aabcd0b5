// Encrypted files in the console, by real HTTP: asked for what opens them, and never kept longer than needed.
// Guarantees tested: a passphrase or key is on no disk and in no log; a wrong one says so and can be tried again, but not
// for long; it is gone after a restore, a sign-out and a restart; damage is told from a wrong key.

import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { openFileKeys } from '../../src/console/file-keys.ts'
import { age, ageWithPassphrase, hasAge, makeKeys } from '../age.ts'
import { openTestConsole, type TestConsole } from '../console.ts'
import { killHard, makeFolder, ops, poll, type TestApp } from '../harness.ts'
import { contents, golden, mediaApp, zoe } from './media-app.ts'

const passphrase = 'correct horse battery staple'

interface Locked {
  path: string
  secret: string
}

function withPassphrase(file: string): Locked {
  const path = join(makeFolder(), 'backup.json.age')
  ageWithPassphrase(passphrase, '--passphrase', '--output', path, file)
  return { path, secret: passphrase }
}

function forKey(file: string, ...words: string[]): Locked {
  const { recipient, identity } = makeKeys()
  const path = join(makeFolder(), 'backup.json.age')
  age('--encrypt', '--recipient', recipient, ...words, '--output', path, file)
  return { path, secret: identity }
}

const inspect = (console: TestConsole, upload: string) =>
  console.operate<'inspect'>({ kind: 'inspect', source: { upload } })
const plan = (console: TestConsole, upload: string) =>
  console.operate<'plan'>({ kind: 'plan', source: { upload }, mode: 'replace', keepExisting: false })

async function unlock(console: TestConsole, upload: string, secret: string) {
  const { status, body } = await console.call('POST', '/api/keys', { source: { upload }, secret })
  return { status, ...body.error }
}

/** Every file under the app's folder, and the log. */
function kept(app: TestApp, console: TestConsole): string {
  for (let tries = 0; ; tries += 1)
    try {
      const files = readdirSync(app.dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
      const texts = files.map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1'))
      return [...texts, console.boot.output()].join('\n')
    } catch (error) {
      // A partial file got its name between the two.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || tries === 20) throw error
    }
}

describe.skipIf(!hasAge)('an encrypted file', () => {
  test.each([
    { name: 'with a passphrase', lock: withPassphrase, needs: 'passphrase', wrong: 'correct horse' },
    { name: 'for a key', lock: forKey, needs: 'identity', wrong: makeKeysOnce },
    { name: 'in armor', lock: (file: string) => forKey(file, '--armor'), needs: 'identity', wrong: makeKeysOnce },
  ] as const)('$name: asked for, tried again, inspected, planned, restored, undone', async ({ lock, needs, wrong }) => {
    const other = await mediaApp(zoe.replaceAll('zoe', 'kim'))
    const plain = join(makeFolder(), 'export.json')
    await ops(other, 'export', plain)
    const { path, secret } = lock(plain)
    const app = await mediaApp(zoe)
    const before = contents(app)
    const console = await openTestConsole(app)
    await console.claim()
    const upload = await console.upload(path)
    expect((await inspect(console, upload)).error).toMatchObject({ code: 'KEY_NEEDED', needs })
    const refused = await unlock(console, upload, typeof wrong === 'string' ? wrong : wrong())
    expect(refused).toMatchObject({ status: 422, code: 'KEY_REFUSED' })
    expect(refused.message).toContain('“backup.json.age”')
    expect((await inspect(console, upload)).error).toMatchObject({ code: 'KEY_NEEDED', needs })
    expect((await unlock(console, upload, secret)).status).toBe(200)
    const { file } = (await inspect(console, upload)).result!
    expect(file).toMatchObject({ format: 'bootkeeper 1', users: [{ name: 'kim' }] })
    const planned = await plan(console, upload)
    expect(planned.error).toBeUndefined()
    const done = await console.operate<'restore'>({
      ...{ kind: 'restore', plan: planned.id, code: planned.result!.confirmation.code },
    })
    expect(done.error).toBeUndefined()
    expect(contents(app).User).toMatchObject([{ username: 'kim' }])
    // Its work is done: it is forgotten.
    expect((await plan(console, upload)).error).toMatchObject({ code: 'KEY_NEEDED', needs })
    expect(kept(app, console)).not.toContain(secret)
    const undone = await console.operate<'undo'>({ kind: 'undo', restore: done.id })
    expect(undone.error).toBeUndefined()
    expect(contents(app)).toEqual(before)
    await console.stop()
  })

  test('a restart or a sign-out between plan and restore: nothing is done, and it is asked for again', async () => {
    const { path, secret } = withPassphrase(golden('multi-user-2.4.1'))
    const app = await mediaApp(zoe)
    const before = contents(app)
    const console = await openTestConsole(app)
    await console.claim()
    const upload = await console.upload(path)
    await unlock(console, upload, secret)
    const planned = await plan(console, upload)
    await console.call('POST', '/api/sign-out', {})
    await console.signIn()
    const late = await console.operate<'restore'>({
      ...{ kind: 'restore', plan: planned.id, code: planned.result!.confirmation.code },
    })
    expect(late.error).toMatchObject({ code: 'KEY_NEEDED', needs: 'passphrase' })
    expect(contents(app)).toEqual(before)

    await unlock(console, upload, secret)
    const second = await plan(console, upload)
    killHard(console.boot.child)
    await console.boot.ended
    const next = await openTestConsole(app)
    await next.signIn()
    const attempt = { kind: 'restore', plan: second.id, code: second.result!.confirmation.code }
    expect((await next.call('POST', '/api/operations', attempt)).body.error.code).toBe('PLAN_CHANGED')
    expect((await plan(next, upload)).error).toMatchObject({ code: 'KEY_NEEDED' })
    expect((await unlock(next, upload, secret)).status).toBe(200)
    const third = await plan(next, upload)
    const restore = { kind: 'restore', plan: third.id, code: third.result!.confirmation.code } as const
    expect((await next.operate<'restore'>(restore)).error).toBeUndefined()
    expect(kept(app, next)).not.toContain(secret)
    await next.stop()
  })

  test('what was typed is for one file, and over after its time', async () => {
    const { path, secret } = withPassphrase(golden('multi-user-2.4.1'))
    const config = readConfig()
    const keys = openFileKeys(config, 300)
    const source = { upload: 'one' }
    await keys.unlock(source, { path, name: 'one' }, secret, '127.0.0.1')
    expect(keys.configFor(source).keys).toEqual({ passphrase: secret })
    expect(keys.configFor({ upload: 'two' })).toBe(config)
    await poll(() => keys.configFor(source) === config, 'the end of its time')
    await keys.unlock(source, { path, name: 'one' }, secret, '127.0.0.1')
    keys.forget(source)
    expect(keys.configFor(source)).toBe(config)
  })

  test('damage is told from a wrong key; what is no key, and no encrypted file, is said', async () => {
    const app = await mediaApp(zoe)
    const before = contents(app)
    const console = await openTestConsole(app)
    await console.claim()
    const long = join(makeFolder(), 'long.json')
    writeFileSync(long, `${readFileSync(golden('multi-user-2.4.1'), 'utf8')}${' '.repeat(200_000)}`)
    const { path, secret } = withPassphrase(long)
    const size = statSync(path).size
    // In a later chunk: the key does open the file, but it has no end.
    truncateSync(path, size - 100)
    const late = await console.upload(path)
    expect((await unlock(console, late, secret)).status).toBe(200)
    const { error } = await inspect(console, late)
    expect(error).toMatchObject({
      code: 'DECRYPTION_FAILED',
      message: expect.stringContaining('damaged, or was cut short'),
    })
    expect(error!.needs).toBeUndefined()
    expect(error!.next).toContain('Take the file again')
    // In the first chunk.
    truncateSync(path, 300)
    const early = await console.upload(path)
    expect((await inspect(console, early)).error).toMatchObject({ needs: 'passphrase' })
    expect(await unlock(console, early, secret)).toMatchObject({ code: 'DECRYPTION_FAILED' })
    truncateSync(path, 60)
    const head = await console.upload(path)
    expect(await unlock(console, head, secret)).toMatchObject({ code: 'DECRYPTION_FAILED' })

    const keyed = forKey(golden('multi-user-2.4.1'))
    const upload = await console.upload(keyed.path)
    for (const [typed, said] of [
      ['age1publickey', 'This is no secret key of age.'],
      [keyed.secret.slice(0, -3), 'This is no whole secret key of age.'],
    ] as const)
      expect(await unlock(console, upload, typed)).toMatchObject({ code: 'KEY_REFUSED', message: said })
    // As the key file has it, with its comments, which a field without lines joins.
    expect((await unlock(console, upload, `# created: today # public key: age1x ${keyed.secret} `)).status).toBe(200)
    const open = await console.upload(golden('multi-user-2.4.1'))
    expect(await unlock(console, open, secret)).toMatchObject({ code: 'REQUEST_REFUSED' })
    expect(contents(app)).toEqual(before)
    await console.stop()
  })

  test('a file that asks for more work than is done is refused at once; guessing ends after five', async () => {
    const app = await mediaApp(zoe)
    const console = await openTestConsole(app)
    await console.claim()
    const { path, secret } = withPassphrase(golden('multi-user-2.4.1'))
    const hostile = join(makeFolder(), 'hostile.age')
    writeFileSync(
      hostile,
      Buffer.from(
        readFileSync(path)
          .toString('latin1')
          .replace(/^(-> scrypt \S+) \d+$/m, '$1 63'),
        'latin1',
      ),
    )
    const heavy = await console.upload(hostile)
    const begun = Date.now()
    expect(await unlock(console, heavy, secret)).toMatchObject({
      code: 'DECRYPTION_FAILED',
      message: expect.stringContaining('more work for its passphrase than is done here'),
    })
    expect(Date.now() - begun).toBeLessThan(10_000)
    const upload = await console.upload(path)
    for (let i = 0; i < 4; i++) expect((await unlock(console, upload, `guess ${i}`)).code).toBe('KEY_REFUSED')
    expect(await unlock(console, upload, secret)).toMatchObject({ status: 429, code: 'TOO_MANY_TRIES' })
    expect((await inspect(console, upload)).error?.code).toBe('KEY_NEEDED')
    await console.stop()
  })

  test('with the key of the server, or for a backup of it, nothing is asked', async () => {
    const { recipient, identity } = makeKeys()
    const app = await mediaApp(zoe)
    const console = await openTestConsole(app, { BACKUP_AGE_RECIPIENTS: recipient, BACKUP_AGE_IDENTITY: identity })
    await console.claim()
    const path = join(makeFolder(), 'backup.json.age')
    age('--encrypt', '--recipient', recipient, '--output', path, golden('multi-user-2.4.1'))
    expect((await inspect(console, await console.upload(path))).error).toBeUndefined()
    const made = await console.operate<'backup'>({ kind: 'backup' })
    const backup = made.result!.stem
    expect((await console.operate<'inspect'>({ kind: 'inspect', source: { backup } })).error).toBeUndefined()
    // Another one's file: asked for, though there is a key here.
    const foreign = forKey(golden('multi-user-2.4.1'))
    const upload = await console.upload(foreign.path)
    expect((await inspect(console, upload)).error).toMatchObject({ code: 'KEY_NEEDED', needs: 'identity' })
    expect((await unlock(console, upload, foreign.secret)).status).toBe(200)
    expect((await inspect(console, upload)).error).toBeUndefined()
    await console.stop()
  })

  test('backups that the server can write, but not read: with the key of the person, restored and undone', async () => {
    const { recipient, identity } = makeKeys()
    const app = await mediaApp(zoe)
    const console = await openTestConsole(app, { BACKUP_AGE_RECIPIENTS: recipient })
    await console.claim()
    const source = { backup: (await console.operate<'backup'>({ kind: 'backup' })).result!.stem }
    const database = app.open()
    database.exec(`UPDATE "User" SET username = 'changed'`)
    database.close()
    const before = contents(app)
    const look = () => console.operate<'inspect'>({ kind: 'inspect', source })
    expect((await look()).error).toMatchObject({ code: 'KEY_NEEDED', needs: 'identity' })
    expect((await console.call('POST', '/api/keys', { source, secret: identity })).status).toBe(200)
    expect((await look()).result!.file.users).toMatchObject([{ name: 'zoe' }])
    const planned = await console.operate<'plan'>({ kind: 'plan', source, mode: 'replace', keepExisting: false })
    const restore = { kind: 'restore', plan: planned.id, code: planned.result!.confirmation.code } as const
    const done = await console.operate<'restore'>(restore)
    expect(done.error).toBeUndefined()
    expect(contents(app).User).toMatchObject([{ username: 'zoe' }])
    const after = contents(app)

    const undo = () => console.operate<'undo'>({ kind: 'undo', restore: done.id })
    expect((await undo()).error).toMatchObject({ code: 'KEY_NEEDED', needs: 'identity' })
    expect(contents(app)).toEqual(after)
    const key = { source: { backup: done.before }, secret: identity }
    expect((await console.call('POST', '/api/keys', key)).status).toBe(200)
    expect((await undo()).error).toBeUndefined()
    expect(contents(app)).toEqual(before)
    expect(kept(app, console)).not.toContain(identity)
    await console.stop()
  })
})

function makeKeysOnce(): string {
  return makeKeys().identity
}
