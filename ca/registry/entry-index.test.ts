import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import { parseSpiffeId, parseTrustDomain } from '../../spiffe/index.ts';
import { EntryIndex, type NodeFacts } from './entry-index.ts';
import { parseRegistrationEntry } from './parse-registration-entry.ts';
import type { EntryDraft, RegistrationEntry } from './registration-entry.ts';
import { areSelectorsSubset, parseSelector } from './selector.ts';

const trustDomain = parseTrustDomain('mesh.test');
const caId = 'spiffe://mesh.test/signet/ca';

describe('entry index', () => {
  test('a node may serve the entries under its own ID, and nobody else', () => {
    const index = indexOf([
      entry('1', { parentId: nodeId(1) }),
      entry('2', { parentId: nodeId(2) }),
      entry('3', { parentId: nodeId(1), spiffeId: 'spiffe://mesh.test/b' }),
    ]);
    expect(served(index, node(1))).toEqual(['1', '3']);
    expect(served(index, node(2))).toEqual(['2']);
    expect(served(index, node(3))).toEqual([]);
  });

  test('an alias names every node that has all its selectors', () => {
    const index = indexOf([
      entry('alias', {
        parentId: caId,
        spiffeId: 'spiffe://mesh.test/cluster/a',
        selectors: ['k8s:cluster:a', 'k8s:pool:big'],
      }),
      entry('1', { parentId: 'spiffe://mesh.test/cluster/a' }),
    ]);
    expect(served(index, node(1, ['k8s:cluster:a', 'k8s:pool:big', 'k8s:x:y']))).toEqual(['1']);
    expect(served(index, node(2, ['k8s:cluster:a']))).toEqual([]);
    expect(served(index, node(3, []))).toEqual([]);
  });

  test('a node may be given a name of its own', () => {
    const index = indexOf([entry('1', { parentId: 'spiffe://mesh.test/edge' })]);
    const aliasId = parseSpiffeId('spiffe://mesh.test/edge');
    expect(served(index, { ...node(1), aliasId })).toEqual(['1']);
    expect(served(index, node(1))).toEqual([]);
  });

  test('an alias of an alias names nothing: names are given by the CA alone', () => {
    const index = indexOf([
      entry('alias', { parentId: caId, spiffeId: 'spiffe://mesh.test/a', selectors: ['x:1'] }),
      entry('inner', { parentId: 'spiffe://mesh.test/a', spiffeId: 'spiffe://mesh.test/b' }),
      entry('1', { parentId: 'spiffe://mesh.test/b' }),
    ]);
    expect(served(index, node(1, ['x:1']))).toEqual(['inner']);
  });

  test('a node named as the CA itself still gets no alias entries', () => {
    const index = indexOf([entry('alias', { parentId: caId, selectors: ['x:1'] })]);
    const facts = { id: parseSpiffeId(caId), selectors: [parseSelector('x:1')] };
    expect(served(index, facts)).toEqual([]);
    expect(index.isAuthorized(facts, entry('alias', { parentId: caId }))).toBe(false);
  });

  test('identities are ordered by priority, then age, then id', () => {
    const parentId = nodeId(1);
    const index = indexOf([
      { ...entry('d', { parentId }), createdAtMs: 5 },
      { ...entry('c', { parentId }), createdAtMs: 3 },
      { ...entry('b', { parentId }), createdAtMs: 3 },
      { ...entry('a', { parentId, priority: -1 }), createdAtMs: 1 },
      { ...entry('e', { parentId, priority: 7 }), createdAtMs: 9 },
    ]);
    expect(served(index, node(1))).toEqual(['e', 'b', 'c', 'd', 'a']);
  });

  const ranked = fc.record({
    priority: fc.integer({ min: -1, max: 1 }),
    createdAtMs: fc.integer({ min: 0, max: 2 }),
  });
  property.prop([
    fc.array(ranked, { minLength: 1, maxLength: 12 }).chain((ranks) => {
      const all = ranks.map((rank, place) => ({ ...rank, id: `e${place}` }));
      return fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }));
    }),
  ])(
    'the default identity is the highest priority, then the oldest, in any order they came',
    ([all, shuffled]) => {
      const order = (ranks: typeof all): readonly string[] =>
        served(
          indexOf(
            ranks.map(({ id, priority, createdAtMs }) => ({
              ...entry(id, { parentId: nodeId(1), priority }),
              createdAtMs,
            })),
          ),
          node(1),
        );
      const [first] = order(all);
      expect(order(shuffled)).toEqual(order(all));
      const chosen = all.find(({ id }) => id === first);
      const top = Math.max(...all.map(({ priority }) => priority));
      const rivals = all.filter(({ priority }) => priority === top);
      expect(chosen?.priority).toBe(top);
      expect(chosen?.createdAtMs).toBe(Math.min(...rivals.map(({ createdAtMs }) => createdAtMs)));
    },
  );

  test('a changed entry leaves nothing of the old behind', () => {
    const alias = { parentId: caId, spiffeId: 'spiffe://mesh.test/a', selectors: ['x:1'] };
    const index = indexOf([
      entry('alias', alias),
      entry('1', { parentId: 'spiffe://mesh.test/a' }),
    ]);
    index.put(entry('alias', { ...alias, selectors: ['x:2'] }));
    expect(served(index, node(1, ['x:1']))).toEqual([]);
    expect(served(index, node(1, ['x:2']))).toEqual(['1']);
    index.put(entry('1', { parentId: nodeId(7) }));
    expect(served(index, node(1, ['x:2']))).toEqual([]);
    expect(served(index, node(7))).toEqual(['1']);
    expect(index.delete('1')?.id).toBe('1');
    expect(index.delete('1')).toBeUndefined();
    expect([index.size(), served(index, node(7))]).toEqual([1, []]);
    index.clear();
    expect([index.size(), index.get('alias')]).toEqual([0, undefined]);
  });

  const selector = fc.constantFrom('x:1', 'x:2', 'x:3', 'x:4');
  const parent = fc.constantFrom(caId, nodeId(1), 'spiffe://mesh.test/a', 'spiffe://mesh.test/b');
  const change = fc.record({
    id: fc.constantFrom('1', '2', '3', '4', '5', '6'),
    isDeleted: fc.boolean(),
    parentId: parent,
    spiffeId: fc.constantFrom('spiffe://mesh.test/a', 'spiffe://mesh.test/b'),
    selectors: fc.uniqueArray(selector, { minLength: 1 }),
  });

  property.prop([fc.array(change, { maxLength: 40 }), fc.uniqueArray(selector)])(
    'it answers what a plain reading of all entries answers, whatever came before',
    (changes, held) => {
      const index = new EntryIndex(trustDomain);
      const plain = new Map<string, RegistrationEntry>();
      for (const { id, isDeleted, ...draft } of changes) {
        if (isDeleted) {
          index.delete(id);
          plain.delete(id);
        } else {
          index.put(entry(id, draft));
          plain.set(id, entry(id, draft));
        }
      }
      const entries = [...plain.values()];
      const facts = node(1, held);
      const names = new Set<string>([nodeId(1)]);
      for (const { parentId, spiffeId, selectors } of entries) {
        if (parentId === caId && areSelectorsSubset(selectors, new Set(facts.selectors))) {
          names.add(spiffeId);
        }
      }
      const expected = entries.filter(({ parentId }) => names.has(parentId));
      expect(new Set(served(index, facts))).toEqual(new Set(expected.map(({ id }) => id)));
      for (const one of entries) {
        expect(index.isAuthorized(facts, one)).toBe(expected.includes(one));
      }
    },
  );
});

function entry(id: string, draft: Partial<EntryDraft>): RegistrationEntry {
  const defaults = { spiffeId: 'spiffe://mesh.test/w', selectors: ['unix:uid:1'] };
  const spec = parseRegistrationEntry({ ...defaults, parentId: caId, ...draft }, trustDomain);
  return { ...spec, id, createdAtMs: 0, revision: 1 };
}

function nodeId(number: number): string {
  return `spiffe://mesh.test/signet/node/join-token/${number}`;
}

function node(number: number, selectors: readonly string[] = []): NodeFacts {
  return { id: parseSpiffeId(nodeId(number)), selectors: selectors.map(parseSelector) };
}

function indexOf(entries: readonly RegistrationEntry[]): EntryIndex {
  const index = new EntryIndex(trustDomain);
  for (const one of entries) index.put(one);
  return index;
}

function served(index: EntryIndex, facts: NodeFacts): readonly string[] {
  return index.authorizedEntries(facts).map(({ id }) => id);
}
