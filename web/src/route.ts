// Where the page is: the part of the address behind `#/`.

import { useEffect, useState } from 'preact/hooks'

export function go(path: string): void {
  window.location.hash = `/${path}`
}

export function useRoute(): string[] {
  const [route, setRoute] = useState(read)
  useEffect(() => {
    const follow = () => setRoute(read())
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
