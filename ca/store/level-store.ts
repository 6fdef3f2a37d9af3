/**
 * The embedded store: level, with one synchronous atomic batch per group of commits.
 *
 * A batch holds the data, the revision counter and the event log, so a crash leaves all or nothing.
 * Commits that arrive while a batch is being written wait and share the next one: each still has
 * its own revision and is judged after the one before it.
 *
 * After a failed write nobody knows what is on the disk, so it is not written again until it was closed,
 * opened and read anew. The next commit does that, once there is room.
 */

import { type Closable, GroupCommit } from '../../core/index.ts';
import { hasRoom, type LevelDatabase, openDatabase } from './level-database.ts';
import { reading, writeError } from './level-faults.ts';
import {
  corrupt,
  dataKey,
  dataRange,
  decodeEvents,
  decodeItem,
  decodeNumber,
  decodeVersion,
  encodeEvents,
  encodeItem,
  encodeNumber,
  eventKey,
  eventRange,
  oldestKey,
  revisionKey,
} from './level-layout.ts';
import { StoreError } from './store-error.ts';
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
} from './store.ts';
import {
  checkKey,
  checkPrefix,
  checkTransaction,
  judgeTransaction,
  type KeyVersion,
  keysOf,
} from './transaction.ts';
import { type EventPage, WatchHub } from './watch-hub.ts';

export interface LevelStoreOptions {
  /** Made with mode 0700 if it is missing. */
  readonly directory: string;
  /** How many revisions a watcher may be behind before it must list again. */
  readonly eventRevisionsKept?: number;
}

/** Throws {@link StoreError}, `store_locked` when another process has it open. */
export async function openLevelStore(options: LevelStoreOptions): Promise<Store> {
  const { database, revision, oldest } = await openDatabase(options.directory);
  const kept = options.eventRevisionsKept ?? eventRevisionsKeptDefault;
  return new LevelStore({ directory: options.directory, database, revision, oldest, kept });
}

type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string };

type State =
  | { readonly kind: 'open' }
  | { readonly kind: 'failed'; readonly cause: unknown }
  | { readonly kind: 'closed' };

class LevelStore implements Store {
  readonly #directory: string;
  #database: LevelDatabase;
  /** While the database is closed and opened again, readers wait. */
  #reopening: Promise<void> | undefined;
  readonly #hub: WatchHub;
  readonly #eventRevisionsKept: number;
  readonly #commits: GroupCommit<Transaction, CommitResult>;
  #oldest: number;
  #state: State = { kind: 'open' };

  constructor(p: {
    readonly directory: string;
    readonly database: LevelDatabase;
    readonly revision: number;
    readonly oldest: number;
    readonly kept: number;
  }) {
    this.#directory = p.directory;
    this.#database = p.database;
    this.#oldest = p.oldest;
    this.#eventRevisionsKept = p.kept;
    this.#hub = new WatchHub({ read: (from, to) => this.#readEvents(from, to) }, p.revision);
    this.#commits = new GroupCommit({
      groupMax,
      queueMax,
      write: (group) => this.#writeOrFail(group),
      fullError: queueFullError,
    });
  }

  revision(): number {
    return this.#hub.revision();
  }

  async get(key: string): Promise<StoreItem | undefined> {
    checkKey(key);
    this.#checkReadable();
    await this.#reopening;
    const bytes = await reading(() => this.#database.get(dataKey(key)));
    return bytes === undefined ? undefined : decodeItem(dataKey(key), bytes);
  }

  async range(request: RangeRequest): Promise<RangeResult> {
    checkPrefix(request.prefix);
    this.#checkReadable();
    await this.#reopening;
    // Items and counter come from one snapshot; a batch may land between two reads.
    await using snapshot = this.#database.snapshot();
    const { gt, lt } = dataRange(request.prefix, request.after);
    const limit = request.limit ?? -1;
    const counter = await reading(() => this.#database.get(revisionKey, { snapshot }));
    const found = await reading(() => this.#database.iterator({ gt, lt, limit, snapshot }).all());
    return {
      items: found.map(([key, bytes]) => decodeItem(key, bytes)),
      revision: counter === undefined ? 0 : decodeNumber(revisionKey, counter),
    };
  }

  async *pages(prefix: string): AsyncGenerator<RangeResult> {
    checkPrefix(prefix);
    this.#checkReadable();
    await this.#reopening;
    await using snapshot = this.#database.snapshot();
    const counter = await reading(() => this.#database.get(revisionKey, { snapshot }));
    const revision = counter === undefined ? 0 : decodeNumber(revisionKey, counter);
    const range = dataRange(prefix, undefined);
    await using iterator = this.#database.iterator({
      ...range,
      snapshot,
      highWaterMarkBytes: pageBytes,
    });
    for (let isFirst = true; ; isFirst = false) {
      const found = await reading(() => iterator.nextv(pageItemsMax));
      if (found.length === 0 && !isFirst) return;
      yield { items: found.map(([key, bytes]) => decodeItem(key, bytes)), revision };
      if (found.length === 0) return;
    }
  }

  async commit(transaction: Transaction): Promise<CommitResult> {
    checkTransaction(transaction);
    this.#checkReadable();
    return this.#commits.add(transaction);
  }

  watch(request: WatchRequest, onBatch: BatchListener, onLost?: LostListener): Closable {
    checkPrefix(request.prefix);
    this.#checkReadable();
    return this.#hub.watch(request, onBatch, onLost);
  }

  async close(): Promise<void> {
    if (this.#state.kind === 'closed') return;
    this.#state = { kind: 'closed' };
    await this.#commits.drained();
    this.#hub.close();
    await this.#database.close();
  }

  async #writeOrFail(group: readonly Transaction[]): Promise<readonly CommitResult[]> {
    try {
      if (this.#state.kind === 'failed') await this.#recover(this.#state.cause);
      return await this.#write(group);
    } catch (error) {
      if (this.#state.kind === 'open') this.#state = { kind: 'failed', cause: error };
      throw error instanceof StoreError ? error : writeError(error);
    }
  }

  /**
   * Opens the database anew, so that what it holds is known again. Readers keep the old one for as long as
   * there is no room to open it. What a failed write did bring to the disk is published late.
   */
  async #recover(cause: unknown): Promise<void> {
    if (!(await hasRoom(this.#directory))) throw writeError(cause);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#reopening = promise;
    try {
      await this.#database.close();
      const { database, revision, oldest } = await openDatabase(this.#directory);
      this.#database = database;
      this.#oldest = oldest;
      await this.#publishMissed(revision);
      this.#state = { kind: 'open' };
    } finally {
      this.#reopening = undefined;
      resolve();
    }
  }

  async #publishMissed(revision: number): Promise<void> {
    for (let next = this.#hub.revision() + 1; next <= revision; ) {
      const page = await this.#readEvents(next, revision);
      if (page === 'compacted') throw corrupt(eventKey(next));
      this.#hub.publish(page.events, page.through);
      next = page.through + 1;
    }
  }

  async #write(group: readonly Transaction[]): Promise<readonly CommitResult[]> {
    const versions = await this.#versionsOf(group);
    const operations: Operation[] = [];
    const events: StoreEvent[] = [];
    const results: CommitResult[] = [];
    let revision = this.#hub.revision();
    for (const transaction of group) {
      const verdict = judgeTransaction(transaction, revision + 1, (key) => versions.get(key));
      if (verdict.kind === 'write' && verdict.events.length > 0) {
        revision += 1;
        const written = verdict.events;
        operations.push({ type: 'put', key: eventKey(revision), value: encodeEvents(written) });
        for (const event of written) operations.push(apply(event, versions));
        events.push(...written);
      }
      results.push(verdict.kind === 'conflict' ? verdict : { kind: 'committed', revision });
    }
    if (revision > this.#hub.revision()) {
      const oldest = this.#compact(revision, operations);
      operations.push({ type: 'put', key: revisionKey, value: encodeNumber(revision) });
      await this.#database.batch(operations, { sync: true });
      this.#oldest = oldest;
      this.#hub.publish(events, revision);
    }
    return results;
  }

  async #versionsOf(group: readonly Transaction[]): Promise<Map<string, KeyVersion>> {
    const keys = [...new Set(group.flatMap(keysOf))];
    const found = await this.#database.getMany(keys.map(dataKey));
    const versions = new Map<string, KeyVersion>();
    keys.forEach((key, index) => {
      // The library's types forget that a missing key is undefined here.
      const bytes: Uint8Array | undefined = found[index];
      if (bytes !== undefined) versions.set(key, decodeVersion(dataKey(key), bytes));
    });
    return versions;
  }

  /** Adds the deletion of events beyond the bound; returns the oldest revision then kept. */
  #compact(revision: number, operations: Operation[]): number {
    const oldest = Math.max(this.#oldest, revision - this.#eventRevisionsKept + 1);
    if (oldest === this.#oldest) return oldest;
    for (let gone = this.#oldest; gone < oldest; gone += 1) {
      operations.push({ type: 'del', key: eventKey(gone) });
    }
    operations.push({ type: 'put', key: oldestKey, value: encodeNumber(oldest) });
    return oldest;
  }

  async #readEvents(from: number, to: number): Promise<EventPage | 'compacted'> {
    if (from < this.#oldest) return 'compacted';
    const range = eventRange(from, Math.min(to, from + eventPageMax - 1));
    const found = await reading(() => this.#database.iterator(range).all());
    // A compaction may have overtaken the read.
    if (found.length === 0 || found[0]?.[0] !== eventKey(from)) return 'compacted';
    const events = found.flatMap(([key, bytes]) => decodeEvents(key, bytes));
    return { events, through: from + found.length - 1 };
  }

  #checkReadable(): void {
    if (this.#state.kind === 'closed') throw new StoreError('store_closed', 'the store is closed');
  }
}

/** The write of one event, which the transactions after it in the group must see. */
function apply(event: StoreEvent, versions: Map<string, KeyVersion>): Operation {
  const key = dataKey(event.key);
  if (event.kind === 'delete') {
    versions.delete(event.key);
    return { type: 'del', key };
  }
  const version = { createRevision: event.createRevision, modRevision: event.revision };
  versions.set(event.key, version);
  return { type: 'put', key, value: encodeItem(event.value, version) };
}

function queueFullError(): StoreError {
  return new StoreError('store_queue_full', `${queueMax} transactions wait for the store`, {
    remedy: 'try again later',
  });
}

// Past this the disk is hopelessly behind, and a fast refusal serves callers better than a wait.
const queueMax = 10_000;
// One batch stays small enough that the first waiter in it is not held up by the last.
const groupMax = 256;
// A watcher that far behind is cheaper served by a fresh list.
const eventRevisionsKeptDefault = 10_000;
const eventPageMax = 500;
// A page keeps the event loop busy for a few milliseconds, and is worth the thread's way there and back.
const pageItemsMax = 1000;
const pageBytes = 512 * 1024;
