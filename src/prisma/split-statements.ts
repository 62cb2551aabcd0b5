// Splits a PostgreSQL script into its statements. Guarantees: a semicolon in a string, a quoted name, a comment or a
// dollar-quoted body does not split. Used only where the server refuses a script as a whole.

export function splitStatements(sql: string): string[] {
  const statements: string[] = []
  let start = 0
  let at = 0
  while (at < sql.length) {
    if (sql[at] === ';') {
      statements.push(sql.slice(start, at))
      start = ++at
    } else {
      at = endOfToken(sql, at)
    }
  }
  statements.push(sql.slice(start))
  return statements.filter((statement) => statement.replace(/--.*$/gm, '').trim() !== '')
}

function endOfToken(sql: string, at: number): number {
  if (sql.startsWith('--', at)) return after(sql, '\n', at)
  if (sql.startsWith('/*', at)) return endOfComment(sql, at)
  if (sql[at] === '"') return endOfQuoted(sql, at, false)
  if (sql[at] === "'") return endOfQuoted(sql, at, /(^|[^\w$])e$/i.test(sql.slice(Math.max(0, at - 2), at)))
  const tag = /^\$(?:[A-Za-z_]\w*)?\$/.exec(sql.slice(at, at + 66))?.[0]
  // `a$1$b` is a name, not the start of a body.
  if (tag !== undefined && !/[\w$]/.test(sql[at - 1] ?? ' ')) return after(sql, tag, at + tag.length)
  return at + 1
}

function after(sql: string, mark: string, from: number): number {
  const found = sql.indexOf(mark, from)
  return found < 0 ? sql.length : found + mark.length
}

/** PostgreSQL's block comments nest. */
function endOfComment(sql: string, at: number): number {
  let depth = 0
  do {
    if (sql.startsWith('/*', at)) depth++
    else if (sql.startsWith('*/', at)) depth--
    else {
      at++
      continue
    }
    at += 2
  } while (depth > 0 && at < sql.length)
  return at
}

function endOfQuoted(sql: string, at: number, backslashEscapes: boolean): number {
  const quote = sql[at]
  for (at++; at < sql.length; at++) {
    if (backslashEscapes && sql[at] === '\\') at++
    else if (sql[at] === quote && sql[at + 1] === quote) at++
    else if (sql[at] === quote) return at + 1
  }
  return sql.length
}
