// The verdicts on scripts: what is destructive, on which models, and what cannot be told.
// Guarantees tested: what only reads or adds is not called destructive; models come with those that a foreign key
// changes along.

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the scripts are texts here

import { expect, test } from 'vitest'
import type { Touched } from '../src/script-analysis.ts'
import { judge } from './judged-scripts.ts'

const start = `import { PrismaClient, Prisma } from '@prisma/client'\nconst prisma = new PrismaClient()\n`
const user = ['Comment', 'Post', 'User', '_GroupToUser']

test.each<[string, Touched]>([
  ['await prisma.log.deleteMany()', ['Log']],
  ["await prisma['log']['deleteMany']()", ['Log']],
  ["await prisma.log['delete' + 'Many']({})", ['Log']],
  ['await prisma.log.delete({ where: { id: 1 } })', ['Log']],
  ['await prisma.user.deleteMany()', user],
  ['await prisma.user!.deleteMany()', user],
  ['await (prisma as any).user.deleteMany()', user],
  ['await prisma.post?.deleteMany()', ['Comment', 'Post']],
  ['await prisma.log.updateMany({ data: { text: "" } })', ['Log']],
  ['await prisma.log.update({ where: { id: 1 }, data: { text: "" } })', ['Log']],
  ['await prisma.log.updateManyAndReturn({ data: { text: "" } })', ['Log']],
  ['await prisma.log.upsert({ where: { id: 1 }, create: { text: "" }, update: { text: "" } })', ['Log']],
  ['const db = prisma\nconst logs = db.log\nawait logs.deleteMany()', ['Log']],
  ['const { log } = prisma\nawait log.deleteMany()', ['Log']],
  ['const { log: rows } = prisma\nawait rows.deleteMany()', ['Log']],
  ['const { deleteMany } = prisma.log\nawait deleteMany()', ['Log']],
  ['const { log: { deleteMany: wipe } } = prisma\nawait wipe()', 'everything'],
  ['await prisma.$transaction(async (tx) => { await tx.log.deleteMany() })', ['Log']],
  ['await prisma.$transaction([prisma.log.deleteMany(), prisma.log.count()])', ['Log']],
  ['async function purge(db: PrismaClient) { await db.log.deleteMany() }\nawait purge(prisma)', ['Log']],
  ['async function purge(db: Prisma.TransactionClient) { await db.log.deleteMany() }\nawait purge(prisma)', ['Log']],
  [
    'async function purge(db: typeof prisma) { const { log } = db\nawait log.deleteMany() }\nawait purge(prisma)',
    ['Log'],
  ],
  ['async function purge(db) { await db.log.deleteMany() }\nawait purge(prisma)', 'everything'],
  ['const name = process.argv[2]!\nawait (prisma as any)[name].deleteMany()', 'everything'],
  ['const name = process.argv[2]!\nawait (prisma.log as any)[name]()', 'everything'],
  ['const name = process.argv[2]!\nconst f = (prisma.log as any)[name]\nawait f()', 'everything'],
  ['for (const f of Object.values(prisma.log)) await f()', 'everything'],
  ['await Reflect.get(prisma.log, process.argv[2])()', 'everything'],
  ['const box = {}\nObject.assign(box, { log: prisma.log })\nawait box.log.delete({ where: { id: 1 } })', 'everything'],
  ['const map = new Map()\nmap.set("a", prisma.log)\nawait map.get("a").delete({ where: { id: 1 } })', 'everything'],
  ['const list = [prisma.log]\nlist.forEach(async (each) => each.delete({ where: { id: 1 } }))', 'everything'],
  ['const m = "deleteMany"\nawait prisma.log[m]()', 'everything'],
  [
    'class Logs { constructor(private readonly db: PrismaClient) {}\n async wipe() { await this.db.log.deleteMany() } }\nawait new Logs(prisma).wipe()',
    ['Log'],
  ],
  [
    'class Logs { constructor(private readonly db) {}\n async wipe() { await this.db.log.delete({}) } }\nawait new Logs(prisma).wipe()',
    'everything',
  ],
  ['const x = prisma.$extends({ name: "x" })\nawait x.log.deleteMany()', ['Log']],
  // Nested writes.
  ['await prisma.user.update({ where: { id: 1 }, data: { posts: { deleteMany: {} } } })', ['Comment', 'Post', 'User']],
  ['await prisma.user.update({ where: { id: 1 }, data: { name: "x" } })', ['User']],
  [
    'await prisma.user.update({ where: { id: 1 }, data: { id: 2 } })',
    ['Comment', 'Post', 'Profile', 'User', '_GroupToUser'],
  ],
  ['await prisma.user.update({ where: { id: 1 }, data: { groups: { set: [] } } })', ['User', '_GroupToUser']],
  [
    'await prisma.user.update({ where: { id: 1 }, data: { comments: { disconnect: { id: 1 } } } })',
    ['Comment', 'User'],
  ],
  [
    'await prisma.user.update({ where: { id: 1 }, data: { posts: { update: { where: { id: 1 }, data: { comments: { deleteMany: {} } } } } } })',
    ['Comment', 'Post', 'User'],
  ],
  ['const data = JSON.parse("{}")\nawait prisma.user.update({ where: { id: 1 }, data })', 'everything'],
  ['const rest = {}\nawait prisma.user.update({ where: { id: 1 }, data: { ...rest } })', 'everything'],
  ['await prisma.user.create({ data: { email: "x", posts: { connect: [{ id: 1 }] } } })', ['Post']],
  ['const data = { email: "x", posts: { connect: [{ id: 1 }] } }\nawait prisma.user.create({ data })', ['Post']],
  // SQL.
  ['await prisma.$executeRaw`DELETE FROM "posts" WHERE id = ${1}`', ['Comment', 'Post']],
  ['await prisma.$executeRaw(Prisma.sql`DELETE FROM posts`)', ['Comment', 'Post']],
  ['await prisma.$executeRawUnsafe("UPDATE main.Log SET text = ?", "")', ['Log']],
  ['await prisma.$queryRaw`DELETE FROM Log RETURNING id`', ['Log']],
  ['await prisma.$queryRawUnsafe("WITH gone AS (DELETE FROM Log RETURNING *) SELECT * FROM gone")', ['Log']],
  ['await prisma.$executeRawUnsafe("SELECT 1; delete from [Log]")', ['Log']],
  ['await prisma.$executeRawUnsafe("/* x */ REPLACE INTO Log VALUES (1, 2)")', ['Log']],
  ['await prisma.$executeRawUnsafe("INSERT OR REPLACE INTO Log VALUES (1, 2)")', ['Log']],
  ['await prisma.$executeRawUnsafe("INSERT INTO Log VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET text = 1")', ['Log']],
  ['await prisma.$executeRawUnsafe("TRUNCATE Log")', ['Log']],
  ['await prisma.$executeRawUnsafe("TRUNCATE Log CASCADE")', 'everything'],
  ['await prisma.$executeRawUnsafe("DELETE FROM sessions")', 'everything'],
  ['await prisma.$executeRawUnsafe("SELECT purge()")', 'everything'],
  ['await prisma.$executeRawUnsafe("DO $$ BEGIN NULL; END $$")', 'everything'],
  ['await prisma.$executeRawUnsafe(`DELETE FROM ${process.argv[2]}`)', 'everything'],
  ['await prisma.$executeRawUnsafe(process.argv[2])', 'everything'],
  ['await prisma.$executeRaw`${Prisma.raw("DELETE")} FROM Log`', 'everything'],
  ['await prisma.$executeRaw(Prisma.raw(process.argv[2]))', 'everything'],
  ['const table = "Log"\nawait prisma.$executeRawUnsafe(`DELETE FROM ${table}`)', ['Log']],
  ['const q = prisma.$queryRawUnsafe\nawait q("x")', 'everything'],
  ['const { $queryRawUnsafe: q } = prisma\nawait q("x")', 'everything'],
  ['import Database from "better-sqlite3"\nnew Database("x").exec("DELETE FROM Log")', ['Log']],
  [
    'import Database from "better-sqlite3"\nconst db = new Database("x")\ndb.prepare("DELETE FROM Log WHERE id = ?").run(1)',
    ['Log'],
  ],
  ['import Database from "better-sqlite3"\nconst db = new Database("x")\ndb.exec(process.argv[2])', 'everything'],
  ['import pg from "pg"\nconst pool = new pg.Pool()\nawait pool.query({ text: "DELETE FROM Log" })', ['Log']],
  [
    'import { DatabaseSync } from "node:sqlite"\nnew DatabaseSync("x").exec(["DELETE", "FROM Log"].join(" "))',
    'everything',
  ],
  // Ways out.
  ['import { execSync } from "node:child_process"\nexecSync("ls")', 'everything'],
  ['const { execSync } = await import("child_process")', 'everything'],
  ['process.getBuiltinModule("child_process")', 'everything'],
  ['eval("1")', 'everything'],
  ['new Function("return 1")()', 'everything'],
  ['setTimeout("prisma.x()", 1)', 'everything'],
  ['const name = "./x"\nawait import(name)', 'everything'],
  ['require(process.argv[2])', 'everything'],
  ['import "./missing.js"', 'everything'],
  ['import { rmSync } from "node:fs"\nrmSync("data/app.db")', 'everything'],
  ['import pMap from "zod"\nawait pMap(prisma)', 'everything'],
  ['import pMap from "zod"\nawait pMap({ db: prisma.log })', 'everything'],
  ['await prisma.log.purge()', 'everything'],
])('destructive: %s', async (code, models) => {
  const verdict = await judge(start + code)
  expect({ code, ...verdict }).toMatchObject({ isDestructive: true, models })
})

test.each([
  'console.log(await prisma.log.findMany())',
  'const rows = await prisma.log.findMany()\nfor (let i = 0; i < rows.length; i++) console.log(rows[i].text, rows[i]["id"])',
  'const by = {}\nfor (const row of await prisma.user.findMany({ include: { posts: true } })) (by[row.email] ??= []).push(...row.posts)\nconsole.log(Object.entries(by).map(([k, v]) => `${k} ${v.length}`))',
  'const [a, b] = await Promise.all([prisma.user.count(), prisma.post.count()])\nconsole.log(a + b)',
  'for (const name of ["user", "post"]) console.log(await (prisma as any)[name].count())',
  'await prisma.log.create({ data: { text: "x" } })\nawait prisma.log.createMany({ data: [{ text: "y" }] })',
  'for (const row of JSON.parse("[]")) await prisma.log.create({ data: row })',
  'await prisma.post.create({ data: { title: "x", author: { connect: { id: 1 } } } })',
  'const n = await prisma.$queryRaw`SELECT count(*) FROM "posts" WHERE id > ${3} FOR UPDATE`\nconsole.log(n)',
  'await prisma.$executeRaw`INSERT INTO Log (text) VALUES (${"DELETE FROM x"}) ON CONFLICT DO NOTHING`',
  "await prisma.$queryRawUnsafe(`SELECT replace(text, 'DELETE', 'x') AS \"update\" FROM Log -- DROP it`)",
  'import { createHash } from "node:crypto"\nconst seen = new Map<string, number>()\nconst h = createHash("sha256").update("x").digest("hex")\nseen.set(h, 1)\nseen.delete(h)',
  'import { readFileSync, writeFileSync } from "node:fs"\nwriteFileSync("report.json", JSON.stringify(await prisma.log.findMany()))\nreadFileSync("x.csv", "utf8").split("\\n").map((line) => /a(b)/.exec(line))',
  'const sums = await prisma.post.groupBy({ by: ["authorId"], _count: true })\nsums.sort((x, y) => x.authorId - y.authorId)\nconsole.table(sums)',
  'async function main() { const result = await prisma.$transaction(async (tx) => { const n = await tx.log.count(); await tx.log.create({ data: { text: String(n) } }); return n })\n console.log(result) }\nmain().catch((error) => { console.error(error); process.exit(1) }).finally(() => prisma.$disconnect())',
  'class Report { constructor(private db: PrismaClient) {}\n async run() { return (await this.db.user.findMany()).map((u) => u.email) } }\nconsole.log(await new Report(prisma).run())',
  'import Database from "better-sqlite3"\nconst db = new Database("x", { readonly: true })\nconsole.log(db.prepare("SELECT * FROM Log WHERE id = ?").get(process.argv[2]))',
  'const logged = prisma.$extends({ query: { $allModels: { async $allOperations({ args, query }) { return query(args) } } } })\nconsole.log(await logged.log.findMany())',
  'console.log("DELETE FROM Log is what this does not do")',
  'const globalForPrisma = globalThis as any\nconst db = globalForPrisma.prisma ?? new PrismaClient()\nglobalForPrisma.prisma = db\nconsole.log(await db.log.count())',
])('harmless: %s', async (code) => {
  expect({ code, ...(await judge(start + code)) }).toMatchObject({ isDestructive: false, what: [] })
})

test('modules of the project are read, through re-exports, paths and require, and named with their line', async () => {
  const client = `import { PrismaClient } from '../generated/client.js'\nexport const prisma = new PrismaClient()\nexport default prisma\n`
  const files = (script: string, more: Record<string, string> = {}) => ({
    'script.ts': script,
    'lib/db.ts': client,
    'lib/index.ts': `export * from './db.js'\nexport { prisma as db } from './db.js'\n`,
    'generated/client.ts': 'export class PrismaClient { log = { deleteMany() {} } }\neval("1")',
    'tsconfig.json': '{ "compilerOptions": { "paths": { "~/*": ["./lib/*"] } } }',
    ...more,
  })
  const cases: [string, Record<string, string>, Touched | undefined][] = [
    [`import { prisma } from './lib/db.js'\nawait prisma.log.deleteMany()`, {}, ['Log']],
    [`import { db } from './lib'\nawait db.log.deleteMany()`, {}, ['Log']],
    [`import * as lib from './lib/index'\nawait lib.db.log.deleteMany()`, {}, ['Log']],
    [`import anything from '~/db'\nawait anything.log.deleteMany()`, {}, ['Log']],
    [`const { prisma } = await import('./lib/db.js')\nawait prisma.log.deleteMany()`, {}, ['Log']],
    [
      `import { wipe } from './wipe.js'\nawait wipe()`,
      { 'wipe.ts': `import { prisma } from '~/db'\nexport const wipe = () => prisma.log.deleteMany()` },
      ['Log'],
    ],
    [
      `const { wipe } = require('./wipe')\nwipe()`,
      {
        'wipe.js': `const { PrismaClient } = require('@prisma/client')\nmodule.exports = { wipe: () => new PrismaClient().log.deleteMany() }`,
      },
      'everything',
    ],
    [`import { prisma } from '~/db'\nconsole.log(await prisma.log.count())`, {}, undefined],
    [
      `import rows from './rows.json' with { type: 'json' }\nimport { prisma } from '~/db'\nawait prisma.log.createMany({ data: rows })`,
      { 'rows.json': '[]' },
      undefined,
    ],
  ]
  for (const [script, more, models] of cases)
    expect
      .soft({ script, ...(await judge(files(script, more))) }, script)
      .toMatchObject(models ? { isDestructive: true, models } : { isDestructive: false, what: [] })
  const common = (script: string) => ({
    'script.js': script,
    'db.js': `const { PrismaClient } = require('@prisma/client')\nconst prisma = new PrismaClient()\nmodule.exports = { prisma, of: (name) => prisma[name] }`,
    'wipe.js': `const { prisma } = require('./db')\nexports.wipe = () => prisma.log.deleteMany()`,
  })
  const reading = `const { prisma } = require('./db')\nprisma.log.count().then(console.log)`
  expect.soft(await judge(common(reading)), reading).toMatchObject({ isDestructive: false, what: [] })
  for (const script of [
    `const { prisma } = require('./db')\nprisma.log.delete({ where: { id: 1 } })`,
    `const { of } = require('./db')\nof('log').delete({ where: { id: 1 } })`,
    `const db = require('./db')\ndb.prisma.log.delete({ where: { id: 1 } })`,
    `require('./wipe').wipe()`,
    `const { wipe } = require('./wipe')\nwipe()`,
  ])
    expect.soft((await judge(common(script))).isDestructive, script).toBe(true)
  const { lines } = await judge(files(`import { prisma } from '~/db'\n\n\nawait prisma.log.deleteMany()`))
  expect(lines).toEqual([4])
})

test('DROP and ALTER say that structure goes', async () => {
  for (const sql of ['DROP TABLE "Log"', 'ALTER TABLE Log DROP COLUMN text', 'DROP TABLE IF EXISTS Log'])
    expect(await judge(`${start}await prisma.$executeRawUnsafe(\`${sql}\`)`)).toMatchObject({
      models: ['Log'],
      structure: true,
    })
  expect(await judge(`${start}await prisma.$executeRawUnsafe('DROP VIEW x')`)).toMatchObject({ models: 'everything' })
})

test.each(['const x = ;', 'await prisma.log.deleteMany(', 'function {', '\0\0\u{1f4a5}'])(
  'not parsable: %j',
  async (code) => {
    await expect(judge(`${start}${code}`)).rejects.toMatchObject({
      code: 'SCRIPT_INVALID',
      message: /script\.ts, line 3: /,
    })
  },
)
