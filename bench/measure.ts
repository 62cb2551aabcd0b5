// Takes measurements: a program's time and the memory of its largest process, and several contenders in turns.
// Guarantees: contenders alternate, in an order that is reversed every round, so that the machine's moods fall on all of
// them alike; what was written before is on the disk when a measurement begins; a program that takes too long is ended
// with everything that it started, and counts as failed.

import { spawn, spawnSync } from 'node:child_process'
import { watchMemory } from './memory.ts'
import { waitForQuiet } from './quiet.ts'

export interface Sample {
  ms: number
  /** Of the process that used most. */
  peakBytes: number
  /** Of the same, without the pages of files that it has mapped, which the system may drop at any time. */
  ownPeakBytes: number
  failure?: string
  /** Parts of the time, or other numbers that belong to it. */
  parts?: Record<string, number>
}

export interface Contender {
  name: string
  /** Not measured. */
  before?: () => Promise<void> | void
  run: () => Promise<Sample>
}

export interface Turns {
  rounds: number
  /** Where they write. */
  folder: string
  /** How long a round waits for other programs to leave the machine alone. */
  patienceMs: number
}

/** The samples of each contender, in rounds: the n-th of each were taken one after the other. */
export async function inTurns(
  contenders: Contender[],
  { rounds, folder, patienceMs }: Turns,
): Promise<Map<string, Sample[]>> {
  const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    if (patienceMs > 0) await waitForQuiet(patienceMs)
    for (const { name, before, run } of round % 2 ? contenders.toReversed() : contenders) {
      await before?.()
      settleDisk(folder)
      const sample = await run()
      samples.get(name)!.push(sample)
      process.stderr.write(`    ${name}: ${Math.round(sample.ms)} ms${sample.failure ? ` (${sample.failure})` : ''}\n`)
    }
  }
  return samples
}

export interface Program {
  command: string
  args: string[]
  cwd: string
  env?: NodeJS.ProcessEnv
  timeoutMs?: number
}

export interface ProgramRun extends Sample {
  /** Of the system's clock, as `date` would say it. */
  beganMs: number
  output: string
}

/** Runs a program to its end. Failed: an exit code that is not 0, or the time-out. */
export async function runProgram({ command, args, cwd, env, timeoutMs = 600_000 }: Program): Promise<ProgramRun> {
  const beganMs = now()
  // A group of its own, so that a time-out ends all of it.
  const child = spawn(command, args, {
    cwd,
    env: { ...cleanEnv(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const memory = watchMemory({ root: child.pid })
  let output = ''
  const take = (chunk: Buffer) => {
    output = (output + chunk).slice(-1_000_000)
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  let isTimedOut = false
  const killGroup = () => {
    try {
      if (child.pid) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // It ended in the same moment.
    }
  }
  // Before the folder that it works in is removed.
  process.prependOnceListener('exit', killGroup)
  const timer = setTimeout(() => {
    isTimedOut = true
    killGroup()
  }, timeoutMs)
  const ending = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) =>
      resolve(code === 0 ? '' : signal ? `ended by ${signal}` : `exit code ${code}`),
    )
  })
  const ms = now() - beganMs
  clearTimeout(timer)
  process.off('exit', killGroup)
  const failure = isTimedOut ? `ended after ${timeoutMs / 1000} s` : ending
  return { ms, beganMs, output, ...memory.end(), ...(failure ? { failure } : {}) }
}

/** Runs a step of our own that starts child processes: their memory counts, this process' does not. */
export async function runStep(step: () => Promise<void>): Promise<Sample> {
  const memory = watchMemory({})
  const begunMs = now()
  await step()
  const ms = now() - begunMs
  return { ms, ...memory.end() }
}

/** Milliseconds of the system's clock, with fractions. */
export function now(): number {
  return performance.timeOrigin + performance.now()
}

export function median(values: number[]): number {
  return quantile(values, 0.5)
}

export function quantile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const position = (sorted.length - 1) * share
  const [below = Number.NaN, above = Number.NaN] = [sorted[Math.floor(position)], sorted[Math.ceil(position)]]
  return below + (above - below) * (position - Math.floor(position))
}

/** The version of a program, undefined where it is not installed. */
export function versionOf(command: string): string | undefined {
  const { status, stdout } = spawnSync(command, ['--version'], { encoding: 'utf8' })
  return status === 0 ? stdout.trim().split(/\s/)[0] : undefined
}

/** What the machine of a developer has set must not reach the programs that are compared. */
export function cleanEnv(): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR, LANG } = process.env
  const quiet = { NO_COLOR: '1', CHECKPOINT_DISABLE: '1', PRISMA_HIDE_UPDATE_MESSAGE: '1', NO_UPDATE_NOTIFIER: '1' }
  return {
    ...quiet,
    ...(PATH ? { PATH } : {}),
    ...(HOME ? { HOME } : {}),
    ...(TMPDIR ? { TMPDIR } : {}),
    ...(LANG ? { LANG } : {}),
  }
}

// What one contender left unwritten must not be written in the time of the next.
function settleDisk(folder: string): void {
  spawnSync('sync', ['-f', folder])
}
