import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseSpiffeId } from '../../spiffe/index.ts';
import { EntryList, inOrderOfIdentity } from './entry-list.ts';
import type { RegistrationEntry } from './registration-entry.ts';
import { parseSelector } from './selector.ts';

const parentId = parseSpiffeId('spiffe://mesh.test/signet/node/x509pop/a');

function entry(id: string, priority: number, createdAtMs: number): RegistrationEntry {
  return {
    id,
    priority,
    createdAtMs,
    parentId,
    spiffeId: parseSpiffeId('spiffe://mesh.test/billing'),
    selectors: [parseSelector('unix:uid:1')],
    dnsNames: [],
    hint: '',
    federatesWith: [],
    admin: false,
    revision: 1,
  };
}

test('whatever comes and goes, the list is in order, and what was handed out stays as it was', () => {
  const change = fc.record({
    id: fc.integer({ min: 0, max: 20 }).map((number) => `id-${number}`),
    priority: fc.integer({ min: 0, max: 2 }),
    createdAtMs: fc.integer({ min: 0, max: 2 }),
    look: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const list = new EntryList();
      const model = new Map<string, RegistrationEntry>();
      for (const { id, priority, createdAtMs, look } of changes) {
        const old = model.get(id);
        const before = look ? list.inOrder() : [];
        const copy = [...before];
        if (old === undefined) {
          const added = entry(id, priority, createdAtMs);
          model.set(id, added);
          list.put(added);
        } else {
          model.delete(id);
          list.delete(old);
        }
        expect(before).toEqual(copy);
        expect(list.isEmpty()).toBe(model.size === 0);
      }
      const expected = [...model.values()].toSorted(inOrderOfIdentity);
      expect(list.inOrder()).toEqual(expected);
      expect(list.inOrder()).toBe(list.inOrder());
    }),
  );
});
