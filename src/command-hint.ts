// A command as this user can type it: `npm run db:restore -- …` where the package.json at hand has that script, else
// `npx bootkeeper restore …`. Guarantees: what a message tells to run, runs, whatever is in its words.

import { hasScript } from './app-identity.ts'

export function command(
  name: 'backup' | 'list' | 'restore' | 'export' | 'verify' | 'import' | 'prune' | 'pin',
  ...words: string[]
): string {
  const script = `db:${name}`
  const tail = words.map(shellWord).join(' ')
  if (hasScript(process.cwd(), script)) return tail ? `npm run ${script} -- ${tail}` : `npm run ${script}`
  return tail ? `npx bootkeeper ${name} ${tail}` : `npx bootkeeper ${name}`
}

function shellWord(word: string): string {
  return /^[\w./:=@-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
