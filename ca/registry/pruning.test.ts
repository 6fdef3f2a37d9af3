import { expect, test } from 'vitest';
import { seededRandom, silentLogger } from '../../core/index.ts';
import { parseSpiffeId, parseTrustDomain } from '../../spiffe/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import { startPruning } from './pruning.ts';
import { createRegistry } from './registry.ts';
import { parseSelector } from './selector.ts';

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
  // One of a node that stays, and one of a node that never came to its place.
  const [kept, lost] = [
    await registry.createToken({ ttlMs: 1000 }),
    await registry.createToken({ ttlMs: 1000 }),
  ];
  const nodeIdOf = (id: string) => parseSpiffeId(`spiffe://mesh.test/signet/node/join-token/${id}`);
  for (const { text, token } of [kept, lost]) {
    const nodeId = nodeIdOf(token.id);
    await registry.useToken({ text, spkiSha256: 'a'.repeat(64), nodeId });
  }
  await registry.putNode({
    id: nodeIdOf(kept.token.id),
    attestor: 'join_token',
    selectors: [parseSelector(`join_token:${kept.token.id}`)],
    serial: '0a',
    notAfterMs: 1000,
    attestedAtMs: 0,
  });
  const audit = new RecordingAuditLog();
  const recorded = (): readonly string[] =>
    audit.events.flatMap((event) =>
      'entry' in event ? [`${event.type} ${event.entry.spiffeId}`] : [],
    );
  let isSure = true;
  const mayForget = (): boolean => isSure;
  const pruning = startPruning({ registry, audit, clock, log: silentLogger, mayForget });

  await clock.advance(60_000);
  expect((await registry.listEntries()).items).toHaveLength(2);
  store.failWith(new Error('disk'));
  await clock.advance(60_000);
  store.failWith(undefined);
  expect(recorded()).toEqual([]);
  // What is deleted stays deleted, so the time must be sure.
  isSure = false;
  await clock.advance(60_000);
  expect((await registry.listEntries()).items).toHaveLength(2);
  isSure = true;
  audit.failing = true;
  await clock.advance(60_000);
  // Nothing goes that cannot be recorded.
  expect((await registry.listEntries()).items).toHaveLength(2);
  audit.failing = false;
  await clock.advance(60_000);
  expect(recorded()).toEqual(['entry.deleted spiffe://mesh.test/ends']);
  expect((await registry.listEntries()).items).toHaveLength(1);

  // A token is kept for a day, to be told apart from one that nobody made.
  expect((await registry.listTokens()).items).toHaveLength(3);
  await clock.advance(86_400_000);
  expect((await registry.listTokens()).items.map(({ id }) => id)).toEqual([kept.token.id]);
  await pruning.close();
});
