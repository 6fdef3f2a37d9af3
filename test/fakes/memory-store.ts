/** A store in memory: the same transactions, watches and bounds, with nothing on a disk. */

import type { Closable } from '../../core/index.ts';
import type {
  BatchListener,
  CommitResult,
  LostListener,
  RangeRequest,
  RangeResult,
  Store,
  StoreEvent,
  StoreItem,
  Transaction,
  WatchRequest,
} from '../../ca/store/store.ts';
import { StoreError } from '../../ca/store/store-error.ts';
import {
  checkKey,
  checkPrefix,
  checkTransaction,
  judgeTransaction,
} from '../../ca/store/transaction.ts';
import { type EventPage, WatchHub } from '../../ca/store/watch-hub.ts';

export class MemoryStore implements Store {
  readonly #items = new Map<string, StoreItem>();
  readonly #eventRevisionsKept: number;
  readonly #hub: WatchHub;
  /** By revision; a revision always has an event. */
  readonly #log = new Map<number, readonly StoreEvent[]>();
  #failure: Error | undefined;
  #closed = false;

  constructor(options: { readonly eventRevisionsKept?: number } = {}) {
    this.#eventRevisionsKept = options.eventRevisionsKept ?? 10_000;
    this.#hub = new WatchHub({ read: (from, to) => this.#read(from, to) }, 0);
  }

  /** Makes every operation fail with `error` until it is called with undefined. */
  failWith(error: Error | undefined): void {
    this.#failure = error;
  }

  revision(): number {
    return this.#hub.revision();
  }

  async get(key: string): Promise<StoreItem | undefined> {
    checkKey(key);
    await this.#ready();
    return this.#items.get(key);
  }

  async range(request: RangeRequest): Promise<RangeResult> {
    checkPrefix(request.prefix);
    await this.#ready();
    const after = request.after ?? '';
    const items = [...this.#items.values()]
      .filter(({ key }) => key.startsWith(request.prefix) && key > after)
      .toSorted((left, right) => (left.key < right.key ? -1 : 1));
    return { items: items.slice(0, request.limit), revision: this.revision() };
  }

  /** Pages of two, so that whoever reads them meets more than one. */
  async *pages(prefix: string): AsyncGenerator<RangeResult> {
    const { items, revision } = await this.range({ prefix });
    for (let at = 0; at === 0 || at < items.length; at += 2) {
      await this.#ready();
      yield { items: items.slice(at, at + 2), revision };
    }
  }

  async commit(transaction: Transaction): Promise<CommitResult> {
    checkTransaction(transaction);
    await this.#ready();
    const revision = this.revision() + 1;
    const verdict = judgeTransaction(transaction, revision, (key) => this.#items.get(key));
    if (verdict.kind === 'conflict') return verdict;
    if (verdict.events.length === 0) return { kind: 'committed', revision: revision - 1 };
    for (const event of verdict.events) this.#apply(event);
    this.#log.set(revision, verdict.events);
    this.#log.delete(revision - this.#eventRevisionsKept);
    this.#hub.publish(verdict.events, revision);
    return { kind: 'committed', revision };
  }

  watch(request: WatchRequest, onBatch: BatchListener, onLost?: LostListener): Closable {
    checkPrefix(request.prefix);
    return this.#hub.watch(request, onBatch, onLost);
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#hub.close();
    return Promise.resolve();
  }

  async #read(from: number, to: number): Promise<EventPage | 'compacted'> {
    await this.#ready();
    const through = Math.min(to, from + 2);
    const events: StoreEvent[] = [];
    for (let revision = from; revision <= through; revision += 1) {
      const found = this.#log.get(revision);
      if (found === undefined) return 'compacted';
      events.push(...found);
    }
    return { events, through };
  }

  #apply(event: StoreEvent): void {
    if (event.kind === 'delete') {
      this.#items.delete(event.key);
      return;
    }
    const { key, createRevision, revision } = event;
    // A copy, as a disk would make: the caller may use its array again.
    const value = event.value.slice();
    this.#items.set(key, { key, value, createRevision, modRevision: revision });
  }

  /** Every operation takes a turn, as one on a disk does. */
  async #ready(): Promise<void> {
    await Promise.resolve();
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) throw new StoreError('store_closed', 'the store is closed');
  }
}
