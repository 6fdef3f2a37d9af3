import { expect, test } from 'vitest';
import { seededRandom, silentLogger } from '../../core/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { startPruning } from './pruning.ts';
import { createRegistry } from './registry.ts';

test('what has ended is pruned and recorded; what has not, stays', async () => {
  const clock = new ManualClock(0);
  const trustDomain = parseTrustDomain('mesh.test');
  const store = new MemoryStore();
  const registry = createRegistry({ store, trustDomain, clock, random: seededRandom(1) });
  const entry = { parentId: 'spiffe://mesh.test/n', selectors: ['a:b'] };
  const ending = { ...entry, spiffeId: 'spiffe://mesh.test/ends', expiresAtMs: 90_000 };
  await registry.createEntry(ending);
  await registry.createEntry({ ...entry, spiffeId: 'spiffe://mesh.test/stays' });
  await registry.createToken({ ttlMs: 1000 });
  const recorded: string[] = [];
  const pruning = startPruning({
    registry,
    recordExpired: async ({ spiffeId }) => void recorded.push(spiffeId),
    clock,
    log: silentLogger,
  });

  await clock.advance(60_000);
  expect((await registry.listEntries()).items).toHaveLength(2);
  store.failWith(new Error('disk'));
  await clock.advance(60_000);
  store.failWith(undefined);
  expect(recorded).toEqual([]);
  await clock.advance(60_000);
  expect(recorded).toEqual(['spiffe://mesh.test/ends']);
  expect((await registry.listEntries()).items).toHaveLength(1);

  // A token is kept for a day, to be told apart from one that nobody made.
  expect((await registry.listTokens()).items).toHaveLength(1);
  await clock.advance(86_400_000);
  expect((await registry.listTokens()).items).toHaveLength(0);
  await pruning.close();
});
