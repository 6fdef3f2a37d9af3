import { expect, test } from 'vitest';
import { WatchSource } from '../../core/index.ts';
import type { UnixCaller } from '../../rpc/index.ts';
import { parseSpiffeId, parseTrustDomain } from '../../spiffe/index.ts';
import type { CaState } from '../ca-state.ts';
import { nothingRevoked } from '../read-crls.ts';
import type { EntrySvids } from '../svid/entry-svid.ts';
import type { Selectors } from './attested-callers.ts';
import { createCallerIdentities } from './caller-identities.ts';

const trustDomain = parseTrustDomain('mesh.test');

const stateAt = (revision: bigint): CaState => ({
  revision,
  trustDomain,
  entries: [
    {
      id: 'entry',
      spiffeId: parseSpiffeId('spiffe://mesh.test/x'),
      selectors: ['unix:uid:1'],
      hint: '',
      priority: 0,
      createdAtMs: 0,
      revision: 1n,
    },
  ],
  // A new map is a new bundle: something to tell.
  bundles: new Map(),
  bundleText: new Uint8Array(),
  activeRootKeyId: '',
  ...nothingRevoked,
});

test('what changes after a process has ended is not told on its connection, before any watch has noticed', async () => {
  const selectors = new WatchSource<Selectors>(new Set(['unix:uid:1']));
  const state = new WatchSource<CaState | undefined>(stateAt(1n));
  const source = createCallerIdentities({
    callers: { selectorsOf: async () => selectors },
    state,
    svids: new WatchSource<EntrySvids>(new Map()),
    derived: { add: () => () => {} },
  });
  let alive = true;
  const caller: UnixCaller = {
    kind: 'unix',
    connection: 'connection-1',
    pid: 1,
    uid: 1,
    gid: 1,
    process: { alive: () => alive, replaced: () => false, release() {} },
    closed: new AbortController().signal,
  };
  const identities = await source.identitiesOf(caller);
  const told: number[] = [];
  identities.subscribe((value) => {
    told.push(value.kind === 'known' ? value.identities.length : -1);
  });

  state.set(stateAt(2n));
  alive = false;
  state.set(stateAt(3n));
  state.set(stateAt(4n));

  // Told while it lived, withdrawn once when it did not, and nothing after that.
  expect(told).toEqual([1, 0]);
});
