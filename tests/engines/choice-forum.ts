// A forum for the tests of the choice at an import: people, what is theirs directly and further off, what they share, and
// settings; in random fillings. And what a choice of its people means, worked out here apart from the code under test.

export const forum = `
datasource db {
  provider = "sqlite"
}
/// @config
model Config {
  id    Int    @id @default(1)
  title String
}
/// @user
model Person {
  id     Int     @id @default(autoincrement())
  name   String  @unique
  bio    String?
  posts  Post[]
  votes  Vote[]
  stamps Stamp[]
}
model Tag {
  id    Int     @id @default(autoincrement())
  label String  @unique
  color String?
  posts Post[]
}
model Post {
  id       Int    @id @default(autoincrement())
  slug     String @unique
  body     String
  author   Person @relation(fields: [authorId], references: [id])
  authorId Int
  tags     Tag[]
  votes    Vote[]
}
model Vote {
  id       Int    @id @default(autoincrement())
  weight   Int
  person   Person @relation(fields: [personId], references: [id])
  personId Int
  post     Post   @relation(fields: [postId], references: [id])
  postId   Int
  @@unique([personId, postId])
}
/// Without a natural key.
model Stamp {
  id       Int      @id @default(autoincrement())
  text     String
  person   Person   @relation(fields: [personId], references: [id])
  personId Int
  remarks  Remark[]
}
model Remark {
  id      Int     @id @default(autoincrement())
  text    String
  stamp   Stamp   @relation(fields: [stampId], references: [id])
  stampId Int
  parent  Remark? @relation("thread", fields: [parentId], references: [id])
  parentId Int?
  replies Remark[] @relation("thread")
}
`

const people = ['ann', 'bob', 'cleo', 'dan, "the" man', '#5']

/** INSERT statements for either engine. `from` keeps the ids of two fillings apart. */
export function randomRows(random: () => number, from: number, mark: string): string {
  const some = (count: number) => Math.floor(random() * count)
  const sql: string[] = []
  const insert = (table: string, ...values: (string | number | null)[]) => {
    const texts = values.map((each) =>
      typeof each === 'string' ? `'${each.replaceAll("'", "''")}'` : (each ?? 'NULL'),
    )
    sql.push(`INSERT INTO "${table}" VALUES (${texts.join(', ')})`)
  }
  insert('Config', 1, `title ${mark}`)
  const own = people.filter(() => random() < 0.8)
  if (own.length === 0) own.push('ann')
  for (const [at, name] of own.entries()) insert('Person', from + at, name, random() < 0.5 ? `bio ${mark}` : null)
  const somebody = () => from + some(own.length)
  const posts = some(8)
  const tags = new Set<number>()
  const links = new Set<string>()
  for (let at = 0; at < posts; at++) insert('Post', from + at, `post ${some(3)}-${at}`, `body ${mark}`, somebody())
  for (let at = 0; at < posts * 2; at++) {
    const tag = some(4)
    tags.add(tag)
    links.add(`${from + some(posts)} ${from + tag}`)
  }
  // A tag that nobody uses hangs on nobody.
  for (const tag of tags) insert('Tag', from + tag, `tag ${tag}`, random() < 0.5 ? `colour ${mark}` : null)
  for (const link of links) insert('_PostToTag', ...link.split(' ').map(Number))
  const votes = new Set(Array.from({ length: posts }, () => `${somebody()} ${from + some(posts)}`))
  for (const [at, vote] of [...votes].entries()) insert('Vote', from + at, some(9), ...vote.split(' ').map(Number))
  const stamps = some(5)
  for (let at = 0; at < stamps; at++) insert('Stamp', from + at, `stamp ${mark} ${at}`, somebody())
  for (let at = 0; at < stamps; at++)
    insert(
      'Remark',
      from + at,
      `remark ${mark} ${at}`,
      from + some(stamps),
      at > 0 && random() < 0.5 ? from + some(at) : null,
    )
  return sql.join(';\n')
}

interface Table {
  name: string
  says: string
  refersTo: string[]
  from: string
}

/** What a row is called, what it says, and the names of the rows that it refers to. */
const tables: Record<string, Table> = {
  Config: { name: `'config'`, says: 'title', refersTo: [], from: '"Config" x' },
  Person: { name: 'x.name', says: 'bio', refersTo: [], from: '"Person" x' },
  Tag: { name: 'x.label', says: 'color', refersTo: [], from: '"Tag" x' },
  Post: {
    ...{ name: 'x.slug', says: 'body', refersTo: [`'Person/' || p.name`] },
    from: '"Post" x JOIN "Person" p ON p.id = x."authorId"',
  },
  Link: {
    ...{ name: `p.slug || '+' || t.label`, says: 'NULL', refersTo: [`'Post/' || p.slug`, `'Tag/' || t.label`] },
    from: '"_PostToTag" x JOIN "Post" p ON p.id = x."A" JOIN "Tag" t ON t.id = x."B"',
  },
  Vote: {
    ...{ name: `p.name || '+' || o.slug`, says: 'weight', refersTo: [`'Person/' || p.name`, `'Post/' || o.slug`] },
    from: '"Vote" x JOIN "Person" p ON p.id = x."personId" JOIN "Post" o ON o.id = x."postId"',
  },
  Stamp: {
    ...{ name: 'x.text', says: 'NULL', refersTo: [`'Person/' || p.name`] },
    from: '"Stamp" x JOIN "Person" p ON p.id = x."personId"',
  },
  Remark: {
    ...{ name: 'x.text', says: 'NULL', refersTo: [`'Stamp/' || s.text`, `'Remark/' || r.text`] },
    from: '"Remark" x JOIN "Stamp" s ON s.id = x."stampId" LEFT JOIN "Remark" r ON r.id = x."parentId"',
  },
}

interface Said {
  says: unknown
  refersTo: string[]
}

export type Read = (sql: string) => unknown[][] | Promise<unknown[][]>

/** All rows of a database, by `TABLE/NAME`, without their ids. */
export async function contentsOf(read: Read): Promise<Map<string, Said>> {
  const contents = new Map<string, Said>()
  for (const [table, { name, says, refersTo, from }] of Object.entries(tables)) {
    const columns = [name, says, ...refersTo].map((column, at) => `${column} AS c${at}`)
    for (const [own, said, ...others] of await read(`SELECT ${columns.join(', ')} FROM ${from}`))
      contents.set(`${table}/${own}`, { says: said, refersTo: others.filter((each) => each !== null) as string[] })
  }
  return contents
}

/** By the same names, the rows as they are stored. */
export async function storedRows(read: Read): Promise<Map<string, string>> {
  const stored = new Map<string, string>()
  for (const [table, { name, from }] of Object.entries(tables))
    for (const [own, ...row] of await read(`SELECT ${name} AS own, x.* FROM ${from}`))
      stored.set(`${table}/${own}`, JSON.stringify(row))
  return stored
}

/** What hangs on these rows, and what all of it refers to. */
export function partOf(contents: Map<string, Said>, roots: string[]): Set<string> {
  const part = new Set(roots)
  const grow = (add: () => void) => {
    for (let before = -1; before !== part.size; ) {
      before = part.size
      add()
    }
  }
  grow(() => {
    for (const [name, { refersTo }] of contents) if (refersTo.some((each) => part.has(each))) part.add(name)
  })
  grow(() => {
    for (const name of [...part]) for (const each of contents.get(name)!.refersTo) part.add(each)
  })
  return part
}

/** What a merge of a part makes of a database. */
export function merged(into: Map<string, Said>, from: Map<string, Said>, part: Set<string>): Map<string, Said> {
  return new Map([...into, ...[...part].map((name) => [name, from.get(name)!] as const)])
}

export const sorted = (contents: Map<string, Said>) => [...contents].sort(([a], [b]) => (a < b ? -1 : 1))
