/**
 * The Store port: the only state that CA replicas share, shaped like etcd (range read, transaction
 * with compare, watch from a revision) so that an embedded or a replicated store can stand behind it.
 *
 * Every committed transaction that changes something gets the next revision. Key names are in
 * `key-layout.ts`, and nowhere else.
 */

import type { Closable } from '../../core/index.ts';

export interface StoreItem {
  readonly key: string;
  readonly value: Uint8Array;
  /** The revision that made the key; a delete and a later put make a new one. */
  readonly createRevision: number;
  /** The revision that last wrote the key: what a compare names. */
  readonly modRevision: number;
}

export interface RangeRequest {
  readonly prefix: string;
  /** Only keys that sort after this one: pass the last key of the page before. */
  readonly after?: string;
  /** At most so many items; absent means all, for prefixes known to be small. */
  readonly limit?: number;
}

export interface RangeResult {
  /** In the byte order of their keys. */
  readonly items: readonly StoreItem[];
  /** The revision at which all items were read: a watch from `revision + 1` misses nothing. */
  readonly revision: number;
}

export interface Compare {
  readonly key: string;
  /** The `modRevision` the key must have; 0 means that it must be absent. */
  readonly modRevision: number;
}

export interface Put {
  readonly key: string;
  readonly value: Uint8Array;
}

export interface Transaction {
  /** All must hold, else nothing is written. */
  readonly compare?: readonly Compare[];
  readonly puts?: readonly Put[];
  /** Deleting an absent key is not an error and no event. */
  readonly deletes?: readonly string[];
}

export type CommitResult =
  /** Durable. A transaction that changed nothing reports the revision it was judged at. */
  | { readonly kind: 'committed'; readonly revision: number }
  /** The first key whose compare did not hold. */
  | { readonly kind: 'conflict'; readonly key: string };

export type StoreEvent =
  | {
      readonly kind: 'put';
      readonly key: string;
      readonly value: Uint8Array;
      readonly createRevision: number;
      readonly revision: number;
    }
  | { readonly kind: 'delete'; readonly key: string; readonly revision: number };

export interface WatchRequest {
  readonly prefix: string;
  /** The first revision to deliver, as in etcd: after a range at `revision`, pass `revision + 1`. */
  readonly fromRevision: number;
}

/** Called with the events of one or more whole transactions, in order, never a part of one. */
export type BatchListener = (events: readonly StoreEvent[]) => void;

/**
 * Called once when gap-free delivery is no longer possible: the revision asked for was compacted
 * away, the event log could not be read, or the listener threw. The watch has ended; list again
 * (which also brings a read error to light) and watch from there.
 */
export type LostListener = () => void;

export interface Store extends Closable {
  get(key: string): Promise<StoreItem | undefined>;
  range(request: RangeRequest): Promise<RangeResult>;
  /**
   * Everything under a prefix, page by page and all as it stood at one revision, for prefixes too large
   * to be held whole. There is always a page, so that the revision is known where there are no items.
   */
  pages(prefix: string): AsyncIterable<RangeResult>;
  /** Resolves when the transaction is durable or has lost a compare. Throws {@link StoreError}. */
  commit(transaction: Transaction): Promise<CommitResult>;
  /** Delivers every matching event from a revision on: past ones first, then new ones, no gap. */
  watch(request: WatchRequest, onBatch: BatchListener, onLost?: LostListener): Closable;
  /** The revision of the newest committed transaction. */
  revision(): number;
}
