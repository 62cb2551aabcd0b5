// How the console's API answers: JSON, a failure with its three sentences, the progress of an operation, a file.
// Guarantees: every refusal is logged; of what went wrong in a way that was not foreseen only the log has the place; a
// stream ends with what it is about, or with its reader.

import { createReadStream } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { asBootkeeperError, type ErrorCode } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Failure } from './contract.ts'
import { failureOf, type Operations } from './operations.ts'

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = `${JSON.stringify(value)}\n`
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  })
  response.end(body)
}

/** Server-sent events: the whole operation each time, a few times a second at most. */
export function streamOperation(response: ServerResponse, operations: Operations, id: string): void {
  let due: NodeJS.Timeout | undefined
  let latest: unknown
  const send = () => {
    due = undefined
    response.write(`data: ${JSON.stringify(latest)}\n\n`)
  }
  operations.find(id)
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' })
  const beat = setInterval(() => response.write(': still here\n\n'), 15_000)
  const stop = operations.watch(id, (operation) => {
    latest = operation
    if (operation.state === 'running') due ??= setTimeout(send, 150)
    else {
      clearTimeout(due)
      send()
      response.end()
    }
  })
  response.once('close', () => {
    clearTimeout(due)
    clearInterval(beat)
    stop()
  })
}

export function sendFile(response: ServerResponse, { path, name }: { path: string; name: string }): void {
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-disposition': `attachment; filename="${name}"`,
  })
  createReadStream(path)
    .on('error', () => response.destroy())
    .pipe(response)
}

/** `what` was asked is for the log. */
export function refuse(response: ServerResponse, thrown: unknown, log: Log, what: string): void {
  const request = response.req
  const error = asBootkeeperError(thrown)
  const { running, problems } = thrown as Partial<Failure>
  const status = statuses[error.code] ?? 422
  log.warn({ code: error.code, status }, `${what}: ${error.message}`)
  if (error.code === 'INTERNAL')
    log.error({ detail: (error.cause as Error)?.stack ?? error.stack }, 'Where it happened:')
  if (response.headersSent) return void response.destroy()
  // What is still on its way is not read to its end, only long enough for the answer to arrive.
  if (!request.complete) {
    response.setHeader('connection', 'close')
    setTimeout(() => request.destroy(), 5_000).unref()
  }
  sendJson(response, status, {
    error: { ...failureOf(error), ...(running ? { running } : {}), ...(problems ? { problems } : {}) },
  })
}

const statuses: Partial<Record<ErrorCode, number>> = {
  SIGN_IN_NEEDED: 401,
  SIGN_IN_REFUSED: 403,
  TOO_MANY_TRIES: 429,
  REQUEST_REFUSED: 403,
  UPLOAD_TOO_LARGE: 413,
  UPLOAD_CUT_OFF: 400,
  PLAN_CHANGED: 409,
  SETTINGS_CHANGED: 409,
  LOCK_HELD: 409,
  DATABASE_BUSY: 409,
  BACKUP_NOT_FOUND: 404,
  DISK_FULL: 507,
  INTERNAL: 500,
}
