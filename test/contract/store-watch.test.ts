/** What every store promises whoever watches it, asked of each implementation. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Store, StoreEvent } from '../../ca/store/store.ts';
import { utf8Bytes, utf8Text } from '../../core/index.ts';
import { storeImplementations } from './store-implementations.ts';

describe.each(storeImplementations)('store, watched: $name', (implementation) => {
  let directory: string;
  let store: Store;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'store-'));
    store = await implementation.open(join(directory, 'store'));
  });

  afterEach(async () => {
    await store.close();
    await rm(directory, { recursive: true });
  });

  describe('watch', () => {
    test('delivers the past and then what comes, of its prefix alone', async () => {
      await put('a/1', 'one');
      await put('b/1', 'other');
      const watched = collect({ prefix: 'a/', fromRevision: 1 });
      await put('a/2', 'two');
      await store.commit({ deletes: ['a/1', 'b/1'] });
      await watched.through(4);
      expect(watched.events.map(describeEvent)).toEqual([
        'put a/1=one @1',
        'put a/2=two @3',
        'delete a/1 @4',
      ]);
    });

    test('begins at the revision asked for', async () => {
      await put('a/1', 'one');
      await put('a/2', 'two');
      const { revision } = await store.range({ prefix: 'a/' });
      const fromNow = collect({ prefix: 'a/', fromRevision: revision + 1 });
      const fromSecond = collect({ prefix: 'a/', fromRevision: 2 });
      const fromFuture = collect({ prefix: 'a/', fromRevision: 4 });
      await put('a/3', 'three');
      await put('a/4', 'four');
      await Promise.all([fromNow.through(4), fromSecond.through(4), fromFuture.through(4)]);
      expect(fromNow.revisions()).toEqual([3, 4]);
      expect(fromSecond.revisions()).toEqual([2, 3, 4]);
      expect(fromFuture.revisions()).toEqual([4]);
    });

    test('misses nothing when it joins under concurrent commits', async () => {
      const total = 200;
      const watchers: ReturnType<typeof collect>[] = [];
      const commits: Promise<unknown>[] = [];
      for (let index = 1; index <= total; index += 1) {
        commits.push(put(`a/${index}`, 'x'));
        if (index % 20 !== 0) continue;
        watchers.push(collect({ prefix: 'a/', fromRevision: 1 }));
        await commits.at(-1);
      }
      await Promise.all(commits);
      const every = Array.from({ length: total }, (_, index) => index + 1);
      for (const watched of watchers) {
        await watched.through(total);
        expect(watched.revisions()).toEqual(every);
      }
    });

    test('never delivers a part of a transaction', async () => {
      const batches: number[][] = [];
      let last = 0;
      const done = Promise.withResolvers<void>();
      store.watch({ prefix: 'a/', fromRevision: 1 }, (events) => {
        batches.push(events.map(({ revision }) => revision));
        last = events.at(-1)?.revision ?? last;
        if (last === 30) done.resolve();
      });
      await Promise.all(
        Array.from({ length: 30 }, (_, index) =>
          store.commit({
            puts: [
              { key: `a/${index}/x`, value: utf8Bytes('x') },
              { key: `a/${index}/y`, value: utf8Bytes('y') },
            ],
          }),
        ),
      );
      await done.promise;
      expect(batches.flat()).toEqual(
        Array.from({ length: 60 }, (_, index) => Math.floor(index / 2) + 1),
      );
      for (const batch of batches) expect(batch.length % 2).toBe(0);
    });

    test('says nothing more once closed', async () => {
      const watched = collect({ prefix: 'a/', fromRevision: 1 });
      const other = collect({ prefix: 'a/', fromRevision: 1 });
      await put('a/1', 'x');
      await watched.through(1);
      await watched.close();
      await put('a/2', 'x');
      await other.through(2);
      expect(watched.revisions()).toEqual([1]);
    });

    test('a listener that throws loses its watch; the commit and other watchers are unharmed', async () => {
      const lost = Promise.withResolvers<void>();
      store.watch(
        { prefix: 'a/', fromRevision: 1 },
        () => {
          throw new Error('listener');
        },
        () => lost.resolve(),
      );
      const other = collect({ prefix: 'a/', fromRevision: 1 });
      expect(await put('a/1', 'x')).toBe(1);
      await lost.promise;
      await other.through(1);
      expect(await put('a/2', 'x')).toBe(2);
    });
  });

  test('a watcher from a compacted revision is told to list again', async () => {
    const small = await implementation.open(join(directory, 'small'), 5);
    try {
      for (let index = 1; index <= 20; index += 1) {
        await small.commit({ puts: [{ key: `a/${index}`, value: utf8Bytes('x') }] });
      }
      const lost = Promise.withResolvers<void>();
      const seen: number[] = [];
      small.watch(
        { prefix: 'a/', fromRevision: 15 },
        (events) => seen.push(...events.map(({ revision }) => revision)),
        () => lost.resolve(),
      );
      await lost.promise;
      expect(seen).toEqual([]);
      const kept = Promise.withResolvers<void>();
      small.watch({ prefix: 'a/', fromRevision: 16 }, (events) => {
        seen.push(...events.map(({ revision }) => revision));
        if (seen.at(-1) === 20) kept.resolve();
      });
      await kept.promise;
      expect(seen).toEqual([16, 17, 18, 19, 20]);
    } finally {
      await small.close();
    }
  });

  async function put(key: string, text: string): Promise<number> {
    const result = await store.commit({ puts: [{ key, value: utf8Bytes(text) }] });
    if (result.kind === 'conflict') throw new Error(`conflict on ${result.key}`);
    return result.revision;
  }

  function collect(request: { prefix: string; fromRevision: number }) {
    const events: StoreEvent[] = [];
    const waiters: { revision: number; resolve: () => void }[] = [];
    const reached = (revision: number): boolean => (events.at(-1)?.revision ?? 0) >= revision;
    const watch = store.watch(request, (batch) => {
      events.push(...batch);
      for (const waiter of waiters) if (reached(waiter.revision)) waiter.resolve();
    });
    return {
      events,
      revisions: (): number[] => events.map(({ revision }) => revision),
      through: async (revision: number): Promise<void> => {
        if (reached(revision)) return;
        const { promise, resolve } = Promise.withResolvers<void>();
        waiters.push({ revision, resolve });
        await promise;
      },
      close: () => watch.close(),
    };
  }
});

function describeEvent(event: StoreEvent): string {
  return event.kind === 'put'
    ? `put ${event.key}=${utf8Text(event.value)} @${event.revision}`
    : `delete ${event.key} @${event.revision}`;
}
