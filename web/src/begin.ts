// Starts an operation and goes to its page.

import type { OperationRequest } from '../../src/console/contract.ts'
import { call } from './api.ts'
import { go } from './route.ts'

/** Throws ApiError. */
export async function begin(request: OperationRequest): Promise<void> {
  const { id } = await call('POST /api/operations', request)
  go(`${request.kind === 'backup' || request.kind === 'verify' ? 'backups' : 'restore'}/${id}`)
}
