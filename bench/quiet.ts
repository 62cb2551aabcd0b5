// Waits for a moment in which other programs leave the machine alone. Guarantees: it waits no longer than it is told,
// and says how busy others were when it gave up; programs of low priority (nice) do not count, since they make way.

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const quietShare = 0.15
const lookMs = 400

/** The share of the processors' time that others used in the last look: 0 to 1. */
export async function waitForQuiet(patienceMs: number): Promise<number> {
  const until = Date.now() + patienceMs
  for (let looks = 0; ; ) {
    const before = processorTime()
    await sleep(lookMs)
    const after = processorTime()
    const share = (after.busy - before.busy) / Math.max(1, after.all - before.all)
    looks = share < quietShare ? looks + 1 : 0
    // Twice in a row: the gap between two programs of a test run is no quiet moment.
    if (looks === 2 || Date.now() >= until) return share
  }
}

function processorTime(): { busy: number; all: number } {
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] =
    firstLine('/proc/stat')
  const busy = user + system + irq + softirq + steal
  return { busy, all: busy + nice + idle + iowait }
}

function firstLine(path: string): number[] {
  return (readFileSync(path, 'utf8').split('\n')[0] ?? '').split(/\s+/).slice(1).map(Number)
}
