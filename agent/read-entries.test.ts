import { expect, test } from 'vitest';
import type { Derivable, Entry } from '../api/index.ts';
import { silentLogger } from '../core/index.ts';
import { parseTrustDomain } from '../spiffe/index.ts';
import { readDerivables, readEntries } from './read-entries.ts';

const trustDomain = parseTrustDomain('mesh.test');

test('a push that says the same is the value of the push before', () => {
  const first = read([entryOf('one'), entryOf('two')]);
  expect(first.map(({ spiffeId }) => spiffeId)).toEqual([
    'spiffe://mesh.test/one',
    'spiffe://mesh.test/two',
  ]);
  expect(read([entryOf('one'), entryOf('two')], first)).toBe(first);
});

test.for<Partial<Entry>>([
  { spiffeId: 'spiffe://mesh.test/other' },
  { selectors: ['unix:uid:0', 'unix:gid:0'] },
  { selectors: ['unix:uid:1'] },
  { x509SvidTtlMs: 60_000n },
  { hint: 'other' },
  { priority: 1 },
  { createdAtMs: 2n },
  { revision: 2n },
  { federatesWith: ['other.test'] },
])('an entry with %o is read anew, and the one beside it is not', (change) => {
  const first = read([entryOf('one'), entryOf('two')]);
  const second = read([{ ...entryOf('one'), ...change }, entryOf('two')], first);
  expect(second).not.toBe(first);
  expect(second).toEqual(read([{ ...entryOf('one'), ...change }, entryOf('two')]));
  expect(second).not.toEqual(first);
  expect(second[1]).toBe(first[1]);
});

test.for([
  { name: 'comes', pushed: ['one', 'two', 'three'] },
  { name: 'goes', pushed: ['two'] },
  { name: 'moves', pushed: ['two', 'one'] },
])('a list in which an entry $name is another, of the same entries', ({ pushed }) => {
  const first = read([entryOf('one'), entryOf('two')]);
  const second = read(pushed.map(entryOf), first);
  expect(second.map(({ id }) => id)).toEqual(pushed);
  expect(second).not.toBe(first);
  expect(second.find(({ id }) => id === 'two')).toBe(first[1]);
});

test('rules that are pushed again are the same value, and others are not', () => {
  const rule: Derivable = {
    id: 'rule',
    selectors: ['k8s:ns:shop'],
    parts: [{ part: { $case: 'text', value: 'spiffe://mesh.test/shop' } }],
    hint: '',
    priority: 0,
    createdAtMs: 1n,
    revision: 1n,
    x509SvidTtlMs: 0n,
    federatesWith: [],
  };
  const first = readDerivables([rule], trustDomain, [], silentLogger);
  expect(first).toHaveLength(1);
  expect(readDerivables([{ ...rule }], trustDomain, first, silentLogger)).toBe(first);
  const changed = readDerivables([{ ...rule, revision: 2n }], trustDomain, first, silentLogger);
  expect(changed[0]?.revision).toBe(2n);
});

function read(entries: readonly Entry[], known: ReturnType<typeof readEntries> = []) {
  return readEntries(entries, trustDomain, known, silentLogger);
}

function entryOf(name: string): Entry {
  return {
    id: name,
    spiffeId: `spiffe://mesh.test/${name}`,
    selectors: ['unix:uid:0'],
    x509SvidTtlMs: 0n,
    dnsNames: [],
    hint: '',
    priority: 0,
    createdAtMs: 1n,
    revision: 1n,
    federatesWith: [],
  };
}
