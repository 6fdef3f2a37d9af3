import { describe, expect, test } from 'vitest';
import type { StoreEvent } from './store.ts';
import { type EventLog, type EventPage, WatchHub } from './watch-hub.ts';

describe('watch hub', () => {
  test('what is published while the past is being read is delivered after it, once', async () => {
    const log = new SlowLog([put(1), put(2)]);
    const hub = new WatchHub(log, 2);
    const seen: number[] = [];
    hub.watch({ prefix: '', fromRevision: 1 }, (events) => seen.push(...revisionsOf(events)));
    log.add(put(3));
    hub.publish([put(3)], 3);
    expect(seen).toEqual([]);
    await log.release();
    expect(seen).toEqual([1, 2]);
    log.add(put(4));
    hub.publish([put(4)], 4);
    // Each read ends at the revision that was published when it began.
    await log.release();
    expect(seen).toEqual([1, 2, 3]);
    await log.release();
    expect(seen).toEqual([1, 2, 3, 4]);
    hub.publish([put(5)], 5);
    expect(seen).toEqual([1, 2, 3, 4, 5]);
  });

  test.for([
    ['compacted', async (): Promise<'compacted'> => 'compacted'],
    ['unreadable', () => Promise.reject(new Error('disk'))],
  ] as const)('a past that is %s ends the watch, and says so once', async ([, read]) => {
    const hub = new WatchHub({ read }, 5);
    const lost = Promise.withResolvers<void>();
    const seen: number[] = [];
    let count = 0;
    hub.watch(
      { prefix: '', fromRevision: 1 },
      (events) => seen.push(...revisionsOf(events)),
      () => {
        count += 1;
        lost.resolve();
      },
    );
    await lost.promise;
    hub.publish([put(6)], 6);
    expect([seen, count]).toEqual([[], 1]);
  });

  test('a watch that was closed while it read the past hears nothing, not even that it is lost', async () => {
    const log = new SlowLog([put(1)]);
    const hub = new WatchHub(log, 1);
    const fail = (): never => {
      throw new Error('it was called');
    };
    await hub.watch({ prefix: '', fromRevision: 1 }, fail, fail).close();
    await log.release();
    hub.publish([put(2)], 2);
  });

  test('a watcher may begin another, or leave, in the middle of a delivery', () => {
    const hub = new WatchHub(new SlowLog([]), 0);
    const inner: number[] = [];
    let began = false;
    const outer = hub.watch({ prefix: '', fromRevision: 1 }, () => {
      if (began) return;
      began = true;
      hub.watch({ prefix: '', fromRevision: 2 }, (events) => inner.push(...revisionsOf(events)));
      void outer.close();
    });
    hub.publish([put(1)], 1);
    hub.publish([put(2)], 2);
    expect(inner).toEqual([2]);
  });
});

/** A log whose reads wait until they are released. */
class SlowLog implements EventLog {
  readonly #events: StoreEvent[];
  #waiting: (() => void)[] = [];

  constructor(events: StoreEvent[]) {
    this.#events = events;
  }

  add(event: StoreEvent): void {
    this.#events.push(event);
  }

  async read(from: number, to: number): Promise<EventPage> {
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
    });
    const events = this.#events.filter(({ revision }) => revision >= from && revision <= to);
    return { events, through: to };
  }

  async release(): Promise<void> {
    for (const resolve of this.#waiting.splice(0)) resolve();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function put(revision: number): StoreEvent {
  return {
    kind: 'put',
    key: `key/${revision}`,
    value: new Uint8Array(0),
    createRevision: revision,
    revision,
  };
}

function revisionsOf(events: readonly StoreEvent[]): number[] {
  return events.map(({ revision }) => revision);
}
