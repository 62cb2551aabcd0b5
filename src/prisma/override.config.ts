// A Prisma config that takes everything from the user's own and replaces the database url: `--url` exists on `db push`
// and `db pull` only. runPrisma() names it with --config. Guarantees: relative paths of the user's config keep their
// meaning, nothing is written to disk, and the url, which may hold a password, appears in no argument and no file.

import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { PrismaConfig } from 'prisma/config'

const { BOOTKEEPER_USER_CONFIG: userConfig, BOOTKEEPER_OVERRIDE_URL: url = '' } = process.env

const config = userConfig ? await readUserConfig(userConfig) : {}
const base = userConfig ? dirname(userConfig) : (process.env.BOOTKEEPER_PROJECT_DIR ?? process.cwd())

// An enumerable `undefined` is not accepted as absent.
export default withoutUndefined({
  ...config,
  schema: absolute(config.schema),
  migrations: config.migrations && withoutUndefined({ ...config.migrations, path: absolute(config.migrations.path) }),
  typedSql: config.typedSql && withoutUndefined({ ...config.typedSql, path: absolute(config.typedSql.path) }),
  views: config.views && withoutUndefined({ ...config.views, path: absolute(config.views.path) }),
  datasource: { ...config.datasource, url },
})

async function readUserConfig(path: string): Promise<PrismaConfig> {
  const { default: exported } = (await import(pathToFileURL(path).href)) as { default: unknown }
  const value = typeof exported === 'function' ? await exported() : exported
  const { loadedFromFile: _, ...config } = value as PrismaConfig & { loadedFromFile?: string | null }
  return config
}

function absolute(path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(base, path)
}

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T
}
