// Where the page is: the part of the address behind `#/`.

import { useEffect, useLayoutEffect, useState } from 'preact/hooks'

export function go(path: string): void {
  window.location.hash = `/${path}`
}

let unsaved: string | undefined

/** Asks before the page is left: `what` says what would be lost. */
export function useUnsaved(what: string | undefined): void {
  // Before anything else can lead away.
  useLayoutEffect(() => {
    unsaved = what
    return () => {
      unsaved = undefined
    }
  }, [what])
  useEffect(() => {
    if (what === undefined) return
    const ask = (event: BeforeUnloadEvent) => event.preventDefault()
    window.addEventListener('beforeunload', ask)
    return () => window.removeEventListener('beforeunload', ask)
  }, [what])
}

export function useRoute(): string[] {
  const [route, setRoute] = useState(read)
  useEffect(() => {
    const follow = ({ oldURL }: HashChangeEvent) => {
      if (unsaved !== undefined && !window.confirm(`${unsaved} Leave the page all the same?`))
        return window.history.pushState(null, '', oldURL)
      setRoute(read())
    }
    window.addEventListener('hashchange', follow)
    return () => window.removeEventListener('hashchange', follow)
  }, [])
  return route
}

function read(): string[] {
  return window.location.hash.replace(/^#\/?/, '').split('/').filter(Boolean)
}

/** The setup code that the link in the log carries. It is taken out of the address, which is kept in histories. */
export function takeSetupCode(): string {
  const code = /^#([2-9A-HJ-NP-Z]{4}(?:-[2-9A-HJ-NP-Z]{4}){2})$/i.exec(window.location.hash)?.[1] ?? ''
  if (code) window.history.replaceState(null, '', window.location.pathname)
  return code
}
