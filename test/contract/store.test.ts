/** What every store promises, asked of each implementation. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openLevelStore } from '../../ca/store/level-store.ts';
import type { Store, StoreEvent } from '../../ca/store/store.ts';
import { utf8Bytes, utf8Text } from '../../core/index.ts';
import { MemoryStore } from '../fakes/memory-store.ts';

interface Implementation {
  readonly name: string;
  open(directory: string, eventRevisionsKept?: number): Promise<Store>;
}

const implementations: readonly Implementation[] = [
  {
    name: 'level',
    open: (directory, kept) =>
      openLevelStore({ directory, ...(kept === undefined ? {} : { eventRevisionsKept: kept }) }),
  },
  {
    name: 'memory',
    open: (_directory, kept) =>
      Promise.resolve(new MemoryStore(kept === undefined ? {} : { eventRevisionsKept: kept })),
  },
];

describe.each(implementations)('store: $name', (implementation) => {
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

  describe('transactions', () => {
    test('a new store is at revision 0 and empty', async () => {
      expect(store.revision()).toBe(0);
      expect(await store.get('a/1')).toBeUndefined();
      expect(await store.range({ prefix: '' })).toEqual({ items: [], revision: 0 });
    });

    test('each commit gets the next revision, shared by all it writes', async () => {
      expect(await put('a/1', 'x')).toBe(1);
      const result = await store.commit({
        puts: [
          { key: 'a/1', value: utf8Bytes('y') },
          { key: 'a/2', value: utf8Bytes('z') },
        ],
      });
      expect(result).toEqual({ kind: 'committed', revision: 2 });
      expect(await read('a/1')).toEqual({ text: 'y', createRevision: 1, modRevision: 2 });
      expect(await read('a/2')).toEqual({ text: 'z', createRevision: 2, modRevision: 2 });
    });

    test('a key that was deleted and put again is a new one', async () => {
      await put('a/1', 'x');
      await store.commit({ deletes: ['a/1'] });
      expect(await store.get('a/1')).toBeUndefined();
      await put('a/1', 'y');
      expect(await read('a/1')).toEqual({ text: 'y', createRevision: 3, modRevision: 3 });
    });

    test('an empty value is a value', async () => {
      await put('a/1', '');
      expect(await read('a/1')).toEqual({ text: '', createRevision: 1, modRevision: 1 });
    });

    test('deleting what is absent changes nothing and takes no revision', async () => {
      await put('a/1', 'x');
      expect(await store.commit({ deletes: ['a/2'] })).toEqual({ kind: 'committed', revision: 1 });
      expect(await store.commit({})).toEqual({ kind: 'committed', revision: 1 });
    });

    test.for([
      { name: 'absent as expected', key: 'a/9', modRevision: 0, holds: true },
      { name: 'present, expected absent', key: 'a/1', modRevision: 0, holds: false },
      { name: 'the revision that wrote it', key: 'a/1', modRevision: 2, holds: true },
      { name: 'an older revision', key: 'a/1', modRevision: 1, holds: false },
      { name: 'a revision of nothing', key: 'a/9', modRevision: 1, holds: false },
    ])('compare: $name', async ({ key, modRevision, holds }) => {
      await put('a/1', 'x');
      await put('a/1', 'y');
      const result = await store.commit({
        compare: [{ key, modRevision }],
        puts: [{ key: 'b/1', value: utf8Bytes('w') }],
        deletes: ['a/1'],
      });
      expect(result).toEqual(
        holds ? { kind: 'committed', revision: 3 } : { kind: 'conflict', key },
      );
      // All of it, or none of it.
      expect((await store.get('b/1')) !== undefined).toBe(holds);
      expect((await store.get('a/1')) === undefined).toBe(holds);
      expect(store.revision()).toBe(holds ? 3 : 2);
    });

    test('of many that create one key at once, one wins', async () => {
      const results = await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          store.commit({
            compare: [{ key: 'a/1', modRevision: 0 }],
            puts: [{ key: 'a/1', value: utf8Bytes(String(index)) }],
          }),
        ),
      );
      expect(results.filter(({ kind }) => kind === 'committed')).toHaveLength(1);
      expect(store.revision()).toBe(1);
    });

    test('concurrent counters lose no step', async () => {
      await Promise.all(Array.from({ length: 20 }, () => increment('a/count')));
      expect((await read('a/count')).text).toBe('20');
    });

    test('the value handed in may change afterwards', async () => {
      const value = utf8Bytes('x');
      const commit = store.commit({ puts: [{ key: 'a/1', value }] });
      await commit;
      value.fill(0);
      expect((await read('a/1')).text).toBe('x');
    });
  });

  describe('bounds', () => {
    test.for([
      { name: 'empty key', key: '', code: 'store_key_invalid' },
      { name: 'space', key: 'a b', code: 'store_key_invalid' },
      { name: 'not ASCII', key: 'a/é', code: 'store_key_invalid' },
      { name: 'too long', key: 'a'.repeat(513), code: 'store_key_invalid' },
    ])('refuses a key: $name', async ({ key, code }) => {
      await expect(put(key, 'x')).rejects.toMatchObject({ code });
      expect(store.revision()).toBe(0);
    });

    test('takes the longest key', async () => {
      await put('a'.repeat(512), 'x');
      expect((await store.range({ prefix: 'a' })).items).toHaveLength(1);
    });

    test('refuses one key written twice, and takes two keys', async () => {
      const value = utf8Bytes('x');
      const twice = [
        { puts: [{ key: 'a', value }], deletes: ['a'] },
        {
          puts: [
            { key: 'a', value },
            { key: 'a', value },
          ],
        },
      ];
      for (const transaction of twice) {
        await expect(store.commit(transaction)).rejects.toMatchObject({
          code: 'store_transaction_invalid',
        });
      }
      await store.commit({ puts: [{ key: 'a', value }], deletes: ['b'] });
    });

    test('refuses more than a mebibyte in one transaction, and takes just that', async () => {
      const value = new Uint8Array(1024 * 1024);
      const over = { key: 'b', value: new Uint8Array(1) };
      await expect(store.commit({ puts: [{ key: 'a', value }, over] })).rejects.toMatchObject({
        code: 'store_value_too_large',
      });
      expect(await store.commit({ puts: [{ key: 'a', value }] })).toMatchObject({
        kind: 'committed',
      });
    });

    test('refuses everything once closed', async () => {
      await store.close();
      await expect(put('a', 'x')).rejects.toMatchObject({ code: 'store_closed' });
      await expect(store.get('a')).rejects.toMatchObject({ code: 'store_closed' });
      await expect(store.range({ prefix: '' })).rejects.toMatchObject({ code: 'store_closed' });
    });
  });

  describe('range', () => {
    beforeEach(async () => {
      for (const key of ['b/2', 'a/1', 'b/10', 'b/1', 'b0', 'b/~', 'c/1']) await put(key, key);
    });

    test('gives a prefix in byte order, and nothing beside it', async () => {
      const { items, revision } = await store.range({ prefix: 'b/' });
      expect(items.map(({ key }) => key)).toEqual(['b/1', 'b/10', 'b/2', 'b/~']);
      expect(revision).toBe(7);
    });

    test('pages without a gap or a repeat', async () => {
      const seen: string[] = [];
      for (let after: string | undefined; ; after = seen.at(-1)) {
        const page = await store.range({
          prefix: 'b/',
          limit: 3,
          ...(after === undefined ? {} : { after }),
        });
        seen.push(...page.items.map(({ key }) => key));
        if (page.items.length < 3) break;
      }
      expect(seen).toEqual(['b/1', 'b/10', 'b/2', 'b/~']);
    });

    test('after a key that is gone goes on with the next', async () => {
      await store.commit({ deletes: ['b/10'] });
      const { items } = await store.range({ prefix: 'b/', after: 'b/10', limit: 1 });
      expect(items.map(({ key }) => key)).toEqual(['b/2']);
    });

    test('after a key before or past the prefix is harmless', async () => {
      expect((await store.range({ prefix: 'b/', after: 'a/1' })).items).toHaveLength(4);
      expect((await store.range({ prefix: 'b/', after: 'c/1' })).items).toHaveLength(0);
    });

    test('the empty prefix gives everything', async () => {
      expect((await store.range({ prefix: '' })).items).toHaveLength(7);
    });
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

  async function read(key: string) {
    const item = await store.get(key);
    if (item === undefined) throw new Error(`${key} is absent`);
    const { value, createRevision, modRevision } = item;
    return { text: utf8Text(value), createRevision, modRevision };
  }

  async function increment(key: string): Promise<void> {
    for (;;) {
      const item = await store.get(key);
      const count = item === undefined ? 0 : Number(utf8Text(item.value));
      const result = await store.commit({
        compare: [{ key, modRevision: item?.modRevision ?? 0 }],
        puts: [{ key, value: utf8Bytes(String(count + 1)) }],
      });
      if (result.kind === 'committed') return;
    }
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
