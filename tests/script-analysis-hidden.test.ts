// Destructive calls behind random chains of aliases, containers, closures and computed names. Guarantee tested: none is
// judged harmless, however its client, model or method is called.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { judge } from './judged-scripts.ts'
import { seed } from './random.ts'

/** A destructive call on a model, and the ways in which client, model and method can be reached. */
const hidden = fc
  .record({
    clientBy: fc.constantFrom(
      (name: string) => `const ${name} = new PrismaClient()`,
      (name: string) => `let ${name}: any\n${name} = new PrismaClient()`,
      (name: string) => `class Db extends PrismaClient {}\nconst ${name} = new Db()`,
      (name: string) => `const { ${name} } = { ${name}: new PrismaClient() }`,
      (name: string) => `const ${name} = ((globalThis as any).p ??= new PrismaClient())`,
      (name: string) => `const makers = [() => new PrismaClient()]\nconst ${name}: any = makers[0]!()`,
      (name: string) => `function ${name}Of() { return new PrismaClient() }\nconst ${name} = ${name}Of()`,
      (name: string) => `const ${name} = new PrismaClient().$extends({ name: 'x' })`,
      (name: string) => `const ${name} = new (class extends PrismaClient {})()`,
      (name: string) => `const C: any = require('@prisma/client').PrismaClient\nconst ${name} = new C()`,
      (name: string) => `const ${name} = new (await import('@prisma/client')).PrismaClient()`,
      (name: string) => `import { PrismaClient as P } from '@prisma/client'\nconst ${name} = new P()`,
    ),
    steps: fc.array(
      fc.constantFrom(
        (from: string, to: string) => `const ${to}: any = ${from}`,
        (from: string, to: string) => `let ${to}: any = null\n${to} = ${from}`,
        (from: string, to: string) => `const [${to}]: any = [${from}]`,
        (from: string, to: string) => `const { a: { b: ${to} } }: any = { a: { b: ${from} } }`,
        (from: string, to: string) => `const { ...${to} }: any = ${from}`,
        (from: string, to: string) => `const ${to}Box: any = {}\n${to}Box.x = ${from}\nconst ${to} = ${to}Box.x`,
        (from: string, to: string) =>
          `const ${to}Box: any = {}\n${to}Box[String(1)] = ${from}\nconst ${to} = ${to}Box['1']`,
        (from: string, to: string) =>
          `const ${to}Map: any = new Map([['k', ${from}]])\nconst ${to} = ${to}Map.get('k')`,
        (from: string, to: string) => `const ${to}Id = (x: any) => x\nconst ${to} = ${to}Id(${from})`,
        (from: string, to: string) =>
          `class K${to} { #x: any\n constructor(x: any) { this.#x = x }\n get it() { return this.#x } }\nconst ${to} = new K${to}(${from}).it`,
        (from: string, to: string) =>
          `class K${to} { constructor(public x: any) {} }\nconst ${to} = new K${to}(${from}).x`,
        (from: string, to: string) => `const ${to}: any = await Promise.resolve(${from})`,
        (from: string, to: string) => `const ${to}: any = Math.random() > 2 ? null : ${from}`,
        (from: string, to: string) => `const ${to}: any = ${from} || null`,
        (from: string, to: string) =>
          `function* ${to}Gen() { yield ${from} }\nconst ${to}: any = ${to}Gen().next().value`,
        (from: string, to: string) =>
          `const ${to}: any = (function (this: any) { return arguments[0] } as any)(${from})`,
        (from: string, to: string) => `let ${to}: any\nfor (const each of [${from}]) ${to} = each`,
        (from: string, to: string) => `let ${to}: any\n;[${from}].forEach((each: any) => { ${to} = each })`,
        (from: string, to: string) => `let ${to}: any\n;[${to}] = [${from}]`,
        (from: string, to: string) => `const ${to}: any = Object.assign({}, { v: ${from} }).v`,
        (from: string, to: string) =>
          `;(globalThis as any).${to}Kept = ${from}\nconst ${to}: any = (globalThis as any).${to}Kept`,
        (from: string, to: string) =>
          `const ${to}Call = (cb: any) => cb(${from})\nconst ${to}: any = ${to}Call((x: any) => x)`,
        (from: string, to: string) => `const ${to}: any = (() => { try { return ${from} } finally {} })()`,
        (from: string, to: string) =>
          `const ${to}Bag: any = { get inner() { return ${from} } }\nconst ${to} = ${to}Bag.inner`,
      ),
      { maxLength: 4 },
    ),
    /** After the client, after the model, or after the method: where the steps stand. */
    at: fc.constantFrom('client', 'model', 'method'),
    method: fc.constantFrom('deleteMany', 'delete', 'update', 'updateMany', 'upsert', 'updateManyAndReturn'),
    access: fc.constantFrom(
      (from: string, name: string) => `${from}.${name}`,
      (from: string, name: string) => `${from}['${name}']`,
      (from: string, name: string) => `${from}['${name.slice(0, 3)}' + '${name.slice(3)}']`,
      (from: string, name: string) => `${from}[\`${name}\`]`,
      (from: string, name: string) => `${from}[${JSON.stringify([...name])}.join('')]`,
      (from: string, name: string) => `Reflect.get(${from}, '${name}')`,
      (from: string, name: string) => `Object.values(${from})[['${name}'].length]`,
      (from: string, name: string) => `${from}?.${name}`,
    ),
    wrap: fc.constantFrom(
      (call: string) => `await ${call}`,
      (call: string) => `void ${call}`,
      (call: string) => `await Promise.all([1].map(() => ${call}))`,
      (call: string) => `async function run() { return ${call} }\nawait run()`,
      (call: string) => `await (async () => ${call})()`,
      (call: string) => `if (process.argv[2]) ${call}`,
      (call: string) => `class Job { static async go() { return ${call} } }\nawait Job.go()`,
    ),
    call: fc.constantFrom(
      (f: string) => `${f}({})`,
      (f: string) => `(${f} as any)({})`,
      (f: string) => `${f}.call(null, {})`,
      (f: string) => `${f}.apply(null, [{}])`,
      (f: string) => `${f}.bind(null)({})`,
      (f: string) => `Reflect.apply(${f}, null, [{}])`,
    ),
  })
  .map(({ clientBy, steps, at, method, access, wrap, call }) => {
    const lines = [clientBy('c')]
    const chain = (from: string) =>
      steps.reduce((name, step, i) => {
        lines.push(step(name, `v${i}`))
        return `v${i}`
      }, from)
    let name = at === 'client' ? chain('c') : 'c'
    lines.push(`const model: any = ${access(name, 'log')}`)
    name = at === 'model' ? chain('model') : 'model'
    if (at === 'method') {
      lines.push(`const method: any = ${access(name, method)}`)
      lines.push(wrap(call(chain('method'))))
    } else lines.push(wrap(call(access(name, method))))
    return lines.join('\n')
  })

test('a destructive call is never judged harmless, however it is hidden', async () => {
  await fc.assert(
    fc.asyncProperty(hidden, async (code) => {
      const { isDestructive, models } = await judge(`import { PrismaClient } from '@prisma/client'\n${code}`)
      expect({ isDestructive, hasLog: models === 'everything' || models.includes('Log') }).toEqual({
        isDestructive: true,
        hasLog: true,
      })
    }),
    { seed, numRuns: Number(process.env.RUNS ?? 300) },
  )
}, 240_000)
