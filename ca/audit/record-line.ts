/** A record as a line of the log: canonical JSON, so that one record has one hash. */

import { canonicalJson, toHex, utf8Bytes, utf8Text } from '../../core/index.ts';
import { AuditError } from './audit-error.ts';
import type { AuditEvent, AuditRecord } from './event.ts';
import { leafHashOf } from './merkle.ts';

/** The hash that the first record names as the one before it. */
export const noPrevious = '0'.repeat(64);

/** The line of an event, without its newline, or the error if it is too large. */
export function formatRecord(
  event: AuditEvent,
  place: { readonly index: number; readonly timeMs: number; readonly previous: string },
): Uint8Array | AuditError {
  const { index, previous } = place;
  const record = { ...event, index, previous, time: new Date(place.timeMs).toISOString() };
  const line = utf8Bytes(canonicalJson(record));
  if (line.length > recordBytesMax) {
    return new AuditError(
      'audit_record_too_large',
      `a record of ${event.type} has ${line.length} bytes, at most ${recordBytesMax} are allowed`,
    );
  }
  return line;
}

/** The record of a line, or undefined if it is not one. Types this version does not know are kept. */
export function parseRecord(line: Uint8Array): AuditRecord | undefined {
  const text = utf8Text(line);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
  return isRecord(value) ? value : undefined;
}

/** Follows the chain of `previous` hashes from record to record. */
export class ChainReader {
  #index: number;
  #previous: string;

  constructor(index: number, previous: string) {
    this.#index = index;
    this.#previous = previous;
  }

  /** The index the next record must have. */
  index(): number {
    return this.#index;
  }

  previous(): string {
    return this.#previous;
  }

  /** Steps past a record of which only the hash is at hand. */
  skip(leafHash: Uint8Array): void {
    this.#index += 1;
    this.#previous = toHex(leafHash);
  }

  /** Judges the next line, and steps past it if it is sound. */
  read(line: Uint8Array): LineVerdict {
    const record = parseRecord(line);
    if (record === undefined) return { kind: 'unreadable' };
    if (record.index !== this.#index) return { kind: 'misplaced', found: record.index };
    if (record.previous !== this.#previous) return { kind: 'unchained' };
    const leafHash = leafHashOf(line);
    this.#index += 1;
    this.#previous = toHex(leafHash);
    return { kind: 'sound', record, leafHash };
  }
}

export type LineVerdict =
  | { readonly kind: 'sound'; readonly record: AuditRecord; readonly leafHash: Uint8Array }
  | { readonly kind: 'unreadable' }
  | { readonly kind: 'misplaced'; readonly found: number }
  /** Its `previous` is not the hash of the record before: one of the two was changed. */
  | { readonly kind: 'unchained' };

function isRecord(value: unknown): value is AuditRecord {
  return (
    typeof value === 'object' &&
    value !== null &&
    'actor' in value &&
    typeof value.actor === 'object' &&
    'index' in value &&
    typeof value.index === 'number' &&
    'previous' in value &&
    typeof value.previous === 'string' &&
    'time' in value &&
    typeof value.time === 'string' &&
    'type' in value &&
    typeof value.type === 'string'
  );
}

// A record names things and hashes; it never carries a certificate or a body. The largest is of an entry at all its
// bounds, with 64 selectors of 2 KiB that JSON may write twice as long, and 64 names each of two kinds.
export const recordBytesMax = 512 * 1024;
