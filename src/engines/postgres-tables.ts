// What a PostgreSQL database says about its own tables: columns, their types, unique keys. Only the schemas that the
// data model uses are looked at; partitions count as part of their table.

import type { ClientBase } from 'pg'
import type { DataModel, Model } from '../data-model.ts'
import { requireColumns } from './engine-export.ts'

export interface PostgresTableInfo {
  schema: string
  name: string
  columns: PostgresColumn[]
  /** The columns of each unique index that has no condition, the primary key's first. */
  uniqueKeys: string[][]
}

export interface PostgresColumn {
  name: string
  /** The type's bare name, such as `varchar`, or `_int4` for a list. */
  type: string
  /** As SQL has it, such as `character varying(3)` or `integer[]`. */
  declaredType: string
  isGenerated: boolean
  isRequired: boolean
  hasDefault: boolean
  /** The sequence that numbers it, as SQL names it. */
  sequence: string | null
  /** The highest number that the sequence gave out; null where it gave out none. */
  lastNumber: number | null
}

/** By schema and name, as `tableKey` puts them together. */
export async function readPostgresTables(
  client: ClientBase,
  schemas: string[],
): Promise<Map<string, PostgresTableInfo>> {
  const { rows } = await client.query<{
    schema: string
    name: string
    columns: (Omit<PostgresColumn, 'name'> & { name: string | null })[]
    keys: string[][] | null
  }>(
    `SELECT n.nspname AS schema, c.relname AS name,
      (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'type', t.typname,
          'declaredType', format_type(a.atttypid, a.atttypmod), 'isGenerated', a.attgenerated <> '',
          'isRequired', a.attnotnull, 'hasDefault', a.atthasdef OR a.attidentity <> '', 'sequence', s.name,
          'lastNumber', CASE WHEN has_sequence_privilege(s.name, 'SELECT') THEN pg_sequence_last_value(s.name::regclass) END)
        ORDER BY a.attnum), '[]') FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        CROSS JOIN LATERAL (SELECT pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname) AS name) s
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
      (SELECT json_agg(ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey))
          ORDER BY NOT i.indisprimary, i.indexrelid)
        FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL) AS keys
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

/** The tables of a data model's schemas. */
export interface Catalogue {
  tables: Map<string, PostgresTableInfo>
  schemaOf(model: Model): string
  /** Throws where the database does not have what the model has. */
  table(model: Model): PostgresTableInfo
  /** Columns that the schema does not know. */
  extraColumns(model: Model): PostgresColumn[]
}

/** `url` as Prisma has it, with `?schema=` where it is not public. */
export async function readCatalogue(client: ClientBase, url: string, model: DataModel): Promise<Catalogue> {
  const defaultSchema = new URL(url).searchParams.get('schema') ?? 'public'
  const schemas = [...new Set([defaultSchema, ...model.models.flatMap(({ schema }) => schema ?? [])])]
  const tables = await readPostgresTables(client, schemas)
  const catalogue: Catalogue = {
    tables,
    schemaOf: ({ schema }) => schema ?? defaultSchema,
    table(each) {
      const table = tables.get(tableKey(catalogue.schemaOf(each), each.table))
      requireColumns(
        each,
        table?.columns.map(({ name }) => name),
      )
      return table as PostgresTableInfo
    },
    extraColumns(each) {
      const known = new Set(each.fields.map(({ column }) => column))
      return catalogue.table(each).columns.filter(({ name, isGenerated }) => !isGenerated && !known.has(name))
    },
  }
  return catalogue
}

/** The primary key where a sequence numbers it. */
export function serialColumn(catalogue: Catalogue, model: Model): PostgresColumn | undefined {
  const [key, second] = model.primaryKey
  const field = second === undefined ? model.fields.find(({ name }) => name === key) : undefined
  return catalogue.table(model).columns.find(({ name, sequence }) => name === field?.column && sequence !== null)
}
