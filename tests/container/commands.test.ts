// The commands of docs/reference beside a running app: `docker exec`, as a cron job or a person would.
// Guarantees: what a command names is in the volume, with the checksum that it said.

import { describe, expect, test } from 'vitest'
import { type Container, dockerOk, image, makeVolume, onVolume, runToEnd, start } from './docker.ts'

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
  expect(listed.stdout).toMatch(/^backup_\S+ +export/m)
})

test.skipIf(!image)('the image carries what the registries of images show', async () => {
  const labels = JSON.parse(await dockerOk('image', 'inspect', '--format', '{{json .Config.Labels}}', image))
  for (const name of ['title', 'description', 'licenses', 'source', 'version', 'revision'])
    expect(labels[`org.opencontainers.image.${name}`], name).toBeTruthy()
})

async function list(container: Container): Promise<string> {
  return (await container.exec('npm', 'run', '--silent', 'db:list')).stdout
}
