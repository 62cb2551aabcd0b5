// The rows of the catalogue, made of manifests and of the operation log: pure, and the same whenever it is made anew.
// Guarantees: what failed, was cancelled or is gone stays known; nothing counts as verified but what is there and was
// read back.

import { isVerified, type Manifest, rowsOf } from '../manifest.ts'
import type { OperationSeen } from '../operations.ts'
import type { Prisma } from './client/client.ts'

export interface CatalogueRows {
  backups: Prisma.BackupCreateManyInput[]
  files: Prisma.FileCreateManyInput[]
  restores: Prisma.RestoreCreateManyInput[]
}

export interface Sources {
  manifests: Manifest[]
  /** Stems whose manifest is there, but is not as it was written. */
  unreadable: string[]
  operations: OperationSeen[]
  /** What an earlier catalogue knew: for backups that are gone now. */
  formerly: Manifest[]
}

const restoring = ['restore', 'import', 'boot-restore']

export function rowsFrom({ manifests, unreadable, operations, formerly }: Sources): CatalogueRows {
  const present = new Map(manifests.map((manifest) => [manifest.stem, manifest]))
  const former = new Map(formerly.map((manifest) => [manifest.stem, manifest]))
  const rows = new Map<string, Prisma.BackupCreateManyInput>()
  const making = operations.filter(({ entity, action }) => entity === 'backup' && !notMaking.includes(action))
  const makerOf = new Map(making.flatMap((operation) => operation.ids.map((stem) => [stem, operation] as const)))

  for (const manifest of manifests) rows.set(manifest.stem, describe(manifest, makerOf.get(manifest.stem)))
  for (const operation of making)
    if (operation.ids.length === 0) rows.set(operation.operation, unlisted(operation, undefined))
  // Gone, or there with a manifest that cannot be read.
  for (const [stem, preceding] of stemsNamed(operations)) {
    if (present.has(stem)) continue
    const maker = makerOf.get(stem) ?? preceding
    const known = former.get(stem)
    rows.set(stem, known ? describe(known, makerOf.get(stem)) : unlisted(maker, stem))
  }
  for (const [stem, manifest] of former) if (!rows.has(stem)) rows.set(stem, describe(manifest, makerOf.get(stem)))
  for (const stem of unreadable) if (!rows.has(stem)) rows.set(stem, unlisted(undefined, stem))

  const prunedAt = new Map(
    operations
      .filter(({ action }) => action === 'prune')
      .flatMap(({ ids, endedAt, at }) => ids.map((stem) => [stem, endedAt ?? at] as const)),
  )
  for (const [id, row] of rows) {
    if (!row.stem || present.has(row.stem)) continue
    row.verified = false
    if (unreadable.includes(row.stem))
      Object.assign(row, {
        errorCode: 'BACKUP_DAMAGED',
        errorMessage: `${row.stem}.manifest.json is not as it was written.`,
      })
    else if (former.has(row.stem) || (makerOf.get(row.stem)?.status ?? 'completed') === 'completed')
      Object.assign(row, { removed: true, removedAt: date(prunedAt.get(id)) })
  }
  const kept = [...manifests, ...formerly.filter(({ stem }) => !present.has(stem))]
  return {
    backups: [...rows.values()],
    files: kept.flatMap(filesOf),
    restores: operations.filter(({ action }) => restoring.includes(action)).map(asRestore),
  }
}

/** What works on backups that are there already. */
const notMaking = ['prune', 'pin', 'verify', 'drill', 'catalogue']

/** Every stem that the log names, and the operation that took it before it did something else. */
function stemsNamed(operations: OperationSeen[]): Map<string, OperationSeen | undefined> {
  const stems = new Map<string, OperationSeen | undefined>()
  for (const operation of operations) {
    const { entity, ids, precededBy } = operation
    if (entity === 'backup') for (const stem of ids) if (!stems.has(stem)) stems.set(stem, undefined)
    if (precededBy !== undefined && restoring.includes(operation.action)) stems.set(precededBy, operation)
  }
  return stems
}

function describe(manifest: Manifest, maker: OperationSeen | undefined): Prisma.BackupCreateManyInput {
  const { stem, files, lastCheck, lastDrill } = manifest
  const sum = (sizes: number[]) => BigInt(sizes.reduce((total, size) => total + size, 0))
  const rows = rowsOf(manifest)
  return {
    id: stem,
    stem,
    // A copy whose export failed is one, but not what was asked for.
    status: maker?.status ?? 'completed',
    trigger: manifest.trigger,
    reason: manifest.reason,
    scope: JSON.stringify(manifest.scope),
    createdAt: date(manifest.createdAt) ?? new Date(0),
    durationMs: manifest.durationMs ?? null,
    user: manifest.by.user,
    host: manifest.by.host,
    engine: manifest.engine,
    database: manifest.database,
    app: manifest.app ? `${manifest.app.name} ${manifest.app.version}` : null,
    bootkeeper: manifest.bootkeeper,
    prisma: manifest.prisma,
    fingerprint: manifest.fingerprint,
    rows: rows === undefined ? null : BigInt(rows),
    sizeBytes: sum(files.map(({ sizeBytes, content }) => content?.sizeBytes ?? sizeBytes)),
    storedBytes: sum(files.map(({ sizeBytes }) => sizeBytes)),
    verified: isVerified(manifest),
    pinned: manifest.pinned ?? false,
    checkedAt: date(lastCheck?.at),
    checkProblem: lastCheck?.problem ?? null,
    drilledAt: date(lastDrill?.at),
    drillProblem: lastDrill?.problem ?? null,
    errorCode: maker?.error?.code ?? null,
    errorMessage: maker?.error?.message ?? null,
    removed: false,
    removedAt: null,
    operation: maker?.operation ?? null,
    manifest: JSON.stringify(manifest),
  }
}

/** Of which there is no manifest: it failed, it runs, or it is gone. */
function unlisted(operation: OperationSeen | undefined, stem: string | undefined): Prisma.BackupCreateManyInput {
  const { metadata = {}, action } = operation ?? {}
  const text = (name: string) => (typeof metadata[name] === 'string' ? (metadata[name] as string) : undefined)
  const isPreceding = action !== undefined && restoring.includes(action)
  // A name has no fractions of a second: what tried to make it knows better when that was.
  const made = stem === undefined || (operation && !isPreceding) ? undefined : timeOf(stem)
  return {
    id: stem ?? operation!.operation,
    stem: stem ?? null,
    status: operation && !isPreceding ? operation.status : 'completed',
    trigger: isPreceding ? 'pre-restore' : (text('trigger') ?? 'unknown'),
    reason: isPreceding ? `before: ${action}` : (text('reason') ?? ''),
    scope: JSON.stringify(metadata.scope ?? 'everything'),
    createdAt: made ?? date(operation?.at) ?? new Date(0),
    durationMs: isPreceding ? null : (operation?.durationMs ?? null),
    user: operation?.by.user ?? '',
    host: operation?.by.host ?? '',
    verified: false,
    pinned: false,
    errorCode: isPreceding ? null : (operation?.error?.code ?? null),
    errorMessage: isPreceding ? null : (operation?.error?.message ?? null),
    removed: false,
    operation: isPreceding ? null : (operation?.operation ?? null),
  }
}

function filesOf({ stem, files }: Manifest): Prisma.FileCreateManyInput[] {
  return files.map((file) => ({
    backupId: stem,
    name: file.name,
    role: file.role,
    sizeBytes: BigInt(file.sizeBytes),
    sha256: file.sha256,
    compression: file.compression ?? null,
    encryption: file.encryption ?? null,
    contentBytes: file.content ? BigInt(file.content.sizeBytes) : null,
    contentSha256: file.content?.sha256 ?? null,
    counts: file.counts ? JSON.stringify(file.counts) : null,
  }))
}

function asRestore(operation: OperationSeen): Prisma.RestoreCreateManyInput {
  const { ids, by, metadata, error } = operation
  return {
    id: operation.operation,
    action: operation.action,
    status: operation.status,
    at: date(operation.at) ?? new Date(0),
    durationMs: operation.durationMs ?? null,
    user: by.user,
    host: by.host,
    source: ids.join(', '),
    precededBy: operation.precededBy ?? null,
    result: metadata ? JSON.stringify(metadata) : null,
    errorCode: error?.code ?? null,
    errorMessage: error?.message ?? null,
  }
}

/** A stem is the time at which it was made. */
function timeOf(stem: string): Date | undefined {
  const [, day, h, m, s] = /^backup_(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)Z/.exec(stem) ?? []
  return date(day && `${day}T${h}:${m}:${s}Z`) ?? undefined
}

function date(text: string | undefined): Date | null {
  const read = new Date(text ?? Number.NaN)
  return Number.isNaN(read.getTime()) ? null : read
}
