/** What every store promises of keys and transactions, asked of each implementation. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Store } from '../../ca/store/store.ts';
import { utf8Bytes, utf8Text } from '../../core/index.ts';
import { storeImplementations } from './store-implementations.ts';

describe.each(storeImplementations)('store: $name', (implementation) => {
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

    test('pages give the same, all as it stood when they were begun', async () => {
      const seen: string[] = [];
      for await (const { items, revision } of store.pages('b/')) {
        expect(revision).toBe(7);
        if (seen.length === 0) await put('b/1z', 'too late');
        seen.push(...items.map(({ key }) => key));
      }
      expect(seen).toEqual(['b/1', 'b/10', 'b/2', 'b/~']);
    });

    test('one page tells the revision where there is nothing', async () => {
      const pages = store.pages('nothing/')[Symbol.asyncIterator]();
      expect((await pages.next()).value).toEqual({ items: [], revision: 7 });
      expect((await pages.next()).done).toBe(true);
    });
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
});
