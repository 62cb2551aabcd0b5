// Who may use the console: a setup code until somebody has claimed the install, an admin password and sessions after.
// Guarantees: without the code of this boot nobody can set the password; the code is good for one claim; a session needs
// its cookie and its token, because a cookie is sent to every port of a host; a file that cannot be read keeps everybody
// out instead of letting the next one in. Kept beside the data, so that a restore of the data leaves it alone.

import { createHash, createHmac, randomBytes, randomInt, scrypt, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { BootkeeperError } from '../errors.ts'
import { writeJsonAtomically } from '../files.ts'
import { openRateLimit } from './rate-limit.ts'

const sessionMs = 24 * 3_600_000

const fileSchema = z.strictObject({
  version: z.literal(1),
  signingKey: z.string().regex(/^[0-9a-f]{64}$/),
  password: z.strictObject({ salt: z.string(), hash: z.string() }).optional(),
  /** Somebody went through the wizard, or passed it by. */
  isSetUp: z.boolean(),
  /** Sessions that were ended before their time. */
  ended: z.array(z.strictObject({ id: z.string(), until: z.number() })),
})

type AccessFile = z.infer<typeof fileSchema>

export interface Session {
  id: string
  until: number
}

export interface NewSession {
  cookie: string
  token: string
}

export interface Access {
  readonly cookieName: string
  /** Undefined once the install was claimed. */
  readonly setupCode: string | undefined
  readonly isSetUp: boolean
  /** What is wrong with the file, if nobody can sign in because of it. */
  readonly problem: string | undefined
  /** Sets the admin password. Throws SIGN_IN_REFUSED, TOO_MANY_TRIES. */
  claim(code: string, password: string, address: string): Promise<NewSession>
  /** Throws SIGN_IN_REFUSED, TOO_MANY_TRIES. */
  signIn(password: string, address: string): Promise<NewSession>
  signOut(session: Session): Promise<void>
  find(cookie: string | undefined, token: string | undefined): Session | undefined
  finishSetup(): Promise<void>
  /** Names a content without telling anything about it; the same content has the same seal after a restart. */
  seal(content: string): string
}

/** `givenCode`: of the settings; else each call makes a new one. */
export async function openAccess(directory: string, givenCode: string | undefined): Promise<Access> {
  const path = join(directory, 'access.json')
  const found = await readAccess(path)
  const problem = found === 'damaged' ? `${path} cannot be read, so nobody can sign in` : undefined
  let file: AccessFile =
    found === 'none' || found === 'damaged'
      ? { version: 1, signingKey: randomBytes(32).toString('hex'), isSetUp: false, ended: [] }
      : found
  if (found === 'none') await writeJsonAtomically(path, file)
  const code = givenCode ?? newSetupCode()
  const limit = openRateLimit()

  const isClaimed = () => file.password !== undefined || problem !== undefined

  async function change(next: AccessFile): Promise<void> {
    await writeJsonAtomically(path, next)
    file = next
  }

  function sign(purpose: 'cookie' | 'token', { id, until }: Session): string {
    return createHmac('sha256', Buffer.from(file.signingKey, 'hex'))
      .update(`${purpose}.${id}.${until}`)
      .digest('base64url')
  }

  function open(): NewSession {
    const session = { id: randomBytes(16).toString('base64url'), until: Date.now() + sessionMs }
    return {
      cookie: `${session.id}.${session.until}.${sign('cookie', session)}`,
      token: sign('token', session),
    }
  }

  return {
    // Two consoles on one host would overwrite each other's cookie.
    cookieName: `bootkeeper-${createHash('sha256').update(file.signingKey).digest('hex').slice(0, 8)}`,
    problem,
    get setupCode() {
      return isClaimed() ? undefined : code
    },
    get isSetUp() {
      return file.isSetUp
    },

    async claim(given, password, address) {
      limit.take(address)
      if (isClaimed()) throw refused('The setup is done already.', 'Sign in with the password that was chosen then.')
      if (!areEqual(plain(given), plain(code))) throw refused('This is not the setup code.')
      const salt = randomBytes(16)
      const hash = await hashPassword(password, salt)
      // Somebody else with the same code may have been faster.
      if (isClaimed()) throw refused('The setup is done already.', 'Sign in with the password that was chosen then.')
      file = { ...file, password: { salt: salt.toString('hex'), hash: hash.toString('hex') } }
      try {
        await change(file)
      } catch (error) {
        const { password: _, ...unclaimed } = file
        file = unclaimed
        throw error
      }
      limit.forgive(address)
      return open()
    },

    async signIn(password, address) {
      limit.take(address)
      const wanted = file.password
      if (problem)
        throw refused(`${problem}.`, 'Remove that file and start again: the log then shows a new setup code.')
      if (!wanted) throw refused('There is no password yet.', 'Take the setup code from the log of the newest boot.')
      const hash = await hashPassword(password, Buffer.from(wanted.salt, 'hex'))
      if (!timingSafeEqual(hash, Buffer.from(wanted.hash, 'hex')))
        throw refused('This is not the password.', 'Try again.')
      limit.forgive(address)
      return open()
    },

    async signOut({ id, until }) {
      const ended = file.ended.filter((session) => session.until > Date.now())
      await change({ ...file, ended: [...ended, { id, until }] })
    },

    find(cookie, token) {
      const [id, untilText, mac] = cookie?.split('.') ?? []
      if (!id || !untilText || !mac || !token || problem) return undefined
      const session = { id, until: Number(untilText) }
      const isGenuine = areEqual(mac, sign('cookie', session)) && areEqual(token, sign('token', session))
      const isOver = !(session.until > Date.now()) || file.ended.some((ended) => ended.id === id)
      return isGenuine && !isOver ? session : undefined
    },

    async finishSetup() {
      if (!file.isSetUp) await change({ ...file, isSetUp: true })
    },

    seal(content) {
      return createHmac('sha256', Buffer.from(file.signingKey, 'hex')).update(`seal.${content}`).digest('base64url')
    },
  }
}

async function readAccess(path: string): Promise<AccessFile | 'none' | 'damaged'> {
  try {
    return fileSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'none' : 'damaged'
  }
}

/** Twelve of 31 letters and digits: no 0/O, 1/I/L, because people type it. */
function newSetupCode(): string {
  const letters = Array.from({ length: 12 }, () => codeAlphabet[randomInt(codeAlphabet.length)])
  return [0, 4, 8].map((from) => letters.slice(from, from + 4).join('')).join('-')
}

export const codeAlphabet = '23456789ABCDEFGHJKMNPQRSTUVWXYZ'

/** A code as it is compared: however it was typed or pasted. */
export function plain(code: string): string {
  return code.replace(/[\s-]/g, '').toUpperCase()
}

/** In a time that does not tell how much of it fits. */
export function areEqual(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}

let hashing: Promise<unknown> = Promise.resolve()

/** One at a time: each takes 32 MB. */
async function hashPassword(password: string, salt: Buffer): Promise<Buffer> {
  const cost = { N: 2 ** 15, r: 8, p: 3, maxmem: 64 * 1024 * 1024 }
  const run = () =>
    new Promise<Buffer>((resolve, reject) => {
      scrypt(password.normalize('NFC'), salt, 32, cost, (error, hash) => (error ? reject(error) : resolve(hash)))
    })
  const result = hashing.then(run, run)
  hashing = result.catch(() => undefined)
  return await result
}

function refused(message: string, next?: string): BootkeeperError {
  return new BootkeeperError('SIGN_IN_REFUSED', message, next === undefined ? {} : { next })
}
