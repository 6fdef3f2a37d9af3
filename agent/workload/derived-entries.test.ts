import { expect, test } from 'vitest';
import { silentLogger, WatchSource } from '../../core/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import type { CaState, DerivableEntry } from '../ca-state.ts';
import { nothingRevoked } from '../read-crls.ts';
import { derivedEntries } from './derived-entries.ts';
import { createDerivedIdentities } from './derived-identities.ts';

const rule: DerivableEntry = {
  id: 'rule:r1:x509pop/a1',
  selectors: ['unix:group:staff'],
  parts: [
    { kind: 'text', text: 'spiffe://mesh.test/user/' },
    { kind: 'fact', prefix: 'unix:user:' },
  ],
  hint: '',
  priority: 0,
  createdAtMs: 1,
  revision: 1n,
};
const web = new Set(['unix:group:staff', 'unix:user:web', 'unix:uid:7']);

test('a workload derives an entry by the facts that it rests on, and by no others', () => {
  const [entry] = derivedEntries([rule], web);
  expect(entry).toMatchObject({
    spiffeId: 'spiffe://mesh.test/user/web',
    derivedFrom: ['unix:group:staff', 'unix:user:web'],
    id: expect.stringMatching(/^rule:r1:x509pop\/a1#[0-9a-f]{24}$/),
  });
  const [same] = derivedEntries([rule], new Set([...web, 'unix:uid:8']));
  expect(same?.id).toBe(entry?.id);
});

test.for([
  [['unix:user:web']],
  [['unix:group:staff']],
  [['unix:group:staff', 'unix:user:web', 'unix:user:db']],
  [['unix:group:staff', 'unix:user:a b']],
  [['unix:group:staff', 'unix:user:..']],
])('%j derive nothing', ([selectors]) => {
  expect(derivedEntries([rule], new Set(selectors))).toEqual([]);
});

const stateOf = (revision: bigint, derivables: readonly DerivableEntry[]): CaState => ({
  ...nothingRevoked,
  revision,
  trustDomain: parseTrustDomain('mesh.test'),
  entries: [],
  derivables,
  activeRootKeyId: '',
  bundles: new Map(),
  bundleText: new Uint8Array(),
});

test('an entry stands while a workload is here and a little longer, and goes with its rule at once', async () => {
  const clock = new ManualClock(0);
  const state = new WatchSource<CaState | undefined>(stateOf(1n, [rule]));
  const derived = createDerivedIdentities({ state, clock, log: silentLogger });
  const served = (): number => derived.state.current()?.entries.length ?? 0;
  const leave = derived.add(new WatchSource<ReadonlySet<string>>(web));
  const leaveToo = derived.add(new WatchSource<ReadonlySet<string>>(web));
  expect(served()).toBe(1);
  leave();
  leaveToo();
  await clock.advance(59_000);
  expect(served()).toBe(1);
  await clock.advance(62_000);
  expect(served()).toBe(0);
  derived.add(new WatchSource<ReadonlySet<string>>(web));
  expect(served()).toBe(1);
  state.set(stateOf(2n, []));
  expect(served()).toBe(0);
  state.set(stateOf(3n, [rule]));
  expect(served()).toBe(1);
  await derived.close();
});

test('a workload that derives what is served already changes nothing, and one that does not adds its own', async () => {
  const clock = new ManualClock(0);
  const state = new WatchSource<CaState | undefined>(stateOf(1n, [rule]));
  const derived = createDerivedIdentities({ state, clock, log: silentLogger });
  const ids = (): readonly string[] =>
    (derived.state.current()?.entries ?? []).map(({ spiffeId }) => spiffeId);
  let changes = 0;
  derived.state.subscribe(() => (changes += 1));
  const add = (...selectors: string[]): (() => void) =>
    derived.add(new WatchSource<ReadonlySet<string>>(new Set(selectors)));
  add('unix:group:staff', 'unix:user:web');
  const leave = add('unix:group:staff', 'unix:user:web', 'unix:uid:9');
  add('unix:uid:9');
  expect(ids()).toEqual(['spiffe://mesh.test/user/web']);
  expect(changes).toBe(1);
  add('unix:group:staff', 'unix:user:db');
  expect(ids()).toEqual(['spiffe://mesh.test/user/web', 'spiffe://mesh.test/user/db']);
  leave();
  await clock.advance(180_000);
  expect(ids()).toEqual(['spiffe://mesh.test/user/web', 'spiffe://mesh.test/user/db']);
  await derived.close();
});
