// The text of the program beside a backup of a part, `STEM_restore.ts`, that puts its rows back.
// Guarantees: the same backup gives the same text; it type-checks under `strict`; it names nothing but public entries,
// and holds no value of a row.

import type { Field, Model } from './data-model.ts'
import { planRow, type Value } from './engines/row-plan.ts'
import { formatCount } from './log.ts'
import { totalOf } from './manifest.ts'
import { describeScope, type PartialScope } from './scope.ts'

export interface RestoreScript {
  stem: string
  createdAt: string
  scope: PartialScope
  counts: Record<string, number>
  /** The name of the export beside it. */
  exportName: string
  /** From the script: to the module scripts/restore-tables, and to the folder that Bootkeeper runs in. */
  entry: string
  project: string
  /** The folder of the backups, from there. */
  folder: string
  /** All models of the schema. */
  models: Model[]
}

export function restoreScript(script: RestoreScript): string {
  const { stem, createdAt, scope, counts, exportName, entry, project, folder, models } = script
  const program = `${folder === '' ? '' : `${folder}/`}${stem}_restore.ts`
  const own = Object.keys(counts).flatMap((name) => models.find((each) => each.name === name) ?? [])
  const names = new Map(own.map((model) => [model, typeName(model)]))
  const interfaces = own.map((model) => interfaceOf(model, names.get(model)!, models))
  const hasReferences = interfaces.some((text) => text.includes('Reference'))
  return `// Puts back what ${stem} holds: ${commentSafe(describeScope(scope))},
// ${formatCount(totalOf(counts))} rows as they were at ${createdAt}. Bootkeeper wrote this program with the backup.
// Rows are told apart by their primary key and get the values of the backup; all other rows stay as they are.
//
//   npx tsx ${program}             says what it would do, and changes nothing
//   npx tsx ${program} --restore   does it, after a backup of the whole database

${hasReferences ? `/** How a row names another one: by its natural key, or by its id. */\nexport type Reference = string | number | boolean | null | Reference[] | { '#': Reference }\n\n` : ''}${interfaces.join('\n')}
/** What the rows are called in what is printed. */
const names = {
${own.map((model) => `  ${memberName(model.name)}: (${nameOf(model).includes('row') ? 'row' : '_row'}: ${names.get(model)}) => ${nameOf(model)},`).join('\n')}
}

/** Bootkeeper, as seen from this file. A constant, so that this file type-checks wherever it is. */
const bootkeeper: string = ${quote(entry)}

async function main(): Promise<void> {
  const { restoreTables } = await import(bootkeeper).catch(moved)
  await restoreTables({ file: ${quote(exportName)}, project: ${quote(project)}, names })
}

function moved(error: Error): never {
  console.error(\`Bootkeeper was not found where it was when this was written: \${error.message}
Run instead: npx bootkeeper restore ${stem} --apply
Or correct the path in a copy of this file beside it.\`)
  process.exit(69)
}

void main()
`
}

function interfaceOf(model: Model, name: string, models: Model[]): string {
  const members = planRow(model, models).members.map(({ name: member, value }) => {
    const [type, isNullable] = typeOf(model, member, value)
    return `  ${memberName(member)}: ${type}${isNullable ? ' | null' : ''}`
  })
  return `/** A row of ${model.name}, as the backup has it. */\nexport interface ${name} {\n${members.join('\n')}\n}\n`
}

function typeOf(model: Model, member: string, value: Value): [string, boolean] {
  if (value.kind === 'reference') return ['Reference', !model.relations.find(({ name }) => name === member)?.isRequired]
  const { field } = value
  const scalar = scalarType(field)
  return [
    field.isList ? `${scalar.includes('|') ? `(${scalar})` : scalar}[]` : scalar,
    !field.isRequired && !field.isList,
  ]
}

function scalarType({ type, enum: values }: Field): string {
  switch (type) {
    case 'Int':
    case 'Float':
      return 'number'
    case 'Boolean':
      return 'boolean'
    case 'DateTime':
      return 'string | number'
    case 'Enum':
      return values?.values.map(({ name }) => quote(name)).join(' | ') || 'string'
    default:
      return 'string'
  }
}

/** By primary key and the plain parts of the natural key: what no schema calls secret. */
function nameOf(model: Model): string {
  const parts = [
    ...model.primaryKey,
    ...model.naturalKey.filter(({ kind }) => kind === 'field').map(({ name }) => name),
  ]
  const shown = [...new Set(parts)].filter((name) => {
    const field = model.fields.find((each) => each.name === name)
    return field && !field.isSecret && !model.relations.some(({ from }) => from.includes(name))
  })
  const access = shown.map((name) => `\${row${isIdentifier(name) ? `.${name}` : `[${quote(name)}]`}}`)
  return `\`${[model.name, ...access].join(' ')}\``
}

/** The name of a model is one of a type, but for the tables of many-to-many relations. */
function typeName({ name, isJoinTable }: Model): string {
  const plain = name.replace(/\W/g, '_')
  return isJoinTable || ['Reference', 'Promise', 'Error', 'JSON'].includes(plain) ? `${plain}Row` : plain
}

function memberName(name: string): string {
  return isIdentifier(name) ? name : quote(name)
}

function isIdentifier(name: string): boolean {
  return /^[A-Za-z_$][\w$]*$/.test(name)
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n').replaceAll('\r', '\\r')}'`
}

/** A filter may hold a line break of any kind, after which a comment would be code. */
function commentSafe(text: string): string {
  return text.replace(/[\r\n\u2028\u2029]+/g, ' ')
}
