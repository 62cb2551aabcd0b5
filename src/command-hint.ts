// A command as this user can type it: `npm run db:restore -- …` where the package.json at hand has that script, else
// `npx bootkeeper restore …`. Guarantees: what a message tells to run, runs, whatever is in its words.

import { hasScript } from './app-identity.ts'

/** `name`: of a file in scripts/. */
export function command(name: string, ...words: string[]): string {
  const script = `db:${name}`
  const tail = words.map(shellWord).join(' ')
  if (hasScript(process.cwd(), script)) return tail ? `npm run ${script} -- ${tail}` : `npm run ${script}`
  return tail ? `npx bootkeeper ${name} ${tail}` : `npx bootkeeper ${name}`
}

/** The same text with each `npx bootkeeper NAME …` in it as this user can type it. */
export function asTyped(text: string): string {
  return text.replace(/npx bootkeeper ([a-z]\w*)((?: (?:[A-Z]+|--[\w-]+)(?!\w))*)/g, (_, name: string, words: string) =>
    command(name, ...words.split(' ').filter(Boolean)),
  )
}

function shellWord(word: string): string {
  return /^[\w./:=@-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
