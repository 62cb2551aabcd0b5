// What a PostgreSQL database says about its own tables: columns, their types, unique keys. Only the schemas that the
// data model uses are looked at; partitions count as part of their table.

import type { ClientBase } from 'pg'

export interface PostgresTableInfo {
  schema: string
  name: string
  columns: { name: string; type: string; isGenerated: boolean }[]
  /** The columns of each unique index that has no condition. */
  uniqueKeys: string[][]
}

/** By schema and name, as `tableKey` puts them together. */
export async function readPostgresTables(
  client: ClientBase,
  schemas: string[],
): Promise<Map<string, PostgresTableInfo>> {
  const { rows } = await client.query<{
    schema: string
    name: string
    columns: { name: string | null; type: string; isGenerated: boolean }[]
    keys: string[][] | null
  }>(
    `SELECT n.nspname AS schema, c.relname AS name,
      (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'type', t.typname, 'isGenerated', a.attgenerated <> '')
        ORDER BY a.attnum), '[]') FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
      (SELECT json_agg(ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey)))
        FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL) AS keys
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1, 2`,
    [schemas],
  )
  return new Map(
    rows.map(({ schema, name, columns, keys }) => [
      tableKey(schema, name),
      { schema, name, columns: columns.map((each) => ({ ...each, name: each.name ?? '' })), uniqueKeys: keys ?? [] },
    ]),
  )
}

export function tableKey(schema: string, name: string): string {
  return JSON.stringify([schema, name])
}

export function hasUniqueKey(table: PostgresTableInfo, columns: string[]): boolean {
  return table.uniqueKeys.some((key) => key.length > 0 && key.every((name) => columns.includes(name)))
}
