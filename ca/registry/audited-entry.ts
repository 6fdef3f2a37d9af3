/** What of an entry goes into the audit log. */

import type { AuditedEntry } from '../audit/event.ts';
import type { RegistrationEntry } from './registration-entry.ts';

export function auditedEntry({
  id,
  spiffeId,
  parentId,
  selectors,
  revision,
}: RegistrationEntry): AuditedEntry {
  return { id, spiffeId, parentId, selectors, revision };
}
