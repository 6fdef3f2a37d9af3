/** A page of the audit log, read from its files. */

import type { Clock } from '../../core/index.ts';
import type { AuditRecord } from '../audit/event.ts';
import { followRecords } from '../audit/tail.ts';

/** The records from index `from` up to `limit` of them; `size` is how many are durable. Throws AuditError. */
export async function readAuditPage(p: {
  readonly directory: string;
  readonly clock: Clock;
  readonly from: number;
  readonly limit: number;
  readonly size: number;
}): Promise<readonly AuditRecord[]> {
  const end = Math.min(p.from + p.limit, p.size);
  if (p.from >= end) return [];
  const records: AuditRecord[] = [];
  const { signal } = new AbortController();
  for await (const record of followRecords({ ...p, signal })) {
    records.push(record);
    // All of them are on the disk by now, so the walk ends here and never waits for more.
    if (record.index >= end - 1) break;
  }
  return records;
}
