// The export of the usual script: every row of every model through the Prisma client, stringified, written. It is run
// in a project folder of its own, in which `prisma generate` has made the client.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3'

const { PrismaClient } = await import(join(process.cwd(), 'generated', 'prisma', 'client.ts'))
const prisma = new PrismaClient({ adapter: new PrismaBetterSqlite3({ url: 'file:./data/app.db' }) })

const data = {
  exportedAt: new Date().toISOString(),
  systemConfig: await prisma.systemConfig.findMany(),
  users: await prisma.user.findMany(),
  media: await prisma.media.findMany(),
  userMedia: await prisma.userMedia.findMany(),
  sessions: await prisma.session.findMany(),
}
writeFileSync('data/backup.json', JSON.stringify(data, null, 2))
await prisma.$disconnect()
console.log(`Exported ${data.userMedia.length} rows of user media`)
