import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseSpiffeId } from '../../spiffe/index.ts';
import type { AgentEntry } from '../ca-state.ts';
import { authorizedEntries, byPrecedence } from './authorized-entries.ts';

const entry = (id: string, more: Partial<AgentEntry>): AgentEntry => ({
  id,
  spiffeId: parseSpiffeId('spiffe://mesh.test/x'),
  selectors: ['unix:uid:1'],
  hint: '',
  priority: 0,
  createdAtMs: 0,
  revision: 1n,
  ...more,
});

test.for([
  ['all of its selectors', ['unix:uid:1', 'unix:gid:2'], true],
  ['one of two', ['unix:uid:1', 'unix:gid:3'], false],
  ['none', ['unix:uid:9'], false],
  ['another spelling', ['unix:UID:1'], false],
  ['no selectors at all', [], false],
] as const)('an entry of which a workload shows %s', ([, selectors, expected]) => {
  const shown = new Set(['unix:uid:1', 'unix:gid:2', 'unix:path:/bin/x']);
  const entries = [entry('e', { selectors })];
  expect(authorizedEntries(entries, shown).length === 1).toBe(expected);
});

test('priority, then age, then id decide, whatever order they came in', () => {
  const sorted = [
    entry('z', { priority: 5, createdAtMs: 9 }),
    entry('y', { createdAtMs: 1 }),
    entry('a', { createdAtMs: 2 }),
    entry('b', { createdAtMs: 2 }),
    entry('c', { priority: -1 }),
  ];
  fc.assert(
    fc.property(fc.shuffledSubarray(sorted, { minLength: sorted.length }), (shuffled) => {
      expect(authorizedEntries(shuffled, new Set(['unix:uid:1']))).toEqual(sorted);
    }),
  );
  expect(byPrecedence(entry('a', {}), entry('a', {}))).toBe(0);
});
