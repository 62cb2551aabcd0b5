// The settings: environment variables, read here and nowhere else, checked against one zod schema.
// Guarantees: a wrong value stops before anything is touched, with a sentence that names the variable, the value and
// what is accepted. docs/reference/settings.md lists the same variables (a test compares them).

import { resolve } from 'node:path'
import { z } from 'zod'
import { BootkeeperError } from './errors.ts'

const seconds = (fallback: number, max: number) =>
  z.coerce
    .number({ error: 'a number of seconds' })
    .min(0, `a number of seconds from 0 to ${max}`)
    .max(max, `a number of seconds from 0 to ${max}`)
    .default(fallback)

const httpUrl = z.url({ protocol: /^https?$/, error: 'an address that begins with http:// or https://' })

/** Every variable, with what it does; the reference is checked against this. */
export const settingsSchema = z.object({
  DATABASE_URL: z
    .string()
    .regex(/^(file:.+|postgres(ql)?:\/\/.+)/, 'file:PATH for SQLite, or postgresql://USER:PASSWORD@HOST:PORT/NAME')
    .default('file:./data/app.db')
    .describe('The database of the app. A relative file: path counts from the working directory.'),
  DATA_DIR: z.string().default('./data').describe('Where backups, exports and the state of the boot are kept.'),
  PRISMA_SCHEMA: z
    .string()
    .optional()
    .describe('The Prisma schema: a file, or a folder of .prisma files. Found by itself in the usual places.'),
  SCHEMA_MODE: z
    .enum(['push', 'deploy', 'none'], 'push, deploy or none')
    .default('push')
    .describe('How the database follows the schema: `prisma db push`, `prisma migrate deploy`, or not at all.'),
  ACCEPT_DATA_LOSS: z
    .string()
    .refine((value) => !/^(true|yes|on|1|all|always|\*)$/i.test(value), {
      error:
        'the code that a refused boot has shown: it allows exactly that change, once; a general yes would also allow the next change, which nobody has seen',
    })
    .optional()
    .describe(
      'Allows exactly one loss: a schema change that loses data, or a start without the database. The code that the refused boot showed.',
    ),
  APP_COMMAND: z
    .string()
    .optional()
    .describe('The app to start, where no words follow `--`. Without either, the built-in console is the app.'),
  READY_URL: httpUrl
    .optional()
    .describe('Asked until it answers 2xx or 3xx: then the app is ready. Without it, an app that stays up is.'),
  READY_TIMEOUT_SECONDS: seconds(60, 86_400).describe('How long the app may take to become ready at READY_URL.'),
  READY_AFTER_SECONDS: seconds(10, 3_600).describe('Without READY_URL: an app that stayed up this long is ready.'),
  STOP_GRACE_SECONDS: seconds(8, 3_600).describe(
    'How long the app may take to end after a signal, before it is killed. Keep it below the grace time of the orchestrator (Docker: 10 s).',
  ),
  ON_BOOT_FAILURE: z
    .enum(['exit', 'maintenance'], 'exit or maintenance')
    .default('exit')
    .describe('exit: leave with the exit code. maintenance: stay up and serve one page that says what to do.'),
  LOCK_WAIT_SECONDS: seconds(20, 86_400).describe('How long to wait while another boot uses the same data directory.'),
  BUSY_WAIT_SECONDS: seconds(10, 3_600).describe('How long to wait while another process locks the database.'),
  KEEP_BOOT_BACKUPS: z.coerce
    .number({ error: 'a whole number from 1 to 10000' })
    .int('a whole number from 1 to 10000')
    .min(1, 'a whole number from 1 to 10000')
    .max(10_000, 'a whole number from 1 to 10000')
    .default(10)
    .describe(
      'How many backups made by boots are kept. The pinned one, and those you made yourself, are never counted.',
    ),
  IMPORT_FORMATS: z
    .string()
    .optional()
    .describe('A module of the app that exports `formats` and `resolveTitle` for the import.'),
  SCHEMA_ENGINE: z
    .enum(['wasm', 'native'], 'wasm or native')
    .default('wasm')
    .describe(
      'wasm: the engine that comes with the packages. native: the binary that Prisma has, or PRISMA_SCHEMA_ENGINE_BINARY names.',
    ),
  HOST: z.string().default('0.0.0.0').describe('The address that the built-in console listens on.'),
  PORT: z.coerce
    .number({ error: 'a port from 0 to 65535' })
    .int('a port from 0 to 65535')
    .min(0, 'a port from 0 to 65535')
    .max(65_535, 'a port from 0 to 65535')
    .default(3000)
    .describe('The port that the built-in console listens on, and that the image checks for health.'),
  CONSOLE_PORT: z.coerce
    .number({ error: 'a port from 1 to 65535' })
    .int('a port from 1 to 65535')
    .min(1, 'a port from 1 to 65535')
    .max(65_535, 'a port from 1 to 65535')
    .optional()
    .describe('With an app command: the console listens there, beside the app. Not set, there is none beside an app.'),
  CONSOLE_HOSTS: z
    .string()
    .regex(/^[\w.-]+(\s*,\s*[\w.-]+)*$/, 'names such as backup.example.com, with commas between')
    .optional()
    .describe('The public names that the console may be called by, where it stands behind a reverse proxy.'),
  SETUP_CODE: z
    .string()
    .min(8, 'at least 8 characters')
    .optional()
    .describe('The code that the setup asks for. Not set, each boot makes one and logs it, until the setup is done.'),
  UPLOAD_LIMIT_MB: z.coerce
    .number({ error: 'a whole number from 1 to 1000000' })
    .int('a whole number from 1 to 1000000')
    .min(1, 'a whole number from 1 to 1000000')
    .max(1_000_000, 'a whole number from 1 to 1000000')
    .default(4_096)
    .describe('The largest file, in MB, that the console takes.'),
  LOG_LEVEL: z
    .enum(['debug', 'info', 'warn', 'error'], 'debug, info, warn or error')
    .default('info')
    .describe('The least important lines that are logged.'),
  LOG_FORMAT: z
    .enum(['auto', 'pretty', 'json'], 'auto, pretty or json')
    .default('auto')
    .describe('pretty: for people. json: one object a line. auto: pretty on a terminal, else json.'),
})

export interface Config {
  databaseUrl: string
  dataDir: string
  backupsDir: string
  stateDir: string
  schemaSetting: string | undefined
  schemaMode: 'push' | 'deploy' | 'none'
  acceptDataLoss: string | undefined
  appCommand: AppCommand | undefined
  readyUrl: string | undefined
  readyTimeoutMs: number
  readyAfterMs: number
  stopGraceMs: number
  onBootFailure: 'exit' | 'maintenance'
  lockWaitMs: number
  busyWaitMs: number
  keepBootBackups: number
  importFormats: string | undefined
  nativeEngine: boolean
  host: string
  port: number
  consolePort: number | undefined
  consoleHosts: string[]
  setupCode: string | undefined
  uploadLimitBytes: number
  logLevel: 'debug' | 'info' | 'warn' | 'error'
  logFormat: 'pretty' | 'json'
}

export interface AppCommand {
  file: string
  args: string[]
  /** A shell stands between: signals go to its whole process group. */
  shell: boolean
}

/** Throws SETTINGS_INVALID. `words` are what follows `--` on the command line. */
export function readConfig(words: string[] = [], env: NodeJS.ProcessEnv = process.env): Config {
  const variables = Object.keys(settingsSchema.shape)
  // An empty variable counts as absent: that is what `KEY=${KEY:-}` in a compose file leaves.
  const given = Object.fromEntries(variables.flatMap((name) => (env[name] ? [[name, env[name]]] : [])))
  const parsed = settingsSchema.safeParse(given)
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!
    const name = String(path[0])
    const value = name === 'SETUP_CODE' ? '***' : name === 'DATABASE_URL' ? hideCredentials(env[name]!) : env[name]
    throw new BootkeeperError('SETTINGS_INVALID', `${name} is "${value}", but takes ${message}.`)
  }
  const set = parsed.data
  const dataDir = resolve(set.DATA_DIR)
  return {
    databaseUrl: set.DATABASE_URL,
    dataDir,
    backupsDir: resolve(dataDir, 'backups'),
    stateDir: resolve(dataDir, '.bootkeeper'),
    schemaSetting: set.PRISMA_SCHEMA,
    schemaMode: set.SCHEMA_MODE,
    acceptDataLoss: set.ACCEPT_DATA_LOSS,
    appCommand: appCommand(words, set.APP_COMMAND),
    readyUrl: set.READY_URL,
    readyTimeoutMs: set.READY_TIMEOUT_SECONDS * 1000,
    readyAfterMs: set.READY_AFTER_SECONDS * 1000,
    stopGraceMs: set.STOP_GRACE_SECONDS * 1000,
    onBootFailure: set.ON_BOOT_FAILURE,
    lockWaitMs: set.LOCK_WAIT_SECONDS * 1000,
    busyWaitMs: set.BUSY_WAIT_SECONDS * 1000,
    keepBootBackups: set.KEEP_BOOT_BACKUPS,
    importFormats: set.IMPORT_FORMATS,
    nativeEngine: set.SCHEMA_ENGINE === 'native',
    host: set.HOST,
    port: set.PORT,
    consolePort: set.CONSOLE_PORT,
    consoleHosts: (set.CONSOLE_HOSTS ?? '').split(',').flatMap((name) => name.trim().toLowerCase() || []),
    setupCode: set.SETUP_CODE,
    uploadLimitBytes: set.UPLOAD_LIMIT_MB * 1_000_000,
    logLevel: set.LOG_LEVEL,
    logFormat: set.LOG_FORMAT === 'auto' ? (process.stdout.isTTY ? 'pretty' : 'json') : set.LOG_FORMAT,
  }
}

/** The same text with the user and password of every address in it masked. */
export function hideCredentials(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/@]+@/gi, '$1***@')
    .replace(/([?&](?:password|token|secret|sslpassword|api_?key)=)[^&\s]+/gi, '$1***')
}

function appCommand(words: string[], setting: string | undefined): AppCommand | undefined {
  if (words.length > 0) return { file: words[0]!, args: words.slice(1), shell: false }
  const line = setting?.trim()
  if (!line) return undefined
  // Plain words are run directly, so that the app itself gets the signals; all else is the shell's business.
  if (/^[\w@%+=:,./ -]+$/.test(line) && !/^\w+=/.test(line)) {
    const [file, ...args] = line.split(/ +/)
    return { file: file!, args, shell: false }
  }
  return { file: '/bin/sh', args: ['-c', line], shell: true }
}
