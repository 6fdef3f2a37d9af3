import { createSecretKey } from 'node:crypto';
import { expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { systemRandom, toHex } from '../../core/index.ts';
import { parseSpiffeId } from '../../spiffe/index.ts';
import { createKeyStore } from '../authority/key-store.ts';
import { createTicketKeys } from './ticket-keys.ts';

const epochMs = 12 * 3_600_000;
const web = parseSpiffeId('spiffe://mesh.test/web');
const api = parseSpiffeId('spiffe://mesh.test/api');

function open(
  store = new MemoryStore(),
  clock = new ManualClock(Date.parse('2026-11-22T13:00:00Z')),
) {
  const keyStore = createKeyStore(createSecretKey(Buffer.alloc(32, 1)), systemRandom);
  const source = createTicketKeys({ store, keyStore, clock, random: systemRandom, epochMs });
  const hex = async (id = web) => (await source.keysOf(id)).keys.map(toHex);
  return { store, clock, source, hex };
}

test('all sidecars of one identity get the same 80 bytes, and no other identity does', async () => {
  const { hex, store, clock } = open();
  const keys = await hex();
  expect(keys.map(({ length }) => length)).toEqual([160]);
  expect(await hex()).toEqual(keys);
  // Another replica on the same store.
  expect(await open(store, clock).hex()).toEqual(keys);
  expect(await hex(api)).not.toEqual(keys);
  // Another mesh.
  expect(await open().hex()).not.toEqual(keys);
});

test('each epoch has a new first key, and three open', async () => {
  const { hex, clock, source } = open();
  const [first = ''] = await hex();
  expect((await source.keysOf(web)).refreshAtMs).toBe(Date.parse('2026-11-23T00:00:00Z'));
  await clock.advance(epochMs);
  const [second = '', ...older] = await hex();
  expect(second).not.toBe(first);
  expect(older).toEqual([first]);
  await clock.advance(2 * epochMs);
  const later = await hex();
  expect(later).toHaveLength(2);
  expect(later.at(-1)).toBe(second);
  // Nothing of the first can be made again.
  await clock.advance(epochMs);
  expect((await hex()).includes(second)).toBe(false);
});

test('one master each epoch, however many ask at once', async () => {
  const { hex, store } = open();
  const all = await Promise.all(Array.from({ length: 8 }, () => hex()));
  expect(new Set(all.flat()).size).toBe(1);
  expect((await store.range({ prefix: 'settings/ticket-masters' })).items).toHaveLength(1);
});
