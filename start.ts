// The container's entrypoint: `node dist/start.js [-- COMMAND…]`.
// Guarantees: the exit code is the app's own once it was launched, before that one of docs/reference/exit-codes.md.

import { bootAndSupervise, serveMaintenance } from './src/boot.ts'
import { type Config, readConfig } from './src/config.ts'
import { asBootkeeperError } from './src/errors.ts'
import { errorFields, type Log, openLog } from './src/log.ts'
import { listenForSignals, Stopped } from './src/signals.ts'

const signals = listenForSignals()
let config: Config | undefined
let log: Log = openLog({ level: 'info', format: process.stdout.isTTY ? 'pretty' : 'json' })
try {
  config = readConfig(process.argv.slice(process.argv[2] === '--' ? 3 : 2))
  log = openLog({ level: config.logLevel, format: config.logFormat })
  process.exitCode = await bootAndSupervise(config, log, signals)
} catch (thrown) {
  if (thrown instanceof Stopped) {
    log.info(`Stopped by ${thrown.signal}: nothing is half-done.`)
    process.exitCode = thrown.exitCode
  } else {
    const error = asBootkeeperError(thrown)
    log.error(errorFields(error), error.message)
    if (error.code === 'INTERNAL') log.error({ detail: error.stack }, 'Where it happened:')
    process.exitCode =
      config?.onBootFailure === 'maintenance' ? await serveMaintenance(config, error, log, signals) : error.exitCode
  }
}
