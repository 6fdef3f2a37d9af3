import { beforeEach, describe, expect, test } from 'vitest';
import { seededRandom } from '../../core/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { type ImportPlan, planImport } from './entry-import.ts';
import type { AppliedChange } from './apply-import.ts';
import type { EntryDraft } from './registration-entry.ts';
import { createRegistry, type Registry } from './registry.ts';

const trustDomain = parseTrustDomain('mesh.test');
const draft = (name: string, more: Partial<EntryDraft> = {}): EntryDraft => ({
  spiffeId: `spiffe://mesh.test/${name}`,
  parentId: 'spiffe://mesh.test/pool',
  selectors: [`unix:user:${name}`],
  ...more,
});

describe('an import', () => {
  let store: MemoryStore;
  let registry: Registry;
  beforeEach(() => {
    store = new MemoryStore();
    const clock = new ManualClock(1000);
    registry = createRegistry({ store, trustDomain, clock, random: seededRandom(1) });
  });

  const plan = async (drafts: readonly EntryDraft[], prune = false): Promise<ImportPlan> => {
    const { items } = await registry.listEntries({ limit: 1000 });
    return planImport({ drafts, present: items, prune, trustDomain, nowMs: 1000 });
  };
  const apply = async (drafts: readonly EntryDraft[], prune = false): Promise<string[]> => {
    const planned = await plan(drafts, prune);
    if (planned.kind === 'refused') throw new Error(JSON.stringify(planned.faults));
    const done: string[] = [];
    const words = (batch: readonly AppliedChange[]): string[] =>
      batch.map(({ kind, entry }) => `${kind} ${entry.spiffeId.slice(19)}`);
    const recorded: string[] = [];
    await registry.applyImport(planned.changes, {
      record: async (batch) => void recorded.push(...words(batch)),
      onBatch: (applied) => void done.push(...words(applied)),
    });
    expect(recorded).toEqual(done);
    return done;
  };

  test('adds, changes and removes, and a second time has nothing to do', async () => {
    await registry.createEntry(draft('stays'));
    await registry.createEntry(draft('changes'));
    await registry.createEntry(draft('goes'));
    const file = [draft('stays'), draft('changes', { hint: 'new', priority: 2 }), draft('comes')];
    expect(await plan(file, true)).toMatchObject({
      changes: [
        { kind: 'change', index: 1, fields: ['hint', 'priority'] },
        { kind: 'add', index: 2 },
        { kind: 'remove' },
      ],
      unchanged: 1,
    });
    expect(await apply(file, true)).toEqual(['change changes', 'add comes', 'remove goes']);
    expect(await plan(file, true)).toMatchObject({ changes: [], unchanged: 3 });
    const { items } = await registry.listEntries();
    expect(Object.groupBy(items, ({ revision }) => revision)[2]).toHaveLength(1);
    expect(items).toHaveLength(3);
  });

  test('leaves alone what the file does not name, unless told to prune', async () => {
    await registry.createEntry(draft('other'));
    expect(await plan([draft('mine')])).toMatchObject({ changes: [{ kind: 'add' }] });
  });

  test('one fault refuses the whole, and every fault is told with its place', async () => {
    const planned = await plan([
      draft('good'),
      draft('bad', { spiffeId: 'spiffe://other.test/x', selectors: [] }),
      draft('good'),
      draft('late', { expiresAtMs: 1000 }),
    ]);
    expect(planned).toMatchObject({
      kind: 'refused',
      faults: [
        { index: 1, field: 'spiffeId', code: 'entry_trust_domain' },
        { index: 1, field: 'selectors', code: 'entry_selectors_empty' },
        { index: 2, code: 'entry_twice' },
        { index: 3, field: 'expiresAt', code: 'entry_expiry' },
      ],
    });
  });

  test('what somebody changed since it was compared is not written over', async () => {
    const entry = await registry.createEntry(draft('a'));
    const planned = await plan([draft('a', { hint: 'mine' })]);
    await registry.updateEntry(entry.id, draft('a', { hint: 'theirs' }));
    const record = async (): Promise<void> => expect.unreachable('nothing is recorded');
    if (planned.kind === 'refused') throw new Error('refused');
    await expect(registry.applyImport(planned.changes, { record })).rejects.toMatchObject({
      code: 'entry_changed',
      kind: 'aborted',
    });
    expect(await registry.getEntry(entry.id)).toMatchObject({ hint: 'theirs' });
  });

  test('of the largest entries there can be fits the store', async () => {
    const selectors = Array.from({ length: 64 }, (_, count) => `x:${count}${'é'.repeat(2000)}`);
    const file = Array.from({ length: 12 }, (_, count) => draft(`n${count}`, { selectors }));
    expect(await apply(file)).toHaveLength(12);
  });

  test('of more than one transaction is whole in the end', async () => {
    const file = Array.from({ length: 300 }, (_, count) => draft(`n${count}`));
    expect(await apply(file)).toHaveLength(300);
    expect((await registry.listEntries({ limit: 1000 })).items).toHaveLength(300);
    expect(await apply([], true)).toHaveLength(300);
    expect((await store.range({ prefix: '' })).items).toEqual([]);
  });

  test('of very many is compared in slices, between which others have their turn', async () => {
    const file = Array.from({ length: 1000 }, (_, count) => draft(`n${count}`));
    const before: string[] = [];
    const onSlice = (): void => {
      before.push('slice');
      setImmediate(() => before.push('turn'));
    };
    const options = { drafts: file, present: [], prune: false, trustDomain, nowMs: 1000, onSlice };
    expect(await planImport(options)).toMatchObject({ kind: 'planned', unchanged: 0 });
    // Of the drafts, and of what is wanted; whoever asked for a turn had it before the next slice.
    expect(before.join(' ')).toBe(Array(10).fill('slice turn').join(' '));
  });
});
