// The multi-user export, versions 2.0.3 to 2.4.1: settings, and every user with four lists. Guarantees: recognised by
// what it has, not by its version alone. docs/reference/import-formats.md shows it.

import { z } from 'zod'
import { Findings } from './findings.ts'
import { defineFormat } from './format.ts'
import { decodeLibrary } from './library.ts'
import { leaveUnknown, readAccount, readHead, readProfile, readSettings } from './library-entry.ts'
import { hasKnownNames } from './library-recognition.ts'
import { accountShape, headShape, isObject, members, profileShape, settingShape, username } from './library-shape.ts'
import { root } from './place.ts'
import { quoted } from './quote.ts'

const schema = members({
  ...headShape,
  system_config: members(settingShape).optional(),
  users: z.array(members({ username, ...profileShape, ...accountShape })),
})

export const multiUser = defineFormat<z.infer<typeof schema>>({
  name: 'multi-user',
  title: 'multi-user export (2.0.3 to 2.4.1)',
  recognise(value) {
    if (!isObject(value)) return undefined
    const { users, version, exported_at } = value
    const hasSettings = Object.hasOwn(value, 'system_config') && Object.hasOwn(value, 'users')
    const hasUsers = Array.isArray(users) && users.some(isUser)
    const isEmpty = Array.isArray(users) && users.length === 0 && typeof exported_at === 'string' && isKnown(version)
    if (!hasSettings && !hasUsers && !isEmpty) return undefined
    return isKnown(version) ? 'certain' : 'likely'
  },
  schema,
  decode(file, context) {
    const findings = new Findings()
    leaveUnknown(file, root, findings)
    const head = readHead(file, root, findings)
    if (head.version !== undefined && !isKnown(head.version)) findings.note('otherVersion', quoted(head.version))
    const users = file.users.map((user, index) => {
      const place = root.member('users').element(index)
      const entries = readAccount(user, place, findings)
      return { username: user.username, ...readProfile(user, place, findings), entries }
    })
    const inSettings = root.member('system_config')
    const { system_config = { unknown: [] } } = file
    leaveUnknown(system_config, inSettings, findings)
    const settings = readSettings(system_config, inSettings, findings)
    return decodeLibrary({ ...head, settings, users, findings }, context)
  },
})

function isKnown(version: unknown): boolean {
  return typeof version === 'string' && /^2\.[0-4](\.|$)/.test(version)
}

function isUser(user: unknown): boolean {
  if (!isObject(user) || typeof user.username !== 'string') return false
  return hasKnownNames(user.data) || hasKnownNames(user) || 'movieProfile' in user || 'tvProfile' in user
}
