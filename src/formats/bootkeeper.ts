// The current export format, version 1, for the flows: write it, read it back, recognise it. The document is described
// in bootkeeper-document.ts and, for readers in other languages, in docs/reference/export-format.md.

export {
  type ExportHeader,
  exportHeaderSchema,
  formatName,
  formatVersion,
  looksLikeExport,
} from './bootkeeper-document.ts'
export { type VerifiedExport, verifyExport } from './bootkeeper-verify.ts'
export { openExportWriter } from './bootkeeper-writer.ts'
