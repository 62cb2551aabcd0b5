// Whose data a current export holds: the rows of the model that the schema marks `/// @user`, and how many rows refer to
// each; and what of any file can be imported alone.
// Guarantees: memory does not grow with the file: the first 200 people are named, the others counted. What is counted is
// what refers to a person directly; a value of a row is never shown but the name and that of its one enum.

import type { DataModel, Model } from './data-model.ts'
import { keyOfRow, simpleKey } from './engines/reference-keys.ts'
import type { JsonRow, SourceHeader, SourceModel, SourceRow } from './import-source.ts'
import { wordOfKey } from './scope-words.ts'

export interface User {
  /** `null`: the file does not say whose it is, and nobody was named. An import needs a name then. */
  name: string | null
  entries: Record<string, number>
  /** The word of `--only` that means it. */
  only?: string
}

const mostPeople = 200

interface Referring {
  members: string[]
  /** The only member of an enum, whose values are counted apart. */
  kind: string | undefined
}

export class People {
  private readonly userModel: string | undefined
  private readonly source: SourceModel | undefined
  private readonly target: Model | undefined
  private readonly referring = new Map<string, Referring>()
  private readonly users = new Map<string | number, User>()
  private listed = 0
  private more = 0
  private seenReferring = false
  /** Rows came before the people that they refer to, so that they have to be read once more. */
  isIncomplete = false

  constructor({ models }: DataModel, { models: inFile }: SourceHeader) {
    this.target = models.find(({ isUser }) => isUser)
    this.userModel = this.target && nameInFile(inFile, this.target)
    if (this.userModel === undefined) return
    this.source = inFile[this.userModel]
    for (const [name, { fields }] of Object.entries(inFile)) {
      const members = fields.filter(({ type }) => type.replace('?', '') === `-> ${this.userModel}`)
      const kinds = fields.filter(({ type }) => /^Enum [^[]*$/.test(type))
      if (members.length > 0)
        this.referring.set(name, {
          members: members.map((field) => field.name),
          kind: kinds.length === 1 ? kinds[0]!.name : undefined,
        })
    }
  }

  add(batch: SourceRow[]): void {
    if (this.userModel === undefined) return
    for (const { model, row } of batch) {
      if (model === this.userModel) this.meet(row)
      if (!this.isIncomplete) this.count(model, row)
    }
  }

  /** The second time, from the beginning. */
  addLate(batch: SourceRow[]): void {
    for (const { model, row } of batch) this.count(model, row)
  }

  /** Undefined where the schema names no such model, or the file does not have it. */
  get found(): { users: User[]; moreUsers?: number } | undefined {
    if (this.userModel === undefined) return undefined
    const users = [...new Set(this.users.values())]
    return { users, ...(this.more > 0 ? { moreUsers: this.more } : {}) }
  }

  private meet(row: JsonRow): void {
    if (this.seenReferring && !this.isIncomplete) {
      this.isIncomplete = true
      for (const { entries } of this.users.values()) for (const name of Object.keys(entries)) delete entries[name]
    }
    const { source, target } = this
    if (!source || !target) return
    const key = keyOfRow(row, source)
    const word = wordOf(target, row)
    if (key === undefined || word === undefined || this.listed >= mostPeople) {
      this.more++
      return
    }
    this.listed++
    const user = { ...word, entries: {} }
    this.users.set(simpleKey(key), user)
    // References may also say its id.
    const [id] = source.primaryKey
    if (id !== undefined && source.primaryKey.length === 1) this.users.set(simpleKey({ '#': row[id] }), user)
  }

  private count(model: string, row: JsonRow): void {
    const referring = this.referring.get(model)
    if (!referring) return
    this.seenReferring = true
    const { members, kind } = referring
    const named = members.map((member) => row[member]).filter((value) => value !== undefined && value !== null)
    const users = new Set(named.flatMap((value) => this.users.get(simpleKey(value)) ?? []))
    const value = kind === undefined ? undefined : row[kind]
    const list = typeof value === 'string' ? `${model}.${value}` : model
    for (const { entries } of users) entries[list] = (entries[list] ?? 0) + 1
  }
}

/** By its natural key, where that is one value, else by its id. */
function wordOf(target: Model, row: JsonRow): { name: string; only: string } | undefined {
  const [part, ...others] = target.naturalKey
  const key = part && others.length === 0 ? row[part.name] : undefined
  if (typeof key === 'string' || typeof key === 'number')
    return { name: String(key), only: wordOfKey(target.name, key) }
  const [id, ...more] = target.primaryKey
  const value = id !== undefined && more.length === 0 ? row[id] : undefined
  if (typeof value !== 'string' && typeof value !== 'number') return undefined
  return { name: `#${value}`, only: `${target.name}:#${value}` }
}

/** With the words for the users of an older format, which have no others than their names. */
export function partsOf(
  { models }: DataModel,
  { models: inFile }: SourceHeader,
  { counts, users }: { counts: Record<string, number>; users?: User[] },
): { parts: { settings: boolean; users: boolean }; users?: User[] } {
  const settings = models.some((model) => model.isConfig && (counts[nameInFile(inFile, model) ?? ''] ?? 0) > 0)
  const target = models.find(({ isUser }) => isUser)
  const isNamed = target?.naturalKey.length === 1
  const worded = users?.map((user) =>
    user.only !== undefined || user.name === null || !isNamed
      ? user
      : { ...user, only: wordOfKey(target.name, user.name) },
  )
  const hasWords = worded?.some(({ only }) => only !== undefined) ?? false
  return { parts: { settings, users: hasWords }, ...(worded ? { users: worded } : {}) }
}

function nameInFile(models: SourceHeader['models'], { name, table }: Model): string | undefined {
  if (Object.hasOwn(models, name)) return name
  return Object.keys(models).find((each) => (models[each]?.table ?? each) === table)
}
