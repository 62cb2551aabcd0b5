// Part of the build: generates the Prisma client of the catalogue (src/catalogue/client), and nothing where it is
// made of this schema already. Offline: the CLI runs on the engine that comes with the packages.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { register } from 'tsx/esm/api'

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))))
register()
const { readConfig } = await import('../src/config.ts')
const { generateClient } = await import('../src/client.ts')
const { readSchemaFiles } = await import('../src/prisma/schema-files.ts')

const schema = await readSchemaFiles(join(process.cwd(), 'src', 'catalogue', 'schema.prisma'))
// Without the settings of the environment: a build does not depend on them.
await generateClient(readConfig([], {}), schema, new AbortController().signal)
