import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Closable, seededRandom, utf8Bytes, utf8Text } from '../../core/index.ts';
import { ManualClock, settle } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { followPrefix } from './follow-prefix.ts';

describe('following a prefix', () => {
  let store: MemoryStore;
  let clock: ManualClock;
  let copy: Map<string, string>;
  let errors: unknown[];
  let snapshots: number;
  let isThrowing: boolean;
  let follow: Closable | undefined;

  beforeEach(() => {
    store = new MemoryStore();
    clock = new ManualClock(0);
    copy = new Map();
    errors = [];
    snapshots = 0;
    isThrowing = false;
  });

  afterEach(async () => {
    await follow?.close();
  });

  test('keeps a copy: what stood, what comes, what goes', async () => {
    await put('a/1', 'one');
    await put('b/1', 'other');
    await begin();
    expect(copy).toEqual(new Map([['a/1', 'one']]));
    await put('a/2', 'two');
    await store.commit({ deletes: ['a/1'] });
    expect(copy).toEqual(new Map([['a/2', 'two']]));
  });

  test('lists again when the watch was lost, however long the store cannot be read', async () => {
    await begin();
    isThrowing = true;
    await put('a/1', 'one');
    isThrowing = false;
    store.failWith(new Error('disk'));
    await clock.advance(60_000);
    expect(errors.length).toBeGreaterThan(5);
    store.failWith(undefined);
    await clock.advance(10_000);
    expect(copy).toEqual(new Map([['a/1', 'one']]));
    await put('a/2', 'two');
    expect(copy.get('a/2')).toBe('two');
    expect(snapshots).toBe(2);
  });

  test('a list that fails at first is the caller to know', async () => {
    store.failWith(new Error('disk'));
    await expect(begin()).rejects.toThrow('disk');
    expect(errors).toEqual([]);
  });

  test('closed while it waits to try again, it does not', async () => {
    await begin();
    isThrowing = true;
    await put('a/1', 'one');
    isThrowing = false;
    await follow?.close();
    await clock.advance(60_000);
    await settle();
    expect([snapshots, copy.size]).toEqual([1, 0]);
  });

  async function begin(): Promise<void> {
    follow = await followPrefix({
      store,
      prefix: 'a/',
      clock,
      random: seededRandom(1),
      read: ({ key, value }) => [key, utf8Text(value) ?? ''] as const,
      onSnapshot: (items) => {
        snapshots += 1;
        copy = new Map(items);
      },
      onEvents: (events) => {
        if (isThrowing) throw new Error('listener');
        for (const event of events) {
          if (event.kind === 'put') copy.set(event.key, utf8Text(event.value) ?? '');
          else copy.delete(event.key);
        }
      },
      onError: (error) => errors.push(error),
    });
  }

  async function put(key: string, text: string): Promise<void> {
    await store.commit({ puts: [{ key, value: utf8Bytes(text) }] });
  }
});
