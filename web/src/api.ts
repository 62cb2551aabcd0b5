// The page's side of the API: typed calls, an upload with progress, and watching an operation.
// Guarantees: a failure is always a Failure with its three sentences; a lost connection while an operation is watched is
// told and tried again until the operation has ended; a session that is over leaves the page as it is and asks for the
// password.

import type { Call, Failure, Input, Operation, Outputs, Upload } from '../../src/console/contract.ts'

export class ApiError extends Error {
  readonly failure: Failure
  constructor(failure: Failure) {
    super(failure.message)
    this.failure = failure
  }
}

const tokenName = 'bootkeeper-token'
let token = readToken()
let onSignedOut: () => void = () => undefined

export function hasToken(): boolean {
  return token !== undefined
}

export function setToken(next: string | undefined): void {
  token = next
  try {
    if (next === undefined) localStorage.removeItem(tokenName)
    else localStorage.setItem(tokenName, next)
  } catch {
    // Without storage the session lasts as long as the page.
  }
}

/** Called when the server no longer knows the session. */
export function whenSignedOut(call: () => void): void {
  onSignedOut = call
}

/** Throws ApiError. */
export async function call<Name extends Call>(name: Name, input: Input<Name>): Promise<Outputs[Name]> {
  const [method = 'GET', template = ''] = name.split(' ')
  const rest: Record<string, unknown> = { ...input }
  const path = template.replace(/:(\w+)/g, (_, key: string) => {
    const value = String(rest[key])
    delete rest[key]
    return encodeURIComponent(value)
  })
  const query = method === 'GET' ? new URLSearchParams(rest as Record<string, string>).toString() : ''
  const response = await fetch(query ? `${path}?${query}` : path, {
    method,
    headers: headers(method === 'POST' ? { 'content-type': 'application/json' } : {}),
    ...(method === 'POST' ? { body: JSON.stringify(rest) } : {}),
  }).catch(() => {
    throw new ApiError(unreachable)
  })
  return (await readAnswer(response.status, await response.text().catch(() => ''))) as Outputs[Name]
}

export interface RunningUpload {
  done: Promise<Upload>
  cancel(): void
}

/** By XMLHttpRequest, because fetch does not tell how much was sent. */
export function upload(file: File, onProgress: (sentBytes: number) => void): RunningUpload {
  const request = new XMLHttpRequest()
  const done = new Promise<Upload>((resolve, reject) => {
    request.open('POST', '/api/uploads')
    for (const [name, value] of Object.entries(headers({ 'content-type': 'application/octet-stream' })))
      request.setRequestHeader(name, value)
    request.setRequestHeader('x-file-name', encodeURIComponent(file.name))
    request.upload.onprogress = ({ loaded }) => onProgress(loaded)
    request.onload = () =>
      readAnswer(request.status, request.responseText).then((answer) => resolve(answer as Upload), reject)
    request.onerror = () => reject(new ApiError(uploadLost))
    request.onabort = () =>
      reject(new ApiError({ ...uploadLost, code: 'CANCELLED', message: 'The upload was cancelled.' }))
    request.send(file)
  })
  return { done, cancel: () => request.abort() }
}

export interface Watching {
  stop(): void
}

/** Server-sent events read by fetch, so that they need the token too. */
export function watch(
  id: string,
  on: { change(operation: Operation): void; lost(): void; failed(failure: Failure): void },
): Watching {
  const controller = new AbortController()
  void (async () => {
    for (let pause = 500; !controller.signal.aborted; pause = Math.min(pause * 2, 5_000)) {
      try {
        const path = `/api/operations/${encodeURIComponent(id)}/events`
        const response = await fetch(path, { headers: headers({}), signal: controller.signal })
        if (!response.ok) await readAnswer(response.status, await response.text())
        for await (const text of events(response)) {
          const operation = JSON.parse(text) as Operation
          on.change(operation)
          pause = 500
          if (operation.state !== 'running') return
        }
      } catch (error) {
        if (controller.signal.aborted) return
        if (error instanceof ApiError) return on.failed(error.failure)
      }
      on.lost()
      await new Promise((resolve) => setTimeout(resolve, pause))
    }
  })()
  return { stop: () => controller.abort() }
}

async function* events(response: Response): AsyncGenerator<string> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const parts = (rest + value).split('\n\n')
    rest = parts.pop() ?? ''
    for (const part of parts) if (part.startsWith('data: ')) yield part.slice('data: '.length)
  }
}

async function readAnswer(status: number, text: string): Promise<unknown> {
  const answer = parse(text)
  if (status >= 200 && status < 300 && answer !== undefined) return answer
  const failure = (answer as { error?: Failure } | undefined)?.error ?? strange
  if (failure.code === 'SIGN_IN_NEEDED') {
    setToken(undefined)
    onSignedOut()
  }
  throw new ApiError(failure)
}

function headers(more: Record<string, string>): Record<string, string> {
  return { ...more, ...(token === undefined ? {} : { 'x-bootkeeper-token': token }) }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function readToken(): string | undefined {
  try {
    return localStorage.getItem(tokenName) ?? undefined
  } catch {
    return undefined
  }
}

const unreachable: Failure = {
  code: 'NOT_REACHED',
  message: 'The server does not answer.',
  safe: 'What was asked may not have arrived. The data is safe.',
  next: 'Check that the container is running, then try again.',
}

const uploadLost: Failure = {
  code: 'UPLOAD_CUT_OFF',
  message: 'The connection was lost before the whole file had arrived.',
  safe: 'What had arrived was removed. The database is as it was.',
  next: 'Choose the file again.',
}

const strange: Failure = {
  code: 'NOT_UNDERSTOOD',
  message: 'The answer was none of this server. A proxy in between may have sent it.',
  safe: 'Nothing was changed by this page.',
  next: 'Reload the page.',
}

export function failureOf(error: unknown): Failure {
  if (error instanceof ApiError) return error.failure
  return { ...strange, message: `The page made a mistake: ${String(error)}.` }
}
