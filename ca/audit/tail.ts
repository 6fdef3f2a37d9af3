/** Reading the end of a log, and what is added to it, from its files alone. */

import { type Clock, sleep } from '../../core/index.ts';
import type { AuditRecord } from './event.ts';
import { parseRecord } from './record-line.ts';
import { listSegments, readLines } from './segment.ts';

/** The last `count` records, oldest first. Throws {@link AuditError} if the log cannot be read. */
export async function readTail(options: {
  readonly directory: string;
  readonly count: number;
}): Promise<readonly AuditRecord[]> {
  const count = Math.min(options.count, tailMax);
  let newest: readonly Uint8Array[] = [];
  for (const { path } of (await listSegments(options.directory)).toReversed()) {
    if (newest.length >= count) break;
    newest = [...(await lastLines(path, count - newest.length)), ...newest];
  }
  return newest.map(parseRecord).filter((record) => record !== undefined);
}

/** At most `limit` records from index `from` on. Throws {@link AuditError} if the log cannot be read. */
export async function readRecords(options: {
  readonly directory: string;
  readonly from: number;
  readonly limit: number;
}): Promise<readonly AuditRecord[]> {
  const { directory, from } = options;
  const limit = Math.min(options.limit, tailMax);
  const segments = await listSegments(directory);
  const records: AuditRecord[] = [];
  const begin = segments.findLastIndex(({ firstIndex }) => firstIndex <= Math.max(0, from));
  for (const { path, firstIndex } of segments.slice(Math.max(0, begin))) {
    let index = firstIndex;
    for await (const { lines } of readLines(path)) {
      const wanted = lines.slice(Math.max(0, from - index)).slice(0, limit - records.length);
      index += lines.length;
      records.push(...wanted.map(parseRecord).filter((record) => record !== undefined));
      if (records.length >= limit) return records;
    }
  }
  return records;
}

/**
 * Every record from index `from` on, as it is written, until `signal` is aborted.
 *
 * It polls: the log may be written by another process, and a file system's own notice of a change
 * is not to be had everywhere.
 */
export async function* followRecords(options: {
  readonly directory: string;
  readonly from: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly pollMs?: number;
}): AsyncGenerator<AuditRecord> {
  const { directory, clock, signal, pollMs = pollMsDefault } = options;
  let next = options.from;
  let place = { firstIndex: -1, offset: 0 };
  while (!signal.aborted) {
    // Listed before reading: if a later segment is there now, this one is complete.
    const segments = await listSegments(directory);
    const current =
      segments.find(({ firstIndex }) => firstIndex === place.firstIndex) ??
      segments.findLast(({ firstIndex }) => firstIndex <= next) ??
      // What was asked for was archived: it goes on with what is there.
      segments[0];
    if (current !== undefined) {
      if (current.firstIndex !== place.firstIndex) place = { ...current, offset: 0 };
      for await (const { lines } of readLines(current.path, place.offset)) {
        for (const line of lines) {
          place = { ...place, offset: place.offset + line.length + 1 };
          const record = parseRecord(line);
          if (record === undefined || record.index < next) continue;
          next = record.index + 1;
          yield record;
          if (signal.aborted) return;
        }
      }
      const later = segments.find(({ firstIndex }) => firstIndex > place.firstIndex);
      if (later !== undefined) {
        place = { firstIndex: later.firstIndex, offset: 0 };
        continue;
      }
    }
    await sleep(clock, pollMs, signal);
  }
}

async function lastLines(path: string, count: number): Promise<readonly Uint8Array[]> {
  let kept: Uint8Array[] = [];
  for await (const { lines } of readLines(path)) {
    kept = [...kept, ...lines.slice(-count)].slice(-count);
  }
  // Copies: a line is a view of its chunk, and a few lines must not hold many chunks.
  return kept.map((line) => line.slice());
}

// A person reads a screenful; a program reads the files.
const tailMax = 10_000;
const pollMsDefault = 250;
