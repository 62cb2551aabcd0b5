// The boot, from the start of the process to the start of the app: Bootkeeper against the usual script, on the same
// database and the same Prisma engine. Three cases: a first boot, one where nothing changed, one where only data did.
// Guarantees: both run in folders of their own, and both export; what either leaves out is its own decision.

import { join } from 'node:path'
import { type Contender, inTurns, runProgram, type Turns } from './measure.ts'
import { bootOurs, bootUsual, changeData, forgetStarts, makeProject, type Project } from './project.ts'
import { type Comparison, compare } from './results.ts'

const usualTimeoutMs = 180_000

export async function measureBoot(database: string, rows: number, turns: Turns): Promise<Comparison[]> {
  const { folder } = turns
  const ours = makeProject(join(folder, `boot-ours-${rows}`), database)
  const usual = makeProject(join(folder, `boot-usual-${rows}`), database)
  const contenders = (before: (project: Project) => Promise<void> | void): Contender[] => [
    { name: 'bootkeeper', before: () => before(ours), run: () => bootOurs(ours) },
    { name: 'usual script', before: () => before(usual), run: () => bootUsual(usual, usualTimeoutMs) },
  ]
  const measure = async (what: string, before: (project: Project) => Promise<void> | void, more: Contender[] = []) =>
    compare(what, rows, 'usual script', await inTurns([...contenders(before), ...more], turns))

  const first = await measure('first boot', forgetStarts)
  // A first boot may have written; after one more, nothing changes.
  await bootOurs(ours)
  const unchanged = await measure('unchanged boot', () => {}, [bareNode(folder)])
  const changed = await measure('boot after data changed', changeData)
  return [first, unchanged, changed]
}

/** What no program written for Node can be faster than. */
function bareNode(folder: string): Contender {
  const start = () => runProgram({ command: process.execPath, args: ['-e', '0'], cwd: folder })
  return { name: 'node alone', run: start }
}
