// The current export format, version 1, for the flows: write it, read it back, recognise it. The document is described
// in bootkeeper-document.ts and, for readers in other languages, in docs/reference/export-format.md.

export { formatName, formatVersion, looksLikeExport } from './bootkeeper-document.ts'
export { readFooterCounts } from './bootkeeper-footer.ts'
export type { ExportHeader } from './bootkeeper-header.ts'
export { type VerifiedExport, verifyExport } from './bootkeeper-verify.ts'
export { openExportWriter } from './bootkeeper-writer.ts'
