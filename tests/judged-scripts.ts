// Scripts as the guard reads them: written into a folder of their own, judged on one schema.

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { readDataModel } from '../src/prisma/data-model.ts'
import { analyseScript, type Touched } from '../src/script-analysis.ts'
import { makeFolder, root } from './harness.ts'

const schema = `
model User {
  id       Int       @id @default(autoincrement())
  email    String    @unique
  name     String?
  posts    Post[]
  profile  Profile?
  comments Comment[]
  groups   Group[]
}
model Profile {
  id     Int  @id @default(autoincrement())
  user   User @relation(fields: [userId], references: [id])
  userId Int  @unique
}
model Post {
  id       Int       @id @default(autoincrement())
  title    String
  author   User      @relation(fields: [authorId], references: [id], onDelete: Cascade)
  authorId Int
  comments Comment[]
  @@map("posts")
}
model Comment {
  id     Int   @id @default(autoincrement())
  post   Post  @relation(fields: [postId], references: [id], onDelete: Cascade)
  postId Int
  by     User? @relation(fields: [byId], references: [id])
  byId   Int?
}
model Group {
  id    Int    @id @default(autoincrement())
  users User[]
}
model Log {
  id   Int    @id @default(autoincrement())
  text String
}
`

const data = await readDataModel([
  { path: 'schema.prisma', content: `datasource db {\n  provider = "sqlite"\n}\n${schema}` },
])

export interface Verdict {
  isDestructive: boolean
  models: Touched
  structure: boolean
  what: string[]
  lines: number[]
}

/** The first of the files is the script. */
export async function judge(files: Record<string, string> | string): Promise<Verdict> {
  const folder = makeFolder()
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  const all = typeof files === 'string' ? { 'script.ts': files } : files
  for (const [name, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  const { isDestructive, models, structure, findings } = await analyseScript(join(folder, Object.keys(all)[0]!), data, [
    join(folder, 'generated'),
  ])
  return {
    isDestructive,
    models: models === 'everything' ? models : [...models].sort(),
    structure,
    what: findings.map((each) => each.what),
    lines: findings.map(({ line }) => line),
  }
}
