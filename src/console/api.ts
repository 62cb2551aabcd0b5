// The console's API: every call of contract.ts, and the three that are no JSON: an upload, the progress of an
// operation, a download.
// Guarantees: without a session nothing but the claim and the sign-in is answered, unknown paths included; an input that
// the contract does not allow reaches no code; every refusal is logged.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { BootkeeperError } from '../errors.ts'
import type { Log } from '../log.ts'
import { exportOf, readManifest, verifyFile } from '../manifest.ts'
import type { Access, NewSession, Session } from './access.ts'
import { refuse, sendFile, sendJson, streamOperation } from './answers.ts'
import { listForPage, pin, remove } from './backup-list.ts'
import { type Call, type Input, inputs, type Outputs } from './contract.ts'
import { openDatabases } from './database.ts'
import { openOperations } from './operations.ts'
import { overviewOf } from './overview.ts'
import { cookieOf, isSecure, readJson, requireOwnOrigin } from './request.ts'
import { exclusive, openFlow } from './restore-flow.ts'
import { openSettings } from './settings.ts'
import { openSources } from './sources.ts'
import { openTickets } from './tickets.ts'
import { openUploads } from './uploads.ts'

export interface ApiTools {
  config: Config
  log: Log
  access: Access
  /** `.bootkeeper/console` of the data directory. */
  directory: string
  app: string
  bootkeeper: string
  appRuns: boolean
  maintenance: Maintenance | undefined
}

/** The console is the page of a boot that failed. */
export interface Maintenance {
  failure: BootkeeperError
  /** Ends this console, and boots. */
  startAgain(): void
}

export interface Api {
  answer(request: IncomingMessage, response: ServerResponse): Promise<void>
  close(): Promise<void>
}

interface Asked {
  request: IncomingMessage
  response: ServerResponse
  address: string
  session: Session | undefined
}

type Handlers = { [Name in Call]: (input: Input<Name>, asked: Asked) => Promise<Outputs[Name]> }

/** Of what takes a moment only. */
const unwatched = { step: async () => undefined, rows: () => undefined, signal: new AbortController().signal }

const open: Call[] = ['POST /api/claim', 'POST /api/sign-in']

export async function openApi(tools: ApiTools): Promise<Api> {
  const { config, log, access, directory, app, bootkeeper, appRuns, maintenance } = tools
  const operations = await openOperations(join(directory, 'operations'), log)
  const uploads = await openUploads(join(directory, 'uploads'), config.uploadLimitBytes)
  const databases = openDatabases(config, log, maintenance !== undefined)
  const sources = openSources(config, uploads, databases)
  const settings = openSettings({ config, log, access, withDatabase: databases.withDatabase })
  const flow = openFlow({
    ...{ config, log, databases, operations, sources, appRuns, isMaintenance: maintenance !== undefined },
    settingsIn: settings.readFile,
    onRestored: () => access.finishSetup(),
  })
  const tickets = openTickets()
  const since = new Date().toISOString()

  const handlers: Handlers = {
    async 'POST /api/claim'({ code, password }, asked) {
      const session = await access.claim(code, password, asked.address)
      log.info(`The console was set up from ${asked.address}: its password is set, the setup code is spent.`)
      return welcome(session, asked)
    },
    async 'POST /api/sign-in'({ password }, asked) {
      return welcome(await access.signIn(password, asked.address), asked)
    },
    async 'POST /api/sign-out'(_, { session, request, response }) {
      if (session) await access.signOut(session)
      sources.forgetKeys()
      setCookie(request, response, '', 0)
      return {}
    },
    async 'GET /api/overview'() {
      return await overviewOf(config, {
        ...{ app, bootkeeper, appRuns, isSetUp: access.isSetUp, failure: maintenance?.failure },
        // What is wrong with the schema is for the page of the settings to say; a boot that failed has other worries.
        hasSettings: maintenance === undefined && (await settings.exist().catch(() => true)),
        running: operations.running(exclusive),
        restores: operations.done(['restore', 'undo', 'put-back']),
        since,
      })
    },
    async 'GET /api/backups'({ limit }) {
      return await listForPage(config, limit)
    },
    async 'POST /api/pins'({ backup, pinned }) {
      await pin(databases, backup, pinned)
      return {}
    },
    async 'POST /api/removals'({ backup }) {
      return await remove(databases, backup)
    },
    async 'POST /api/start-again'(_, { response }) {
      if (!maintenance)
        throw new BootkeeperError('REQUEST_REFUSED', 'The app did start: there is nothing to start again.', {
          next: 'Reload the page.',
        })
      const busy = operations.running(exclusive)
      if (busy)
        throw new BootkeeperError('LOCK_HELD', 'Something is still being done.', {
          safe: 'This did nothing.',
          next: 'Wait for its end, then start again.',
        })
      response.once('finish', maintenance.startAgain)
      return {}
    },
    async 'POST /api/finish-setup'() {
      await access.finishSetup()
      return {}
    },
    async 'POST /api/operations'(request) {
      return await flow.start(request)
    },
    async 'GET /api/operations/:id'({ id }) {
      return operations.find(id)
    },
    async 'DELETE /api/uploads/:id'({ id }) {
      await uploads.remove(id)
      return {}
    },
    async 'POST /api/keys'({ source, secret }, { address }) {
      await sources.unlock(source, secret, address)
      return {}
    },
    async 'POST /api/tickets'({ backup }) {
      const manifest = await readManifest(config.backupsDir, backup)
      const file = exportOf(manifest) ?? manifest.files[0]!
      await verifyFile(config.backupsDir, file)
      return { path: `/api/downloads/${tickets.issue(join(config.backupsDir, file.name), file.name)}` }
    },
    async 'GET /api/settings'() {
      return { groups: await settings.read() }
    },
    async 'POST /api/settings'(input) {
      return { groups: await settings.save(input) }
    },
    async 'POST /api/settings/reveal'({ source, ...field }, { address }) {
      const value = source
        ? await sources.withFile(await sources.locate(source), unwatched, (file) =>
            settings.reveal(field, file, address),
          )
        : await settings.reveal(field, undefined, address)
      return { value }
    },
    async 'POST /api/settings/test'(input, { address }) {
      return await settings.test(input, address)
    },
  }

  return {
    async answer(request, response) {
      const address = request.socket.remoteAddress ?? 'an unknown address'
      const path = (request.url ?? '').split('?')[0]!
      try {
        requireOwnOrigin(request, config.consoleHosts)
        const ticket = /^\/api\/downloads\/([\w-]+)$/.exec(path)?.[1]
        if (ticket !== undefined && request.method === 'GET') return sendFile(response, tickets.take(ticket))
        const session = access.find(cookieOf(request, access.cookieName), tokenOf(request))
        const asked = { request, response, address, session }
        const found = findCall(request.method ?? '', path)
        if (!session && !(found && open.includes(found.name)))
          throw new BootkeeperError('SIGN_IN_NEEDED', 'This needs a session, and there is none, or it is over.')
        if (request.method === 'POST' && path === '/api/uploads')
          return sendJson(response, 201, await uploads.receive(request))
        const watched = /^\/api\/operations\/([\w-]+)\/events$/.exec(path)?.[1]
        if (watched !== undefined && request.method === 'GET') return streamOperation(response, operations, watched)
        if (!found) throw new BootkeeperError('REQUEST_REFUSED', 'There is no such call.', { next: 'Reload the page.' })
        sendJson(response, 200, await run(found.name, found.parameters, asked))
      } catch (thrown) {
        refuse(response, thrown, log, `${request.method} ${path} from ${address}`)
      }
    },
    close: () => operations.close(),
  }

  async function run<Name extends Call>(name: Name, parameters: object, asked: Asked): Promise<Outputs[Name]> {
    const { method, url = '' } = asked.request
    const body =
      method === 'GET' || method === 'DELETE'
        ? Object.fromEntries(new URLSearchParams(url.split('?')[1]))
        : await readJson(asked.request)
    const { success, data, error } = inputs[name].safeParse(
      body === null || typeof body !== 'object' ? body : { ...body, ...parameters },
    )
    if (!success) {
      const [issue] = error.issues
      throw new BootkeeperError(
        'REQUEST_REFUSED',
        `${issue?.path.join('.') || 'This'} is not as it should be: ${issue?.message}.`,
        {
          next: 'Correct it, or reload the page.',
        },
      )
    }
    return await handlers[name](data as Input<Name>, asked)
  }

  function welcome({ cookie, token }: NewSession, { request, response }: Asked) {
    setCookie(request, response, cookie, 24 * 3_600)
    return { token }
  }

  function setCookie(request: IncomingMessage, response: ServerResponse, value: string, maxAgeSeconds: number): void {
    const secure = isSecure(request) ? '; Secure' : ''
    response.setHeader(
      'set-cookie',
      `${access.cookieName}=${value}; Path=/api; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Strict${secure}`,
    )
  }
}

function findCall(method: string, path: string): { name: Call; parameters: object } | undefined {
  for (const name of Object.keys(inputs) as Call[]) {
    const [wanted, template = ''] = name.split(' ')
    if (wanted !== method) continue
    const pattern = new RegExp(`^${template.replace(/:(\w+)/g, '(?<$1>[\\w.-]+)')}$`)
    const match = pattern.exec(path)
    if (match) return { name, parameters: { ...match.groups } }
  }
  return undefined
}

function tokenOf({ headers }: IncomingMessage): string | undefined {
  const token = headers['x-bootkeeper-token']
  return typeof token === 'string' ? token : undefined
}
