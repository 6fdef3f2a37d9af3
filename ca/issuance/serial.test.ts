import { expect, test } from 'vitest';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { type Random, systemRandom, toHex } from '../../core/index.ts';
import { openSerials } from './serial.ts';

/** The worst source there is: uniqueness must not lean on it. */
const noChance: Random = { bytes: (length) => new Uint8Array(length), fraction: () => 0 };

test('serials are positive, have one length of at most 20 octets, and only grow', async () => {
  const serials = await openSerials(new MemoryStore(), systemRandom);
  const texts: string[] = [];
  for (let index = 0; index < 100; index += 1) texts.push(toHex(await serials.next()));
  expect(texts.every((text) => /^01[0-9a-f]{32}$/.test(text))).toBe(true);
  expect(texts).toEqual(texts.toSorted());
});

test('no serial repeats over restarts, replicas and used-up epochs, even with no randomness', async () => {
  const store = new MemoryStore();
  const seen = new Set<string>();
  for (let restart = 0; restart < 5; restart += 1) {
    const replicas = await Promise.all([
      openSerials(store, noChance, 3),
      openSerials(store, noChance, 3),
    ]);
    const taken = await Promise.all(
      replicas.flatMap((serials) => Array.from({ length: 10 }, () => serials.next())),
    );
    for (const serial of taken) seen.add(toHex(serial));
  }
  expect(seen.size).toBe(100);
});

test('an epoch is durable before a serial of it is given', async () => {
  const store = new MemoryStore();
  await openSerials(store, systemRandom);
  const first = store.revision();
  await openSerials(store, systemRandom);
  expect(store.revision()).toBe(first + 1);
});

test('without the store there are no serials', async () => {
  const store = new MemoryStore();
  store.failWith(new Error('gone'));
  await expect(openSerials(store, systemRandom)).rejects.toThrow('gone');
});
