import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { seededRandom, silentLogger, utf8Bytes } from '../../core/index.ts';
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../../spiffe/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { storeKeys } from '../store/key-layout.ts';
import type { EntryDraft } from './registration-entry.ts';
import { createRegistry, type Registry } from './registry.ts';
import { openRegistryView, type RegistryView } from './registry-view.ts';
import { parseSelector } from './selector.ts';

const trustDomain = parseTrustDomain('mesh.test');
const [node1, node2] = ['1', '2'].map(nodeIdOf);
const caId = 'spiffe://mesh.test/signet/ca';

describe('registry view', () => {
  let store: MemoryStore;
  let clock: ManualClock;
  let registry: Registry;
  let view: RegistryView;

  beforeEach(async () => {
    // Few revisions kept, so that a watch that falls behind has to list again.
    store = new MemoryStore({ eventRevisionsKept: 5 });
    clock = new ManualClock(0);
    const deps = { store, trustDomain, clock, random: seededRandom(1) };
    registry = createRegistry(deps);
    await putNode(nodeIdOf('1'), ['pool:a']);
    await registry.createEntry(draft('1', nodeIdOf('1')));
    view = await openRegistryView({ ...deps, log: silentLogger });
  });

  afterEach(() => view.close());

  test('knows what stood before it was opened', () => {
    expect(served('1')).toEqual(['spiffe://mesh.test/1']);
    expect(served('2')).toEqual([]);
    expect(view.isNode(nodeIdOf('1'))).toBe(true);
    expect(view.isNode(nodeIdOf('2'))).toBe(false);
    expect(view.counts()).toEqual({ entries: 1, nodes: 1 });
    expect(view.revision()).toBe(store.revision());
  });

  test('a change that is committed is seen at once', async () => {
    await putNode(nodeIdOf('2'));
    const entry = await registry.createEntry(draft('2', nodeIdOf('2')));
    expect(served('2')).toEqual(['spiffe://mesh.test/2']);
    expect(view.authorizedEntry(nodeIdOf('2'), entry.id)).toEqual(entry);
    expect(view.authorizedEntry(nodeIdOf('1'), entry.id)).toBeUndefined();
    expect(view.revision()).toBe(store.revision());
    await registry.deleteEntry(entry.id);
    expect(served('2')).toEqual([]);
    expect(view.authorizedEntry(nodeIdOf('2'), entry.id)).toBeUndefined();
  });

  test('a node that was removed may serve nothing', async () => {
    await registry.removeNode(nodeIdOf('1'));
    expect(served('1')).toEqual([]);
    expect(view.counts()).toEqual({ entries: 1, nodes: 0 });
  });

  test('aliases are followed as they come, and as the node changes', async () => {
    const alias = await registry.createEntry({
      spiffeId: 'spiffe://mesh.test/pool',
      parentId: caId,
      selectors: ['pool:a'],
    });
    await registry.createEntry(draft('pooled', 'spiffe://mesh.test/pool'));
    expect(served('1')).toEqual(['spiffe://mesh.test/1', 'spiffe://mesh.test/pooled']);
    await putNode(nodeIdOf('1'), ['pool:b']);
    expect(served('1')).toEqual(['spiffe://mesh.test/1']);
    await putNode(nodeIdOf('1'), ['pool:a']);
    await registry.deleteEntry(alias.id);
    expect(served('1')).toEqual(['spiffe://mesh.test/1']);
  });

  describe('listeners', () => {
    test('one for a node hears what concerns that node alone', async () => {
      await putNode(nodeIdOf('2'), ['pool:b']);
      const all = listen();
      const first = listen(node1);
      const second = listen(node2);
      const entry = await registry.createEntry(draft('a', nodeIdOf('1')));
      expect(calls(all, first, second)).toEqual([1, 1, 0]);
      // Moved to the other node: both see a change.
      await registry.updateEntry(entry.id, draft('a', nodeIdOf('2')));
      expect(calls(all, first, second)).toEqual([1, 1, 1]);
      const parentId = caId;
      const alias = { spiffeId: 'spiffe://mesh.test/pool', parentId, selectors: ['pool:b'] };
      const { id } = await registry.createEntry(alias);
      expect(calls(all, first, second)).toEqual([1, 0, 1]);
      await registry.createEntry(draft('pooled', 'spiffe://mesh.test/pool'));
      expect(calls(all, first, second)).toEqual([1, 0, 1]);
      await registry.deleteEntry(id);
      expect(calls(all, first, second)).toEqual([1, 0, 1]);
      await registry.removeNode(nodeIdOf('1'));
      expect(calls(all, first, second)).toEqual([1, 1, 0]);
    });

    test('one hears nothing of what is not of the registry, nor once it has left', async () => {
      const listener = vi.fn();
      const leave = view.subscribe(listener);
      await store.commit({ puts: [{ key: storeKeys.setting('x'), value: utf8Bytes('x') }] });
      leave();
      await registry.createEntry(draft('a', nodeIdOf('1')));
      expect(listener).not.toHaveBeenCalled();
    });
  });

  test('a record that cannot be read gives nobody an identity, and harms no other', async () => {
    const bad = await registry.createEntry(draft('bad', nodeIdOf('1')));
    await store.commit({ puts: [{ key: storeKeys.entry(bad.id), value: utf8Bytes('{') }] });
    await registry.createEntry(draft('good', nodeIdOf('1')));
    expect(served('1')).toEqual(['spiffe://mesh.test/1', 'spiffe://mesh.test/good']);
  });

  test('a listener that throws costs the view its watch, and it finds its way back', async () => {
    let isBroken = true;
    view.subscribe(() => {
      if (isBroken) throw new Error('listener');
    });
    await registry.createEntry(draft('a', nodeIdOf('1')));
    for (let count = 0; count < 20; count += 1) {
      await registry.createEntry(draft(`b${count}`, nodeIdOf('1')));
    }
    isBroken = false;
    await clock.advance(60_000);
    expect(served('1')).toHaveLength(22);
    await registry.createEntry(draft('c', nodeIdOf('1')));
    expect(served('1')).toHaveLength(23);
  });

  test('a store that cannot be read stops it from opening', async () => {
    store.failWith(new Error('disk'));
    const deps = { store, trustDomain, clock, random: seededRandom(1), log: silentLogger };
    await expect(openRegistryView(deps)).rejects.toThrow('disk');
  });

  test('closed, it changes no more', async () => {
    await view.close();
    await registry.createEntry(draft('a', nodeIdOf('1')));
    expect(served('1')).toEqual(['spiffe://mesh.test/1']);
  });

  function served(name: string): readonly string[] {
    return view.entriesOf(nodeIdOf(name)).map(({ spiffeId }) => spiffeId);
  }

  function listen(nodeId?: SpiffeId) {
    const listener = vi.fn();
    view.subscribe(listener, nodeId);
    return listener;
  }

  async function putNode(id: SpiffeId, selectors: readonly string[] = []): Promise<void> {
    const times = { notAfterMs: 1, attestedAtMs: 0 };
    const held = selectors.map(parseSelector);
    await registry.putNode({ id, attestor: 'join_token', selectors: held, serial: '0a', ...times });
  }
});

/** How often each was called since it was last asked. */
function calls(...listeners: readonly ReturnType<typeof vi.fn>[]): readonly number[] {
  return listeners.map((listener) => {
    const count = listener.mock.calls.length;
    listener.mockClear();
    return count;
  });
}

function nodeIdOf(name: string): SpiffeId {
  return parseSpiffeId(`spiffe://mesh.test/signet/node/join-token/${name}`);
}

function draft(name: string, parentId: string): EntryDraft {
  return { spiffeId: `spiffe://mesh.test/${name}`, parentId, selectors: ['unix:uid:1'] };
}
