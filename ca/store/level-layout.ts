/**
 * How the store lies inside level: every level key begins with one letter.
 *
 * | level key | value |
 * | --- | --- |
 * | `d/<key>` | createRevision (u64), modRevision (u64), then the value |
 * | `e/<revision, 16 hex digits>` | the events of that revision, as JSON |
 * | `m/format` | the version of this layout |
 * | `m/revision` | the newest revision |
 * | `m/oldest` | the oldest revision whose events are kept |
 */

import { fromBase64, toBase64, utf8Bytes, utf8Text } from '../../core/index.ts';
import { StoreError } from './store-error.ts';
import type { StoreEvent, StoreItem } from './store.ts';
import type { KeyVersion } from './transaction.ts';

export const formatKey = 'm/format';
export const revisionKey = 'm/revision';
export const oldestKey = 'm/oldest';
export const formatVersion = 1;

export const dataKey = (key: string): string => `d/${key}`;
export const eventKey = (revision: number): string =>
  `e/${revision.toString(16).padStart(16, '0')}`;

/** The level keys that hold the items of a prefix, after a key if one is given. */
export function dataRange(prefix: string, after: string | undefined): { gt: string; lt: string } {
  // Keys are printable ASCII: a space sorts before, and DEL after, all that follows a prefix.
  const start = `d/${prefix} `;
  const exclusive = after === undefined ? '' : dataKey(after);
  return { gt: exclusive > start ? exclusive : start, lt: `d/${prefix}\u007f` };
}

export function eventRange(from: number, to: number): { gte: string; lte: string } {
  return { gte: eventKey(from), lte: eventKey(to) };
}

export function encodeItem(value: Uint8Array, version: KeyVersion): Uint8Array {
  const bytes = new Uint8Array(headerBytes + value.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(version.createRevision));
  view.setBigUint64(8, BigInt(version.modRevision));
  bytes.set(value, headerBytes);
  return bytes;
}

export function decodeItem(levelKey: string, bytes: Uint8Array): StoreItem {
  return {
    key: levelKey.slice(2),
    value: bytes.subarray(headerBytes),
    ...decodeVersion(levelKey, bytes),
  };
}

export function decodeVersion(levelKey: string, bytes: Uint8Array): KeyVersion {
  if (bytes.length < headerBytes) throw corrupt(levelKey);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    createRevision: Number(view.getBigUint64(0)),
    modRevision: Number(view.getBigUint64(8)),
  };
}

export function encodeNumber(value: number): Uint8Array {
  return utf8Bytes(String(value));
}

export function decodeNumber(levelKey: string, bytes: Uint8Array): number {
  const text = utf8Text(bytes) ?? '';
  if (!/^\d{1,16}$/.test(text)) throw corrupt(levelKey);
  return Number(text);
}

export function encodeEvents(events: readonly StoreEvent[]): Uint8Array {
  const compact: CompactEvent[] = events.map((event) =>
    event.kind === 'put' ? [event.key, event.createRevision, toBase64(event.value)] : [event.key],
  );
  return utf8Bytes(JSON.stringify(compact));
}

export function decodeEvents(levelKey: string, bytes: Uint8Array): StoreEvent[] {
  const revision = Number.parseInt(levelKey.slice(2), 16);
  const compact = parseJson(levelKey, bytes);
  if (!Array.isArray(compact)) throw corrupt(levelKey);
  return compact.map((event: unknown): StoreEvent => {
    if (!Array.isArray(event)) throw corrupt(levelKey);
    const [key, createRevision, base64]: unknown[] = event;
    if (typeof key !== 'string') throw corrupt(levelKey);
    if (event.length === 1) return { kind: 'delete', key, revision };
    const value = typeof base64 === 'string' ? fromBase64(base64) : undefined;
    if (typeof createRevision !== 'number' || value === undefined) throw corrupt(levelKey);
    return { kind: 'put', key, value, createRevision, revision };
  });
}

/** A delete has the key alone; a put has the revision that made the key, and the value. */
type CompactEvent =
  | readonly [key: string]
  | readonly [key: string, createRevision: number, base64: string];

function parseJson(levelKey: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(utf8Text(bytes) ?? '');
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw corrupt(levelKey);
  }
}

export function corrupt(levelKey: string): StoreError {
  return new StoreError('store_corrupt', `the store's record ${levelKey} is damaged`, {
    remedy: 'restore the store from a backup',
  });
}

const headerBytes = 16;
