// The real `age`, for the tests: keys, and its program, which asks for passphrases on a terminal.

import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder } from './harness.ts'

export const hasAge = spawnSync('age', ['--version']).status === 0
const whyNot = 'NOT TESTED: whether age itself reads and writes these files. apt-get install age'
if (!hasAge) {
  if (process.env.CI) throw new Error(whyNot)
  process.stderr.write(`${whyNot}\n`)
}

export interface KeyPair {
  file: string
  recipient: string
  identity: string
}

export function makeKeys(): KeyPair {
  const file = join(makeFolder(), 'key.txt')
  execFileSync('age-keygen', ['-o', file], { stdio: 'ignore' })
  const text = readFileSync(file, 'utf8')
  return {
    file,
    recipient: /public key: (age1\w+)/.exec(text)![1]!,
    identity: /^AGE-SECRET-KEY-\w+$/m.exec(text)![0],
  }
}

export function age(...words: string[]): Buffer {
  return execFileSync('age', words, { maxBuffer: 1e9, stdio: ['ignore', 'pipe', 'pipe'] })
}

/** With a terminal of its own, on which the passphrase is typed, as often as it is asked for. */
export function ageWithPassphrase(passphrase: string, ...words: string[]): void {
  const line = ['age', ...words].map((word) => `'${word}'`).join(' ')
  const result = spawnSync('python3', ['-c', typing, line, passphrase], { encoding: 'utf8' })
  if (result.status !== 0) throw new Error(`${line}: ${result.stdout}${result.stderr}`)
}

const typing = `
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp('sh', ['sh', '-c', sys.argv[1]])
said = b''
while True:
    try:
        data = os.read(terminal, 1000)
    except OSError:
        break
    if not data:
        break
    said += data
    if b'passphrase' in data and data.rstrip().endswith(b':'):
        os.write(terminal, sys.argv[2].encode() + b'\\n')
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`
