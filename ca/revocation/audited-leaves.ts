/** The certificates that still live, read from the audit log's files. */

import { Buffer } from 'node:buffer';
import { parseRecord } from '../audit/record-line.ts';
import { listSegments, readLines, type SegmentName } from '../audit/segment.ts';
import { leafOf, type LiveLeaf } from './live-leaves.ts';

/**
 * Every leaf of the log that ends after `nowMs`. Segments whose last record is older than any leaf can live
 * are not opened. Throws AuditError if the log cannot be read.
 */
export async function* auditedLeaves(options: {
  readonly directory: string;
  readonly nowMs: number;
  /** No leaf lives longer: its issuer does not. */
  readonly lifeMsMax: number;
  /** Told once that records are elsewhere which are young enough to name living leaves. */
  readonly onGap?: () => void;
}): AsyncGenerator<LiveLeaf> {
  const { directory, nowMs, lifeMsMax, onGap } = options;
  const sinceMs = nowMs - lifeMsMax;
  const segments = await recent(await listSegments(directory), sinceMs);
  const [first] = segments;
  const beganMs = first === undefined ? undefined : await firstTimeMs(first);
  // What went before the first is as old as its first record, or older.
  let hasGap = (first?.firstIndex ?? 0) > 0 && !((beganMs ?? nowMs) < sinceMs);
  let next = first?.firstIndex ?? 0;
  for (const { path, firstIndex } of segments) {
    hasGap ||= firstIndex !== next;
    next = firstIndex;
    for await (const { lines } of readLines(path)) {
      next += lines.length;
      for (const line of lines) {
        // Most records issue nothing; looking for the word costs a tenth of reading the record.
        const bytes = Buffer.from(line.buffer, line.byteOffset, line.byteLength);
        if (!bytes.includes('"certificate"')) continue;
        const record = parseRecord(line);
        const leaf = record === undefined ? undefined : leafOf(record);
        if (leaf !== undefined && leaf.notAfterMs > nowMs) yield leaf;
      }
    }
  }
  if (hasGap) onGap?.();
}

/** The segments from the last one that begins before `sinceMs` on. */
async function recent(
  segments: readonly SegmentName[],
  sinceMs: number,
): Promise<readonly SegmentName[]> {
  for (let at = segments.length - 1; at > 0; at -= 1) {
    const segment = segments[at];
    if (segment === undefined) continue;
    const beganMs = await firstTimeMs(segment);
    if (beganMs !== undefined && beganMs < sinceMs) return segments.slice(at);
  }
  return segments;
}

async function firstTimeMs({ path }: SegmentName): Promise<number | undefined> {
  for await (const { lines } of readLines(path)) {
    const [line] = lines;
    const record = line === undefined ? undefined : parseRecord(line);
    return record === undefined ? undefined : Date.parse(record.time);
  }
  return undefined;
}
