// Says what a piece of SQL may do to rows that are there, by its words. Guarantees: a statement counts as harmless only
// where it is of a kind that is known to be, and no word in it, outside of strings, quoted names and comments, could
// change or remove a row; a table that the data model does not know means everything.

import type { DataModel } from '../data-model.ts'
import type { Touched } from './finding.ts'
import { reachOfDelete, reachOfUpdate } from './reach.ts'

export interface SqlEffect {
  what: string
  models: Touched
  structure?: true
}

/** Stands in a text for what is only known at run time. */
export const unknownPart = '\u{fffc}'

const harmless = new Set(
  'SELECT WITH VALUES EXPLAIN SHOW SET BEGIN START COMMIT END SAVEPOINT RELEASE ROLLBACK ANALYZE INSERT CREATE PRAGMA VACUUM REINDEX LOCK'.split(
    ' ',
  ),
)
const destructive = new Set(
  'DELETE UPDATE DROP TRUNCATE ALTER REPLACE MERGE DO CALL EXECUTE COPY TRIGGER FUNCTION PROCEDURE RULE ATTACH DETACH RENAME GRANT REVOKE'.split(
    ' ',
  ),
)
/** Those that only read. Another one, or one that is given a value, may do anything. */
const pragmas =
  /^(table_info|table_list|index_list|foreign_key_list|foreign_key_check|integrity_check|quick_check|user_version|database_list|page_count|journal_mode|busy_timeout|foreign_keys)$/i
const functions = new Set(
  'count sum avg min max total group_concat string_agg array_agg json_agg jsonb_agg json_object json_array json_extract json_each json_group_array json_group_object json_build_object coalesce ifnull nullif iif length char_length lower upper substr substring trim ltrim rtrim replace instr round abs floor ceil ceiling random date time datetime julianday strftime unixepoch now to_char date_trunc date_part extract age cast typeof hex quote printf format concat concat_ws row_number rank dense_rank lag lead first_value last_value ntile over in values exists and or not on as from where when then else between using like any all some select by filter table primary key references unique check varchar char decimal numeric interval distinct join into union having limit offset default sqlite_version version current_database generate_series unnest greatest least gen_random_uuid randomblob lateral within'.split(
    ' ',
  ),
)

/** What looks like a destructive statement, or a part of one, in a text that need not be SQL. */
export function looksDestructive(text: string): boolean {
  return /\bDELETE\s+FROM\b|\bDROP\s+(TABLE|COLUMN|INDEX|SCHEMA|VIEW|DATABASE|TRIGGER|CONSTRAINT)\b|\bTRUNCATE\b(\s+TABLE\b|\s+["`[]?\w+["`\]]?\s*(;|$|CASCADE|,|RESTART))|\bUPDATE\s+(ONLY\s+|OR\s+\w+\s+)?\S+\s+(AS\s+\w+\s+)?SET\b|\bALTER\s+(TABLE|TYPE|SCHEMA)\b|\bREPLACE\s+INTO\b|\bINSERT\s+OR\s+REPLACE\b|\bDO\s+UPDATE\b|\bON\s+DUPLICATE\s+KEY\b|\bMERGE\s+INTO\b/i.test(
    text,
  )
}

/** In a part of a statement: a word that could change or remove rows, whatever stands around it. */
export function hasDestructiveWord(text: string): boolean {
  return tokensOf(text).some((token, i, all) => isDestructiveWord(token, all, i))
}

/** What SQL that is run may do. `unknownPart` in it stands for a value, or for text that nobody knows yet. */
export function effectsOf(data: DataModel, text: string): SqlEffect[] {
  return statementsOf(tokensOf(text)).flatMap((statement) => effectOf(data, statement) ?? [])
}

interface Token {
  kind: 'word' | 'name' | 'string' | 'sign' | 'unknown'
  text: string
}

function effectOf(data: DataModel, tokens: Token[]): SqlEffect | undefined {
  const verb = tokens[0]
  if (!verb) return undefined
  if (verb.kind !== 'word' && verb.text !== '(')
    return { what: 'SQL that begins with what is only known at run time', models: 'everything' }
  const words = tokens.map((token) => (token.kind === 'word' ? token.text.toUpperCase() : token.text))
  const shown = `SQL ${words.slice(0, 4).join(' ').replaceAll(unknownPart, '?')}`
  const at = tokens.findIndex((token, i) => isDestructiveWord(token, tokens, i))
  if (at >= 0) return changeAt(data, tokens, words, at, shown)
  if (verb.kind === 'word' && !harmless.has(words[0]!)) return { what: shown, models: 'everything' }
  if (words[0] === 'PRAGMA' && !(pragmas.test(words[1] ?? '') && !words.includes('=')))
    return { what: shown, models: 'everything' }
  // A fragment in the place of a query may hold a statement of its own: WITH x AS (fragment).
  if (tokens.some(({ kind }, i) => kind === 'unknown' && words[i - 1] === '(' && words[i - 2] === 'AS'))
    return { what: `${shown}, with a part that is only known at run time`, models: 'everything' }
  const called = tokens.find(
    ({ kind, text }, i) =>
      (kind === 'word' || kind === 'name') &&
      words[i + 1] === '(' &&
      !functions.has(text.toLowerCase()) &&
      !isColumnList(words, i) &&
      words[0] !== 'CREATE',
  )
  if (called) return { what: `${shown}, which calls ${called.text}()`, models: 'everything' }
  return undefined
}

/** `INSERT INTO name (columns)`, `WITH name (columns) AS`. */
function isColumnList(words: string[], i: number): boolean {
  if (['INTO', 'WITH', 'RECURSIVE', '.'].includes(words[i - 1] ?? '') && (words[0] === 'INSERT' || words[0] === 'WITH'))
    return true
  const end = words.indexOf(')', i)
  return words[i - 1] === ',' && words[end + 1] === 'AS'
}

function changeAt(data: DataModel, tokens: Token[], words: string[], at: number, shown: string): SqlEffect {
  const more = tokens.slice(at + 1).some((token, i) => isDestructiveWord(token, tokens, at + 1 + i))
  const everything: SqlEffect = { what: shown, models: 'everything' }
  const named = tablesAt(tokens, words, at)
  const structure = words[at] === 'DROP' || words[at] === 'ALTER'
  const models = named.map((name) => data.models.find(({ table }) => table.toLowerCase() === name?.toLowerCase()))
  const isUpsert = words[0] === 'INSERT' || words[0] === 'REPLACE'
  const oneTable = ['DELETE', 'UPDATE', 'DROP', 'ALTER', 'TRUNCATE', 'REPLACE', 'MERGE'].includes(words[at]!)
  if ((more && !isUpsert && words[at] !== 'ALTER') || !oneTable || models.length === 0 || models.includes(undefined))
    return structure ? { ...everything, structure: true } : everything
  const names = models.map((model) => model!.name)
  const reached = names.flatMap((name) =>
    words[at] === 'UPDATE' && words[0] !== 'REPLACE' ? reachOfUpdate(data, name, 'any') : reachOfDelete(data, name),
  )
  const all = words[at] === 'TRUNCATE' && words.includes('CASCADE') ? 'everything' : [...new Set(reached)]
  return { what: shown, models: all, ...(structure ? { structure: true as const } : {}) }
}

/** The names of the tables that the word at `at` is about; undefined for one that cannot be read. */
function tablesAt(tokens: Token[], words: string[], at: number): (string | undefined)[] {
  let i = at + 1
  if (words[0] === 'INSERT' || words[0] === 'REPLACE') i = words.indexOf('INTO') + 1
  const skip = /^(FROM|INTO|TABLE|IF|EXISTS|ONLY|OR|ROLLBACK|ABORT|IGNORE|FAIL|REPLACE|USING)$/
  if (words[at] === 'DROP' || words[at] === 'ALTER') {
    // Of a view, an index or a type it is not known whose rows it has to do with.
    if (words[i] !== 'TABLE') return []
  }
  while (tokens[i]?.kind === 'word' && skip.test(words[i]!)) i += 1
  const names: (string | undefined)[] = []
  for (;;) {
    while (words[i + 1] === '.') i += 2
    const token = tokens[i]
    names.push(token?.kind === 'word' || token?.kind === 'name' ? token.text : undefined)
    if (words[i + 1] !== ',' || !['DROP', 'TRUNCATE'].includes(words[at]!)) return names
    i += 2
  }
}

function isDestructiveWord({ kind, text }: Token, all: Token[], i: number): boolean {
  if (kind !== 'word') return false
  const word = text.toUpperCase()
  if (!destructive.has(word)) return false
  const before = all[i - 1]?.kind === 'word' ? all[i - 1]!.text.toUpperCase() : ''
  const after = all[i + 1]?.kind === 'word' ? all[i + 1]!.text.toUpperCase() : (all[i + 1]?.text ?? '')
  // A function, a lock, a foreign key's rule, a column that is called so.
  if (word === 'REPLACE' && after === '(') return false
  if (word === 'UPDATE' && (before === 'FOR' || (before === 'KEY' && all[i - 2]?.text.toUpperCase() === 'NO')))
    return false
  if ((word === 'DELETE' || word === 'UPDATE') && before === 'ON') return false
  if (word === 'DO' && (after === 'NOTHING' || after === 'UPDATE')) return false
  return all[i - 1]?.text !== '.'
}

function statementsOf(tokens: Token[]): Token[][] {
  const statements: Token[][] = [[]]
  for (const token of tokens)
    if (token.text === ';' && token.kind === 'sign') statements.push([])
    else statements.at(-1)!.push(token)
  return statements
}

function tokensOf(text: string): Token[] {
  const pattern =
    /(?<comment>--[^\n]*|\/\*[\s\S]*?\*\/)|(?<string>[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*')|"(?<quoted>(?:[^"]|"")*)"|`(?<tick>[^`]*)`|\[(?<square>[A-Za-z_][^\]]*)\]|(?<word>[\p{L}_][\p{L}\p{N}_$]*)|(?<unknown>\u{fffc}\w*|[?$:@]\w+|\?)|(?<sign>\S)/gu
  return [...text.matchAll(pattern)].flatMap(({ groups = {} }): Token[] => {
    const { comment, string, word, unknown, sign } = groups
    if (comment !== undefined) return []
    if (string !== undefined) return [{ kind: 'string', text: string }]
    const name = groups.quoted ?? groups.tick ?? groups.square
    // A quoted name with a part that nobody knows is no known table.
    if (name !== undefined) return [{ kind: name.includes(unknownPart) ? 'unknown' : 'name', text: name }]
    if (word !== undefined) return [{ kind: 'word', text: word }]
    if (unknown !== undefined) return [{ kind: 'unknown', text: unknown }]
    return [{ kind: 'sign', text: sign! }]
  })
}
