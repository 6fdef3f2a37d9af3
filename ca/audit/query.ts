/** Asking the log from its files alone, in one pass and a fixed memory; there is no index to trust. */

import type { AuditRecord } from './event.ts';
import { type AuditFilter, lineTest, matchesFilter } from './record-filter.ts';
import { parseRecord } from './record-line.ts';
import { listSegmentsIn, readLines } from './segment.ts';

export interface QueryOptions extends AuditFilter {
  readonly directory: string;
  readonly archive?: string | undefined;
  /** Records before this index are passed over: how a next page is asked for. */
  readonly fromIndex?: number | undefined;
  /** Records from this index on are passed over: those that are not durable yet. */
  readonly endIndex?: number | undefined;
}

/** The records that match, oldest first. Throws {@link AuditError} if the log cannot be read. */
export async function* queryAudit(options: QueryOptions): AsyncGenerator<AuditRecord> {
  const { fromIndex = 0, endIndex = Infinity } = options;
  const mayMatch = lineTest(options);
  const segments = await listSegmentsIn(options);
  const begin = segments.findLastIndex(({ firstIndex }) => firstIndex <= fromIndex);
  for (const { path, firstIndex } of segments.slice(Math.max(0, begin))) {
    if (firstIndex >= endIndex) return;
    for await (const { lines } of readLines(path)) {
      for (const line of lines) {
        if (!mayMatch(line)) continue;
        const record = parseRecord(line);
        if (record === undefined || record.index < fromIndex) continue;
        if (record.index >= endIndex) return;
        if (matchesFilter(record, options)) yield record;
      }
    }
  }
}

/** The first `limit` that match, and the index to go on from if there may be more. */
export async function queryPage(
  options: QueryOptions,
  limit: number,
): Promise<{ readonly records: readonly AuditRecord[]; readonly next: number | undefined }> {
  const records: AuditRecord[] = [];
  for await (const record of queryAudit(options)) {
    if (records.length === limit) return { records, next: record.index };
    records.push(record);
  }
  return { records, next: undefined };
}

/**
 * The index of the record that issued a certificate, or undefined. A serial number is issued once
 * (RFC 5280 §4.1.2.2), so the first record that carries it as a certificate's is the one.
 */
export async function indexOfSerial(
  options: Pick<QueryOptions, 'directory' | 'archive'>,
  serial: string,
): Promise<number | undefined> {
  for await (const record of queryAudit({ ...options, serial })) {
    if ('certificate' in record && record.certificate.serial === serial) return record.index;
    if ('token' in record && record.token.jti === serial) return record.index;
  }
  return undefined;
}
