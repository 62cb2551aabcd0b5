// What the console costs a boot: the same unchanged boot to the start of the app, with the console beside it and
// without. Guarantees: one folder for both, in turns, so that only the console differs; what is shown beside the times is
// the median of the differences of pairs, and their smallest and largest: of the boot, and of its step that opens it,
// which a busy machine disturbs less.

import { createServer } from 'node:net'
import { join } from 'node:path'
import { type Contender, inTurns, type Sample, type Turns } from './measure.ts'
import { bootOurs, makeProject } from './project.ts'
import { type Comparison, compare, formatTime, type Spread, spread } from './results.ts'

export interface ConsoleResult {
  comparison: Comparison
  addedMs: Spread
  addedToLaunchMs: Spread
}

export async function measureConsole(database: string, rows: number, turns: Turns): Promise<ConsoleResult> {
  const project = makeProject(join(turns.folder, `console-${rows}`), database)
  let port = ''
  const contenders: Contender[] = [
    { name: 'no console', run: () => bootOurs(project) },
    {
      name: 'console beside',
      async before() {
        port = await freePort()
      },
      run: () => bootOurs(project, { CONSOLE_PORT: port }),
    },
  ]
  // The first boots make the client, the export and the console's own folder.
  for (const { before, run } of contenders) {
    await before?.()
    await run()
  }
  const samples = await inTurns(contenders, turns)
  const [without = [], beside = []] = [samples.get('no console'), samples.get('console beside')]
  const added = (timeOf: (sample: Sample) => number) =>
    spread(beside.map((sample, round) => timeOf(sample) - timeOf(without[round]!)))
  return {
    comparison: compare('unchanged boot', rows, 'no console', samples),
    addedMs: added(({ ms }) => ms),
    addedToLaunchMs: added(({ parts }) => parts?.launch ?? Number.NaN),
  }
}

export function showAdded({ addedMs, addedToLaunchMs }: ConsoleResult): string {
  const shown = ({ median, min, max }: Spread) => `${formatTime(median)} (${formatTime(min)} to ${formatTime(max)})`
  return `  the console adds ${shown(addedMs)} to the boot, ${shown(addedToLaunchMs)} to its step launch`
}

async function freePort(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return String(port)
}
