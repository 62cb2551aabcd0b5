// The operation log: one JSON line per event in data/.bootkeeper/operations.jsonl, only ever appended to. Each line
// carries its own checksum and that of the line before; operations.head.json says how many there are.
// Guarantees: a line that says so is on disk (fsync); secrets are masked; a kill in the middle of an append is cut off by
// the next one. Later appends never hide a line that was changed or removed: src/operation-log-check.ts finds it.

import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { type FileHandle, open, readFile, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { currentUser } from './app-identity.ts'
import { hideCredentials } from './config.ts'
import { asBootkeeperError } from './errors.ts'
import { fsyncDirectory, writeAtomically } from './files.ts'
import { withBriefLock } from './lock.ts'
import { secretNames } from './log.ts'

export const statuses = ['pending', 'running', 'completed', 'failed', 'cancelled'] as const

const entrySchema = z.object({
  /** The same in the line that says `running` and in the one that says how it ended. */
  operation: z.string(),
  /** Such as backup, restore, import, export, verify, drill, prune, pin, guard, settings, catalogue, boot-restore. */
  action: z.string(),
  /** What was worked on: backup, database, file. */
  entity: z.string(),
  /** Stems, or files. */
  ids: z.array(z.string()),
  status: z.enum(statuses),
  /** The lock that its process holds for as long as it runs. */
  lock: z.enum(['lock', 'ops']).optional(),
  durationMs: z.number().optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  /** The backup of what was there before. */
  precededBy: z.string().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
})

const lineSchema = entrySchema.extend({
  /** Counts from 1. */
  n: z.number().int().positive(),
  at: z.string(),
  by: z.object({ user: z.string(), host: z.string(), pid: z.number() }),
  /** The checksum of the line before; zeros in the first one. */
  prev: z.string(),
  /** Of the bytes of this line before this member. */
  sha256: z.string(),
})

export type LogEntry = z.infer<typeof entrySchema>
export type LogLine = z.infer<typeof lineSchema>

/** The newest line that is known to be there. */
export interface Head {
  lines: number
  sha256: string
}

export const logName = 'operations.jsonl'
export const headName = 'operations.head.json'
const lockName = 'operations.lock.db'
const reserveName = 'operations.reserve'

/** What the first line follows, and a line before which the head was lost: the break stays to be seen. */
export const noLine = '0'.repeat(64)

// Longer texts are cut: a line is for people.
const longestText = 4_000
const lockWaitMs = 5_000
// Room for the lines of an operation and their heads, which need a block or two each.
const reserveBytes = 64 * 1024

/** Throws DISK_FULL and other errors of the file system; then no half line is left that would count as one. */
export async function appendToLog(stateDir: string, entry: LogEntry): Promise<void> {
  await withLogLock(stateDir, async () => {
    await withReserve(stateDir, async () => await settleHead(stateDir))
    const head = await withReserve(stateDir, async () => await appendLine(stateDir, entry))
    await withReserve(stateDir, async () => await writeHead(stateDir, head))
    await fillReserve(stateDir)
  })
}

/** While it runs, nobody appends. */
export async function withLogLock<Result>(stateDir: string, work: () => Promise<Result>): Promise<Result> {
  return await withBriefLock(join(stateDir, lockName), lockWaitMs, work)
}

/** Every line that can be read, oldest first, and how many cannot. */
export async function readLog(stateDir: string): Promise<{ lines: LogLine[]; unreadable: number }> {
  const bytes = await readBytes(stateDir)
  // What follows the last newline is of a writer that was killed, or that writes now.
  const texts = bytes
    .subarray(0, bytes.lastIndexOf(newline) + 1)
    .toString()
    .split('\n')
    .slice(0, -1)
  const lines = texts.flatMap((text) => parseLine(text) ?? [])
  return { lines, unreadable: texts.length - lines.length }
}

export async function readBytes(stateDir: string): Promise<Buffer> {
  return await readFile(join(stateDir, logName)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return Buffer.alloc(0)
    throw error
  })
}

/** undefined: there is none, or it is not as it was written. */
export async function readHead(stateDir: string): Promise<Head | undefined> {
  try {
    const text = await readFile(join(stateDir, headName), 'utf8')
    const head = z.object({ lines: z.number().int(), sha256: z.string() }).parse(JSON.parse(text))
    return headText(head) === text ? head : undefined
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return undefined
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

export function parseLine(text: string): LogLine | undefined {
  try {
    return lineSchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** The checksum that a line has to have; undefined: it does not even look like one. */
export function checksumOf(line: Buffer): string | undefined {
  const ending = `,"sha256":"${noLine}"}`.length
  if (line.length <= ending) return undefined
  const body = line.subarray(0, -ending)
  const sha256 = createHash('sha256').update(body).digest('hex')
  return line.equals(Buffer.concat([body, Buffer.from(`,"sha256":"${sha256}"}`)])) ? sha256 : undefined
}

const newline = 10

// A kill fell between the newest line and its head. There is never more than one such line.
async function settleHead(stateDir: string): Promise<void> {
  const last = await withLog(stateDir, async (handle) => (await readEnd(handle)).last)
  const head = await readHead(stateDir)
  if (last && last.n === (head?.lines ?? 0) + 1 && last.prev === (head?.sha256 ?? noLine))
    await writeHead(stateDir, { lines: last.n, sha256: last.sha256 })
}

// It follows the line that the head names, not the one that is there: so a gap or a change before it stays visible.
async function appendLine(stateDir: string, entry: LogEntry): Promise<Head> {
  return await withLog(stateDir, async (handle) => {
    const { last, end, size } = await readEnd(handle)
    const head = await readHead(stateDir)
    const follows = head ?? { lines: last?.n ?? 0, sha256: noLine }
    const { text, sha256 } = asLine(entry, follows)
    // A torn line that the head does not know of is what a killed writer left. One that it knows is left as evidence.
    const isLeftOver = (last?.n ?? 0) >= (head?.lines ?? 0)
    if (size > end && isLeftOver) await handle.truncate(end)
    const separator = size > end && !isLeftOver ? '\n' : ''
    try {
      await handle.appendFile(`${separator}${text}\n`)
      await handle.sync()
    } catch (error) {
      await handle.truncate(isLeftOver ? end : size)
      throw error
    }
    if (size === 0) await fsyncDirectory(stateDir)
    return { lines: follows.lines + 1, sha256 }
  })
}

function asLine(entry: LogEntry, { lines, sha256: prev }: Head): { text: string; sha256: string } {
  const by = { user: currentUser(), host: hostname(), pid: process.pid }
  const masked = masks(entrySchema.parse(entry)) as LogEntry
  const body = JSON.stringify({ n: lines + 1, at: new Date().toISOString(), ...masked, by, prev }).slice(0, -1)
  const sha256 = createHash('sha256').update(body).digest('hex')
  return { text: `${body},"sha256":"${sha256}"}`, sha256 }
}

function masks(value: unknown, name = ''): unknown {
  if (secretNames.includes(name) && value !== undefined) return '***'
  if (typeof value === 'string') {
    const text = hideCredentials(value)
    return text.length > longestText ? `${text.slice(0, longestText)}…` : text
  }
  if (Array.isArray(value)) return value.map((each) => masks(each))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, masks(member, key)]))
}

async function withLog<Result>(stateDir: string, work: (handle: FileHandle) => Promise<Result>): Promise<Result> {
  const handle = await open(join(stateDir, logName), 'a+', 0o600)
  try {
    return await work(handle)
  } finally {
    await handle.close()
  }
}

/** The last whole line, where the whole lines end, and where the file ends. */
async function readEnd(handle: FileHandle): Promise<{ last: LogLine | undefined; end: number; size: number }> {
  const { size } = await handle.stat()
  for (let length = Math.min(size, 16_384); ; length = Math.min(size, length * 4)) {
    const bytes = Buffer.alloc(length)
    await handle.read(bytes, 0, length, size - length)
    const end = bytes.lastIndexOf(newline)
    const before = end < 1 ? -1 : bytes.lastIndexOf(newline, end - 1)
    if (before < 0 && length < size) continue
    const last = end < 0 ? undefined : parseLine(bytes.toString('utf8', before + 1, end))
    return { last, end: size - length + end + 1, size }
  }
}

function headText(head: Head): string {
  return `${JSON.stringify({ lines: head.lines, sha256: head.sha256 })}\n`
}

async function writeHead(stateDir: string, head: Head): Promise<void> {
  await writeAtomically(join(stateDir, headName), (handle) => handle.writeFile(headText(head)))
}

/** On a full disk the reserve makes room, so that the log can say that the disk was full. */
async function withReserve<Result>(stateDir: string, write: () => Promise<Result>): Promise<Result> {
  try {
    return await write()
  } catch (error) {
    const reserve = join(stateDir, reserveName)
    if (asBootkeeperError(error).code !== 'DISK_FULL' || !existsSync(reserve)) throw error
    await rm(reserve)
    return await write()
  }
}

// Random bytes, because some file systems take no room for zeros.
async function fillReserve(stateDir: string): Promise<void> {
  const reserve = join(stateDir, reserveName)
  if (existsSync(reserve)) return
  await writeFile(reserve, randomBytes(reserveBytes), { mode: 0o600 }).catch(async () => {
    await rm(reserve, { force: true })
  })
}
