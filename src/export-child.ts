// The child process in which an export is written and read back: both are long loops that would block the supervisor.
// Guarantees: it writes to the temporary path that it is given, fsyncs it, and never renames.

import { reportProgress, serveOperations } from './child.ts'
import type { DataModel } from './data-model.ts'
import type { ExportHeaderInput } from './engines/engine-export.ts'
import { readPresentModel } from './engines/present-model.ts'
import { openExportWriter, verifyExport } from './formats/bootkeeper.ts'
import type { SchemaFile } from './prisma/schema-files.ts'

export interface ExportRequest {
  engine: 'sqlite' | 'postgresql'
  /** A path for SQLite, an address for PostgreSQL. */
  database: string
  model: DataModel
  header: ExportHeaderInput
  target: string
  /** The database may be of an older schema: what it has of the model. */
  asFarAsPresent?: boolean
}

export const operations = {
  /** The data model that the schema files describe. Needs 100 MB for Prisma's parser, so a child of its own does it. */
  async readModel({ files }: { files: SchemaFile[] }): Promise<DataModel> {
    const { readDataModel } = await import('./prisma/data-model.ts')
    return await readDataModel(files)
  },

  /** Rows by model, and about how many bytes they will be as an export. */
  async measure({ engine, database, model, header }: Omit<ExportRequest, 'target' | 'asFarAsPresent'>) {
    if (engine === 'sqlite') {
      const { measureSqlite } = await import('./engines/sqlite-export.ts')
      return measureSqlite({ databasePath: database, model, header })
    }
    const { measurePostgres } = await import('./engines/postgres-export.ts')
    return await measurePostgres({ url: database, model, header })
  },

  /** Writes the export, then reads it back from the disk. Throws EXPORT_FAILED, EXPORT_DAMAGED, VALUE_NOT_EXPORTABLE. */
  async write({ engine, database, model: wanted, header, target, asFarAsPresent }: ExportRequest) {
    const model = asFarAsPresent ? await readPresentModel(engine, database, wanted) : wanted
    const options = { model, header, target, openWriter: openExportWriter, onProgress: reportProgress }
    if (engine === 'sqlite') {
      const { exportSqlite } = await import('./engines/sqlite-export.ts')
      await exportSqlite({ ...options, databasePath: database })
    } else {
      const { exportPostgres } = await import('./engines/postgres-export.ts')
      await exportPostgres({ ...options, url: database })
    }
    return await verifyExport(target)
  },

  /** Reads an export that must be as it was written, byte for byte. Throws EXPORT_DAMAGED. */
  async verify({ path }: { path: string }) {
    await verifyExport(path)
  },
}

serveOperations(operations)
