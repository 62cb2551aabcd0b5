// The other usual export: each user with their lists, nested, as an app hands it to its users. It holds fewer models
// than export.ts, and every title as often as somebody listed it. Run in a project folder with the client generated.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3'

const { PrismaClient } = await import(join(process.cwd(), 'generated', 'prisma', 'client.ts'))
const prisma = new PrismaClient({ adapter: new PrismaBetterSqlite3({ url: 'file:./data/app.db' }) })

const data = {
  exportedAt: new Date().toISOString(),
  systemConfig: await prisma.systemConfig.findFirst(),
  users: await prisma.user.findMany({ include: { media: { include: { media: true } } } }),
}
writeFileSync('data/backup.json', JSON.stringify(data, null, 2))
await prisma.$disconnect()
console.log(`Exported ${data.users.length} users`)
