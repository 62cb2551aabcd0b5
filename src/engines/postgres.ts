// PostgreSQL: copies by pg_dump, schema changes in one transaction under Migrate's advisory lock, putting a copy back in
// one transaction. Guarantees: a change or a restore happens whole or not at all; credentials never reach a command line.

import { randomUUID } from 'node:crypto'
import { rm, stat, writeFile } from 'node:fs/promises'
import { execa } from 'execa'
import { BootkeeperError } from '../errors.ts'
import { fsyncFile, partialPath, sha256OfFile } from '../files.ts'
import type { Engine } from './engine.ts'
import {
  connect,
  ident,
  installClientTools,
  makeDatabase,
  parseUrl,
  query,
  requireTool,
  run,
} from './postgres-connection.ts'
import { examinePostgres } from './postgres-examine.ts'
import { rehearsePostgres } from './postgres-rehearsal.ts'
import { makePostgresScratch } from './postgres-scratch.ts'

export function openPostgres(databaseUrl: string, { busyMs }: { busyMs: number }): Engine {
  const server = parseUrl(databaseUrl)

  return {
    kind: 'postgresql',
    isFile: false,
    description: `${server.host}:${server.port}/${server.database}`,
    url: databaseUrl,
    copyExtension: 'dump',
    compressesCopies: true,
    workDirectory: undefined,

    async signature() {
      const client = await connect(server, busyMs)
      if (!client) return 'none'
      try {
        if (server.schema) {
          const { rows } = await client.query('SELECT to_regnamespace($1) IS NULL AS missing', [ident(server.schema)])
          if (rows[0].missing) return 'none'
        }
        // Whatever is written moves the end of the log. So do checkpoints: then a copy is made once more than needed.
        const { rows } = await client.query(
          'SELECT system_identifier::text AS id, pg_current_wal_insert_lsn()::text AS lsn FROM pg_control_system()',
        )
        return `postgresql ${rows[0].id} ${server.database} ${rows[0].lsn}`
      } catch {
        // Hosted servers may not let this user ask: every boot then copies.
        return `postgresql ${randomUUID()}`
      } finally {
        await client.end()
      }
    },

    sizeBytes: () =>
      query(server, busyMs, 'SELECT pg_database_size(current_database())::float8 AS n').then(
        (rows) => (rows[0]?.n as number) ?? 0,
      ),

    async structure() {
      const rows = await query(server, busyMs, structureSql)
      return rows.length === 0 ? '' : JSON.stringify(rows.map(({ line }) => line))
    },

    async copy(partial, signal) {
      await requireTool('pg_dump', server, busyMs)
      const source = await this.signature()
      const schema = server.schema ? ['--schema', server.schema] : []
      // pg_dump would make it readable for all.
      await writeFile(partial, '', { flag: 'wx', mode: 0o600 })
      await run('pg_dump', ['--format=custom', '--compress=1', ...schema, '--file', partial], server, signal)
      await fsyncFile(partial)
      const problems = await this.checkCopy(partial, signal)
      if (problems.length > 0) throw new BootkeeperError('IO', `The dump does not read back: ${problems[0]}.`)
      const [{ size }, sha256] = await Promise.all([stat(partial), sha256OfFile(partial, signal)])
      return { source, settled: true, sizeBytes: size, sha256, check: 'read back whole by pg_restore' }
    },

    async checkCopy(path, signal) {
      // Reads and unpacks every table, to nowhere.
      const cancel = signal ? { cancelSignal: signal } : {}
      const result = await execa('pg_restore', ['--file=/dev/null', path], {
        reject: false,
        stdin: 'ignore',
        ...cancel,
      })
      signal?.throwIfAborted()
      const said = `${result.stderr ?? ''}`
      if (result.code === 'ENOENT' || /unsupported version/.test(said))
        throw new BootkeeperError(
          'TOOL_MISSING',
          result.code === 'ENOENT' ? 'pg_restore is not installed.' : `pg_restore is too old for ${path}.`,
          { next: installClientTools },
        )
      return result.exitCode === 0 ? [] : [result.stderr.split('\n')[0] || result.message || 'pg_restore failed']
    },

    async examine(full) {
      return await examinePostgres(server, busyMs, full)
    },

    async makeScratch() {
      return await makePostgresScratch(databaseUrl, server, busyMs)
    },

    async rehearse(_copyFile, _source, signal) {
      return await rehearsePostgres(databaseUrl, server, busyMs, signal)
    },

    async putBack(copyFile) {
      await requireTool('pg_restore', server, busyMs)
      await requireTool('psql', server, busyMs)
      await makeDatabase(server, busyMs)
      // A name that the next boot sweeps, should this one be killed.
      const script = partialPath(`${copyFile}.sql`)
      try {
        await writeFile(script, '', { flag: 'wx', mode: 0o600 })
        await run('pg_restore', ['--no-owner', '--no-privileges', '--file', script, copyFile], server, undefined)
        // One transaction: the old data goes only if the copy is in its place.
        const commands = ['--command', dropSchemasSql(server.schema), '--file', script]
        const options = [
          '--no-psqlrc',
          '--quiet',
          '--single-transaction',
          '--set=ON_ERROR_STOP=1',
          '--output=/dev/null',
        ]
        await run('psql', [...options, ...commands], server, undefined)
      } finally {
        await rm(script, { force: true })
      }
      return { aside: undefined, notes: [] }
    },

    async appliedMigrations() {
      const known = await query(server, busyMs, "SELECT to_regclass('_prisma_migrations') IS NOT NULL AS known")
      if (!known[0]?.known) return []
      const rows = await query(
        server,
        busyMs,
        'SELECT migration_name AS name FROM _prisma_migrations WHERE rolled_back_at IS NULL',
      )
      return rows.map(({ name }) => name as string)
    },

    async close() {},
  }
}

function dropSchemasSql(schema: string | undefined): string {
  const which = schema
    ? `nspname = '${schema.replaceAll("'", "''")}'`
    : "nspname !~ '^pg_' AND nspname <> 'information_schema'"
  return `DO $$ DECLARE s text; BEGIN
    FOR s IN SELECT nspname FROM pg_namespace WHERE ${which} LOOP EXECUTE format('DROP SCHEMA %I CASCADE', s); END LOOP;
    ${schema ? '' : 'CREATE SCHEMA public;'} END $$`
}

const structureSql = `
  SELECT line FROM (
    SELECT format('column %I.%I.%I %s %s %s', n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                  a.attnotnull, pg_get_expr(d.adbin, d.adrelid)) AS line
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm')
      AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    UNION ALL
    SELECT format('constraint %s %I %s', conrelid::regclass, conname, pg_get_constraintdef(k.oid))
    FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    UNION ALL
    SELECT format('index %s', indexdef) FROM pg_indexes WHERE schemaname <> 'information_schema' AND schemaname !~ '^pg_'
    UNION ALL
    SELECT format('enum %s %L', enumtypid::regtype, enumlabel) FROM pg_enum
  ) lines ORDER BY line COLLATE "C"`
