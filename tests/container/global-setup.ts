// Before the container tests: is there a Docker engine, and which image is tested? After them: everything they made
// goes, found by its label. Guarantees: without an engine, CI fails; elsewhere the tests are skipped and say how to
// get one. BOOTKEEPER_TEST_IMAGE names an image that is there already; without it, the Dockerfile is built.

import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The image under test. Empty: there is no engine, and the tests are skipped. */
    image: string
    /** The label of everything that this run makes. */
    label: string
  }
}

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const label = `bootkeeper.test=${process.pid}-${Date.now()}`
  project.provide('label', label)
  const missing = await whyNoEngine()
  if (missing) {
    const advice = `The container tests need a Docker engine, and none answers: ${missing}
Install one (https://docs.docker.com/engine/install/), start it, or let DOCKER_HOST name one; then run
  npm run test:container`
    if (process.env.CI) throw new Error(advice)
    console.warn(`\n${'!'.repeat(100)}\nSKIPPED: every container test.\n${advice}\n${'!'.repeat(100)}\n`)
    project.provide('image', '')
    return async () => {}
  }
  project.provide('image', await imageUnderTest(label))
  return () => removeAll(label)
}

async function whyNoEngine(): Promise<string | undefined> {
  const { exitCode, stderr, shortMessage } = await execa('docker', ['version', '--format', '{{.Server.Version}}'], {
    reject: false,
    timeout: 20_000,
  })
  return exitCode === 0 ? undefined : stderr.trim() || shortMessage || 'no answer'
}

async function imageUnderTest(label: string): Promise<string> {
  const given = process.env.BOOTKEEPER_TEST_IMAGE
  if (given) {
    await execa('docker', ['image', 'inspect', given], { stdout: 'ignore' })
    return given
  }
  const tag = `bootkeeper-test:${process.pid}`
  console.log(`Building ${tag}. The first build compiles better-sqlite3, which takes some minutes.`)
  await execa('docker', ['build', '--label', label, '-t', tag, '.'], {
    cwd: root,
    stdout: 'inherit',
    stderr: 'inherit',
  })
  return tag
}

// Containers first: they hold the volumes and the images.
async function removeAll(label: string): Promise<void> {
  const filter = ['-q', '--filter', `label=${label}`]
  await remove(['ps', '-a', ...filter], ['rm', '-f', '-v'])
  await remove(['volume', 'ls', ...filter], ['volume', 'rm', '-f'])
  await remove(['images', ...filter], ['rmi', '-f'])
}

async function remove(list: string[], by: string[]): Promise<void> {
  const { stdout } = await execa('docker', list, { reject: false })
  const names = [...new Set((stdout ?? '').split(/\s+/).filter(Boolean))]
  if (names.length > 0) await execa('docker', [...by, ...names], { reject: false })
}
