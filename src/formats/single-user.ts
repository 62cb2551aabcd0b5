// The export of one user, and of all users: an object from username to such exports. Settings may stand within `data`,
// beside the lists. Guarantees: a file that names its user is never taken for one that does not.

import type { z } from 'zod'
import { Findings } from './findings.ts'
import { defineFormat, type JsonRow } from './format.ts'
import { decodeLibrary, type LibraryUser } from './library.ts'
import { type Head, leaveUnknown, readAccount, readHead, readProfile, readSettings } from './library-entry.ts'
import { hasKnownNames, looksLikeAccount, looksLikeLists } from './library-recognition.ts'
import {
  accountWithSettingsShape,
  byUsername,
  headShape,
  isObject,
  members,
  profileShape,
  username,
} from './library-shape.ts'
import { type Place, root } from './place.ts'
import { quoted } from './quote.ts'

const exportShape = { ...headShape, ...profileShape, ...accountWithSettingsShape }
const oneSchema = members({ username, ...exportShape })

export const singleUser = defineFormat<z.infer<typeof oneSchema>>({
  name: 'single-user',
  title: 'export of one user',
  recognise(value) {
    // An object under this name is a user who is called so.
    if (!isObject(value) || !Object.hasOwn(value, 'username') || isObject(value.username)) return undefined
    const { data, exported_at } = value
    if (typeof exported_at === 'string' && hasKnownNames(data)) return 'certain'
    return looksLikeLists(data) || looksLikeLists(value) ? 'likely' : undefined
  },
  schema: oneSchema,
  decode(file, context) {
    const findings = new Findings()
    const settings: JsonRow = {}
    const user = readUser(file.username, file, root, settings, findings)
    return decodeLibrary({ ...readHead(file, root, findings), settings, users: [user], findings }, context)
  },
})

const allSchema = byUsername(members({ username: username.optional(), ...exportShape }), isMark)

export const allUsers = defineFormat<z.infer<typeof allSchema>>({
  name: 'all-users',
  title: 'export of all users, one by one',
  recognise(value) {
    if (!isObject(value)) return undefined
    const exports = Object.entries(value).filter(([name, each]) => !isMark(name, each))
    if (exports.some(([name, each]) => isExport(each) && each.username === name)) return 'certain'
    const fits = exports.every(([, each]) => isExport(each) || looksLikeAccount(each))
    return fits && exports.some(([, each]) => isExport(each)) ? 'likely' : undefined
  },
  schema: allSchema,
  decode(file, context) {
    const findings = new Findings()
    const settings: JsonRow = {}
    const users: LibraryUser[] = []
    const heads: Head[] = []
    for (const [name, each] of file) {
      const place = root.user(name)
      if (each) {
        heads.push(readHead(each, place, findings))
        users.push(readUser(name, each, place, settings, findings))
        if (each.username !== undefined && each.username !== name)
          findings.note('otherName', `${quoted(each.username)} in ${quoted(name)}`)
      } else leaveUnknown({ unknown: [name] }, root, findings)
    }
    // Written one after the other: the file is as old as the last of them.
    const createdAt = heads
      .flatMap((head) => head.createdAt ?? [])
      .sort()
      .at(-1)
    const version = heads.find((head) => head.version !== undefined)?.version
    return decodeLibrary({ version, createdAt, settings, users, findings }, context)
  },
})

type Export = Omit<z.infer<typeof oneSchema>, 'username'>

function readUser(username: string, file: Export, place: Place, settings: JsonRow, findings: Findings): LibraryUser {
  const entries = readAccount(file, place, findings)
  readSettings(file.data ?? {}, place.member('data'), findings, settings)
  return { username, ...readProfile(file, place, findings), entries }
}

function isExport(value: unknown): value is Record<string, unknown> {
  if (!isObject(value)) return false
  const { username, exported_at, data } = value
  const isHeaded = typeof username === 'string' || typeof exported_at === 'string'
  return looksLikeAccount(data) || (isHeaded && hasKnownNames(data))
}

function isMark(name: string, value: unknown): boolean {
  return name.startsWith('_') && !isObject(value)
}
