// A schema with everything that makes an export hard, as Prisma text and as the tables that `prisma db push` makes of
// it on both engines, and a reader that turns an export back into objects.

import { readFileSync } from 'node:fs'
import type { ExportHeaderInput } from '../../src/engines/engine-export.ts'

export const header: ExportHeaderInput = {
  createdAt: '2026-11-20T10:30:00.000Z',
  stem: 'backup_2026-11-20T10-30-00Z',
  prismaVersion: '7.10.0',
  fingerprint: 'f'.repeat(64),
  scope: 'everything',
  reason: 'test',
}

export interface ReadExport {
  header: { models: Record<string, { key: string[]; fields: { name: string; type: string }[] }>; notExported: unknown }
  // biome-ignore lint/suspicious/noExplicitAny: rows are of any shape
  data: Record<string, any[]>
  counts: Record<string, number>
}

export function readExport(path: string): ReadExport {
  return JSON.parse(readFileSync(path, 'utf8'))
}

export const hardSchema = (provider: 'sqlite' | 'postgresql') => `
generator client {
  provider = "prisma-client"
  output   = "../generated"
}
datasource db {
  provider = "${provider}"
}
enum Role {
  ADMIN @map("admin")
  MEMBER
}
model User {
  id      Int      @id @default(autoincrement()) @map("user_id")
  email   String   @unique
  role    Role     @default(MEMBER)
  bossId  Int?     @map("boss_id")
  boss    User?    @relation("reports", fields: [bossId], references: [id])
  reports User[]   @relation("reports")
  posts   Post[]
  session Session?
  hidden  String?  @ignore
  @@map("users")
}
model Team {
  orgCode String
  no      Int
  name    String?
  posts   Post[]
  @@id([orgCode, no])
}
model Post {
  id       Int      @id @default(autoincrement())
  slug     String
  author   User     @relation(fields: [authorId], references: [id])
  authorId Int
  team     Team?    @relation(fields: [teamOrg, teamNo], references: [orgCode, no])
  teamOrg  String?
  teamNo   Int?
  tags     Tag[]
  notes    Note[]
  @@unique([authorId, slug])
}
model Note {
  id     Int    @id @default(autoincrement())
  post   Post   @relation(fields: [postId], references: [id])
  postId Int
  text   String
}
model Tag {
  id    Int     @id @default(autoincrement())
  label String? @unique
  posts Post[]
}
model Egg {
  id    Int    @id @default(autoincrement())
  name  String
  hen   Hen    @relation("laid", fields: [henId], references: [id])
  henId Int
  hens  Hen[]  @relation("hatched")
  @@unique([henId, name])
}
model Hen {
  id    Int    @id @default(autoincrement())
  name  String
  egg   Egg    @relation("hatched", fields: [eggId], references: [id])
  eggId Int
  eggs  Egg[]  @relation("laid")
  @@unique([eggId, name])
}
model Empty {
  id String @id @default(cuid())
}
/// @transient
model Session {
  id     String @id
  user   User   @relation(fields: [userId], references: [id])
  userId Int    @unique
}
model Gone {
  id Int @id
  @@ignore
}
`

export const sqliteTables = `
CREATE TABLE "users" ("user_id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "email" TEXT NOT NULL,
  "role" TEXT NOT NULL DEFAULT 'MEMBER', "boss_id" INTEGER, "hidden" TEXT);
CREATE UNIQUE INDEX "users_email_key" ON "users"("email");
CREATE TABLE "Team" ("orgCode" TEXT NOT NULL, "no" INTEGER NOT NULL, "name" TEXT, PRIMARY KEY ("orgCode", "no"));
CREATE TABLE "Post" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "slug" TEXT NOT NULL, "authorId" INTEGER NOT NULL,
  "teamOrg" TEXT, "teamNo" INTEGER);
CREATE TABLE "Note" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "postId" INTEGER NOT NULL, "text" TEXT NOT NULL);
CREATE TABLE "Tag" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "label" TEXT);
CREATE TABLE "Egg" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "name" TEXT NOT NULL, "henId" INTEGER NOT NULL);
CREATE TABLE "Hen" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "name" TEXT NOT NULL, "eggId" INTEGER NOT NULL);
CREATE TABLE "Empty" ("id" TEXT NOT NULL PRIMARY KEY);
CREATE TABLE "Session" ("id" TEXT NOT NULL PRIMARY KEY, "userId" INTEGER NOT NULL);
CREATE TABLE "Gone" ("id" INTEGER NOT NULL PRIMARY KEY);
CREATE TABLE "_PostToTag" ("A" INTEGER NOT NULL, "B" INTEGER NOT NULL);
CREATE UNIQUE INDEX "_PostToTag_AB_unique" ON "_PostToTag"("A", "B");
CREATE TABLE "_prisma_migrations" ("id" TEXT PRIMARY KEY);
CREATE TABLE "stranger" ("x");
`

export const postgresTables = `
CREATE TYPE "Role" AS ENUM ('admin', 'MEMBER');
CREATE TABLE "users" ("user_id" SERIAL PRIMARY KEY, "email" TEXT NOT NULL UNIQUE, "role" "Role" NOT NULL DEFAULT 'MEMBER',
  "boss_id" INTEGER, "hidden" TEXT);
CREATE TABLE "Team" ("orgCode" TEXT NOT NULL, "no" INTEGER NOT NULL, "name" TEXT, PRIMARY KEY ("orgCode", "no"));
CREATE TABLE "Post" ("id" SERIAL PRIMARY KEY, "slug" TEXT NOT NULL, "authorId" INTEGER NOT NULL, "teamOrg" TEXT, "teamNo" INTEGER);
CREATE TABLE "Note" ("id" SERIAL PRIMARY KEY, "postId" INTEGER NOT NULL, "text" TEXT NOT NULL);
CREATE TABLE "Tag" ("id" SERIAL PRIMARY KEY, "label" TEXT);
CREATE TABLE "Egg" ("id" SERIAL PRIMARY KEY, "name" TEXT NOT NULL, "henId" INTEGER NOT NULL);
CREATE TABLE "Hen" ("id" SERIAL PRIMARY KEY, "name" TEXT NOT NULL, "eggId" INTEGER NOT NULL);
CREATE TABLE "Empty" ("id" TEXT PRIMARY KEY);
CREATE TABLE "Session" ("id" TEXT PRIMARY KEY, "userId" INTEGER NOT NULL);
CREATE TABLE "Gone" ("id" INTEGER PRIMARY KEY);
CREATE TABLE "_PostToTag" ("A" INTEGER NOT NULL, "B" INTEGER NOT NULL, PRIMARY KEY ("A", "B"));
CREATE TABLE "_prisma_migrations" ("id" TEXT PRIMARY KEY);
CREATE TABLE "stranger" ("x" TEXT);
`

export const hardRows = `
INSERT INTO "users" VALUES (1, 'ann@x', 'admin', NULL, 'kept'), (2, 'bob@x', 'MEMBER', 1, NULL), (3, 'eve@x', 'MEMBER', 99, NULL);
INSERT INTO "Team" VALUES ('acme', 1, NULL), ('acme', 2, 'Two');
INSERT INTO "Post" VALUES (10, 'hello', 1, 'acme', 2), (11, 'alone', 2, NULL, NULL), (12, 'half', 2, 'acme', NULL), (13, 'lost', 77, 'no', 9);
INSERT INTO "Note" VALUES (1, 10, 'on a post'), (2, 13, 'on a post whose author is gone'), (3, 500, 'on nothing');
INSERT INTO "Tag" VALUES (1, 'red'), (2, NULL);
INSERT INTO "Egg" VALUES (1, 'first', 1);
INSERT INTO "Hen" VALUES (1, 'Ada', 1);
INSERT INTO "Session" VALUES ('s', 1);
INSERT INTO "Gone" VALUES (1), (2);
INSERT INTO "_PostToTag" VALUES (10, 1), (10, 2);
INSERT INTO "_prisma_migrations" VALUES ('m');
INSERT INTO "stranger" VALUES ('x');
`

/** What both engines must say about these rows. */
export const hardExport = {
  User: [
    { id: 1, email: 'ann@x', role: 'ADMIN', boss: null, $columns: { hidden: 'kept' } },
    { id: 2, email: 'bob@x', role: 'MEMBER', boss: 'ann@x', $columns: null },
    { id: 3, email: 'eve@x', role: 'MEMBER', boss: { '#': 99 }, $columns: null },
  ],
  Team: [
    { orgCode: 'acme', no: 1, name: null },
    { orgCode: 'acme', no: 2, name: 'Two' },
  ],
  Post: [
    { id: 10, slug: 'hello', author: 'ann@x', team: ['acme', 2] },
    { id: 11, slug: 'alone', author: 'bob@x', team: null },
    { id: 12, slug: 'half', author: 'bob@x', team: { '#': ['acme', null] } },
    { id: 13, slug: 'lost', author: { '#': 77 }, team: { '#': ['no', 9] } },
  ],
  Note: [
    { id: 1, post: ['ann@x', 'hello'], text: 'on a post' },
    { id: 2, post: [{ '#': 77 }, 'lost'], text: 'on a post whose author is gone' },
    { id: 3, post: { '#': 500 }, text: 'on nothing' },
  ],
  Tag: [
    { id: 1, label: 'red' },
    { id: 2, label: null },
  ],
  Egg: [{ id: 1, name: 'first', hen: { '#': 1 } }],
  Hen: [{ id: 1, name: 'Ada', egg: { '#': 1 } }],
  Empty: [],
  _PostToTag: [
    { A: ['ann@x', 'hello'], B: 'red' },
    { A: ['ann@x', 'hello'], B: { '#': 2 } },
  ],
}

export const hardNotExported = {
  transient: ['Session'],
  tables: [
    { table: 'Gone', rows: 2 },
    { table: 'stranger', rows: 1 },
  ],
}
