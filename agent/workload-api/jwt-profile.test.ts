import { expect, test } from 'vitest';
import { WatchSource } from '../../core/index.ts';
import { parseSpiffeId, parseTrustDomain } from '../../spiffe/index.ts';
import type { AgentEntry } from '../ca-state.ts';
import type { CallerIdentities } from '../workload/caller-identities.ts';
import { jwtSvidResponse } from './jwt-profile.ts';
import type { Known } from './workload-call.ts';

const web: AgentEntry = {
  id: 'one',
  spiffeId: parseSpiffeId('spiffe://mesh.test/web'),
  selectors: [],
  hint: '',
  priority: 0,
  createdAtMs: 0,
  revision: 1n,
};

/** Asks for a token; `web` becomes `later` while the CA makes it. */
async function askedWhile(later: AgentEntry) {
  const identities = new WatchSource<CallerIdentities>(knownWith(web));
  const knownNow = (state: CallerIdentities): Known => {
    if (state.kind !== 'known') throw new Error('starting');
    return state;
  };
  const fetch = async (entries: readonly AgentEntry[]) => {
    identities.set(knownWith(later));
    return entries.map((entry) => ({ kind: 'issued' as const, entry, token: 'token' }));
  };
  const request = { audience: ['a'], spiffeId: '' };
  return jwtSvidResponse(request, { fetch, close: async () => {} }, identities, knownNow);
}

test.each([
  ['its SPIFFE ID', { spiffeId: parseSpiffeId('spiffe://mesh.test/api') }],
  ['its revision', { revision: 2n }],
  ['its id', { id: 'two' }],
])('a token is kept back if its entry changed %s meanwhile', async (_what, change) => {
  await expect(askedWhile({ ...web, ...change })).rejects.toThrow('no identity issued');
});

test('a token of an entry that is as it was is handed out', async () => {
  expect((await askedWhile({ ...web })).svids).toEqual([
    { spiffeId: web.spiffeId, svid: 'token', hint: '' },
  ]);
});

function knownWith(entry: AgentEntry): CallerIdentities {
  return {
    kind: 'known',
    trustDomain: parseTrustDomain('mesh.test'),
    identities: [{ entry, svid: undefined }],
    bundles: new Map(),
    crls: [],
  };
}
