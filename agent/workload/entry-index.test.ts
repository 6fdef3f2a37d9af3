import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseSpiffeId } from '../../spiffe/index.ts';
import type { AgentEntry } from '../ca-state.ts';
import { authorizedEntries } from './authorized-entries.ts';
import { entriesThatMayFit } from './entry-index.ts';

const selector = fc.constantFrom('unix:uid:1', 'unix:gid:2', 'unix:path:/bin/x', 'k8s:ns:shop');

test('what an index leaves out would not have fitted, and nothing comes twice', () => {
  const lists = fc.array(fc.uniqueArray(selector), { maxLength: 12 });
  fc.assert(
    fc.property(lists, fc.uniqueArray(selector), (selectorLists, shown) => {
      const entries = selectorLists.map((selectors, at) => entry(String(at), selectors));
      const set = new Set(shown);
      const found = authorizedEntries(entriesThatMayFit(entries, set), set);
      expect(found).toEqual(authorizedEntries(entries, set));
    }),
  );
});

test('an entry is found by the selector that the fewest have', () => {
  const entries = [
    entry('a', ['unix:uid:1', 'unix:path:/bin/a']),
    entry('b', ['unix:uid:1', 'unix:path:/bin/b']),
  ];
  const shown = new Set(['unix:uid:1', 'unix:path:/bin/b']);
  expect(entriesThatMayFit(entries, shown).map(({ id }) => id)).toEqual(['b']);
});

function entry(id: string, selectors: readonly string[]): AgentEntry {
  return {
    id,
    spiffeId: parseSpiffeId('spiffe://mesh.test/x'),
    selectors,
    hint: '',
    priority: 0,
    createdAtMs: 0,
    revision: 1n,
  };
}
