// Lists without a username, as they were sent to an app's own import: nested, flat, with dots in their names, or within
// `data`. Guarantees: the caller says whose they are; a file of accounts is not taken for one of these.

import type { z } from 'zod'
import { BootkeeperError } from '../errors.ts'
import { Findings } from './findings.ts'
import { defineFormat } from './format.ts'
import { decodeLibrary } from './library.ts'
import { readAccount, readHead } from './library-entry.ts'
import { isListName, looksLikeAccount, looksLikeLists } from './library-recognition.ts'
import { accountShape, headShape, isObject, members } from './library-shape.ts'
import { root } from './place.ts'

const schema = members({ ...headShape, ...accountShape })

export const payload = defineFormat<z.infer<typeof schema>>({
  name: 'payload',
  title: 'lists of one user, without a name',
  recognise(value) {
    if (!isObject(value) || 'format' in value || 'username' in value || Array.isArray(value.users)) return undefined
    const others = Object.entries(value).filter(([name]) => name !== 'data' && !isListName(name))
    if (others.some(([, other]) => looksLikeAccount(other))) return undefined
    return looksLikeLists(value) || looksLikeLists(value.data) ? 'likely' : undefined
  },
  schema,
  decode(file, { userName = '', ...context }) {
    if (userName.trim() === '')
      throw new BootkeeperError('USER_NEEDED', 'The file has the lists of one user, and does not say whose they are.')
    const findings = new Findings()
    const head = readHead(file, root, findings)
    const users = [{ username: userName, entries: readAccount(file, root, findings) }]
    return decodeLibrary({ ...head, settings: {}, users, findings }, context)
  },
})
