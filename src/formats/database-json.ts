// The oldest format, database.json: an object from username to lists. Names that begin with `_` are no users.
// Guarantees: what synchronised other services is counted by its name, never taken for entries.

import type { z } from 'zod'
import { Findings } from './findings.ts'
import { defineFormat } from './format.ts'
import { decodeLibrary, type LibraryUser } from './library.ts'
import { leaveUnknown, readAccount, readProfile } from './library-entry.ts'
import { isListName, looksLikeAccount, looksLikeLists } from './library-recognition.ts'
import { accountShape, byUsername, isObject, members, profileShape } from './library-shape.ts'
import { root } from './place.ts'

const schema = byUsername(members({ ...profileShape, ...accountShape }), isMark)

export const databaseJson = defineFormat<z.infer<typeof schema>>({
  name: 'database-json',
  title: 'database.json, the oldest form',
  recognise(value) {
    if (!isObject(value)) return undefined
    const accounts = Object.entries(value).filter(([name]) => !isMark(name))
    if (!accounts.some(([, each]) => looksLikeAccount(each)) || accounts.some(([, each]) => hasData(each)))
      return undefined
    const isMarked = Object.keys(value).some((name) => name.startsWith('_migration'))
    if (isMarked || accounts.some(([, each]) => wasSynchronised(each))) return 'certain'
    const fits = accounts.every(([, each]) => looksLikeAccount(each) || hasKnownMembersOnly(each))
    // A lone `data` or `watchlist` is how lists without a username look.
    const isNamed = accounts.some(([name]) => name !== 'data' && name !== 'watchlist')
    return fits && isNamed ? 'likely' : undefined
  },
  schema,
  decode(file, context) {
    const findings = new Findings()
    const users: LibraryUser[] = []
    for (const [name, account] of file) {
      const place = root.user(name)
      if (account) {
        const entries = readAccount(account, place, findings)
        users.push({ username: name, ...readProfile(account, place, findings), entries })
      } else leaveUnknown({ unknown: [name] }, root, findings)
    }
    return decodeLibrary({ settings: {}, users, findings }, context)
  },
})

function isMark(name: string): boolean {
  return name.startsWith('_')
}

/** As exports have it, one for each user. */
function hasData(account: unknown): boolean {
  return isObject(account) && looksLikeLists(account.data)
}

function hasKnownMembersOnly(account: unknown): boolean {
  return (
    isObject(account) && Object.keys(account).every((name) => isListName(name) || Object.hasOwn(profileShape, name))
  )
}

function wasSynchronised(account: unknown): boolean {
  return isObject(account) && Object.keys(account).some((name) => /^jelly(fin|seerr)_|^available_but_/.test(name))
}
