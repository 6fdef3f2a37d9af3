import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import { parseSpiffeId } from '../../spiffe/index.ts';
import type { AgentEntry } from '../ca-state.ts';
import { nearestMisses } from './nearest-misses.ts';

const entry = (id: string, ...selectors: string[]): AgentEntry => ({
  id,
  spiffeId: parseSpiffeId(`spiffe://mesh.test/${id}`),
  selectors,
  hint: '',
  priority: 0,
  createdAtMs: 0,
  revision: 1n,
});
const found = new Set(['unix:uid:1', 'unix:gid:2', 'k8s:ns:shop']);
const attestors = new Map([
  ['unix', undefined],
  ['k8s', undefined],
  ['docker', 'no engine'],
]);

describe('the nearest misses', () => {
  test('come in the order of what they share and lack; what fits is no miss', () => {
    const misses = nearestMisses(
      [
        entry('far', 'unix:uid:9', 'unix:gid:9'),
        entry('fits', 'unix:uid:1'),
        entry('two', 'unix:uid:1', 'unix:gid:9', 'k8s:ns:x'),
        entry('one', 'unix:uid:1', 'unix:gid:9'),
        entry('lone', 'unix:uid:9'),
        entry('better', 'unix:uid:1', 'unix:gid:2', 'k8s:ns:x'),
      ],
      found,
      attestors,
    );
    expect(misses.map(({ entryId }) => entryId)).toEqual(['better', 'one', 'two']);
  });

  test.for([
    ['unix:uid:9', ['it has unix:uid:1 and not unix:uid:9']],
    ['docker:label:a:b', ['the docker attestor could not say: no engine']],
    ['systemd:id:x', ['no systemd attestor runs on this agent']],
    ['unix:path:/x', []],
  ] as const)('say what is behind %s', ([selector, because]) => {
    expect(nearestMisses([entry('a', selector)], found, attestors)[0]?.because).toEqual(because);
  });

  property.prop([
    fc.array(fc.uniqueArray(fc.constantFrom('t:a', 't:b', 't:c', 'u:d'), { minLength: 1 })),
    fc.uniqueArray(fc.constantFrom('t:a', 't:b', 't:c', 'u:d')),
  ])('split the selectors of each entry, and are bounded', (lists, selectors) => {
    const entries = lists.map((list, index) => entry(`e${index}`, ...list));
    const misses = nearestMisses(entries, new Set(selectors), new Map([['t', undefined]]));
    expect(misses.length).toBeLessThanOrEqual(3);
    for (const { entryId, present, lacking } of misses) {
      const all = entries.find(({ id }) => id === entryId)?.selectors ?? [];
      expect([...present, ...lacking].toSorted()).toEqual([...all].toSorted());
      expect(lacking.length).toBeGreaterThan(0);
      expect(lacking.some((one) => selectors.includes(one as never))).toBe(false);
    }
  });
});
