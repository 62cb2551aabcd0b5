// The import that the usual script's export calls for: the whole file parsed, then createMany in batches, or one upsert
// after the other. Run in a project folder of its own, with the database empty and the client generated.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3'

const { PrismaClient } = await import(join(process.cwd(), 'generated', 'prisma', 'client.ts'))
const prisma = new PrismaClient({ adapter: new PrismaBetterSqlite3({ url: 'file:./data/app.db' }) })
const [how, file] = process.argv.slice(2)
const data = JSON.parse(readFileSync(file ?? 'data/backup.json', 'utf8'))

const batchRows = 1_000
for (const [model, rows] of [
  ['systemConfig', data.systemConfig],
  ['user', data.users],
  ['media', data.media],
  ['userMedia', data.userMedia],
] as const) {
  if (how === 'upsert')
    for (const row of rows) await prisma[model].upsert({ where: { id: row.id }, create: row, update: row })
  else
    for (let start = 0; start < rows.length; start += batchRows)
      await prisma[model].createMany({ data: rows.slice(start, start + batchRows) })
}
console.log(`Imported ${await prisma.userMedia.count()} rows of user media`)
await prisma.$disconnect()
