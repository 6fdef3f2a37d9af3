import { expect, test } from 'vitest';
import {
  authorityStartMs as startMs,
  authorityWorld,
  openWorld,
  operator,
  statesOf,
} from '../../test/fakes/authority-world.ts';
import type { Store } from '../store/store.ts';
import { activeIssuing } from './slot.ts';

test('a CA whose authorities another one changed takes up what that one wrote, and goes on', async () => {
  const world = authorityWorld();
  const [one, other] = [await openWorld(world), await openWorld(world)];
  const next = await one.prepare(operator);
  await expect(other.prepare(operator)).rejects.toMatchObject({
    code: 'authority_conflict',
    kind: 'aborted',
  });
  expect(statesOf(other)).toEqual(statesOf(one));
  expect(other.trust.current().bundleDocument).toBe(one.trust.current().bundleDocument);
  // It is judged anew, by what is there now.
  await expect(other.prepare(operator)).rejects.toMatchObject({ code: 'authority_state' });
  const propagation = () => ({ nodes: 0, nodesApplied: 0, subscribers: 0, acknowledged: 0 });
  await other.activate(operator, next.id, propagation, false);
  expect(other.issuer().rootId).toBe(next.id);
  await one.close();
  await other.close();
});

test('of the leaves that either of them signed the later end is kept', async () => {
  const world = authorityWorld();
  const [one, other] = [await openWorld(world), await openWorld(world)];
  const { id } = one.issuer();
  await one.recordLeaf(id, startMs + 12_000);
  await expect(other.recordLeaf(id, startMs + 6000)).rejects.toMatchObject({
    code: 'authority_conflict',
  });
  await other.recordLeaf(id, startMs + 6000);
  await other.prepare(operator);
  const restarted = await openWorld(world);
  const mark = activeIssuing(restarted.current())?.lastLeafNotAfterMs ?? 0;
  expect(mark).toBeGreaterThanOrEqual(startMs + 12_000);
  for (const each of [one, other, restarted]) await each.close();
});

test('a write whose answer was lost is found at the next one, and the one after goes on', async () => {
  const world = authorityWorld();
  let isLosing = false;
  const store: Store = {
    get: (key) => world.store.get(key),
    range: (request) => world.store.range(request),
    pages: (prefix) => world.store.pages(prefix),
    watch: (...given) => world.store.watch(...given),
    revision: () => world.store.revision(),
    close: () => world.store.close(),
    async commit(transaction) {
      const result = await world.store.commit(transaction);
      if (isLosing) throw new Error('the answer was lost');
      return result;
    },
  };
  const authorities = await openWorld({ ...world, store });
  isLosing = true;
  await expect(authorities.prepare(operator)).rejects.toThrow('the answer was lost');
  isLosing = false;
  await expect(authorities.prepare(operator)).rejects.toMatchObject({ code: 'authority_conflict' });
  expect(statesOf(authorities)).toEqual(['root active', 'issuing active', 'root prepared']);
  await authorities.abort(operator, authorities.current().authorities[2]?.id ?? '');
  await authorities.close();
});
