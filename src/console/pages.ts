// The console's two pages as text. Guarantees: whatever is put into them is escaped.

import type { BootkeeperError } from '../errors.ts'
import { formatMs } from '../log.ts'
import type { StepRecord } from '../state.ts'
import type { ConsoleContent } from './server.ts'

export function statusPage(content: ConsoleContent): string {
  return page(
    content,
    `<h1>${escapeHtml(content.app)} is up</h1>
<p>The data is safe. These are the steps of the boot of <time datetime="${escapeHtml(content.startedAt)}">${escapeHtml(readableTime(content.startedAt))}</time>.</p>
${timeline(content.steps)}
<p class="quiet">No app command is set, so this page is the app. Set <code>APP_COMMAND</code>, or put a command after
<code>--</code>, to start your own.</p>`,
  )
}

export function failurePage(content: ConsoleContent, failure: BootkeeperError): string {
  return page(
    content,
    `<h1>${escapeHtml(content.app)} did not start</h1>
<p class="what"><span class="code">${escapeHtml(failure.code)}</span> ${escapeHtml(failure.message)}</p>
<dl><dt>Your data</dt><dd>${escapeHtml(failure.safe)}</dd><dt>What to do</dt><dd>${escapeHtml(failure.next)}</dd>
<dt>Then</dt><dd>Restart the container: the boot begins again from the first step.</dd></dl>
${timeline(content.steps)}`,
  )
}

function readableTime(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`
}

const stateWords = { done: 'done', skipped: 'skipped', failed: 'failed' } as const

function timeline(steps: StepRecord[]): string {
  const rows = steps.map(({ name, state, ms, text }) => {
    const time = state === 'skipped' ? '' : formatMs(ms)
    return `<tr class="${state}"><th scope="row">${escapeHtml(name)}</th><td>${stateWords[state]}</td><td class="ms">${time}</td><td>${escapeHtml(text)}</td></tr>`
  })
  return `<table><caption>Boot</caption><thead><tr><th scope="col">Step</th><th scope="col">State</th><th scope="col" class="ms">Time</th><th scope="col">What it did</th></tr></thead><tbody>${rows.join('')}</tbody></table>`
}

function page(content: ConsoleContent, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(content.app)} · Bootkeeper</title><link rel="stylesheet" href="/style.css"></head>
<body><main>${body}</main><footer>Bootkeeper ${escapeHtml(content.bootkeeper)}</footer></body></html>
`
}

function escapeHtml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
  return text.replace(/[&<>"']/g, (sign) => entities[sign]!)
}

export const styleSheet = `:root{color-scheme:light dark;--ink:#1c2127;--quiet:#59636e;--ground:#fbfaf7;--card:#fff;--line:#dcdfe3;--good:#1a6b3c;--bad:#a8281f}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaed;--quiet:#a3abb5;--ground:#14171a;--card:#1c2025;--line:#343a41;--good:#63c48d;--bad:#ff8f85}}
*{box-sizing:border-box}body{margin:0;font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--ground)}
main{max-width:52rem;margin:8vh auto 2rem;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:12px}
h1{margin:0 0 .75rem;font-size:1.6rem;line-height:1.25}.what{font-size:1.05rem}.code{font:600 .85em ui-monospace,monospace;color:var(--bad)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.5rem 1.25rem}dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}
table{width:100%;border-collapse:collapse;margin:1.5rem 0;font-size:.92rem}caption{text-align:left;font-weight:600;padding:.25rem 0}
th,td{text-align:left;padding:.4rem .75rem .4rem 0;border-top:1px solid var(--line);vertical-align:top;white-space:nowrap}td:last-child{white-space:normal;overflow-wrap:anywhere}th{font-weight:600}
.ms{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}.skipped td{color:var(--quiet)}.done td:nth-child(2){color:var(--good)}.failed td:nth-child(2){color:var(--bad);font-weight:600}
.quiet,footer{color:var(--quiet);font-size:.9rem}footer{max-width:52rem;margin:0 auto 2rem;padding:0 2rem}code{font-family:ui-monospace,monospace;font-size:.92em}
@media (max-width:40rem){main{margin:0;border:0;border-radius:0;padding:1.25rem}dl{grid-template-columns:1fr}td:nth-child(3),th:nth-child(3){display:none}}
`
