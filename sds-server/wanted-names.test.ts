import { expect, test } from 'vitest';
import { ManualClock } from '../test/fakes/manual-clock.ts';
import type { Caller } from '../rpc/index.ts';
import { createNameResolver, noAliases } from './secret-name.ts';
import { connectionNamesMax, WantedNames } from './wanted-names.ts';

const caller = { kind: 'tls', connection: 'c1' } as Caller;

function begin() {
  const clock = new ManualClock(0);
  const told: string[][] = [];
  const source = {
    watch: () => Promise.reject(new Error('nobody watches here')),
    want: (_caller: Caller, names: readonly string[]) => void told.push([...names]),
  };
  return { clock, told, wanted: new WantedNames(source, createNameResolver(noAliases), clock) };
}

test('the source is told at once, and of what follows closely together', async () => {
  const { clock, told, wanted } = begin();
  const stream = wanted.open(caller);
  stream.set(new Set(['secret:a']));
  expect(told).toEqual([['a']]);
  for (let round = 0; round < 50; round += 1) {
    stream.set(new Set(['secret:a', `secret:b${round}`]));
  }
  expect(told).toHaveLength(1);
  await clock.advance(1000);
  expect(told).toEqual([['a'], ['a', 'b49']]);
  stream.set(new Set());
  expect(told.at(-1)).toEqual([]);
});

test('a connection whose last stream ends wants nothing, and its next stream is told of at once', async () => {
  const { clock, told, wanted } = begin();
  const first = wanted.open(caller);
  first.set(new Set(['secret:a']));
  first.close();
  expect(told).toEqual([['a'], []]);
  const second = wanted.open(caller);
  second.set(new Set(['secret:b']));
  expect(told.at(-1)).toEqual(['b']);
  await clock.advance(1000);
  expect(told.at(-1)).toEqual(['b']);
});

test('what clients claim to have counts with what they ask for, and is fetched for nobody', () => {
  const { told, wanted } = begin();
  const claims = (count: number) =>
    new Set(Array.from({ length: count }, (_, index) => `secret:c${index}`));
  const first = wanted.open(caller);
  first.set(new Set(), claims(connectionNamesMax));
  const second = wanted.open(caller);
  expect(() => second.set(new Set(['secret:a']))).toThrow('ask for 10001 names');
  expect(told).toEqual([]);
  first.close();
  second.set(new Set(['secret:a']), claims(connectionNamesMax - 1));
  expect(told).toEqual([['a']]);
  expect(() =>
    second.set(new Set(['secret:a', 'secret:b']), claims(connectionNamesMax - 1)),
  ).toThrow('ask for 10001 names');
});
