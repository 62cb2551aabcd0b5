import { expect, test } from 'vitest'
import { splitStatements } from '../../src/prisma/split-statements.ts'

test('plain statements are split, empty ones and comments alone left out', () => {
  expect(splitStatements('SELECT 1; SELECT 2;\n-- done; really\n;')).toEqual(['SELECT 1', ' SELECT 2'])
})

test.each([
  ['a string, with a doubled quote', "SELECT 'a;b''c;d'"],
  ['an escape string', "SELECT E'a\\';b'"],
  ['a quoted name', 'SELECT 1 AS "a;""b"'],
  ['a line comment', 'SELECT 1 -- one; two\n + 2'],
  ['a nested block comment', 'SELECT /* a; /* b; */ c; */ 1'],
  ['a dollar-quoted body', 'DO $$ BEGIN PERFORM 1; END; $$'],
  ['a tagged body with another inside', 'DO $f$ BEGIN EXECUTE $$SELECT 1;$$; END; $f$'],
])('a semicolon does not split in %s', (_, statement) => {
  expect(splitStatements(`${statement}; SELECT 2`)).toEqual([statement, ' SELECT 2'])
})

test('a dollar within a name starts no body', () => {
  expect(splitStatements('SELECT a$b$; SELECT c$b$')).toEqual(['SELECT a$b$', ' SELECT c$b$'])
})

test('a backslash before the closing quote of a plain string ends it', () => {
  expect(splitStatements("SELECT 'a\\'; SELECT 2")).toEqual(["SELECT 'a\\'", ' SELECT 2'])
})
