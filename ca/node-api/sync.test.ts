import { describe, expect, test } from 'vitest';
import { ManualClock, settle } from '../../test/fakes/manual-clock.ts';
import { makeTestPki } from '../../test/fakes/test-pki.ts';
import type { SyncRequest, SyncResponse } from '../../api/index.ts';
import { silentLogger, toHex, WatchSource } from '../../core/index.ts';
import { formatBundle, parseSpiffeId } from '../../spiffe/index.ts';
import type { Trust } from '../authority/trust.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import { parseSelector } from '../registry/selector.ts';
import { PushTimes } from '../revocation/push-times.ts';
import type { RevocationState } from '../revocation/revocation.ts';
import { ConnectedNodes } from './connected-nodes.ts';
import { syncNode } from './sync.ts';

const nowMs = Date.parse('2026-11-22T12:00:00Z');
const node = {
  id: parseSpiffeId('spiffe://mesh.test/signet/node/join-token/a'),
  address: '10.0.0.1:1',
  notAfterMs: nowMs + 60_000,
  serial: '0a',
};
const pki = await makeTestPki({ nowMs });
const rootId = toHex(pki.root.certificate.extensions.subjectKeyId ?? new Uint8Array());

function trustAt(revision: number, sequence: bigint): Trust {
  const bundle = { ...pki.bundle, sequence };
  return {
    bundle,
    bundleDocument: formatBundle(bundle),
    activeRoot: {
      id: rootId,
      tier: 'root',
      state: 'active',
      certificate: pki.root.certificate,
      preparedAtMs: nowMs,
    },
    taintedKeyIds: [],
    revision,
  };
}

function entry(id: string, revision = 1): RegistrationEntry {
  return {
    id,
    spiffeId: parseSpiffeId(`spiffe://mesh.test/${id}`),
    parentId: node.id,
    selectors: [parseSelector('unix:uid:1')],
    dnsNames: [],
    hint: '',
    federatesWith: [],
    admin: false,
    priority: 0,
    createdAtMs: nowMs,
    revision,
  };
}

/** A node's stream with both ends in the test's hands. */
function story(): {
  readonly clock: ManualClock;
  readonly states: SyncResponse[];
  readonly connected: ConnectedNodes;
  readonly trust: WatchSource<Trust>;
  readonly revoked: WatchSource<RevocationState>;
  readonly times: PushTimes;
  readonly ended: Promise<unknown>;
  send(request: Partial<SyncRequest>): void;
  setEntries(entries: readonly RegistrationEntry[], revision: number): void;
  block(): void;
  drain(): void;
  halfClose(): void;
  cancel(): void;
} {
  const clock = new ManualClock(nowMs);
  const trust = new WatchSource(trustAt(3, 1n));
  const entries = new WatchSource({ list: [] as readonly RegistrationEntry[], revision: 0 });
  const connected = new ConnectedNodes(clock);
  const revoked = new WatchSource<RevocationState>({ version: 0, crls: [], serials: [] });
  const revocations = {
    state: revoked,
    times: new PushTimes(),
    isRevoked: (serial: string) => revoked.current().serials.includes(serial),
  };
  const aborted = new AbortController();
  const inbox: SyncRequest[] = [];
  const states: SyncResponse[] = [];
  let isOver = false;
  let isBlocked = false;
  let wake = (): void => {};
  let unblock = (): void => {};
  async function* requests(): AsyncGenerator<SyncRequest> {
    for (;;) {
      const next = inbox.shift();
      if (next !== undefined) yield next;
      else if (isOver || aborted.signal.aborted) return;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  }
  const ended = syncNode(
    {
      entries: {
        isNode: () => true,
        entriesOf: () => entries.current().list,
        derivablesOf: () => [],
        revision: () => entries.current().revision,
        subscribe: (listener) => entries.subscribe(listener),
      },
      trust,
      revocations,
      connected,
      x509SvidMs: 10_000,
      clock,
      log: silentLogger,
    },
    {
      requests: requests(),
      send: (state) => {
        states.push(state);
        return !isBlocked;
      },
      drained: () =>
        isBlocked
          ? new Promise<void>((resolve) => {
              unblock = resolve;
            })
          : Promise.resolve(),
    },
    node,
    { signal: aborted.signal },
  ).catch((error: unknown) => error);
  return {
    clock,
    states,
    connected,
    trust,
    revoked,
    times: revocations.times,
    ended,
    send(request) {
      inbox.push({
        appliedRevision: 0n,
        trust: [],
        agentVersion: '',
        secretReports: [],
        secretHoldings: [],
        secretHoldingsLeftOut: 0,
        ...request,
      });
      wake();
    },
    setEntries: (list, revision) => entries.set({ list, revision }),
    block: () => {
      isBlocked = true;
    },
    drain() {
      isBlocked = false;
      unblock();
    },
    halfClose() {
      isOver = true;
      wake();
    },
    cancel() {
      aborted.abort();
      wake();
    },
  };
}

test('nothing is sent before the node has said where it stands, then everything is', async () => {
  const here = story();
  here.setEntries([entry('web')], 7);
  await settle();
  expect(here.states).toEqual([]);
  here.send({});
  await settle();
  expect(here.states).toHaveLength(1);
  expect(here.states[0]).toMatchObject({
    revision: 7n,
    activeRootKeyId: rootId,
    entries: [{ id: 'web', x509SvidTtlMs: 10_000n, revision: 1n }],
  });
  here.cancel();
  expect(await here.ended).toBeUndefined();
});

test('a change is pushed, and what is the same is not', async () => {
  const here = story();
  here.send({});
  await here.clock.advance(100);
  here.setEntries([entry('web')], 8);
  await here.clock.advance(100);
  here.setEntries([entry('web')], 9);
  await here.clock.advance(100);
  here.setEntries([entry('web', 2)], 10);
  here.trust.set(trustAt(11, 2n));
  await here.clock.advance(100);
  expect(here.states.map(({ revision }) => revision)).toEqual([3n, 8n, 11n]);
  here.cancel();
  await here.ended;
});

test('a slow peer gets the newest state once', async () => {
  const here = story();
  here.block();
  here.send({});
  await settle();
  for (let revision = 10; revision < 20; revision += 1) {
    here.setEntries([entry(`e${revision}`)], revision);
    await here.clock.advance(100);
  }
  expect(here.states).toHaveLength(1);
  here.drain();
  await here.clock.advance(100);
  expect(here.states).toHaveLength(2);
  expect(here.states[1]).toMatchObject({ revision: 19n, entries: [{ id: 'e19' }] });
  here.cancel();
  await here.ended;
});

test('many changes in one moment are one state', async () => {
  const here = story();
  here.send({});
  await here.clock.advance(100);
  for (let revision = 10; revision < 200; revision += 1) {
    here.setEntries([entry(`e${revision}`)], revision);
    await settle();
  }
  await here.clock.advance(100);
  expect(here.states.length).toBeLessThanOrEqual(3);
  expect(here.states.at(-1)).toMatchObject({ revision: 199n });
  here.cancel();
  await here.ended;
});

describe('the revision grows', () => {
  test.for([
    ['beyond what the node has applied', 50n, 51n],
    ['from the store when the node is behind', 1n, 3n],
    ['whatever a node claims', 2n ** 64n - 1n, 3n],
  ] as const)('%s', async ([, appliedRevision, revision]) => {
    const here = story();
    here.send({ appliedRevision });
    await settle();
    expect(here.states[0]?.revision).toBe(revision);
    here.setEntries([entry('web')], 2);
    await here.clock.advance(100);
    expect(here.states[1]?.revision).toBe(revision + 1n);
    here.cancel();
    await here.ended;
  });
});

test('acknowledgements and reports count while the stream lasts', async () => {
  const here = story();
  here.send({ agentVersion: 'v1'.repeat(100) });
  await settle();
  expect(here.connected.propagationOf(rootId)).toMatchObject({ nodes: 1, nodesApplied: 0 });
  here.send({
    appliedRevision: 3n,
    trust: [{ authorityKeyId: rootId, subscribers: 2, acknowledged: 1 }],
  });
  await settle();
  expect(here.connected.propagationOf(rootId)).toMatchObject({
    nodes: 1,
    nodesApplied: 1,
    subscribers: 2,
    acknowledged: 1,
  });
  expect(here.connected.get(node.id)?.agentVersion).toHaveLength(64);
  here.halfClose();
  expect(await here.ended).toBeUndefined();
  expect(here.connected.count()).toBe(0);
});

test('a stream does not outlive the certificate it was opened with', async () => {
  const here = story();
  here.send({});
  await here.clock.advance(60_000);
  expect(here.connected.count()).toBe(1);
  await here.clock.advance(2000);
  here.halfClose();
  expect(await here.ended).toMatchObject({ kind: 'unauthenticated', code: 'node_svid_expired' });
  expect(here.connected.count()).toBe(0);
});

test('a node that says nothing is not connected', async () => {
  const here = story();
  await settle();
  expect(here.connected.count()).toBe(0);
  here.halfClose();
  expect(await here.ended).toBeUndefined();
});

describe('revocations', () => {
  test('are pushed once for many, and the time until a node applied them is told', async () => {
    const here = story();
    const { clock, states, revoked, times } = here;
    here.send({});
    await settle();
    expect(states[0]).toMatchObject({ crls: [], revokedSerials: [] });

    times.began(2, clock.monotonicMs());
    revoked.set({ version: 1, crls: [Uint8Array.of(1)], serials: ['0b'] });
    revoked.set({ version: 2, crls: [Uint8Array.of(2)], serials: ['0b', '0c'] });
    await settle();
    await clock.advance(100);
    await settle();
    expect(states).toHaveLength(2);
    expect(states[1]).toMatchObject({ crls: [Buffer.of(2)], revokedSerials: ['0b', '0c'] });
    expect(times).toMatchObject({ pushes: 1, lastPushMs: 10, applications: 0 });

    await clock.advance(5);
    here.send({ appliedRevision: states[1]?.revision ?? 0n });
    await settle();
    expect(times).toMatchObject({ applications: 1, lastAppliedMs: 105 });
    here.cancel();
    await here.ended;
  });

  test('end the stream of a node whose certificate is among them', async () => {
    const here = story();
    const { clock, states, revoked } = here;
    here.send({});
    await settle();
    revoked.set({ version: 1, crls: [], serials: ['0a'] });
    await settle();
    await clock.advance(100);
    await settle();
    await expect(here.ended).resolves.toMatchObject({ code: 'node_svid_revoked' });
    expect(states).toHaveLength(1);
  });
});
