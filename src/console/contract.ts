// What the console's page and its server say to each other, in one place: each call with what it takes (a zod schema,
// by which the server checks it) and what it gives (a type). The page imports the types alone.
// Guarantees: neither side can speak of a call, a member or an answer that the other does not know.

import { z } from 'zod'
import type { ImportReport } from '../engines/engine-import.ts'
import type { FileDescription } from '../import-child.ts'
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
])

export const inputs = {
  'POST /api/claim': z.strictObject({ code: z.string().max(200), password }),
  'POST /api/sign-in': z.strictObject({ password: z.string().max(200) }),
  'POST /api/sign-out': none,
  'GET /api/overview': none,
  'GET /api/backups': none,
  'POST /api/finish-setup': none,
  'POST /api/operations': operationRequest,
  'GET /api/operations/:id': z.strictObject({ id: operationId }),
  'DELETE /api/uploads/:id': z.strictObject({ id: uploadId }),
  /** A passphrase or a secret key for an encrypted file: in memory only, until it is restored, for half an hour. */
  'POST /api/keys': z.strictObject({ source: sourceSchema, secret: z.string().min(1, 'not empty').max(10_000) }),
  'POST /api/tickets': z.strictObject({ backup: stem }),
} as const

export type Call = keyof typeof inputs
export type Input<Name extends Call> = z.infer<(typeof inputs)[Name]>

export interface Outputs {
  'POST /api/claim': SignedIn
  'POST /api/sign-in': SignedIn
  'POST /api/sign-out': Record<string, never>
  'GET /api/overview': Overview
  'GET /api/backups': { backups: BackupView[] }
  'POST /api/finish-setup': Record<string, never>
  'POST /api/operations': Operation
  'GET /api/operations/:id': Operation
  'DELETE /api/uploads/:id': Record<string, never>
  'POST /api/keys': Record<string, never>
  /** Where a backup can be downloaded from, once, within a minute. */
  'POST /api/tickets': { path: string }
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
  database: { engine: 'sqlite' | 'postgresql'; description: string }
  /** Somebody went through the wizard, or passed it by. */
  isSetUp: boolean
  /** The app runs beside the console, and has the database open. */
  appRuns: boolean
  uploadLimitBytes: number
  boots: { at: string; outcome: 'ready' | 'failed'; code?: string; steps: StepRecord[] }[]
  /** What runs now, so that another tab can look on. */
  running?: { id: string; kind: OperationKind }
  newestBackup?: { stem: string; createdAt: string }
}

export interface BackupView {
  stem: string
  createdAt: string
  why: string
  sizeBytes: number
  rows?: number
  /** Whether it can be looked into and restored here. */
  hasExport: boolean
  isPinned: boolean
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
  /** The same in a terminal. */
  command: string
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

export type Operation =
  | OperationBase<'inspect', { file: FileDescription }>
  | OperationBase<'plan', PlanResult>
  | OperationBase<'restore', RestoreResult>
  | OperationBase<'undo', UndoResult>
  | OperationBase<'backup', { stem: string; files: { name: string; sizeBytes: number }[] }>

export type OperationOf<Kind extends OperationKind> = Extract<Operation, { kind: Kind }>
