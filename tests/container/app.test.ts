// An app of one's own in the container: how it is stopped, killed, left alone with orphans, and what its end becomes.
// Guarantees: the exit codes of docs/reference/exit-codes.md, as Docker reports them.

import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Container, dockerOk, eventually, image, makeVolume, type RunOptions, runToEnd, start } from './docker.ts'

// Booted once, so that every boot here is a short one.
let volume = ''

beforeAll(async () => {
  if (!image) return
  volume = await makeVolume()
  const container = await start({ volume })
  await container.untilUp()
  await container.stop(10)
  await container.remove()
})

describe.skipIf(!image)('docker stop', () => {
  test('ends the console with 0, well inside the grace time', async () => {
    const container = await start({ volume })
    await container.untilUp()
    const { exitCode, ms } = await container.stop(10)
    expect(exitCode).toBe(0)
    expect(ms).toBeLessThan(6_000)
  })

  test('reaches the app, whose own exit code is passed on', async () => {
    const script =
      'process.on("SIGTERM", () => process.exit(42)); setInterval(() => {}, 1000); console.log("app " + "listens")'
    const container = await start({ volume, app: ['node', '-e', script] })
    await untilItSays(container, 'app listens')
    const { exitCode, ms } = await container.stop(10)
    expect(exitCode).toBe(42)
    expect(ms).toBeLessThan(6_000)
  })

  test('ends an app that ignores it with 137 after STOP_GRACE_SECONDS, before Docker would', async () => {
    const script = 'trap "" TERM; echo "app" "listens"; while :; do sleep 0.2; done'
    const container = await start({ volume, app: ['sh', '-c', script], env: { STOP_GRACE_SECONDS: '1' } })
    await untilItSays(container, 'app listens')
    const { exitCode, ms } = await container.stop(30)
    expect(exitCode).toBe(137)
    expect(ms).toBeGreaterThan(900)
    expect(ms).toBeLessThan(15_000)
    const said = (await container.boots()).at(-1)!.map(({ msg }) => msg)
    expect(said.some((msg) => /did not end within .* after SIGTERM: killed/.test(msg))).toBe(true)
  })
})

describe.skipIf(!image)('the end of the app', () => {
  const ends: [string[], number][] = [
    [['node', '-e', 'process.exit(0)'], 0],
    [['node', '-e', 'process.exit(1)'], 1],
    [['sh', '-c', 'exit 3'], 3],
    [['sh', '-c', 'exit 42'], 42],
    [['sh', '-c', 'exit 255'], 255],
    [['sh', '-c', 'kill -TERM $$'], 143],
    [['sh', '-c', 'kill -KILL $$'], 137],
    [['there-is-no-such-program'], 127],
    [['/app/package.json'], 126],
  ]
  test.for(ends)('%j makes the container end with %i', async ([app, expected]) => {
    const { exitCode, stdout } = await runToEnd({ volume, app })
    expect(exitCode, stdout).toBe(expected)
  })

  test('an APP_COMMAND with a pipe is run by a shell, whose exit code is passed on', async () => {
    const { exitCode, stdout } = await runToEnd({
      volume,
      env: { APP_COMMAND: 'echo "from the" shell | tr a-z A-Z; exit 9' },
    })
    expect(stdout).toContain('FROM THE SHELL')
    expect(exitCode).toBe(9)
  })

  test('out of memory is reported as 137, and the next boot is fine', async () => {
    // Bounded, so that an engine without memory limits fails the test and not the machine.
    const script = 'const held = []; for (let i = 0; i < 64; i++) held.push(Buffer.alloc(1 << 24, 1))'
    const limit = ['--memory', '256m', '--memory-swap', '256m']
    const { exitCode } = await runToEnd({ volume, app: ['node', '-e', script], more: limit })
    expect(exitCode).toBe(137)
    const next = await start({ volume })
    await next.untilUp()
    await next.untilHealthy()
    expect((await next.stop(10)).exitCode).toBe(0)
  })
})

describe.skipIf(!image)('orphans of the app', () => {
  // Five processes whose parents are gone, and that end while the app goes on.
  const app = ['sh', '-c', 'for i in 1 2 3 4 5; do (sleep 1.5 &); done; exec tail -f /dev/null']

  test('are reaped: no zombie is left in the container', async () => {
    expect(await zombiesAfter({ volume, app })).toEqual([])
  })

  test('would stay as zombies without tini (the control of the test above)', async () => {
    const bare = { more: ['--entrypoint', 'node'], words: ['/app/dist/start.js', '--', ...app] }
    expect(await zombiesAfter({ volume, ...bare })).toHaveLength(5)
  })
})

/** The text must not be in the app's own words as it is: the log shows those too. */
async function untilItSays(container: Container, text: string): Promise<void> {
  const says = async () => (await dockerOk('logs', container.name)).includes(text) || undefined
  await eventually(`${container.name} to say "${text}"`, says)
}

/** PIDs of the orphans that nobody reaps. Whatever ends is a zombie for a moment, so that they are looked at twice. */
async function zombiesAfter(options: RunOptions): Promise<string[]> {
  const container = await start(options)
  const processes = async (): Promise<string[]> =>
    (await container.exec('sh', '-c', 'cat /proc/[0-9]*/stat')).stdout.split('\n')
  // The app became `tail` after the last orphan was made.
  await eventually('the orphans to end', async () => {
    const all = await processes()
    const isLiving = all.some((line) => /^\d+ \(sleep\) [^Z] /.test(line))
    return (all.some((line) => line.includes('(tail)')) && !isLiving) || undefined
  })
  const zombies = async () => (await processes()).flatMap((line) => /^(\d+) \(sleep\) Z /.exec(line)?.[1] ?? [])
  const before = await zombies()
  await sleep(2_000)
  const after = await zombies()
  await container.remove()
  return before.filter((pid) => after.includes(pid))
}
