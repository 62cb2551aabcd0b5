// The container's entrypoint: `node dist/start.js [-- COMMAND…]`.
// Guarantees: the exit code is the app's own once it was launched, before that one of docs/reference/exit-codes.md.

import { bootAndSupervise } from './src/boot.ts'
import { type Config, readConfig } from './src/config.ts'
import { serveMaintenance } from './src/console/maintenance.ts'
import { asBootkeeperError } from './src/errors.ts'
import { errorFields, type Log, openLog } from './src/log.ts'
import { listenForSignals, Stopped } from './src/signals.ts'

const signals = listenForSignals()

/** undefined: the page of maintenance mode was asked to boot again. */
async function bootOnce(): Promise<number | undefined> {
  let config: Config | undefined
  let log: Log = openLog({ level: 'info', format: process.stdout.isTTY ? 'pretty' : 'json' })
  try {
    config = readConfig(process.argv.slice(process.argv[2] === '--' ? 3 : 2))
    log = openLog({ level: config.logLevel, format: config.logFormat })
    return await bootAndSupervise(config, log, signals)
  } catch (thrown) {
    if (thrown instanceof Stopped) {
      log.info(`Stopped by ${thrown.signal}: nothing is half-done.`)
      return thrown.exitCode
    }
    const error = asBootkeeperError(thrown)
    log.error(errorFields(error), error.message)
    if (error.code === 'INTERNAL') log.error({ detail: error.stack }, 'Where it happened:')
    if (config?.onBootFailure !== 'maintenance') return error.exitCode
    return await serveMaintenance(config, error, log, signals).catch((unserved: unknown) => {
      const problem = asBootkeeperError(unserved)
      log.error(errorFields(problem), problem.message)
      return error.exitCode
    })
  }
}

let exitCode: number | undefined
do exitCode = await bootOnce()
while (exitCode === undefined)
process.exitCode = exitCode
