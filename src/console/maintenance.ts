// Maintenance mode: what a boot that failed leaves behind where it was asked for, instead of a container that restarts
// for ever. Guarantees: a page answers, if only with the kind of failure; nothing is done to the data that nobody asked
// for; a signal ends it, with the exit code of the failure.

import { appIdentity, bootkeeperVersion } from '../app-identity.ts'
import type { Config } from '../config.ts'
import { asBootkeeperError, type BootkeeperError } from '../errors.ts'
import { errorFields, type Log } from '../log.ts'
import { asksForStop, type Signals } from '../signals.ts'
import { openConsole, openFailurePage } from './server.ts'

/**
 * Keeps the container up with a page that says what happened, and from which a backup can be put back, until a signal
 * ends it: the exit code to leave with; or until the page asks to boot again: undefined.
 */
export async function serveMaintenance(
  config: Config,
  error: BootkeeperError,
  log: Log,
  signals: Signals,
): Promise<number | undefined> {
  const content = { app: appIdentity(process.cwd())?.name ?? 'The app', bootkeeper: bootkeeperVersion() }
  const stop = new AbortController()
  let isAgain = false
  let isStopped = false
  const startAgain = () => {
    isAgain = true
    stop.abort()
  }
  const maintenance = { failure: error, startAgain }
  let hasDoor = true
  const page = await openConsole(config, log, { ...content, appRuns: false, maintenance }).catch((thrown: unknown) => {
    const problem = asBootkeeperError(thrown)
    // Another port would not be looked at, and a page without a door is better than none.
    if (problem.code === 'SETTINGS_INVALID') throw problem
    hasDoor = false
    log.warn(errorFields(problem), `The page of maintenance mode can only say what happened: ${problem.message}`)
    return openFailurePage(config, log, { ...content, failure: error })
  })
  log.warn(
    errorFields(error),
    `Maintenance mode: ${page.url} says what happened${hasDoor ? ', and can put a backup back' : ''}. Restart the container to try again.`,
  )
  if (page.invitation) log.info(page.invitation)
  await new Promise<void>((resolve) => {
    stop.signal.addEventListener('abort', () => resolve())
    signals.passTo((signal) => {
      if (!asksForStop(signal)) return
      isStopped = true
      log.info(`Stopped by ${signal}: maintenance mode ends.`)
      resolve()
    })
  })
  await page.close()
  // Also where both were asked for.
  if (!isAgain || isStopped) return error.exitCode
  signals.passTo(undefined)
  return undefined
}
