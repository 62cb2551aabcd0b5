// Ids for new rows whose schema has Prisma make them: the database has no function for these, Prisma's client has.
// Guarantees: the form that Prisma gives each kind, so that an app's checks accept it; random enough never to collide.

import { randomBytes } from 'node:crypto'

const base36 = '0123456789abcdefghijklmnopqrstuvwxyz'
const crockford = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const urlSafe = 'useandom-26T198340PX75pxJACKVERYMINDBUSHWOLF_GQZbfghjklqvwyzrict'

/** `cuid`: c and 24 characters. `ulid`: 26, the first ten the time. `nanoid`: 21. */
export function newId(kind: string, now: Date): string {
  if (kind === 'ulid') return `${timeIn(crockford, now, 10)}${pick(crockford, 16)}`
  if (kind === 'nanoid') return pick(urlSafe, 21)
  return `c${now.getTime().toString(36).padStart(8, '0').slice(-8)}${pick(base36, 16)}`
}

function pick(alphabet: string, length: number): string {
  // Rejects what would make the first characters of the alphabet likelier than the rest.
  const limit = 256 - (256 % alphabet.length)
  let text = ''
  while (text.length < length)
    for (const byte of randomBytes(length)) {
      if (byte < limit && text.length < length) text += alphabet[byte % alphabet.length]
    }
  return text
}

function timeIn(alphabet: string, now: Date, length: number): string {
  let text = ''
  for (let rest = now.getTime(); text.length < length; rest = Math.floor(rest / alphabet.length))
    text = alphabet[rest % alphabet.length] + text
  return text
}
