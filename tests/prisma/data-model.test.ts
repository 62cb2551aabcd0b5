// What is read out of a Prisma schema, and which natural key is chosen.

import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { readDataModel } from '../../src/prisma/data-model.ts'

const datasource = 'datasource db {\n  provider = "sqlite"\n}\n'

async function keysOf(schema: string): Promise<Record<string, string>> {
  const { models } = await readDataModel([{ path: 'schema.prisma', content: datasource + schema }])
  return Object.fromEntries(models.map(({ name, naturalKey }) => [name, naturalKey.map((part) => part.name).join('+')]))
}

test('the bundled schema', async () => {
  const path = new URL('../../prisma/schema.prisma', import.meta.url)
  const { models } = await readDataModel([{ path: 'schema.prisma', content: readFileSync(path, 'utf8') }])
  const model = (name: string) => models.find((each) => each.name === name)
  expect(models.map(({ name }) => name)).toEqual(['SystemConfig', 'User', 'Media', 'UserMedia', 'Session'])
  expect(model('SystemConfig')).toMatchObject({ isConfig: true, isTransient: false })
  expect(model('SystemConfig')?.fields.filter(({ isSecret }) => isSecret)).toHaveLength(4)
  expect(model('Session')?.isTransient).toBe(true)
  expect(model('UserMedia')?.naturalKey).toEqual([
    { kind: 'relation', name: 'user' },
    { kind: 'relation', name: 'media' },
  ])
})

test('several files are one schema, whatever their order', async () => {
  const files = [
    {
      path: 'b/post.prisma',
      content:
        'model Post {\n  id Int @id\n  author User @relation(fields: [authorId], references: [id])\n  authorId Int\n}',
    },
    { path: 'a.prisma', content: `${datasource}model User {\n  id Int @id\n  posts Post[]\n}` },
  ]
  const { models } = await readDataModel(files)
  expect(models.map(({ name }) => name)).toEqual(['User', 'Post'])
  expect(await readDataModel(files.reverse())).toEqual({ models, enums: [] })
})

test('views are left out, join tables and annotations are there', async () => {
  const content = `generator client {
  provider        = "prisma-client"
  output          = "../generated"
  previewFeatures = ["views"]
}
${datasource}
/// People.
/// @user
/// @protected isAdmin
model User {
  id      Int     @id @map("user_id")
  isAdmin Boolean
  /// @secret
  token   String? @unique
  friends User[]  @relation("friends")
  of      User[]  @relation("friends")
  groups  Group[]
  @@map("users")
}
model Group {
  code  String @id
  users User[]
}
view Totals {
  id Int @unique
}`
  const { models } = await readDataModel([{ path: 'schema.prisma', content }])
  expect(models.map(({ name }) => name)).toEqual(['User', 'Group', '_GroupToUser', '_friends'])
  expect(models[0]).toMatchObject({ table: 'users', isUser: true, protectedField: 'isAdmin', primaryKey: ['id'] })
  expect(models[0]?.fields.find(({ name }) => name === 'token')?.isSecret).toBe(true)
  expect(models[2]).toMatchObject({
    isJoinTable: true,
    isUser: false,
    fields: [
      { name: 'A', type: 'String' },
      { name: 'B', type: 'Int' },
    ],
    relations: [
      { name: 'A', target: 'Group', to: ['code'] },
      { name: 'B', target: 'User', to: ['id'] },
    ],
    naturalKey: [
      { kind: 'relation', name: 'A' },
      { kind: 'relation', name: 'B' },
    ],
  })
})

test('comments are for people, @health says what a service is asked; where it makes no sense it is refused', async () => {
  const config = (field: string, annotation = '@config') =>
    `${datasource}/// The settings.\n/// ${annotation}\nmodel Settings {\n  id Int @id\n${field}\n}`
  const read = (content: string) => readDataModel([{ path: 'schema.prisma', content }])
  const { models } = await read(
    config(
      '  /// Where mail goes,\n  /// such as http://mail\n  /// @health /api/v1/up?x=1\n  url String? /// @other thing',
    ),
  )
  expect(models[0]).toMatchObject({ description: 'The settings.', isConfig: true })
  expect(models[0]?.fields[1]).toMatchObject({ healthPath: '/api/v1/up?x=1' })
  expect(models[0]?.fields[1]?.description).toBe('Where mail goes, such as http://mail')
  expect(models[0]?.fields[0]).not.toHaveProperty('description')
  const wrong = [
    [config('  /// @health /up\n  port Int?'), 'belongs to a String'],
    [config('  /// @health up\n  url String?'), 'a path that begins with one /, such as @health /status, not "up"'],
    [config('  /// @health\n  url String?'), 'not ""'],
    [config('  /// @health //elsewhere/up\n  url String?'), 'not "//elsewhere/up"'],
    [config('  /// @health /up\n  /// @secret\n  url String?'), 'does not go with @secret'],
    [config('  /// @health /up\n  url String?', 'No annotation.'), 'a model with @config'],
    [
      `${config('  /// @health /up\n  other Other @relation(fields: [id], references: [id])')}\nmodel Other {\n  id Int @id\n  s Settings?\n}`,
      'belongs to a String',
    ],
  ] as const
  for (const [schema, reason] of wrong)
    await expect(read(schema), schema).rejects.toMatchObject({
      code: 'SCHEMA_INVALID',
      message: expect.stringContaining(reason),
    })
})

test('the rule of the natural key, one case each', async () => {
  const keys = await keysOf(
    `
model Single {
  id    String  @id @default(cuid())
  maybe String? @unique
  email String  @unique
  @@unique([email, id])
}
model Compound {
  id    Int     @id @default(autoincrement())
  maybe String? @unique
  a     Int
  b     Int
  @@unique([a, b])
}
model Optional {
  id    Int     @id @default(autoincrement())
  maybe String? @unique
  a     Int?
  b     Int
  @@unique([a, b])
}
model Natural {
  code String @id
}
model Serial {
  id    Int    @id @default(autoincrement())
  price Float  @unique
  bytes Bytes  @unique
  /// @secret
  token String @unique
}
model Profile {
  id      Int    @id @default(autoincrement())
  owner   Single @relation(fields: [ownerId], references: [id])
  ownerId String @unique
}`.replace('@@unique([email, id])\n}', '@@unique([email, id])\n  profile Profile?\n}'),
  )
  expect(keys).toEqual({
    Single: 'email',
    Compound: 'a+b',
    Optional: 'maybe',
    Natural: 'code',
    Serial: '',
    Profile: 'owner',
  })
})

test('candidates that lead in a circle are struck out on every model of the circle', async () => {
  const keys = await keysOf(
    `
model Tree {
  id       Int    @id @default(autoincrement())
  name     String
  parent   Tree?  @relation("t", fields: [parentId], references: [id])
  parentId Int
  children Tree[] @relation("t")
  @@unique([parentId, name])
}
model Chicken {
  id     Int     @id @default(autoincrement())
  from   Egg     @relation("a", fields: [fromId], references: [id])
  fromId Int     @unique
  eggs   Egg[]   @relation("b")
}
model Egg {
  id       Int       @id @default(autoincrement())
  by       Chicken   @relation("b", fields: [byId], references: [id])
  byId     Int       @unique
  label    String?   @unique
  chickens Chicken[] @relation("a")
}`
      .replace('Tree?  @relation', 'Tree   @relation')
      .replace('chickens Chicken[]', 'chickens Chicken?')
      .replace('eggs   Egg[]  ', 'eggs   Egg?   '),
  )
  expect(keys).toEqual({ Tree: '', Chicken: '', Egg: 'label' })
})

test('a schema that Prisma does not accept is refused in its own words, without colours', async () => {
  const attempt = readDataModel([{ path: 'bad.prisma', content: `${datasource}model X {\n  id Strin @id\n}` }])
  await expect(attempt).rejects.toMatchObject({ code: 'SCHEMA_INVALID', message: expect.stringContaining('"Strin"') })
  await expect(attempt).rejects.not.toMatchObject({ message: expect.stringContaining('\u001b') })
})

test('every schema among the fixtures is read', async () => {
  const fixtures = new URL('../fixtures/', import.meta.url)
  const paths = readdirSync(fixtures, { recursive: true }).filter((path) => String(path).endsWith('schema.prisma'))
  for (const path of paths) {
    const content = readFileSync(new URL(String(path), fixtures), 'utf8')
    expect((await readDataModel([{ path: String(path), content }])).models.length).toBeGreaterThan(0)
  }
})
