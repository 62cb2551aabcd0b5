// Watches the memory of a tree of processes through /proc. Guarantees: the peak is the kernel's own (VmHWM), so only
// what a process uses in its last moments, between two looks, is missed; nothing is measured where there is no /proc.

import { readdirSync, readFileSync } from 'node:fs'

export interface MemoryPeak {
  peakBytes: number
  ownPeakBytes: number
}

export interface MemoryWatch {
  /** The peaks of the process that used most. */
  end(): MemoryPeak
}

const everyMs = 100

/** Of `root` and all below it; without a root, of what this process starts from now on. */
export function watchMemory({ root }: { root?: number | undefined }): MemoryWatch {
  const before = new Set(root === undefined ? descendants(process.pid) : [])
  const peaks = new Map<number, MemoryPeak>()
  const look = () => {
    const pids =
      root === undefined ? descendants(process.pid).filter((pid) => !before.has(pid)) : [root, ...descendants(root)]
    for (const pid of pids) {
      const status = read(`/proc/${pid}/status`)
      const known = peaks.get(pid) ?? { peakBytes: 0, ownPeakBytes: 0 }
      peaks.set(pid, {
        peakBytes: Math.max(known.peakBytes, kilobytes(status, 'VmHWM') * 1024),
        ownPeakBytes: Math.max(known.ownPeakBytes, kilobytes(status, 'RssAnon') * 1024),
      })
    }
  }
  const timer = setInterval(look, everyMs)
  return {
    end() {
      look()
      clearInterval(timer)
      const all = [...peaks.values()]
      return {
        peakBytes: Math.max(0, ...all.map(({ peakBytes }) => peakBytes)),
        ownPeakBytes: Math.max(0, ...all.map(({ ownPeakBytes }) => ownPeakBytes)),
      }
    },
  }
}

/** Children are listed by the thread that started them. */
function descendants(pid: number): number[] {
  const threads = readNames(pid)
  const children = threads.flatMap((thread) =>
    read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  )
  return children.flatMap((child) => [child, ...descendants(child)])
}

function readNames(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // It ended between two looks.
    return ''
  }
}

function kilobytes(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0)
}
