// What the scope of an export means for the models of the schema. Guarantees: nothing that the scope does not name is
// exported; a model that is marked as transient is, where it is named.

import type { DataModel, Model } from '../data-model.ts'
import type { PartialScope, Scope } from '../scope.ts'
import { exportedModels } from './engine-export.ts'
import type { SelectionRequest } from './row-selection.ts'
import { conditionOf } from './where-filter.ts'

export interface ScopedExport {
  /** In the order of the data model. With `whole` those that may have rows. */
  models: Model[]
  /** Which rows, where it is not all of them. */
  selection?: SelectionRequest
}

/** Throws USAGE for a filter that the schema does not have. */
export function scopedExport(dataModel: DataModel, scope: Scope): ScopedExport {
  if (scope === 'everything') return { models: exportedModels(dataModel) }
  const [root, ...others] = scope.models.map((name) => modelOf(dataModel, name)) as [Model, ...Model[]]
  const condition = conditionOf(dataModel, scope)
  if (scope.whole && condition) {
    const models = dataModel.models.filter((each) => !each.isTransient || each === root)
    return { models, selection: { models, root, condition, isWhole: true } }
  }
  const models = dataModel.models.filter((each) => each === root || others.includes(each))
  return condition ? { models, selection: { models: [root], root, condition, isWhole: false } } : { models }
}

/** The scope as the header has it, when it is known which models have rows. */
export function describedScope(scope: Scope, models: Model[]): Scope {
  if (scope === 'everything' || !scope.whole) return scope
  const [root] = scope.models as [string]
  return { ...scope, models: [root, ...models.map(({ name }) => name).filter((name) => name !== root)] }
}

/** The scope with nothing but its models and rows, for those that refer to it. */
export function isPlainPart(scope: Scope): scope is PartialScope {
  return scope !== 'everything' && !scope.whole
}

function modelOf({ models }: DataModel, name: string): Model {
  const model = models.find((each) => each.name === name)
  if (!model) throw new Error(`the schema has no model ${name}`)
  return model
}
