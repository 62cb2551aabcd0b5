// Prisma's own configuration, for `npx prisma …` by hand. The boot points the CLI at the database itself.
import { defineConfig } from 'prisma/config'

export default defineConfig({
  schema: 'prisma/schema.prisma',
  datasource: { url: process.env.DATABASE_URL ?? 'file:./data/app.db' },
})
