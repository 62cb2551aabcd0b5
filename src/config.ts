// The settings: environment variables, read here and nowhere else, checked against one zod schema.
// Guarantees: a wrong value stops before anything is touched, with a sentence that names the variable, the value and
// what is accepted. docs/reference/settings.md lists the same variables (a test compares them).

import { resolve } from 'node:path'
import { z } from 'zod'
import { BootkeeperError } from './errors.ts'
import { type Policies, parsePolicy } from './retention-policy.ts'

const seconds = (fallback: number, max: number) =>
  z.coerce
    .number({ error: 'a number of seconds' })
    .min(0, `a number of seconds from 0 to ${max}`)
    .max(max, `a number of seconds from 0 to ${max}`)
    .default(fallback)

const retention = z.string().superRefine((text, { addIssue }) => {
  try {
    parsePolicy(text)
  } catch (error) {
    addIssue({ code: 'custom', message: (error as RangeError).message })
  }
})

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
  BACKUP_COMPRESSION: z
    .enum(['none', 'gzip', 'zstd', 'bzip2'], 'none, gzip, zstd or bzip2')
    .default('none')
    .describe('How the files of backups are compressed. A dump of PostgreSQL already is, and stays as it is.'),
  BACKUP_AGE_RECIPIENTS: z
    .string()
    .refine((value) => !/^(ssh-|-----|AGE-SECRET-KEY|age1\S*[^\w\s,])/i.test(value), {
      error: 'public keys of age (age1…), with commas or spaces between, or a file of them, one a line',
    })
    .optional()
    .describe('Encrypts backups for the holders of these keys. Not together with a passphrase.'),
  BACKUP_AGE_PASSPHRASE: z.string().optional().describe('Encrypts backups with this passphrase, and decrypts them.'),
  BACKUP_AGE_PASSPHRASE_FILE: z
    .string()
    .optional()
    .describe('The same in a file, such as a Docker secret. A newline at its end does not count.'),
  BACKUP_AGE_IDENTITY: z
    .string()
    .regex(
      /^AGE-SECRET-KEY-/,
      'a secret key of age, AGE-SECRET-KEY-1…; a file of it goes into BACKUP_AGE_IDENTITY_FILE',
    )
    .optional()
    .describe('The secret key that decrypts backups.'),
  BACKUP_AGE_IDENTITY_FILE: z
    .string()
    .refine((value) => !/^AGE-SECRET-KEY-/i.test(value), 'a file; the key itself goes into BACKUP_AGE_IDENTITY')
    .optional()
    .describe('The same in a file, as age-keygen writes it.'),
  RETENTION: retention
    .optional()
    .describe(
      'Which of the backups that you or a schedule made are kept. Not set: those that you made for ever, of a schedule last=10,daily=7,weekly=4,monthly=12,yearly=3.',
    ),
  TABLE_RETENTION: retention
    .default('last=5,max-age=30d')
    .describe('Which backups of tables are kept, table by table.'),
  SAFETY_RETENTION: retention
    .default('last=10,max-age=30d')
    .describe('Which backups are kept that were made before something was put back, synchronised or run.'),
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

/** What the settings say of encryption. Files are read where they are needed. */
export interface AgeSettings {
  /** Public keys, or a file of them. */
  recipients?: string
  passphrase?: string
  passphraseFile?: string
  identity?: string
  identityFile?: string
}

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
  compression: 'none' | 'gzip' | 'zstd' | 'bzip2'
  /** How backups are encrypted. */
  age: AgeSettings
  /** What reads encrypted files: the same, unless a command was given another key. */
  keys: Omit<AgeSettings, 'recipients'>
  /** Of a kind without a policy everything is kept. */
  retention: Policies
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
    // Somebody may have put a secret where another value belongs.
    const is = /^(BACKUP_AGE_|SETUP_CODE$)/.test(name) ? 'has another value' : `is "${hideCredentials(env[name]!)}"`
    throw new BootkeeperError('SETTINGS_INVALID', `${name} ${is}, but takes ${message}.`)
  }
  const set = parsed.data
  requireOne(given, 'BACKUP_AGE_RECIPIENTS', 'BACKUP_AGE_PASSPHRASE', 'BACKUP_AGE_PASSPHRASE_FILE')
  requireOne(given, 'BACKUP_AGE_IDENTITY', 'BACKUP_AGE_IDENTITY_FILE')
  const dataDir = resolve(set.DATA_DIR)
  const keys = {
    ...(set.BACKUP_AGE_PASSPHRASE ? { passphrase: set.BACKUP_AGE_PASSPHRASE } : {}),
    ...(set.BACKUP_AGE_PASSPHRASE_FILE ? { passphraseFile: resolve(set.BACKUP_AGE_PASSPHRASE_FILE) } : {}),
    ...(set.BACKUP_AGE_IDENTITY ? { identity: set.BACKUP_AGE_IDENTITY } : {}),
    ...(set.BACKUP_AGE_IDENTITY_FILE ? { identityFile: resolve(set.BACKUP_AGE_IDENTITY_FILE) } : {}),
  }
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
    compression: set.BACKUP_COMPRESSION,
    age: { ...keys, ...(set.BACKUP_AGE_RECIPIENTS ? { recipients: set.BACKUP_AGE_RECIPIENTS.trim() } : {}) },
    keys,
    retention: retentionPolicies(set),
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

function requireOne(given: Record<string, string | undefined>, ...names: string[]): void {
  const set = names.filter((name) => given[name] !== undefined)
  if (set.length < 2) return
  throw new BootkeeperError('SETTINGS_INVALID', `${set.join(' and ')} are set, but exclude each other.`, {
    next: `Set one of them only.`,
  })
}

export interface ShownSetting {
  name: string
  /** What is in force, with secrets masked; undefined: not set, and without a default. */
  value: string | undefined
  isDefault: boolean
}

/** Every setting. Throws SETTINGS_INVALID. */
export function describeSettings(env: NodeJS.ProcessEnv = process.env): ShownSetting[] {
  readConfig([], env)
  return Object.keys(settingsSchema.shape).map((name) => {
    const fallback = (settingsSchema.parse({}) as Record<string, unknown>)[name]
    const value = env[name] || (fallback === undefined ? undefined : String(fallback))
    const shown = value !== undefined && isSecret(name) ? '***' : value && hideCredentials(value)
    return { name, value: shown, isDefault: !env[name] }
  })
}

/** By its name. A file that holds a secret is none. */
function isSecret(name: string): boolean {
  return /(PASSWORD|PASSPHRASE|SECRET|TOKEN|KEY|IDENTITY|IDENTITIES)$/.test(name)
}

/** What a schedule made is kept by this, where nobody says otherwise. */
const scheduledRetention = 'last=10,daily=7,weekly=4,monthly=12,yearly=3'

function retentionPolicies(set: z.infer<typeof settingsSchema>): Policies {
  const texts = {
    boot: `last=${set.KEEP_BOOT_BACKUPS}`,
    // What somebody made on purpose goes only if somebody said so.
    manual: set.RETENTION ?? 'all',
    scheduled: set.RETENTION ?? scheduledRetention,
    safety: set.SAFETY_RETENTION,
    tables: set.TABLE_RETENTION,
  }
  const policies = Object.entries(texts).map(([kind, text]) => [kind, parsePolicy(text)] as const)
  return Object.fromEntries(policies.filter(([, policy]) => policy !== undefined))
}

/** The same text with the user and password of every address in it masked, and every secret key of age. */
export function hideCredentials(text: string): string {
  return text
    .replace(/AGE-SECRET-KEY-[\w-]+/gi, 'AGE-SECRET-KEY-***')
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
