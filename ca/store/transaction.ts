/** What a transaction means, apart from where it is written: checked, judged, turned into events. */

import { StoreError } from './store-error.ts';
import type { StoreEvent, Transaction } from './store.ts';

/** The two revisions of a key that stands. */
export interface KeyVersion {
  readonly createRevision: number;
  readonly modRevision: number;
}

export type Verdict =
  | { readonly kind: 'conflict'; readonly key: string }
  /** What the transaction changes, all at the revision it was judged for; empty if nothing. */
  | { readonly kind: 'write'; readonly events: readonly StoreEvent[] };

/** Judges a transaction that would become `revision`, where `versionOf` says what stands now. */
export function judgeTransaction(
  transaction: Transaction,
  revision: number,
  versionOf: (key: string) => KeyVersion | undefined,
): Verdict {
  for (const { key, modRevision } of transaction.compare ?? []) {
    if ((versionOf(key)?.modRevision ?? 0) !== modRevision) return { kind: 'conflict', key };
  }
  const events: StoreEvent[] = [];
  for (const { key, value } of transaction.puts ?? []) {
    const createRevision = versionOf(key)?.createRevision ?? revision;
    events.push({ kind: 'put', key, value, createRevision, revision });
  }
  for (const key of transaction.deletes ?? []) {
    if (versionOf(key) !== undefined) events.push({ kind: 'delete', key, revision });
  }
  return { kind: 'write', events };
}

/** Every key the transaction reads or writes. */
export function keysOf(transaction: Transaction): readonly string[] {
  return [
    ...(transaction.compare ?? []).map(({ key }) => key),
    ...(transaction.puts ?? []).map(({ key }) => key),
    ...(transaction.deletes ?? []),
  ];
}

/** Throws {@link StoreError} for what no store may accept. */
export function checkTransaction(transaction: Transaction): void {
  const puts = transaction.puts ?? [];
  const written = [...puts.map(({ key }) => key), ...(transaction.deletes ?? [])];
  const keys = keysOf(transaction);
  if (keys.length > operationsMax) {
    throw new StoreError(
      'store_transaction_invalid',
      `a transaction has ${keys.length} operations, at most ${operationsMax} are allowed`,
    );
  }
  keys.forEach(checkKey);
  // Two writes of one key in one revision would have no order.
  if (new Set(written).size !== written.length) {
    throw new StoreError('store_transaction_invalid', 'a transaction writes one key twice');
  }
  const bytes = puts.reduce((sum, { value }) => sum + value.length, 0);
  if (bytes > transactionBytesMax) {
    throw new StoreError(
      'store_value_too_large',
      `a transaction writes ${bytes} bytes, at most ${transactionBytesMax} are allowed`,
    );
  }
}

export function checkKey(key: string): void {
  if (!keyPattern.test(key)) {
    throw new StoreError(
      'store_key_invalid',
      `${JSON.stringify(key.slice(0, 80))} is not a key: 1 to 512 printable ASCII characters`,
    );
  }
}

/** A prefix may be empty (everything), else it has a key's form. */
export function checkPrefix(prefix: string): void {
  if (prefix !== '') checkKey(prefix);
}

// Printable ASCII only: byte order and string order agree, so that every store pages alike.
const keyPattern = /^[!-~]{1,512}$/;

// A transaction is one act of an operator or a node; more than this is a program gone wrong.
const operationsMax = 1024;

// Every value also lies in the event log until compaction, so the log's size stays foreseeable.
const transactionBytesMax = 1024 * 1024;
