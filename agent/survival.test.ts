import { expect, test } from 'vitest';
import { WatchSource } from '../core/index.ts';
import { generateKeyPair } from '../pki/index.ts';
import { spiffeIdOf, parseTrustDomain } from '../spiffe/index.ts';
import { ManualClock } from '../test/fakes/manual-clock.ts';
import { makeTestPki } from '../test/fakes/test-pki.ts';
import type { NodeSvid } from './node-svid.ts';
import type { EntrySvid, EntrySvids } from './svid/entry-svid.ts';
import { watchSurvival } from './survival.ts';

const trustDomain = parseTrustDomain('mesh.test');

test('it says how long it can go on, and that the end is near before it is there', async () => {
  const clock = new ManualClock(Date.UTC(2026, 0, 1));
  const startMs = clock.wallMs();
  const pki = await makeTestPki({ trustDomain, nowMs: startMs });
  const held = async (name: string, lifeMs: number): Promise<EntrySvid> => {
    const { privateKey, publicKey } = generateKeyPair('ec-p256');
    const notAfterMs = Math.floor((clock.wallMs() + lifeMs) / 1000) * 1000;
    const { certificate } = await pki.issueLeaf({ id: `/${name}`, publicKey, notAfterMs });
    const svid = { id: spiffeIdOf(trustDomain, `/${name}`), chain: [certificate], privateKey };
    return { entryId: name, entryRevision: 1n, svid, rootKeyId: '', notAfterMs, renewAtMs: 0 };
  };
  const long = await held('long', 7_200_000);
  const short = await held('short', 3_600_000);
  const svids = new WatchSource<EntrySvids>(new Map());
  const { svid, ...rest } = long;
  const node = new WatchSource<NodeSvid>({ ...svid, ...rest });
  const watch = watchSurvival({ svids, node, clock });
  const { survival } = watch;
  const states: string[] = [];
  survival.subscribe(({ state }) => states.push(state));
  expect(survival.current()).toEqual({
    state: 'fine',
    survivesUntilMs: undefined,
    first: undefined,
    endingAtMs: undefined,
    nodeUntilMs: long.notAfterMs,
  });

  svids.set(new Map([long, short].map((each) => [each.entryId, each])));
  const { endingAtMs = 0, ...now } = survival.current();
  expect(now).toMatchObject({ survivesUntilMs: short.notAfterMs, first: short.svid.id });
  // Well before the end, and well after the half of the life at which a renewal was due.
  expect(endingAtMs).toBeGreaterThan(startMs + 1_800_000 * 1.1);
  expect(endingAtMs).toBeLessThan(short.notAfterMs - 300_000);

  for (let passedMs = 0; clock.wallMs() < endingAtMs; passedMs += 30_000) {
    expect(survival.current().state, `after ${passedMs}`).toBe('fine');
    await clock.advance(30_000);
  }
  expect(clock.wallMs()).toBeLessThan(short.notAfterMs);
  expect(survival.current().state).toBe('ending');
  // A renewal ends the alarm.
  const renewed = await held('short', 3_600_000);
  svids.set(new Map([long, renewed].map((each) => [each.entryId, each])));
  expect(survival.current().state).toBe('fine');
  expect(states).toEqual(['fine', 'ending', 'fine']);
  await watch.close();
});
