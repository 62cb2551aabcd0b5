// The next version of the app, as an image derived from the first, on the volume of the version before.
// Guarantees: rows come through; a change that loses data is refused, touches no byte, and goes through with the code
// that the log has shown; a boot that is killed anywhere is finished by the next one.

import { describe, expect, test } from 'vitest'
import {
  buildNextVersion,
  docker,
  dockerOk,
  image,
  makeVolume,
  onDatabase,
  onVolume,
  runToEnd,
  start,
  steps,
} from './docker.ts'

const withNotes = (schema: string) =>
  `${schema}\nmodel Note {\n  id   Int    @id @default(autoincrement())\n  text String\n}\n`
const withoutOverview = (schema: string) => schema.replace(/^\s*overview\s+String\?\n/m, '')

describe.skipIf(!image)('an upgrade', () => {
  test('to a schema with one model more keeps every row, and needs no writable client folder', async () => {
    const volume = await usedVolume()
    const container = await start({ volume, image: await buildNextVersion(withNotes) })
    const lines = await container.untilUp()
    await container.untilHealthy()
    expect(steps(lines, 'failed')).toEqual([])
    expect(lines.find(({ step }) => step === 'schema')?.msg).toMatch(/^database changed/)
    expect(lines.find(({ step }) => step === 'client')).toMatchObject({ state: 'skipped' })
    await container.stop(10)
    expect(await onDatabase(volume, 'return db.prepare(`SELECT count(*) AS n FROM Note`).get()')).toEqual({ n: 0 })
    expect(await titles(volume)).toEqual(mediaTitles)
  })

  test('that loses data is refused with 3 and no byte changed, and goes through with the code from the log', async () => {
    const volume = await usedVolume()
    const next = await buildNextVersion(withoutOverview)
    const before = await sha256(volume)

    const refused = await runToEnd({ volume, image: next })
    expect(refused.exitCode).toBe(3)
    const error = refused.lines.find(({ code }) => code === 'DATA_LOSS_REFUSED')
    expect(error?.msg).toContain('column overview of table Media: 2 rows have a value')
    expect(await sha256(volume)).toBe(before)

    const wrong = await runToEnd({ volume, image: next, env: { ACCEPT_DATA_LOSS: 'AAAA-AAAA' } })
    expect(wrong.exitCode).toBe(3)
    expect(await sha256(volume)).toBe(before)

    const code = /ACCEPT_DATA_LOSS=([A-Z0-9-]+)/.exec(error?.next ?? '')?.[1]
    const container = await start({ volume, image: next, env: { ACCEPT_DATA_LOSS: code! } })
    await container.untilUp()
    await container.stop(10)
    const columns = await onDatabase<{ name: string }[]>(volume, 'return db.pragma(`table_info(Media)`)')
    expect(columns.map(({ name }) => name)).not.toContain('overview')
    expect(await titles(volume)).toEqual(mediaTitles)
  })

  test('of which the client was not generated at build time is refused with 70, and says what to do', async () => {
    const volume = await usedVolume()
    const next = await buildNextVersion(withNotes, { generate: false })
    const { exitCode, lines } = await runToEnd({ volume, image: next })
    expect(exitCode).toBe(70)
    const error = lines.find(({ code }) => code === 'CLIENT_NOT_GENERATED')
    expect(error?.msg).toContain('/app/generated/prisma')
    expect(error?.next).toMatch(/generate. where the image is built/)
    expect(await titles(volume)).toEqual(mediaTitles)
  })

  test('that is killed (SIGKILL) after any of its steps is finished by the next boot', async () => {
    const volume = await usedVolume()
    const container = await start({ volume, image: await buildNextVersion(withNotes) })
    let boot = 1
    for (const point of ['prepare', 'copy', 'schema']) {
      if (boot > 1) await dockerOk('start', container.name)
      await container.until(({ step, state }) => step === point && state !== undefined, boot)
      await dockerOk('kill', container.name)
      expect(await container.ended()).toBe(137)
      expect(steps((await container.boots())[boot - 1]!)).not.toContain('launch')
      boot += 1
    }
    await dockerOk('start', container.name)
    await container.untilUp(boot)
    await container.untilHealthy()
    await container.stop(10)
    expect(await onDatabase(volume, 'return db.pragma(`integrity_check`)')).toEqual([{ integrity_check: 'ok' }])
    expect(await onDatabase(volume, 'return db.pragma(`foreign_key_check`)')).toEqual([])
    expect(await titles(volume)).toEqual(mediaTitles)
    expect(await onVolume(volume, 'node', 'find', '/app/data', '-name', '*.partial*')).toBe('')
  })
})

test.skipIf(!image)('a first boot that is killed leaves a volume that the next one boots on', async () => {
  const volume = await makeVolume()
  const container = await start({ volume })
  await container.until(({ step }) => step === 'copy')
  await dockerOk('kill', container.name)
  expect(await container.ended()).toBe(137)
  await dockerOk('start', container.name)
  const lines = await container.untilUp(2)
  await container.untilHealthy()
  expect(steps(lines, 'failed')).toEqual([])
  expect((await docker('logs', container.name)).stderr).toBe('')
  expect(await onVolume(volume, 'node', 'find', '/app/data', '-name', '*.partial*')).toBe('')
})

const mediaTitles = ['Alien', 'Solaris', 'Stalker']

/** A volume that the first version booted on, with rows in it. */
async function usedVolume(): Promise<string> {
  const volume = await makeVolume()
  const container = await start({ volume })
  await container.untilUp()
  await container.stop(10)
  await container.remove()
  await onDatabase(
    volume,
    `db.exec(\`INSERT INTO User (username) VALUES ('anna');
      INSERT INTO Media (title, overview) VALUES ('Alien', 'A ship.'), ('Solaris', 'An ocean.'), ('Stalker', NULL);
      INSERT INTO UserMedia (userId, mediaId, status) SELECT 1, id, 'WATCHED' FROM Media;\`)`,
  )
  return volume
}

async function titles(volume: string): Promise<string[]> {
  const query = 'SELECT title FROM Media JOIN UserMedia ON mediaId = Media.id ORDER BY title'
  const rows = await onDatabase<{ title: string }[]>(volume, `return db.prepare(\`${query}\`).all()`)
  return rows.map(({ title }) => title)
}

async function sha256(volume: string): Promise<string> {
  return await onVolume(volume, 'node', 'sh', '-c', 'cd /app/data && sha256sum app.db*')
}
