// The import of what export-lists.ts wrote: into a database that may number its titles otherwise, so titles are looked
// up, created in batches where they are missing, looked up again, and then listed in batches.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3'

const { PrismaClient } = await import(join(process.cwd(), 'generated', 'prisma', 'client.ts'))
const prisma = new PrismaClient({ adapter: new PrismaBetterSqlite3({ url: 'file:./data/app.db' }) })
const data = JSON.parse(readFileSync(process.argv[2] ?? 'data/backup.json', 'utf8'))

const batchRows = 1_000
type Media = { id: number; tmdbId: number | null; title: string }
type Entry = { media: Media; status: string; addedAt: string }
const keyOf = ({ tmdbId, title }: Media) => (tmdbId === null ? `title ${title}` : `id ${tmdbId}`)

async function idsOf(media: Media[]): Promise<Map<string, number>> {
  const found: Media[] = await prisma.media.findMany({
    where: {
      OR: [
        { tmdbId: { in: media.flatMap(({ tmdbId }) => tmdbId ?? []) } },
        { tmdbId: null, title: { in: media.flatMap(({ tmdbId, title }) => (tmdbId === null ? title : [])) } },
      ],
    },
    select: { id: true, tmdbId: true, title: true },
  })
  return new Map(found.map((each) => [keyOf(each), each.id]))
}

await prisma.systemConfig.create({ data: data.systemConfig })
for (const { media: entries, ...user } of data.users) {
  const { id: _, ...values } = user
  const { id: userId } = await prisma.user.create({ data: values })
  for (let start = 0; start < entries.length; start += batchRows) {
    const batch: Entry[] = entries.slice(start, start + batchRows)
    const media: Media[] = [...new Map(batch.map((each) => [keyOf(each.media), each.media])).values()]
    const known = await idsOf(media)
    const missing = media.filter((each) => !known.has(keyOf(each)))
    await prisma.media.createMany({ data: missing.map(({ id: _, ...rest }) => rest) })
    const ids = await idsOf(media)
    await prisma.userMedia.createMany({
      data: batch.map((each) => ({
        userId,
        mediaId: ids.get(keyOf(each.media)),
        status: each.status,
        addedAt: each.addedAt,
      })),
    })
  }
}
console.log(`Imported ${await prisma.userMedia.count()} rows of user media`)
await prisma.$disconnect()
