// The first boots of the image on a new volume, with everything taken away that a hardened container takes away.
// Guarantees: what a user reads in the log and finds in the volume is what is checked here.

import { describe, expect, test } from 'vitest'
import { docker, dockerOk, healthcheck, image, makeVolume, onVolume, runToEnd, start, steps } from './docker.ts'

const sixSteps = ['prepare', 'copy', 'schema', 'client', 'export', 'launch']

describe.skipIf(!image)('a first boot', () => {
  test('takes six steps without network, capabilities or a writable root, and is healthy', async () => {
    const volume = await makeVolume()
    const container = await start({ volume })
    const lines = await container.untilUp()
    await container.untilHealthy()

    expect(steps(lines)).toEqual(sixSteps)
    expect(steps(lines, 'failed')).toEqual([])
    expect(lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([])
    expect((await docker('logs', container.name)).stderr).toBe('')

    const exported = JSON.parse(await onVolume(volume, 'node', 'cat', '/app/data/backup_latest.json'))
    expect(exported).toMatchObject({ format: 'bootkeeper', header: { engine: 'sqlite' } })

    const status = (await container.exec('cat', '/proc/1/status')).stdout
    expect(status).toMatch(/^Name:\s+tini$/m)
    expect(status).toMatch(/^Uid:\s+1000\s+1000\s+1000\s+1000$/m)
    expect(status).toMatch(/^CapEff:\s+0+$/m)
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m)
    expect((await container.exec('touch', '/app/probe')).stderr).toMatch(/Read-only file system/)
    const owners = await onVolume(volume, 'node', 'find', '/app/data', '-printf', '%U:%G\n')
    expect(new Set(owners.trim().split('\n'))).toEqual(new Set(['1000:1000']))
  })

  test('writes to the volume only, also where the root could be written', async () => {
    const volume = await makeVolume()
    const container = await start({ volume, more: ['--read-only=false'] })
    await container.untilUp()
    expect(await written(container.name)).toEqual([])
    // The control: what is written elsewhere is seen.
    await dockerOk('exec', '--user', 'root', container.name, 'touch', '/app/probe')
    expect(await written(container.name)).toEqual(['/app/probe'])
  })

  test('is not healthy while the console does not answer', async () => {
    const container = await start({ volume: await makeVolume(), env: { PORT: '3001' } })
    await container.untilUp()
    const check = await healthcheck(container)
    expect((await container.exec(...check)).exitCode).toBe(0)
    expect((await docker('exec', '-e', 'PORT=3002', container.name, ...check)).exitCode).toBe(1)
  })
})

describe.skipIf(!image)('later boots', () => {
  test('say what they skipped, and why', async () => {
    const volume = await makeVolume()
    const container = await start({ volume })
    await container.untilUp()
    for (const boot of [2, 3]) {
      await dockerOk('restart', '-t', '10', container.name)
      await container.untilUp(boot)
    }
    const third = await container.untilUp(3)
    expect(steps(third)).toEqual(sixSteps)
    expect(steps(third, 'skipped')).toEqual(['copy', 'schema', 'client', 'export'])
    const why = (name: string) => third.find(({ step }) => step === name)?.msg
    expect(why('copy')).toMatch(/backup_/)
    expect(why('schema')).toMatch(/in step/)
    expect(why('client')).toMatch(/made of this schema/)
    expect(why('export')).toMatch(/nothing was written since backup_.*\.json/)
    await container.untilHealthy()
  })
})

test.skipIf(!image)('a volume of the wrong owner ends the boot with 77 and the chown line to run', async () => {
  const volume = await makeVolume()
  await onVolume(volume, 'root', 'sh', '-c', 'touch /app/data/kept && chown -R 0:0 /app/data')
  const { exitCode, lines } = await runToEnd({ volume })
  expect(exitCode).toBe(77)
  const error = lines.find(({ code }) => code === 'DATA_DIR_NOT_WRITABLE')
  expect(error?.msg).toContain('/app/data cannot be written by user 1000 (node); it belongs to user 0')
  const line = /sudo (chown -R \S+ \S+)/.exec(error?.next ?? '')?.[1]
  expect(line).toBe('chown -R 1000:1000 /app/data')

  await onVolume(volume, 'root', ...line!.split(' '))
  await (await start({ volume })).untilUp()
})

/** The paths that a container changed, without those that the engine itself makes, and the folders above them. */
async function written(name: string): Promise<string[]> {
  const engine = /^\/(etc|run|dev|proc|sys|app\/data|tmp|\.dockerenv|\.containerenv)(\/|$)/
  const changed = (await dockerOk('diff', name))
    .split('\n')
    .map((line) => line.slice(2).trim())
    .filter(Boolean)
  const own = changed.filter((path) => !engine.test(path))
  return own.filter((path) => !changed.some((other) => other.startsWith(`${path}/`)) && path !== '/app')
}
