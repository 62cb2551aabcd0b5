// Exports a PostgreSQL database: every row of every model as JSON text that the server itself makes, copied out as it
// is and handed to the document's writer. Guarantees: one transaction, so everything is as of one moment; read only;
// the session is in UTC; the rows that were written are as many as the server copied.

import { Client, type ClientBase } from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import type { DataModel, Model } from '../data-model.ts'
import { BootkeeperError } from '../errors.ts'
import {
  type EngineExportOptions,
  type ExportWriter,
  type NotExported,
  refusedValue,
  type WrittenExport,
} from './engine-export.ts'
import { describedScope, isPlainPart, scopedExport } from './export-scope.ts'
import { findNotFinite, type PostgresTable, postgresRows, quoted } from './postgres-rows.ts'
import { isSelectedSql, makeSets, notIncludedPostgres, selectPostgres } from './postgres-selection.ts'
import { type Catalogue, hasUniqueKey, readCatalogue, serialColumn, tableKey } from './postgres-tables.ts'
import type { ColumnsOf } from './present-model.ts'
import { planRow, type RowPlan } from './row-plan.ts'

export interface PostgresExportOptions extends EngineExportOptions {
  /** As Prisma has it, with `?schema=` where it is not public. */
  url: string
}

export async function exportPostgres(options: PostgresExportOptions): Promise<WrittenExport> {
  const client = await connect(options.url)
  try {
    const part = await beginPart(client, options)
    const { catalogue, models } = part
    const writer = options.openWriter(options.target)
    try {
      writer.start({
        header: { ...options.header, scope: describedScope(options.header.scope, models) },
        engine: 'postgresql',
        models,
        extraColumns: new Map(
          models.map((model) => [model.name, catalogue.extraColumns(model).map(({ name }) => name)]),
        ),
        sequences: sequences(catalogue, models),
        notExported: await notExported(client, part, options),
      })
      let written = 0
      for (const model of models) {
        writer.startModel(model.name)
        const rows = await copyModel(client, planRow(model, options.model.models), part, writer)
        written += rows
        options.onProgress?.(written)
      }
      await client.query('COMMIT')
      return writer.finish()
    } catch (error) {
      writer.abort()
      throw error
    }
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** What a part of a database, or all of it, is read from. The transaction has begun. */
interface OpenPart {
  catalogue: Catalogue
  models: Model[]
  /** Models of which only the selected rows are in the part. */
  selected: Model[]
  isPart: boolean
}

async function beginPart(client: Client, { url, model, header }: Omit<PostgresExportOptions, 'openWriter' | 'target'>) {
  const { models: candidates, selection } = scopedExport(model, header.scope)
  if (selection) await makeSets(client, await readCatalogue(client, url, model), selection.models)
  await client.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
  const catalogue = await readCatalogue(client, url, model)
  const selected = selection?.models ?? []
  const isPart = header.scope !== 'everything'
  if (!selection) return { catalogue, models: candidates, selected, isPart } satisfies OpenPart
  await selectPostgres(client, catalogue, selection)
  const models: Model[] = []
  for (const each of candidates)
    if (!selection.isWhole || each === selection.root || (await countRows(client, { catalogue, selected }, each)) > 0)
      models.push(each)
  return { catalogue, models, selected, isPart } satisfies OpenPart
}

async function countRows(client: ClientBase, part: Pick<OpenPart, 'catalogue' | 'selected'>, model: Model) {
  const { nameOf, where } = tableOf(part, model)
  const { rows } = await client.query<{ rows: string }>(
    `SELECT count(*) AS rows FROM ${nameOf(model)} AS t WHERE ${where ?? 'true'}`,
  )
  return Number(rows[0]?.rows)
}

function tableOf({ catalogue, selected }: Pick<OpenPart, 'catalogue' | 'selected'>, model: Model): PostgresTable {
  return {
    nameOf: (each) => `${quoted(catalogue.schemaOf(each))}.${quoted(catalogue.table(each).name)}`,
    extraColumns: catalogue.extraColumns(model),
    mayMatchTwice: (join) =>
      !hasUniqueKey(
        catalogue.table(join.target),
        join.on.map(({ to }) => to.field.column),
      ),
    where: isSelectedSql(catalogue, selected, model),
  }
}

/** The columns of each table that there is. */
export async function postgresColumns(url: string, model: DataModel): Promise<ColumnsOf> {
  const client = await connect(url)
  try {
    const { tables, schemaOf } = await readCatalogue(client, url, model)
    return (each) => tables.get(tableKey(schemaOf(each), each.table))?.columns.map(({ name }) => name)
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** Rows, and about how many bytes of JSON they are, by what the first of them take. */
export async function measurePostgres(
  options: Omit<PostgresExportOptions, 'openWriter' | 'target'>,
): Promise<{ rows: Record<string, number>; sizeBytes: number }> {
  const client = await connect(options.url)
  try {
    const part = await beginPart(client, options)
    const rows: Record<string, number> = {}
    let sizeBytes = 0
    for (const model of part.models) {
      const count = await countRows(client, part, model)
      const lines = postgresRows(planRow(model, options.model.models), tableOf(part, model))
      const { rows: sample } = await client.query<{ bytes: string | null }>(
        `SELECT avg(octet_length(line)) AS bytes FROM (SELECT * FROM (${lines}) AS lines (line) LIMIT ${sampledRows}) AS sample`,
      )
      rows[model.name] = count
      sizeBytes += Math.ceil(count * Number(sample[0]?.bytes ?? 0))
    }
    await client.query('COMMIT')
    return { rows, sizeBytes }
  } finally {
    await client.end().catch(() => undefined)
  }
}

const sampledRows = 500

async function connect(url: string): Promise<Client> {
  const session = '-c timezone=UTC -c datestyle=ISO -c extra_float_digits=1 -c statement_timeout=0'
  const client = new Client({ connectionString: url, options: session, application_name: 'bootkeeper export' })
  // Without a listener a lost connection would end the process; the query under way reports it.
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query("SET client_encoding TO 'UTF8'; SET standard_conforming_strings TO on")
    return client
  } catch (cause) {
    await client.end().catch(() => undefined)
    throw new BootkeeperError('DATABASE_UNREACHABLE', `The database did not let us in: ${(cause as Error).message}.`, {
      cause,
    })
  }
}

function sequences(catalogue: Catalogue, models: Model[]): Map<string, number> {
  return new Map(
    models.flatMap((model): [string, number][] => {
      const last = serialColumn(catalogue, model)?.lastNumber
      return Number.isSafeInteger(last) ? [[model.name, last as number]] : []
    }),
  )
}

async function notExported(
  client: ClientBase,
  { catalogue, models, selected, isPart }: OpenPart,
  { model, header }: PostgresExportOptions,
): Promise<NotExported> {
  const { tables, schemaOf } = catalogue
  if (isPart) {
    const known = model.models.filter((each) => tables.has(tableKey(schemaOf(each), each.table)))
    const referring = isPlainPart(header.scope)
      ? { referring: await notIncludedPostgres(client, catalogue, known, models, selected) }
      : {}
    return { transient: [], tables: [], ...referring }
  }
  const known = new Set(model.models.map((each) => tableKey(schemaOf(each), each.table)))
  const unknown = [...tables].filter(([key, { name }]) => !known.has(key) && name !== '_prisma_migrations')
  const counted: NotExported['tables'] = []
  for (const [, { schema, name }] of unknown) {
    const { rows } = await client.query<{ rows: string }>(
      `SELECT count(*) AS rows FROM ${quoted(schema)}.${quoted(name)}`,
    )
    counted.push({ table: name, rows: Number(rows[0]?.rows) })
  }
  return { transient: model.models.filter(({ isTransient }) => isTransient).map(({ name }) => name), tables: counted }
}

async function copyModel(client: Client, plan: RowPlan, part: OpenPart, writer: ExportWriter): Promise<number> {
  const table = tableOf(part, plan.model)
  await refuseNotFinite(client, plan, table)
  // Quote and delimiter are bytes that JSON never holds, so CSV gives the lines as they are.
  const sql = `COPY (${postgresRows(plan, table)}) TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')`
  const stream = client.query(copyTo(sql))
  const lines = lineChunks(writer)
  for await (const chunk of stream) lines.add(chunk as Buffer)
  const rows = lines.end()
  if (rows !== stream.rowCount)
    throw new BootkeeperError('EXPORT_FAILED', `Of the ${stream.rowCount} rows of ${plan.model.name}, ${rows} arrived.`)
  const counted = part.isPart ? await countRows(client, part, plan.model) : rows
  if (rows !== counted)
    throw new BootkeeperError('EXPORT_FAILED', `Of the ${counted} rows of ${plan.model.name}, ${rows} were read.`)
  return rows
}

async function refuseNotFinite(client: ClientBase, plan: RowPlan, table: PostgresTable): Promise<void> {
  const sql = findNotFinite(plan, table)
  if (!sql) return
  const found = (await client.query<{ field: string; row: string; value: string }>(sql)).rows[0]
  if (found) throw refusedValue(found.value, plan.model.name, found.row, found.field)
}

const chunkBytes = 256 * 1024
const newline = 10

/** Collects what the server sends into chunks of whole lines; each line has its comma already, the last loses it. */
function lineChunks(writer: ExportWriter) {
  let parts: Buffer[] = []
  let bytes = 0
  let rows = 0
  const flush = () => {
    const all = Buffer.concat(parts)
    const end = all.lastIndexOf(newline)
    if (end < 0) return
    let count = 0
    for (let at = all.indexOf(newline); at >= 0; at = all.indexOf(newline, at + 1)) count++
    writer.rows(all.subarray(0, end - 1), count)
    rows += count
    const rest = all.subarray(end + 1)
    parts = rest.length > 0 ? [Buffer.from(rest)] : []
    bytes = rest.length
  }
  return {
    add(chunk: Buffer): void {
      parts.push(chunk)
      bytes += chunk.length
      if (bytes >= chunkBytes && chunk.includes(newline)) flush()
    },
    end(): number {
      flush()
      return rows
    },
  }
}
