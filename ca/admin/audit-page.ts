/** A page of the audit log, read from its files. */

import type { AuditRecord } from '../audit/event.ts';
import { readRecords } from '../audit/tail.ts';

/** The records from index `from` up to `limit` of them; `size` is how many are durable. Throws AuditError. */
export async function readAuditPage(p: {
  readonly directory: string;
  readonly from: number;
  readonly limit: number;
  readonly size: number;
}): Promise<readonly AuditRecord[]> {
  if (p.from >= p.size) return [];
  const records = await readRecords(p);
  // What is written and not yet durable is nobody's to see.
  return records.filter(({ index }) => index < p.size);
}
