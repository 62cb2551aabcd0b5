// The page of maintenance mode as text. It must work where nothing else does, so it needs no other file but its style.
// Guarantees: whatever is put into it is escaped; it says nothing about the data, because anybody may see it.

import { type BootkeeperError, errorTable } from '../errors.ts'

export interface FailureContent {
  app: string
  bootkeeper: string
  failure: BootkeeperError
}

/** The message names tables, paths and servers, and is in the log; here is what kind of failure it is. */
export function failurePage(content: FailureContent): string {
  const { code } = content.failure
  const { meaning, safe } = errorTable[code]
  return page(
    content,
    `<h1>${escapeHtml(content.app)} did not start</h1>
<p class="what"><span class="code">${escapeHtml(code)}</span> ${escapeHtml(meaning)}</p>
<dl><dt>Your data</dt><dd>${escapeHtml(safe)}</dd>
<dt>What to do</dt><dd>Read the last lines of the log: they name what happened exactly, and the step to take.
This page can be seen by anybody, so it does not.</dd>
<dt>Then</dt><dd>Restart the container, or the program: the boot begins again from the first step.</dd></dl>`,
  )
}

function page(content: FailureContent, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(content.app)} · Bootkeeper</title><link rel="stylesheet" href="/style.css"></head>
<body><main>${body}</main><footer>Bootkeeper ${escapeHtml(content.bootkeeper)}</footer></body></html>
`
}

export function escapeHtml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
  return text.replace(/[&<>"']/g, (sign) => entities[sign]!)
}

export const styleSheet = `:root{color-scheme:light dark;--ink:#1c2127;--quiet:#59636e;--ground:#fbfaf7;--card:#fff;--line:#dcdfe3;--bad:#a8281f}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaed;--quiet:#a3abb5;--ground:#14171a;--card:#1c2025;--line:#343a41;--bad:#ff8f85}}
*{box-sizing:border-box}body{margin:0;font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--ground)}
main{max-width:52rem;margin:8vh auto 2rem;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:12px}
h1{margin:0 0 .75rem;font-size:1.6rem;line-height:1.25}.what{font-size:1.05rem}.code{font:600 .85em ui-monospace,monospace;color:var(--bad)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.5rem 1.25rem}dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}
footer{color:var(--quiet);font-size:.9rem}footer{max-width:52rem;margin:0 auto 2rem;padding:0 2rem}
@media (max-width:40rem){main{margin:0;border:0;border-radius:0;padding:1.25rem}dl{grid-template-columns:1fr}}
`
