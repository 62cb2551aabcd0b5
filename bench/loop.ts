// Whether anything blocks the event loop: the health endpoint of a booted console is asked every few milliseconds while
// a backup is taken beside it. Guarantees: one connection is kept open, so that an answer's time is the server's; the
// same is measured with nothing going on, because on a busy machine any process waits for its turn.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { cleanEnv, now, quantile, runProgram } from './measure.ts'
import { builtStart, makeProject, type Project, root } from './project.ts'
import { formatRows, formatTime } from './results.ts'

export interface LoopResult {
  rows: number
  backupMs: number
  failure?: string
  idle: Answers
  duringBackup: Answers
}

interface Answers {
  count: number
  medianMs: number
  p99Ms: number
  longestMs: number
}

const everyMs = 5

export async function measureLoop(folder: string, database: string, rows: number): Promise<LoopResult> {
  const project = makeProject(join(folder, `loop-${rows}`), database)
  const booted = await startConsole(project)
  try {
    // The first answers pay for what the server loads lazily.
    await ask(booted.url, sleep(1_000))
    const idle = await ask(booted.url, sleep(5_000))
    const backup = runProgram({
      command: process.execPath,
      args: [join(root, 'bin', 'bootkeeper.js'), 'backup'],
      cwd: project.dir,
    })
    const duringBackup = await ask(booted.url, backup)
    const { ms, failure } = await backup
    return { rows, backupMs: ms, idle, duringBackup, ...(failure ? { failure } : {}) }
  } finally {
    await booted.stop()
  }
}

export function showLoop({ rows, backupMs, failure, idle, duringBackup }: LoopResult): string {
  const line = (name: string, { count, medianMs, p99Ms, longestMs }: Answers) =>
    `  ${name.padEnd(24)}${String(count).padStart(6)} answers, median ${formatTime(medianMs)}, p99 ${formatTime(p99Ms)}, longest ${formatTime(longestMs)}`
  const backup = failure ? `  the backup failed: ${failure}` : `  the backup took ${formatTime(backupMs)}`
  return [
    `event loop, ${formatRows(rows)}: /health asked every ${everyMs} ms`,
    line('nothing going on', idle),
    line('while a backup is taken', duringBackup),
    backup,
  ].join('\n')
}

async function startConsole({ dir }: Project): Promise<{ url: string; stop(): Promise<void> }> {
  const child = spawn(process.execPath, [builtStart], {
    cwd: dir,
    env: { ...cleanEnv(), PORT: '0', LOG_FORMAT: 'json' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const said: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line)
    const port = /the console answers at http:\/\/localhost:(\d+)/.exec(line)?.[1]
    if (!port) continue
    child.stdout.resume()
    return {
      url: `http://127.0.0.1:${port}/health`,
      async stop() {
        const ended = once(child, 'exit')
        child.kill('SIGTERM')
        await ended
      },
    }
  }
  throw new Error(`the console did not start:\n${said.join('\n')}`)
}

/** Asks until `end` settles, each time when the answer before has come and its turn is due. */
async function ask(url: string, end: Promise<unknown>): Promise<Answers> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let isOver = false
  void end.then(() => {
    isOver = true
  })
  const times: number[] = []
  for (let due = now(); !isOver; due = Math.max(due + everyMs, now())) {
    if (due > now()) await sleep(due - now())
    const askedMs = now()
    await answer(url, agent)
    times.push(now() - askedMs)
  }
  agent.destroy()
  return {
    count: times.length,
    medianMs: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    longestMs: Math.max(...times),
  }
}

async function answer(url: string, agent: Agent): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    get(url, { agent }, (response) => {
      response.resume()
      response.once('end', resolve)
      if (response.statusCode !== 200) reject(new Error(`/health answered ${response.statusCode}`))
    }).once('error', reject)
  })
}
