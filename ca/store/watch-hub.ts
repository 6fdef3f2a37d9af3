/** Watchers of a store: each first reads what is past, then is carried along by what is committed. */

import type { Closable } from '../../core/index.ts';
import type { BatchListener, LostListener, StoreEvent, WatchRequest } from './store.ts';

/** The past: whole revisions in order. */
export interface EventLog {
  /**
   * Events of the revisions from `from` on, never past `to`; `through` is the last revision read,
   * and lets a long past come in pages. `compacted` when `from` is no longer kept.
   */
  read(from: number, to: number): Promise<EventPage | 'compacted'>;
}

export interface EventPage {
  readonly events: readonly StoreEvent[];
  readonly through: number;
}

export class WatchHub {
  readonly #log: EventLog;
  readonly #watchers = new Set<Watcher>();
  #revision: number;

  constructor(log: EventLog, revision: number) {
    this.#log = log;
    this.#revision = revision;
  }

  /** The newest published revision. */
  revision(): number {
    return this.#revision;
  }

  watch(request: WatchRequest, onBatch: BatchListener, onLost?: LostListener): Closable {
    const watcher = new Watcher(request, onBatch, () => {
      this.#watchers.delete(watcher);
      onLost?.();
    });
    this.#watchers.add(watcher);
    // The watcher reports every failure of its catching up through onLost; this never rejects.
    void watcher.catchUp(this.#log, () => this.#revision);
    return {
      close: () => {
        watcher.end();
        this.#watchers.delete(watcher);
        return Promise.resolve();
      },
    };
  }

  /** Tells the watchers what has become durable: the events of whole revisions up to `revision`. */
  publish(events: readonly StoreEvent[], revision: number): void {
    this.#revision = revision;
    for (const watcher of this.#watchers) watcher.publish(events, revision);
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.end();
    this.#watchers.clear();
  }
}

type WatcherState = 'catching_up' | 'live' | 'ended';

class Watcher {
  readonly #prefix: string;
  readonly #onBatch: BatchListener;
  readonly #onLost: () => void;
  #state: WatcherState = 'catching_up';
  #next: number;

  constructor(request: WatchRequest, onBatch: BatchListener, onLost: () => void) {
    this.#prefix = request.prefix;
    this.#next = request.fromRevision;
    this.#onBatch = onBatch;
    this.#onLost = onLost;
  }

  /**
   * Reads the past until there is none left. The step from past to live has no await in it, and a
   * publish is synchronous, so no revision can fall between the two.
   */
  async catchUp(log: EventLog, publishedRevision: () => number): Promise<void> {
    while (this.#state === 'catching_up') {
      if (this.#next > publishedRevision()) {
        this.#state = 'live';
        return;
      }
      const page = await readOrLose(log, this.#next, publishedRevision());
      if (this.#hasEnded()) return;
      if (page === 'compacted' || page === 'unreadable') {
        this.#lose();
        return;
      }
      this.#deliver(page.events, page.through);
    }
  }

  publish(events: readonly StoreEvent[], revision: number): void {
    if (this.#state === 'live') this.#deliver(events, revision);
  }

  end(): void {
    this.#state = 'ended';
  }

  #deliver(events: readonly StoreEvent[], through: number): void {
    const from = this.#next;
    const wanted = events.filter(
      ({ key, revision }) => revision >= from && key.startsWith(this.#prefix),
    );
    this.#next = Math.max(this.#next, through + 1);
    if (wanted.length === 0) return;
    try {
      this.#onBatch(wanted);
    } catch {
      // The listener's state is now unknown to it; only a fresh list can mend that. The commit that
      // is being published has happened and must not fail for it.
      this.#lose();
    }
  }

  #lose(): void {
    this.end();
    this.#onLost();
  }

  #hasEnded(): boolean {
    return this.#state === 'ended';
  }
}

/** A read error ends the watch; the list that follows meets the same error and can report it. */
async function readOrLose(
  log: EventLog,
  from: number,
  to: number,
): Promise<EventPage | 'compacted' | 'unreadable'> {
  try {
    return await log.read(from, to);
  } catch {
    return 'unreadable';
  }
}
