// The app as a child: signals, grace time, exit codes, readiness, orphans.
// Guarantees tested: what the app leaves with is what the container leaves with; nothing the app started outlives it.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type AppCommand, readConfig } from '../src/config.ts'
import { openLog } from '../src/log.ts'
import { superviseApp } from '../src/supervise.ts'
import { baseModels, boot, makeApp, makeFolder, poll, sha256, startBoot } from './harness.ts'

const quiet = openLog({ level: 'error', format: 'json' })

function supervise(command: AppCommand, env: Record<string, string> = {}, log = quiet) {
  let take: (signal: NodeJS.Signals) => void = () => {}
  const signals = {
    stop: new AbortController().signal,
    passTo(next: typeof take) {
      take = next
    },
  }
  const config = readConfig([], { READY_AFTER_SECONDS: '0', ...env })
  return superviseApp(command, config, log, signals).then((running) => ({
    running,
    send: (signal: NodeJS.Signals) => take(signal),
  }))
}

const node = (script: string): AppCommand => ({ file: process.execPath, args: ['-e', script], shell: false })

test('exit codes 0 to 255 pass through', async () => {
  for (let code = 0; code <= 255; code += 1) {
    const { running } = await supervise({ file: '/bin/sh', args: ['-c', `exit ${code}`], shell: false })
    running.ready.catch(() => {})
    expect(await running.ended).toBe(code)
  }
})

test('an app that a signal ends gives 128 + n', async () => {
  for (const [signal, code] of [
    ['KILL', 137],
    ['TERM', 143],
    ['SEGV', 139],
  ] as const) {
    const { running } = await supervise({ file: '/bin/sh', args: ['-c', `kill -${signal} $$`], shell: false })
    running.ready.catch(() => {})
    expect(await running.ended).toBe(code)
  }
})

test('how the app ended is said, and louder where nobody asked for it', async () => {
  const said: string[] = []
  const say = (level: string) => (message: unknown) => void said.push(`${level}: ${message}`)
  const log = Object.assign(openLog({ level: 'error', format: 'json' }), { info: say('info'), warn: say('warn') })
  for (const end of ['exit 0', 'exit 3', 'kill -KILL $$']) {
    const { running } = await supervise({ file: '/bin/sh', args: ['-c', end], shell: false }, {}, log)
    running.ready.catch(() => {})
    await running.ended
  }
  const { running, send } = await supervise({ file: '/bin/sleep', args: ['60'], shell: false }, {}, log)
  await running.ready
  send('SIGTERM')
  await running.ended
  expect(said).toEqual([
    'info: The app ended with exit code 0.',
    'warn: The app ended with exit code 3.',
    expect.stringMatching(/^warn: The app ended by SIGKILL\. .*memory/),
    'info: The app ended by SIGTERM.',
  ])
})

test('every signal reaches the app', async () => {
  const script = `
    for (const s of ['SIGTERM','SIGINT','SIGHUP','SIGQUIT','SIGUSR2','SIGWINCH']) process.on(s, () => require('fs').appendFileSync(process.argv[1], s + ' '))
    require('fs').writeFileSync(process.argv[1], ''); setInterval(() => { if (require('fs').readFileSync(process.argv[1], 'utf8').split(' ').length > 6) process.exit(5) }, 20)`
  const got = join(makeFolder(), 'got')
  const { running, send } = await supervise({ file: process.execPath, args: ['-e', script, got], shell: false })
  running.ready.catch(() => {})
  await poll(() => existsSync(got), 'the app')
  const wanted = ['SIGUSR2', 'SIGWINCH', 'SIGHUP', 'SIGQUIT', 'SIGINT', 'SIGTERM'] as const
  for (const signal of wanted) {
    send(signal)
    await poll(() => readFileSync(got, 'utf8').includes(signal), signal)
  }
  expect(await running.ended).toBe(5)
})

test('an app that ignores the stop is killed after the grace time, with what it started', async () => {
  const folder = makeFolder()
  const script = `
    process.on('SIGTERM', () => {})
    const child = require('child_process').spawn('sleep', ['300'])
    require('fs').writeFileSync(process.argv[1], String(child.pid)); setInterval(() => {}, 1000)`
  const { running, send } = await supervise(
    { file: process.execPath, args: ['-e', script, join(folder, 'pid')], shell: false },
    { STOP_GRACE_SECONDS: '0.3' },
  )
  running.ready.catch(() => {})
  const pid = await poll(
    () => existsSync(join(folder, 'pid')) && Number(readFileSync(join(folder, 'pid'), 'utf8')),
    'the grandchild',
  )
  send('SIGTERM')
  expect(await running.ended).toBe(137)
  await poll(
    () => !existsSync(`/proc/${pid}`) || readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z'),
    'the grandchild to go',
  )
})

test('a command that is not there is one sentence and 127', async () => {
  const app = makeApp()
  const result = await boot(app, ['no-such-program'])
  expect(result.exitCode).toBe(127)
  expect(result.lines.find((line) => line.code === 'APP_NOT_STARTED')?.msg).toContain(
    'no-such-program could not be started',
  )
})

test('READY_URL decides when the app is ready', async () => {
  let status = 503
  const server = createServer((_request, response) => response.writeHead(status).end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const { running, send } = await supervise(node('setInterval(() => {}, 1000)'), {
    READY_URL: `http://127.0.0.1:${port}/`,
    READY_TIMEOUT_SECONDS: '20',
  })
  let ready = false
  void running.ready.then(() => {
    ready = true
  })
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect(ready).toBe(false)
  status = 204
  await running.ready
  send('SIGTERM')
  await running.ended
  server.close()
})

test('an app that never becomes ready after a schema change is ended, and the old database put back', async () => {
  const app = makeApp()
  await boot(app)
  const database = app.open()
  database.exec("INSERT INTO User(name) VALUES ('john')")
  database.close()
  await boot(app)
  app.setSchema(`${baseModels}\nmodel Extra {\n  id Int @id\n}\n`)
  const before = sha256(app.database)
  const result = await boot(app, ['sleep', '100'], { READY_URL: 'http://127.0.0.1:9/', READY_TIMEOUT_SECONDS: '1' })
  expect(result.exitCode).toBe(69)
  expect(result.output).toContain('The database is as it was before the schema change')
  expect(sha256(app.database)).toBe(before)
})

test('SIGTERM to a booted app ends both inside the grace time, with the exit code of the app', async () => {
  const app = makeApp()
  writeFileSync(
    join(app.dir, 'app.js'),
    "process.on('SIGTERM', () => process.exit(42)); setInterval(() => {}, 1000); console.log('app is up')",
  )
  const started = startBoot(app, [process.execPath, 'app.js'])
  await started.until((line) => line.msg === 'app is up')
  const begun = Date.now()
  started.child.kill('SIGTERM')
  expect((await started.ended).exitCode).toBe(42)
  expect(Date.now() - begun).toBeLessThan(8_000)
})

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s during the push ends the boot at once, with the database as it was',
  async (signal) => {
    const app = makeApp()
    await boot(app)
    const database = app.open()
    database.exec("INSERT INTO User(name) VALUES ('john')")
    database.close()
    await boot(app)
    const before = sha256(app.database)
    app.setSchema(`${baseModels}\nmodel Extra {\n  id Int @id\n}\n`)
    const started = startBoot(app)
    await started.until((line) => line.msg.startsWith('The schema has changed'))
    const begun = Date.now()
    started.child.kill(signal)
    expect((await started.ended).exitCode).toBe(signal === 'SIGTERM' ? 143 : 130)
    expect(Date.now() - begun).toBeLessThan(8_000)
    expect(started.output()).toContain('nothing is half-done')
    expect(sha256(app.database)).toBe(before)
    expect((await boot(app)).exitCode).toBe(0)
  },
)

test('a shell command gets its signals through the shell', async () => {
  const app = makeApp()
  writeFileSync(
    join(app.dir, 'app.js'),
    "process.on('SIGTERM', () => process.exit(42)); setInterval(() => {}, 1000); console.log('app is up')",
  )
  const started = startBoot(app, [], { APP_COMMAND: `echo before && ${process.execPath} app.js; exit $?` })
  await started.until((line) => line.msg === 'app is up')
  started.child.kill('SIGTERM')
  expect([42, 143]).toContain((await started.ended).exitCode)
})
