// health: exit 0 when the last boot got the app up and it still answers; for HEALTHCHECK.
// Guarantees: one request at most, two seconds at most.

import { readConfig } from '../src/config.ts'
import { readState } from '../src/state.ts'
import { answers } from '../src/supervise.ts'
import { readWords } from './run-command.ts'

const help = `
Exits with 0 when the last boot got the app up and it answers at READY_URL (or, without an app command, when the
console answers); with 1 otherwise. For HEALTHCHECK in a Dockerfile.
`

export default async function health(words: string[]): Promise<number> {
  if (!readWords(words, help, {})) return 0
  const config = readConfig()
  const { attempts, launched } = await readState(config.stateDir)
  // Counted down by the boot when the app was ready.
  if (attempts !== 0) return 1
  const url = config.readyUrl ?? (launched === 'console' ? `http://127.0.0.1:${config.port}/health` : undefined)
  return url === undefined || (await answers(url)) ? 0 : 1
}
