// The commands of docs/reference beside a running app: `docker exec`, as a cron job or a person would.
// Guarantees: what a command names is in the volume, with the checksum that it said.

import { describe, expect, test } from 'vitest'
import { type Container, dockerOk, image, makeVolume, onDatabase, onVolume, runToEnd, start } from './docker.ts'

interface Backup {
  id: string
  status: string
  files: { role: string; path: string; bytes: number; sha256: string }[]
}

describe.skipIf(!image)('docker exec', () => {
  test('takes a backup beside the running app, by the command and by the npm script', async () => {
    const volume = await makeVolume()
    const container = await start({ volume })
    await container.untilUp()
    const byCommand = await container.exec('node', 'bin/bootkeeper.js', 'backup', '--json')
    const byScript = await container.exec('npm', 'run', '--silent', 'db:backup', '--', '--json', '--reason', 'by hand')
    for (const { exitCode, stdout, stderr } of [byCommand, byScript]) {
      expect(stderr).toBe('')
      expect(exitCode).toBe(0)
      const { status, files } = JSON.parse(stdout) as Backup
      expect(status).toBe('completed')
      expect(files.map(({ role }) => role).sort()).toEqual(['copy', 'export'])
      for (const { path, sha256 } of files)
        expect(await onVolume(volume, 'node', 'sha256sum', path)).toMatch(new RegExp(`^${sha256} `))
    }
    const verified = await container.exec('npm', 'run', '--silent', 'db:verify')
    expect(verified.exitCode, verified.stdout + verified.stderr).toBe(0)
    expect(await list(container)).toContain('manual: by hand')
    await container.untilHealthy()
  })

  test('exports into a compressed file and imports it, by the npm scripts, beside the running app', async () => {
    const volume = await makeVolume()
    const container = await start({ volume })
    await container.untilUp()
    await addTitles(volume)
    const npm = (script: string, ...words: string[]) =>
      container.exec('npm', 'run', '--silent', script, ...(words.length > 0 ? ['--', ...words] : []))

    const listed = await npm('db:export', '--json')
    expect(listed.exitCode, listed.stderr).toBe(0)
    expect(JSON.parse(await onVolume(volume, 'node', 'cat', '/app/data/backup_latest.json')).counts.Media).toBe(2)
    for (const name of ['titles.json.gz', 'titles.json.zst']) {
      const { exitCode, stdout, stderr } = await npm('db:export', `data/${name}`, '--json')
      expect(exitCode, stderr).toBe(0)
      const [file] = (JSON.parse(stdout) as Backup).files
      expect(await onVolume(volume, 'node', 'sha256sum', `/app/data/${name}`)).toContain(file!.sha256)
      expect((await onVolume(volume, 'node', 'stat', '-c', '%a %u', `/app/data/${name}`)).trim()).toBe('600 1000')
      expect((await npm('db:verify', `data/${name}`)).exitCode).toBe(0)

      await onDatabase(volume, 'db.exec("DELETE FROM Media")')
      const dry = await npm('db:import', `data/${name}`)
      expect([dry.exitCode, dry.stderr]).toEqual([0, ''])
      expect(dry.stdout).toContain(`To do it: npm run db:import -- data/${name} --apply`)
      expect(await titles(volume)).toEqual([])
      const done = await npm('db:import', `data/${name}`, '--apply')
      expect([done.exitCode, done.stderr]).toEqual([0, ''])
      expect(done.stdout).toMatch(/What was there until now: backup_/)
      expect(await titles(volume)).toEqual(['Alien', 'Dune'])
    }
    // As `docker cp` leaves it.
    await onVolume(volume, 'root', 'sh', '-c', 'cd /app/data && mv titles.json.gz root.gz && chown 0:0 root.gz')
    const refused = await npm('db:import', 'data/root.gz')
    expect([refused.exitCode, refused.stderr]).toEqual([77, expect.stringContaining('sudo chown 1000:1000 ')])
    // bzip2 is not in the image: said before anything is written.
    const missing = await npm('db:export', 'data/titles.json.bz2')
    expect([missing.exitCode, missing.stderr]).toEqual([69, expect.stringContaining('TOOL_MISSING')])
    expect(await onVolume(volume, 'node', 'ls', '-A', '/app/data')).not.toMatch(/bz2|partial/)
    await container.untilHealthy()
  })

  test('backs up a table, puts it back by its program, drills, looks at everything and reads a script', async () => {
    const volume = await makeVolume()
    const container = await start({ volume })
    await container.untilUp()
    await addTitles(volume)
    const npm = (script: string, ...words: string[]) =>
      container.exec('npm', 'run', '--silent', script, ...(words.length > 0 ? ['--', ...words] : []))

    const made = await npm('db:backup', '--tables', 'Media', '--json')
    expect(made.exitCode, made.stderr).toBe(0)
    const script = (JSON.parse(made.stdout) as Backup).files.find(({ role }) => role === 'script')!
    await onDatabase(volume, 'db.exec("DELETE FROM Media")')
    const dry = await container.exec('npx', 'tsx', script.path)
    expect([dry.exitCode, dry.stderr]).toEqual([0, ''])
    expect(await titles(volume)).toEqual([])
    const restored = await container.exec('npx', 'tsx', script.path, '--restore')
    expect([restored.exitCode, restored.stderr]).toEqual([0, ''])
    expect(await titles(volume)).toEqual(['Alien', 'Dune'])

    expect((await npm('db:backup')).exitCode).toBe(0)
    for (const words of [['db:verify', '--drill'], ['db:doctor'], ['db:log', '--verify'], ['db:prune']]) {
      const { exitCode, stdout, stderr } = await npm(words[0]!, ...words.slice(1))
      expect([words, exitCode], stdout + stderr).toEqual([words, 0])
    }
    await onVolume(volume, 'node', 'sh', '-c', 'echo "await db.media.deleteMany()" >/app/data/cleanup.mjs')
    const guard = await npm('db:guard', '--dry-run', '--json', 'data/cleanup.mjs')
    expect(guard.exitCode, guard.stderr).toBe(0)
    expect(JSON.parse(guard.stdout)).toMatchObject({ destructive: true })
  })

  test('runs `prisma` by hand, without a network', async () => {
    const container = await start({ volume: await makeVolume() })
    await container.untilUp()
    const { exitCode, stdout, stderr } = await container.exec('npx', 'prisma', 'db', 'push')
    expect(exitCode, stderr).toBe(0)
    expect(stdout).toContain('already in sync')
    expect(stderr).not.toMatch(/openssl|warn/i)
  })
})

test.skipIf(!image)('a command runs without the app too, in a container of its own', async () => {
  const volume = await makeVolume()
  const container = await start({ volume })
  await container.untilUp()
  await container.stop(10)
  const listed = await runToEnd({ volume, words: ['list'] })
  expect(listed.exitCode, listed.stderr).toBe(0)
  expect(listed.stdout).toMatch(/^backup_\S+ .* export /m)
})

test.skipIf(!image)(
  'a database that was deleted is no first start: the container says what to run, and that works',
  async () => {
    const volume = await makeVolume()
    const container = await start({ volume })
    await container.untilUp()
    await addTitles(volume)
    expect((await container.exec('npm', 'run', '--silent', 'db:backup')).exitCode).toBe(0)
    await container.stop(10)
    await onVolume(volume, 'node', 'rm', '/app/data/app.db')
    const before = await onVolume(volume, 'node', 'sha256sum', '/app/data/backup_latest.json')
    const refused = await runToEnd({ volume })
    expect(refused.exitCode).toBe(65)
    const next = refused.lines.find(({ code }) => code === 'DATABASE_MISSING')?.next ?? ''
    expect(await onVolume(volume, 'node', 'sha256sum', '/app/data/backup_latest.json')).toBe(before)
    const stem = /restore (?:-- )?(backup_\S+) --apply/.exec(next)![1]!
    const restored = await runToEnd({ volume, words: ['restore', stem, '--apply'] })
    expect(restored.exitCode, restored.stderr).toBe(0)
    await (await start({ volume })).untilUp()
    expect(await titles(volume)).toEqual(['Alien', 'Dune'])
  },
)

test.skipIf(!image)('the image carries what the registries of images show', async () => {
  const labels = JSON.parse(await dockerOk('image', 'inspect', '--format', '{{json .Config.Labels}}', image))
  for (const name of ['title', 'description', 'licenses', 'source', 'version', 'revision'])
    expect(labels[`org.opencontainers.image.${name}`], name).toBeTruthy()
})

async function addTitles(volume: string): Promise<void> {
  await onDatabase(volume, `db.exec("INSERT INTO Media(tmdbId, title) VALUES (438631, 'Dune'), (348, 'Alien')")`)
}

async function titles(volume: string): Promise<string[]> {
  return await onDatabase(volume, 'return db.prepare("SELECT title FROM Media ORDER BY title").pluck().all()')
}

async function list(container: Container): Promise<string> {
  return (await container.exec('npm', 'run', '--silent', 'db:list')).stdout
}
