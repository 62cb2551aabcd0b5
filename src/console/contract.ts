// What the console's page and its server say to each other, in one place: each call with what it takes (a zod schema,
// by which the server checks it) and what it gives (a type). The page imports the types alone.
// Guarantees: neither side can speak of a call, a member or an answer that the other does not know.

import { z } from 'zod'
import type { ScalarType } from '../data-model.ts'
import type { ImportReport } from '../engines/engine-import.ts'
import type { FileDescription } from '../import-child.ts'
import type { LastDrill } from '../last-drill.ts'
import type { StepRecord } from '../state.ts'

const password = z
  .string()
  .min(10, 'a password of at least 10 characters')
  .max(200, 'a password of at most 200 characters')
const uploadId = z.string().regex(/^[\w-]{1,60}$/, 'the id of an upload')
const operationId = z.string().regex(/^[\w-]{1,60}$/, 'the id of an operation')
const stem = z.string().regex(/^backup_[\w.-]{1,100}$/, 'the name of a backup')
const none = z.strictObject({})

/** A file that was uploaded, or the export of a backup that is here. */
const sourceSchema = z.union([z.strictObject({ upload: uploadId }), z.strictObject({ backup: stem })])

const operationRequest = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('inspect'), source: sourceSchema }),
  z.strictObject({
    kind: z.literal('plan'),
    source: sourceSchema,
    mode: z.enum(['merge', 'replace']),
    keepExisting: z.boolean(),
    userName: z.string().trim().min(1, 'a name').max(200, 'a name of at most 200 characters').optional(),
    /** What of the file, in the words of `--only`; else all of it. */
    only: z.array(z.string().min(1).max(500)).min(1, 'something of the file').max(500, 'at most 500').optional(),
  }),
  /** Does what a plan says, once the person has typed its code. */
  z.strictObject({ kind: z.literal('restore'), plan: operationId, code: z.string().max(40) }),
  /** Puts back what was there before a restore. */
  z.strictObject({ kind: z.literal('undo'), restore: operationId }),
  /** Takes a backup now. */
  z.strictObject({ kind: z.literal('backup') }),
  /** Reads a backup back, and with `drill` restores it into a scratch database. */
  z.strictObject({ kind: z.literal('verify'), backup: stem, drill: z.boolean() }),
  /** In maintenance mode: what it would do to put the copy of a backup in the place of the database. */
  z.strictObject({ kind: z.literal('check-copy'), backup: stem }),
  /** Does that, once the person has typed its code. */
  z.strictObject({ kind: z.literal('put-back'), plan: operationId, code: z.string().max(40) }),
])

/** A field of a `@config` model. */
const fieldName = { model: z.string().max(200), field: z.string().max(200) }
const typed = z.union([z.string(), z.boolean(), z.null()])

export const inputs = {
  'POST /api/claim': z.strictObject({ code: z.string().max(200), password }),
  'POST /api/sign-in': z.strictObject({ password: z.string().max(200) }),
  'POST /api/sign-out': none,
  'GET /api/overview': none,
  /** Of a GET all members come in the query. */
  'GET /api/backups': z.strictObject({ limit: z.coerce.number().int().min(1).max(10_000) }),
  'POST /api/pins': z.strictObject({ backup: stem, pinned: z.boolean() }),
  'POST /api/removals': z.strictObject({ backup: stem }),
  'POST /api/start-again': none,
  'POST /api/finish-setup': none,
  'POST /api/operations': operationRequest,
  'GET /api/operations/:id': z.strictObject({ id: operationId }),
  'DELETE /api/uploads/:id': z.strictObject({ id: uploadId }),
  /** A passphrase or a secret key for an encrypted file: in memory only, until it is restored, for half an hour. */
  'POST /api/keys': z.strictObject({ source: sourceSchema, secret: z.string().min(1, 'not empty').max(10_000) }),
  'POST /api/tickets': z.strictObject({ backup: stem }),
  'GET /api/settings': none,
  /** Only what was touched. */
  'POST /api/settings': z.strictObject({
    groups: z
      .array(
        z.strictObject({
          model: z.string().max(200),
          version: z.string().max(100),
          values: z.record(z.string().max(200), typed),
        }),
      )
      .min(1)
      .max(100),
  }),
  /** One secret, of the database or of a file. */
  'POST /api/settings/reveal': z.strictObject({ ...fieldName, source: sourceSchema.optional() }),
  /** Asks the service at the address that was typed. */
  'POST /api/settings/test': z.strictObject({ ...fieldName, address: z.string().max(2_000) }),
} as const

export type Call = keyof typeof inputs
export type Input<Name extends Call> = z.infer<(typeof inputs)[Name]>

export interface Outputs {
  'POST /api/claim': SignedIn
  'POST /api/sign-in': SignedIn
  'POST /api/sign-out': Record<string, never>
  'GET /api/overview': Overview
  'GET /api/backups': BackupList
  'POST /api/pins': Record<string, never>
  /** The stems that are gone: also of a removal that was cut short before. */
  'POST /api/removals': { removed: string[]; freedBytes: number }
  /** In maintenance mode: the boot begins again as soon as this is answered. */
  'POST /api/start-again': Record<string, never>
  'POST /api/finish-setup': Record<string, never>
  'POST /api/operations': Operation
  'GET /api/operations/:id': Operation
  'DELETE /api/uploads/:id': Record<string, never>
  'POST /api/keys': Record<string, never>
  /** Where a backup can be downloaded from, once, within a minute. */
  'POST /api/tickets': { path: string }
  'GET /api/settings': { groups: SettingsGroup[] }
  /** As they are after it. */
  'POST /api/settings': { groups: SettingsGroup[] }
  'POST /api/settings/reveal': { value: string }
  'POST /api/settings/test': ConnectionResult
}

/** Besides, outside of this table: POST /api/uploads takes a file as its raw body and gives an Upload. */
export interface Upload {
  id: string
  name: string
  sizeBytes: number
}

export interface SignedIn {
  /** Goes with every later call, as `x-bootkeeper-token`. */
  token: string
}

export interface Overview {
  app: string
  bootkeeper: string
  database: DatabaseView
  /** The console is the page of a boot that failed: the app does not run. */
  failure?: Failure & {
    step?: string
    /** The backup that what to do next is about. */
    advised?: { stem: string; createdAt: string }
  }
  /** Somebody went through the wizard, or passed it by. */
  isSetUp: boolean
  /** The app runs beside the console, and has the database open. */
  appRuns: boolean
  uploadLimitBytes: number
  boots: { at: string; outcome: 'ready' | 'failed'; code?: string; steps: StepRecord[] }[]
  /** What was put back lately, newest first: each can be looked at, and undone, again. */
  restores: { id: string; kind: 'restore' | 'undo' | 'put-back'; subject: string; endedAt: string }[]
  /** Of a boot that failed: something was put back since, so that what it said may be over. */
  isMended?: true
  /** What runs now, so that another tab can look on. */
  running?: { id: string; kind: OperationKind }
  /** Undefined: the folder cannot be read. */
  backups?: { count: number; newest?: { stem: string; createdAt: string } }
  lastDrill?: LastDrill
  /** The schema has a model of settings. */
  hasSettings: boolean
}

export interface DatabaseView {
  engine: 'sqlite' | 'postgresql'
  description: string
  /** Undefined: there is none, or nobody can say. */
  sizeBytes?: number
  /** SQLite's log beside it. */
  walBytes?: number
}

export interface BackupList {
  /** Newest first, as many as were asked for. */
  backups: BackupView[]
  total: number
  /** What is no backup: one that runs, failed, was stopped, or has a damaged manifest. Newest first, the newest few. */
  others: { id: string; status: string; createdAt: string; why: string; error?: { code: string; message: string } }[]
  othersTotal: number
}

/** A `@config` model, and its row. */
export interface SettingsGroup {
  model: string
  title: string
  hint?: string
  /** Names the row as it was shown; goes back with what is saved. */
  version: string
  /** Whether there is a row already. */
  isThere: boolean
  fields: SettingsField[]
}

export interface SettingsField {
  name: string
  label: string
  hint?: string
  type: ScalarType
  /** Of a DateTime. */
  precision?: 'date' | 'time' | 'moment'
  /** Of an enum. */
  choices?: string[]
  /** Cannot be left empty. */
  isRequired: boolean
  isSecret: boolean
  /** Whether there is a value, which of a secret is all that is said. */
  isSet: boolean
  value: string | boolean | null
  /** What a new row gets, as text. */
  default?: string
  canBeTested: boolean
}

export interface ConnectionResult {
  /** `answered`: something is there, but it may not be the service. */
  outcome: 'reached' | 'answered' | 'failed'
  text: string
  /** What to try. */
  next?: string
}

export interface BackupView {
  stem: string
  createdAt: string
  why: string
  sizeBytes: number
  rows?: number
  /** What is known of it. `damaged`: `problem` says what was found. */
  condition: 'verified' | 'not verified' | 'damaged'
  problem?: string
  /** When it was read back last, after it was made. */
  checkedAt?: string
  /** When it was restored for practice last. */
  drilledAt?: string
  isEncrypted: boolean
  hasExport: boolean
  hasCopy: boolean
  /** Of everything: it can be restored for practice. */
  isWhole: boolean
  /** Somebody keeps it for good. */
  isPinned: boolean
  /** The newest that the app came up on. */
  isPinnedByBoot: boolean
  /** Why it cannot be removed by hand. Undefined: it can. */
  keptBecause?: string
}

export type OperationRequest = z.infer<typeof operationRequest>
export type OperationKind = OperationRequest['kind']
export type Source = z.infer<typeof sourceSchema>

export interface Failure {
  code: string
  message: string
  safe: string
  next: string
  /** The operation that is in the way. */
  running?: string
  /** Of settings that were not saved: what is wrong with which field. */
  problems?: { model: string; field: string; message: string }[]
  /** What the encrypted file has to be opened with. */
  needs?: 'passphrase' | 'identity'
}

export interface OperationStep {
  name: string
  state: 'waiting' | 'running' | 'done' | 'failed'
  text?: string
}

export interface Confirmation {
  code: string
  expiresAt: string
}

interface OperationBase<Kind extends OperationKind, Result> {
  id: string
  kind: Kind
  request: Extract<OperationRequest, { kind: Kind }>
  /** What people call the thing it works on. */
  subject: string
  state: 'running' | 'done' | 'failed'
  startedAt: string
  endedAt?: string
  steps: OperationStep[]
  /** Rows that were read so far. */
  rows?: number
  /** The backup of what was there, as soon as it is made: also of a restore that was cut short after it. */
  before?: string
  result?: Result
  error?: Failure
}

export interface PlanResult {
  file: FileDescription
  report: ImportReport
  into: 'present' | 'new'
  confirmation: Confirmation
  /** The same in a terminal, where there is a command for it. */
  command?: string
}

export interface RestoreResult {
  report: ImportReport
  /** What of the file. */
  only?: string[]
  aside?: string
}

export interface UndoResult {
  restored: string
}

export interface VerifyResult {
  notes: string[]
  /** Of a drill: what was restored, in words. */
  restored?: string[]
}

export interface CopyPlan {
  stem: string
  createdAt: string
  rows?: number
  sizeBytes: number
  /** What it would replace: `none`, there is nothing; `database`, backed up first, or set aside where it is damaged. */
  present: 'none' | 'database'
  into: string
  /** It is a copy of another one. */
  otherDatabase?: string
  confirmation: Confirmation
  /** The same in a terminal. */
  command: string
}

export interface PutBackResult {
  restored: string
  aside?: string
  notes: string[]
}

export type Operation =
  | OperationBase<'inspect', { file: FileDescription; settings?: SettingsGroup[] }>
  | OperationBase<'plan', PlanResult>
  | OperationBase<'restore', RestoreResult>
  | OperationBase<'undo', UndoResult>
  | OperationBase<'backup', { stem: string; files: { name: string; sizeBytes: number }[] }>
  | OperationBase<'verify', VerifyResult>
  | OperationBase<'check-copy', CopyPlan>
  | OperationBase<'put-back', PutBackResult>

export type OperationOf<Kind extends OperationKind> = Extract<Operation, { kind: Kind }>
