// What every engine must do, as one suite: an engine's test calls it with a way to make a database.
// Guarantees tested: copies are verified and restorable, changes are all or nothing, losses are counted.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { Engine } from '../../src/engines/engine.ts'
import { makeFolder } from '../harness.ts'

export interface ContractDatabase {
  engine: Engine
  /** Runs SQL as the app would, and closes its connection. */
  run(sql: string): Promise<void>
  rows(sql: string): Promise<Record<string, unknown>[]>
  /** Makes a damaged database, where the engine's database is a file. */
  damage?(): void
}

const start = `
  CREATE TABLE "item" ("id" INTEGER PRIMARY KEY, "name" TEXT NOT NULL, "note" TEXT, "amount" INTEGER);
  CREATE TABLE "empty" ("id" INTEGER PRIMARY KEY);
  CREATE TABLE "full" ("id" INTEGER PRIMARY KEY);
  INSERT INTO "item" VALUES (1, 'one', 'n', 7), (2, 'two', NULL, 8), (3, 'thrée 😀', 'n', NULL);
  INSERT INTO "full" VALUES (1), (2);`

export function engineContract(name: string, create: () => Promise<ContractDatabase>): void {
  describe(`the ${name} engine`, () => {
    const open: ContractDatabase[] = []
    afterEach(async () => {
      for (const { engine } of open.splice(0)) await engine.close()
    })
    const make = async () => {
      const database = await create()
      open.push(database)
      await database.run(start)
      return database
    }
    const names = (database: ContractDatabase) => database.rows('SELECT "name" FROM "item" ORDER BY "id"')

    test('gives the same signature while nothing is written, and another afterwards', async () => {
      const database = await make()
      const first = await database.engine.signature()
      expect(await database.engine.signature()).toBe(first)
      await database.run(`INSERT INTO "item" VALUES (9, 'nine', NULL, NULL)`)
      expect(await database.engine.signature()).not.toBe(first)
    })

    test('gives a structure that changes with a table, a column and an index, not with rows', async () => {
      const database = await make()
      const seen = [await database.engine.structure()]
      await database.run(`INSERT INTO "item" VALUES (9, 'nine', NULL, NULL)`)
      expect(await database.engine.structure()).toBe(seen[0])
      for (const sql of [
        'CREATE TABLE "more" ("id" INTEGER)',
        'ALTER TABLE "item" ADD COLUMN "x" TEXT',
        'CREATE INDEX "by_name" ON "item"("name")',
      ]) {
        await database.run(sql)
        seen.push(await database.engine.structure())
      }
      expect(new Set(seen).size).toBe(4)
    })

    test('makes a copy that a put back makes live again', async () => {
      const database = await make()
      const copy = join(makeFolder(), `copy.${database.engine.copyExtension}`)
      const { sizeBytes, sha256 } = await database.engine.copy(copy)
      expect([sizeBytes, sha256.length]).toEqual([readFileSync(copy).length, 64])
      expect(await database.engine.checkCopy(copy)).toEqual([])
      await database.run(`DELETE FROM "item"; DROP TABLE "full"; CREATE TABLE "later" ("id" INTEGER)`)
      await database.engine.putBack(copy, 'before-restore')
      expect(await names(database)).toEqual([{ name: 'one' }, { name: 'two' }, { name: 'thrée 😀' }])
      expect(await database.rows('SELECT "id" FROM "full" ORDER BY "id"')).toEqual([{ id: 1 }, { id: 2 }])
      await expect(database.rows('SELECT * FROM "later"')).rejects.toThrow()
    })

    test('finds the damage in a copy, and does not put it back', async () => {
      const database = await make()
      const copy = join(makeFolder(), `copy.${database.engine.copyExtension}`)
      await database.engine.copy(copy)
      const bytes = readFileSync(copy)
      writeFileSync(copy, bytes.subarray(0, Math.floor(bytes.length * 0.6)))
      expect((await database.engine.checkCopy(copy)).length).toBeGreaterThan(0)
      await expect(database.engine.putBack(copy, 'before-restore')).rejects.toThrow()
      expect(await names(database)).toHaveLength(3)
    })

    const rehearse = async (database: ContractDatabase) => {
      const copy = join(makeFolder(), `copy.${database.engine.copyExtension}`)
      const { source } = await database.engine.copy(copy)
      return await database.engine.rehearse(copy, source)
    }

    test('counts what a change loses, and a discarded change leaves no trace', async () => {
      const database = await make()
      const structure = await database.engine.structure()
      const rehearsal = await rehearse(database)
      await rehearsal.apply('ALTER TABLE "item" DROP COLUMN "note"; DROP TABLE "empty"; DROP TABLE "full";')
      expect((await rehearsal.losses()).sort((a, b) => a.table.localeCompare(b.table))).toEqual([
        { kind: 'table', table: 'empty', rows: 0 },
        { kind: 'table', table: 'full', rows: 2 },
        { kind: 'column', table: 'item', column: 'note', rows: 2 },
      ])
      await rehearsal.discard()
      expect(await database.engine.structure()).toBe(structure)
      expect(await names(database)).toHaveLength(3)
    })

    test('makes an adopted change live, with every row, also when losses were counted before', async () => {
      const database = await make()
      const rehearsal = await rehearse(database)
      await rehearsal.apply('ALTER TABLE "item" DROP COLUMN "amount"; ALTER TABLE "item" ADD COLUMN "more" TEXT;')
      expect(await rehearsal.losses()).toEqual([{ kind: 'column', table: 'item', column: 'amount', rows: 2 }])
      await rehearsal.adopt()
      expect(await database.rows('SELECT "id", "more" FROM "item" ORDER BY "id"')).toEqual(
        [1, 2, 3].map((id) => ({ id, more: null })),
      )
      await expect(database.rows('SELECT "amount" FROM "item"')).rejects.toThrow()
    })

    test('a change that fails half-way is refused with the reason, and nothing of it stays', async () => {
      const database = await make()
      const structure = await database.engine.structure()
      const rehearsal = await rehearse(database)
      const failing = rehearsal.apply('CREATE TABLE "first" ("id" INTEGER); CREATE UNIQUE INDEX "u" ON "item"("note");')
      await expect(failing).rejects.toMatchObject({ code: 'SCHEMA_CHANGE_FAILED' })
      await rehearsal.discard()
      expect(await database.engine.structure()).toBe(structure)
    })

    test('knows the migrations that Prisma recorded, and that there are none', async () => {
      const database = await make()
      expect(await database.engine.appliedMigrations()).toEqual([])
      await database.run(
        'CREATE TABLE "_prisma_migrations" ("migration_name" TEXT, "rolled_back_at" TEXT); INSERT INTO "_prisma_migrations" VALUES (\'1_a\', NULL), (\'2_b\', \'x\')',
      )
      expect(await database.engine.appliedMigrations()).toEqual(['1_a'])
    })

    test('works again on a database that was damaged or deleted, and keeps the damaged bytes', async () => {
      const database = await make()
      if (!database.damage) return
      const copy = join(makeFolder(), `copy.${database.engine.copyExtension}`)
      await database.engine.copy(copy)
      database.damage()
      const { aside } = await database.engine.putBack(copy, 'before-restore')
      expect(readFileSync(aside!, 'utf8')).toContain('damaged')
      expect(await names(database)).toHaveLength(3)
    })
  })
}
