// Where in a file something stands: its path, and the kind of place by which findings are counted.
// Guarantees: shown short and on one line, whatever the names are.

import { cut, quoted } from './quote.ts'

export type Path = (string | number)[]

/** Where something stands. `path` is the place itself; by `kind`, such as `users[].data`, such places are counted. */
export class Place {
  constructor(
    private readonly parent?: Place,
    private readonly part: string | number = '',
    private readonly isAnyUser = false,
  ) {}

  member(name: string): Place {
    return new Place(this, name)
  }

  element(index: number): Place {
    return new Place(this, index)
  }

  /** Of an object from username to account. */
  user(name: string): Place {
    return new Place(this, name, true)
  }

  get path(): Path {
    return this.parent ? [...this.parent.path, this.part] : []
  }

  get kind(): string {
    if (!this.parent) return ''
    if (typeof this.part === 'number') return `${this.parent.kind}[]`
    return joined(this.parent.kind, this.isAnyUser ? '*' : nameIn(this.part))
  }
}

export const root = new Place()

/** As `users[3].data.movies[17]`; long names are cut. */
export function showPath(path: Path): string {
  const shown = path.reduce<string>(
    (before, part) => (typeof part === 'number' ? `${before}[${part}]` : joined(before, nameIn(part))),
    '',
  )
  return cut(shown, 200)
}

function joined(before: string, name: string): string {
  if (before === '') return name
  return name.startsWith('"') ? `${before}[${name}]` : `${before}.${name}`
}

function nameIn(name: string): string {
  return isPlain(name) ? name : quoted(name)
}

function isPlain(name: string): boolean {
  return /^[\p{L}_$][\p{L}\p{N}_$-]{0,39}$/u.test(name)
}
