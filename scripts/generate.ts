// generate: runs `prisma generate` on the engine that comes with the packages, for image builds.
// Guarantees: nothing is downloaded; a client that is already made of this schema is left alone.

import { generateClient } from '../src/client.ts'
import { readConfig } from '../src/config.ts'
import { findSchema, readSchemaFiles } from '../src/prisma/schema-files.ts'
import { readWords } from './run-command.ts'

const help = `
Generates the Prisma client, without a download. For the build of an image: RUN npx bootkeeper generate
`

export default async function generate(words: string[]): Promise<number> {
  if (!readWords(words, help, {})) return 0
  const config = readConfig()
  const schema = await readSchemaFiles(await findSchema(process.cwd(), config.schemaSetting))
  const { text } = await generateClient(config, schema, new AbortController().signal)
  process.stdout.write(`${text}\n`)
  return 0
}
