/**
 * Segments: the files that hold the records, one line each, named for the index of their first.
 *
 * Beside every segment but the first lies what the tree was when it began (`.tree`), so that a log
 * of any size opens by reading its last segment alone. It need not be trusted: with a wrong one the
 * root does not come out as signed.
 */

import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../../core/index.ts';
import { AuditError } from './audit-error.ts';
import { recordBytesMax } from './record-line.ts';

export interface SegmentName {
  readonly path: string;
  /** The index of its first record. */
  readonly firstIndex: number;
}

/** What the names of all files of a segment begin with. */
export function segmentName(firstIndex: number): string {
  return `records-${String(firstIndex).padStart(indexDigits, '0')}`;
}

export function segmentPath(directory: string, firstIndex: number): string {
  return join(directory, `${segmentName(firstIndex)}.jsonl`);
}

export function segmentTreePath(directory: string, firstIndex: number): string {
  return join(directory, `${segmentName(firstIndex)}.tree`);
}

/** The segments in order. Throws {@link AuditError} if the directory cannot be read. */
export async function listSegments(directory: string): Promise<readonly SegmentName[]> {
  let names: readonly string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    throw unreadable(directory, error);
  }
  return names
    .map((name) => ({ name, digits: /^records-(\d{12})\.jsonl$/.exec(name)?.[1] }))
    .filter(({ digits }) => digits !== undefined)
    .map(({ name, digits }) => ({ path: join(directory, name), firstIndex: Number(digits) }))
    .toSorted((left, right) => left.firstIndex - right.firstIndex);
}

/** The segments of a log and those that were archived from it, in order, each once. Throws {@link AuditError}. */
export async function listSegmentsIn(places: {
  readonly directory: string;
  readonly archive?: string | undefined;
}): Promise<readonly SegmentName[]> {
  const here = await listSegments(places.directory);
  if (places.archive === undefined) return here;
  const first = new Set(here.map(({ firstIndex }) => firstIndex));
  const moved = await listSegments(places.archive);
  return [...here, ...moved.filter(({ firstIndex }) => !first.has(firstIndex))].toSorted(
    (left, right) => left.firstIndex - right.firstIndex,
  );
}

export interface LineBatch {
  /** Whole lines, without their newlines. */
  readonly lines: readonly Uint8Array[];
  /** On the last batch of a file: the bytes after its last newline, if any. */
  readonly torn?: Uint8Array;
}

/** The lines of a segment, in batches, from a byte offset on. Throws {@link AuditError}. */
export async function* readLines(path: string, fromOffset = 0): AsyncGenerator<LineBatch> {
  let rest: Uint8Array = new Uint8Array(0);
  const file = await openToRead(path);
  try {
    for (let offset = fromOffset; ; ) {
      const chunk = new Uint8Array(rest.length + chunkBytes);
      chunk.set(rest);
      const { bytesRead } = await file
        .read(chunk, rest.length, chunkBytes, offset)
        .catch((error: unknown) => Promise.reject(unreadable(path, error)));
      if (bytesRead === 0) break;
      offset += bytesRead;
      const { lines, tail } = splitLines(chunk.subarray(0, rest.length + bytesRead));
      rest = tail;
      if (lines.length > 0) yield { lines };
      // No record is this long; without this check a file of no newlines would fill the memory.
      if (rest.length > recordBytesMax) break;
    }
  } finally {
    await file.close();
  }
  if (rest.length > 0) yield { lines: [], torn: rest };
}

function splitLines(bytes: Uint8Array): { lines: Uint8Array[]; tail: Uint8Array } {
  const lines: Uint8Array[] = [];
  let start = 0;
  for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return { lines, tail: bytes.subarray(start) };
}

async function openToRead(path: string) {
  try {
    return await open(path, 'r');
  } catch (error) {
    throw unreadable(path, error);
  }
}

export function unreadable(path: string, cause: unknown): AuditError {
  const isMissing = systemErrorCode(cause) === 'ENOENT';
  return new AuditError(
    'audit_unreadable',
    isMissing ? `${path} does not exist` : `${path} cannot be read`,
    { cause, remedy: isMissing ? 'check the path' : 'check its owner and mode' },
  );
}

const newline = 0x0a;
const chunkBytes = 256 * 1024;
// Twelve digits sort as text; a log that outgrows them has run for ever.
const indexDigits = 12;
