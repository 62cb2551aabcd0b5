// The settings of the app: at the beginning of a fresh install, and at any time after it.
// Guarantees: only what was touched is sent; what was typed stays when something goes wrong, and when the settings were
// changed elsewhere; each wrong field says so itself, and the first one gets the focus.

import { useEffect, useRef, useState } from 'preact/hooks'
import type { Failure, Overview, SettingsGroup } from '../../src/console/contract.ts'
import { call, failureOf } from './api.ts'
import { FailureBox, Page, Waiting } from './parts.tsx'
import { go, useUnsaved } from './route.ts'
import { SettingField, type Typed } from './setting-field.tsx'

type Draft = Record<string, Typed>

const keyOf = (model: string, field: string) => `${model}.${field}`

export function SettingsPage({
  id,
  overview,
  onFinished,
}: {
  /** `saved`: the last step of the setup. */
  id: string | undefined
  overview: Overview
  onFinished: () => Promise<void>
}) {
  // Of this visit: the last step of the setup is still a part of it.
  const [isFresh, setFresh] = useState(!overview.isSetUp)
  const [groups, setGroups] = useState<SettingsGroup[]>()
  const [failure, setFailure] = useState<Failure>()
  const [saved, setSaved] = useState<string[]>()

  async function read() {
    setFailure(undefined)
    await call('GET /api/settings', {}).then(
      (answer) => setGroups(answer.groups),
      (error) => setFailure(failureOf(error)),
    )
  }
  useEffect(() => {
    void read()
  }, [])

  async function skip() {
    await onFinished()
    go('')
  }
  async function finish(labels: string[]) {
    await onFinished()
    setSaved(labels)
    setFresh(false)
    // An address of its own, so that the link to the settings leads somewhere.
    go('settings/saved')
  }

  if (saved && id === 'saved') return <Finished app={overview.app} labels={saved} />
  const title = isFresh ? `Set up ${overview.app}` : 'Settings'
  if (failure)
    return (
      <Page title={title}>
        <FailureBox failure={failure}>
          <button type="button" class="main" onClick={read}>
            Try again
          </button>
          {isFresh && (
            <button type="button" onClick={skip}>
              Skip this for now
            </button>
          )}
        </FailureBox>
      </Page>
    )
  if (!groups) return <Waiting what="Reading the settings …" />
  return (
    <Page
      title={title}
      lead={
        isFresh
          ? 'What the app needs to know. You can leave anything out, and change it later under Settings.'
          : `What ${overview.app} keeps in its database. It may have to be restarted to take them up.`
      }
    >
      {groups.length === 0 ? (
        <>
          <p class="note">This app has no settings that could be filled in here.</p>
          {isFresh && (
            <div class="actions">
              <button type="button" class="main" onClick={skip}>
                Continue
              </button>
            </div>
          )}
        </>
      ) : (
        <SettingsForm
          groups={groups}
          isFresh={isFresh}
          onRead={setGroups}
          onFinished={finish}
          onSkip={isFresh ? skip : undefined}
        />
      )}
    </Page>
  )
}

function SettingsForm({
  groups,
  isFresh,
  onRead,
  onFinished,
  onSkip,
}: {
  groups: SettingsGroup[]
  isFresh: boolean
  onRead: (groups: SettingsGroup[]) => void
  onFinished: (labels: string[]) => Promise<void>
  onSkip: (() => void) | undefined
}) {
  const form = useRef<HTMLFormElement>(null)
  const [draft, setDraft] = useState<Draft>({})
  const [problems, setProblems] = useState<Record<string, string>>({})
  const [failure, setFailure] = useState<Failure>()
  const [said, setSaid] = useState<{ text: string; isGood: boolean }>()
  const [isBusy, setBusy] = useState(false)
  // By the failure, which comes with them: what is mended afterwards moves nobody.
  useEffect(() => {
    if (failure?.problems) form.current?.querySelector<HTMLElement>('[aria-invalid]')?.focus()
  }, [failure])

  const untouched = groups.every((group) => touchedOf(group, draft).length === 0)
  useUnsaved(untouched ? undefined : 'What you have typed is not saved.')

  function change(key: string, typed: Typed | undefined) {
    setSaid(undefined)
    setProblems(({ [key]: _, ...others }) => others)
    setDraft(({ [key]: _, ...others }) => (typed === undefined ? others : { ...others, [key]: typed }))
  }

  async function submit(event: Event) {
    event.preventDefault()
    if (isBusy) return
    setFailure(undefined)
    setProblems({})
    setSaid(undefined)
    const touched = groups.flatMap((group) => {
      const values = Object.fromEntries(touchedOf(group, draft).map(({ name, typed }) => [name, typed]))
      // A row that is not there is made, with what the schema gives it.
      return group.isThere && Object.keys(values).length === 0
        ? []
        : [{ model: group.model, version: group.version, values }]
    })
    const labels = groups.flatMap((group) => touchedOf(group, draft).map(({ label }) => label))
    setBusy(true)
    try {
      if (touched.length > 0) {
        onRead((await call('POST /api/settings', { groups: touched })).groups)
        // What was typed while it was saved is not saved yet.
        setDraft((now) => Object.fromEntries(Object.entries(now).filter(([key, typed]) => draft[key] !== typed)))
      }
      if (isFresh) return await onFinished(labels)
      const names = labels.length > 0 ? `Saved: ${labels.join(', ')}.` : 'Saved.'
      const none = 'There was nothing to save: no field was changed.'
      setSaid({ text: touched.length > 0 ? names : none, isGood: touched.length > 0 })
    } catch (error) {
      const found = failureOf(error)
      setFailure(found)
      const told = (found.problems ?? []).map(({ model, field, message }) => [keyOf(model, field), message] as const)
      setProblems(Object.fromEntries(told))
    }
    setBusy(false)
  }

  async function readAgain() {
    try {
      const { groups: newest } = await call('GET /api/settings', {})
      const changed = differences(groups, newest)
      onRead(newest)
      setFailure(undefined)
      const what = changed.length > 0 ? `Changed elsewhere: ${changed.join(', ')}.` : 'A secret was changed elsewhere.'
      setSaid({ text: `${what} What you have typed is kept. Look at it, then save.`, isGood: false })
    } catch (error) {
      setFailure(failureOf(error))
    }
  }

  return (
    <form ref={form} onSubmit={submit} noValidate>
      {groups.map((group) => (
        <section
          key={group.model}
          class="group"
          aria-labelledby={groups.length > 1 ? `group-${group.model}` : undefined}
        >
          {groups.length > 1 && <h2 id={`group-${group.model}`}>{group.title}</h2>}
          {group.hint && <p class="fine">{group.hint}</p>}
          {group.fields.map((field) => {
            const key = keyOf(group.model, field.name)
            return (
              <SettingField
                key={key}
                model={group.model}
                version={group.version}
                field={field}
                typed={draft[key]}
                problem={problems[key]}
                onChange={(typed) => change(key, typed)}
              />
            )
          })}
        </section>
      ))}
      {failure && !failure.problems && (
        <FailureBox failure={failure}>
          {failure.code === 'SETTINGS_CHANGED' && (
            <button type="button" class="main" onClick={readAgain}>
              Read them again
            </button>
          )}
        </FailureBox>
      )}
      {failure?.problems && (
        <p class="problem" role="alert">
          {`Nothing was saved. ${failure.message}`}
        </p>
      )}
      <div role="status">{said && <div class={said.isGood ? 'note good' : 'note'}>{said.text}</div>}</div>
      <div class="actions">
        <button type="submit" class="main" aria-disabled={isBusy}>
          {isBusy ? 'Saving …' : isFresh ? 'Save and finish' : 'Save'}
        </button>
        {onSkip && (
          <button type="button" onClick={onSkip}>
            Skip this for now
          </button>
        )}
      </div>
    </form>
  )
}

function Finished({ app, labels }: { app: string; labels: string[] }) {
  return (
    <Page title={`${app} is set up`} lead="That was all.">
      <section class="note good">
        <p>{labels.length > 0 ? `Saved: ${labels.join(', ')}.` : 'The settings are those that the app comes with.'}</p>
        <p>You can change them at any time under Settings, and bring data back under Restore.</p>
      </section>
      <div class="actions">
        <a class="button main" href="#/">
          To the first page
        </a>
      </div>
    </Page>
  )
}

/** A secret that was emptied is not meant to go: there is a button for that. */
function touchedOf({ model, fields }: SettingsGroup, draft: Draft): { name: string; label: string; typed: Typed }[] {
  return fields.flatMap(({ name, label, isSecret }) => {
    const typed = draft[keyOf(model, name)]
    return typed === undefined || (isSecret && typed === '') ? [] : [{ name, label, typed }]
  })
}

/** What somebody else has changed, as far as the page is told. */
function differences(before: SettingsGroup[], now: SettingsGroup[]): string[] {
  return now.flatMap(({ model, fields }) =>
    fields.flatMap(({ name, label, value, isSet, isSecret }) => {
      const old = before.find((group) => group.model === model)?.fields.find((field) => field.name === name)
      if (!old || (old.value === value && old.isSet === isSet)) return []
      return [isSecret || value === null ? label : `${label} (now “${value}”)`]
    }),
  )
}
