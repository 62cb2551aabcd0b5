import { symlink } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { findSchema, readSchemaFiles } from '../../src/prisma/schema-files.ts'
import { makeProject, schema, user } from './project.ts'

test('a file is read with its provider and generators', async () => {
  const project = await makeProject({ 'prisma/schema.prisma': schema('sqlite', user) })
  const found = await readSchemaFiles(project.path('prisma/schema.prisma'))
  expect(found).toEqual({
    location: project.path('prisma/schema.prisma'),
    files: [{ path: project.path('prisma/schema.prisma'), content: schema('sqlite', user) }],
    generators: [{ name: 'client', provider: 'prisma-client', output: '../generated' }],
    provider: 'sqlite',
  })
})

test('a folder is read at any depth and sorted by path', async () => {
  const project = await makeProject({
    'prisma/schema.prisma': schema('postgresql', ''),
    'prisma/b/user.prisma': user,
    'prisma/a.prisma': 'model A { id Int @id }',
    'prisma/notes.md': 'not a schema',
  })
  await symlink(project.path('prisma'), project.path('prisma/b/loop'))
  const { files, provider, generators } = await readSchemaFiles(project.path('prisma'))
  expect(files.map(({ path }) => path)).toEqual(
    ['prisma/a.prisma', 'prisma/b/user.prisma', 'prisma/schema.prisma'].map(project.path),
  )
  expect(provider).toBe('postgresql')
  expect(generators).toHaveLength(1)
})

test('comments, strings with braces, lists and one-line blocks do not confuse the reader', async () => {
  const project = await makeProject({
    'schema.prisma': `// generator ghost { provider = "x" }
generator a { // {
  provider = "node ./{gen}.js" // provider = "other"
  //output = "old"
  output = "C:\\\\out // not a comment"
  binaryTargets = ["native"]
}
generator b { provider = "second" }
datasource db {
  provider = ["postgresql", "sqlite"]
  url = env("DATABASE_URL")
}
model generator_like { provider String }
model Broken {`,
  })
  const { generators, provider } = await readSchemaFiles(project.path('schema.prisma'))
  expect(generators).toEqual([
    { name: 'a', provider: 'node ./{gen}.js', output: 'C:\\out // not a comment' },
    { name: 'b', provider: 'second' },
  ])
  expect(provider).toBe('postgresql')
})

test('the schema is found where Prisma has it, the setting first', async () => {
  const folder = await makeProject({ 'prisma/one.prisma': user, 'prisma/two.prisma': '' })
  expect(await findSchema(folder.directory)).toBe(folder.path('prisma'))
  await folder.write('prisma/schema/deep/x.prisma', '')
  expect(await findSchema(folder.directory)).toBe(folder.path('prisma/schema'))
  await folder.write('schema.prisma', '')
  expect(await findSchema(folder.directory)).toBe(folder.path('schema.prisma'))
  await folder.write('prisma/schema.prisma', '')
  expect(await findSchema(folder.directory)).toBe(folder.path('prisma/schema.prisma'))
  expect(await findSchema(folder.directory, 'prisma/one.prisma')).toBe(folder.path('prisma/one.prisma'))
})

test('a schema that is nowhere is SCHEMA_NOT_FOUND', async () => {
  const project = await makeProject({})
  await expect(findSchema(project.directory)).rejects.toMatchObject({ code: 'SCHEMA_NOT_FOUND' })
  await expect(findSchema(project.directory, 'gone.prisma')).rejects.toMatchObject({ code: 'SCHEMA_NOT_FOUND' })
  await expect(readSchemaFiles(project.path('gone'))).rejects.toMatchObject({ code: 'SCHEMA_NOT_FOUND' })
  await expect(readSchemaFiles(project.path('node_modules/pg/lib'))).rejects.toMatchObject({ code: 'SCHEMA_NOT_FOUND' })
})
