// Proves the promise "no download": under strace, no process that Prisma starts talks to an internet address, not even
// to a name server.

import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { makeProject, repository, schema, user } from './project.ts'

// Some container hosts forbid ptrace.
const canTrace = spawnSync('strace', ['-f', '-o', '/dev/null', 'true']).status === 0
if (!canTrace) {
  if (process.env.CI) throw new Error('strace is needed in CI, and the right to use it.')
  console.warn('\n*** SKIPPED: the test that Prisma makes no request (no usable strace). apt-get install strace ***\n')
}

test.skipIf(!canTrace)(
  'push and generate reach no internet address and ask no name server',
  { timeout: 120_000 },
  async () => {
    const project = await makeProject({ 'prisma/schema.prisma': schema('sqlite', user) })
    const cli = JSON.stringify(join(repository, 'src/prisma/cli.ts'))
    const options = JSON.stringify({ cwd: project.directory, url: `file:${project.path('app.db')}` })
    await project.write(
      'run.mjs',
      `import { runPrisma } from ${cli}
for (const words of [['db', 'push'], ['generate']]) {
  const { exitCode, stderr } = await runPrisma(words, ${options})
  if (exitCode !== 0) throw new Error(stderr)
}`,
    )
    const calls = await networkCalls(project.path('trace'), ['--import', 'tsx', project.path('run.mjs')])
    // The trace is not empty: Node's pipes between the processes are in it.
    expect(calls.filter((line) => line.includes('socketpair('))).not.toEqual([])
    expect(calls.filter(isInternet)).toEqual([])
  },
)

test.skipIf(!canTrace)('the trace would show a connection and a look-up', { timeout: 60_000 }, async () => {
  const project = await makeProject({})
  const program = `require('net').connect(1, '127.0.0.1').on('error', () => {})
    require('dns').setServers(['127.0.0.1'])
    require('dns').resolve4('example.invalid', () => process.exit())`
  const calls = (await networkCalls(project.path('trace'), ['-e', program])).filter(isInternet)
  expect(calls).toEqual(expect.arrayContaining([expect.stringContaining('sin_port=htons(1)')]))
  expect(calls).toEqual(expect.arrayContaining([expect.stringContaining('sin_port=htons(53)')]))
})

async function networkCalls(trace: string, words: string[]): Promise<string[]> {
  await execa('strace', ['-f', '-qq', '-e', 'trace=network', '-o', trace, process.execPath, ...words], {
    cwd: repository,
  })
  return (await readFile(trace, 'utf8')).split('\n')
}

function isInternet(line: string): boolean {
  return /\b(connect|sendto|sendmsg|sendmmsg)\(.*\bAF_INET6?\b/.test(line)
}
