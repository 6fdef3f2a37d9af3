/** List, then watch, then list again if the watch was lost: the one right way to keep a copy of a prefix. */

import { backoffMs, type Clock, type Closable, type Random, sleep } from '../../core/index.ts';
import type { Store, StoreEvent, StoreItem } from './store.ts';

export interface FollowOptions<Value> {
  readonly store: Store;
  readonly prefix: string;
  readonly clock: Clock;
  readonly random: Random;
  /** What is kept of an item: asked page by page, so that a large prefix never lies in memory twice. */
  readonly read: (item: StoreItem) => Value;
  /** Everything under the prefix, replacing whatever was known before. */
  readonly onSnapshot: (values: readonly Value[], revision: number) => void;
  /** What changed since, in order, no gap. */
  readonly onEvents: (events: readonly StoreEvent[]) => void;
  /** A list failed after the watch was lost; it is tried again. */
  readonly onError: (error: unknown) => void;
}

/** Resolves once the first snapshot was handed over; throws if that could not be read. */
export async function followPrefix<Value>(options: FollowOptions<Value>): Promise<Closable> {
  const follower = new Follower(options);
  await follower.begin();
  return follower;
}

class Follower<Value> implements Closable {
  readonly #options: FollowOptions<Value>;
  readonly #closed = new AbortController();
  #watch: Closable | undefined;

  constructor(options: FollowOptions<Value>) {
    this.#options = options;
  }

  async begin(): Promise<void> {
    const { store, prefix, read, onSnapshot, onEvents } = this.#options;
    const values: Value[] = [];
    let revision = 0;
    for await (const page of store.pages(prefix)) {
      if (this.#closed.signal.aborted) return;
      revision = page.revision;
      for (const item of page.items) values.push(read(item));
    }
    if (this.#closed.signal.aborted) return;
    onSnapshot(values, revision);
    this.#watch = store.watch({ prefix, fromRevision: revision + 1 }, onEvents, () => {
      // It reports every failure through onError, and never rejects.
      void this.#beginAgain();
    });
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#watch?.close();
  }

  async #beginAgain(): Promise<void> {
    const { clock, random, onError } = this.#options;
    const { signal } = this.#closed;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      // A wait before the first attempt too: a listener that always throws must not spin.
      await sleep(clock, backoffMs(retry, attempt, random), signal);
      if (signal.aborted) return;
      try {
        await this.begin();
        return;
      } catch (error) {
        onError(error);
      }
    }
  }
}

// The copy is stale meanwhile, so the wait stays short; it is one range read on our own disk.
const retry = { baseMs: 100, maxMs: 5000 };
