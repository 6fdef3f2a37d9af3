import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { formatStep, rotateRoot } from '../../cli/commands/authority-rotate.ts';
import { formatProof, proveRotation } from '../../cli/commands/rotation-proof.ts';
import { systemClock } from '../../core/index.ts';
import { parseCertificate } from '../../pki/index.ts';
import type { SyncStream, TestNode } from './ca-client.ts';
import { parseBundle } from '../../spiffe/index.ts';
import { adminRequest } from '../fakes/admin-request.ts';
import { CaFixture, trustDomain } from './ca-fixture.ts';

let mesh: CaFixture;
let nodes: TestNode[] = [];
beforeEach(async () => {
  mesh = await CaFixture.begin();
  nodes = [];
});
afterEach(async () => {
  for (const node of nodes) node.close();
  await mesh.end();
});

async function connected(): Promise<{ readonly node: TestNode; readonly sync: SyncStream }> {
  const node = await mesh.join();
  nodes.push(node);
  const sync = node.sync();
  await sync.state(() => true);
  return { node, sync };
}

/** Prepares a root, which the first of the two nodes takes up and the second does not. */
async function halfPublished(): Promise<{
  readonly rootId: string;
  readonly silent: TestNode;
  readonly silence: SyncStream;
}> {
  const [honest, silent] = [await connected(), await connected()];
  const before = honest.sync.states.at(-1)?.revision ?? 0n;
  const { id } = await mesh.admin.prepareAuthority();
  const state = await honest.sync.state(({ revision }) => revision > before);
  honest.sync.acknowledge(state.revision);
  await expect
    .poll(async () => (await mesh.root('prepared')).propagation)
    .toMatchObject({ nodes: 2, nodesApplied: 1 });
  return { rootId: id, silent: silent.node, silence: silent.sync };
}

/** Undefined while there is none. */
async function publishedId(): Promise<string | undefined> {
  const { authorities } = await mesh.admin.listAuthorities();
  return authorities.find(({ tier, state }) => tier === 'root' && state === 'published')?.id;
}

const serialOf = (node: TestNode): string =>
  parseCertificate(node.attested.chain[0] ?? new Uint8Array()).serial;

describe('a node that does not take up the root stands in its way until it is', () => {
  test.for([
    ['evicted', (node: TestNode) => mesh.admin.evictNode(node.spiffeId, { reason: 'gone' })],
    ['banned', (node: TestNode) => mesh.admin.banNode(node.spiffeId, { reason: 'stolen' })],
    ['revoked by its name', (node: TestNode) => mesh.admin.revoke({ node: node.spiffeId })],
    ['revoked by serial', (node: TestNode) => mesh.admin.revoke({ serial: serialOf(node) })],
  ] as const)('%s', async ([, out]) => {
    const { rootId, silent } = await halfPublished();
    await expect(mesh.admin.activateAuthority(rootId, false)).rejects.toMatchObject({
      message: expect.stringContaining('1 of 2 nodes'),
    });
    await out(silent);
    await expect.poll(publishedId).toBe(rootId);
    const { propagation } = await mesh.root('published');
    expect(propagation).toMatchObject({ nodes: 1, nodesApplied: 1 });
    expect(await mesh.admin.activateAuthority(rootId, false)).toMatchObject({ state: 'active' });
  });

  test('away and then evicted', async () => {
    const { rootId, silent, silence } = await halfPublished();
    silence.cancel();
    await expect
      .poll(async () => (await mesh.admin.getNode(silent.spiffeId)).connected)
      .toBe(false);
    expect((await mesh.root('prepared')).propagation).toMatchObject({ nodes: 2 });
    await mesh.admin.evictNode(silent.spiffeId, {});
    await expect.poll(publishedId).toBe(rootId);
  });
});

test('a node whose certificate has ended is waited for no longer, and is pruned', async () => {
  const lifetimes = { root: '1h', issuing: '60s', x509Svid: '2s', nodeSvid: '2s', backdate: '5s' };
  await mesh.restart({ lifetimes });
  const { node } = await connected();
  const { id } = await mesh.admin.prepareAuthority();
  expect((await mesh.root('prepared')).propagation).toMatchObject({ nodes: 1, nodesApplied: 0 });
  await expect.poll(publishedId, { timeout: 10_000 }).toBe(id);
  expect((await mesh.root('published')).propagation).toMatchObject({ nodes: 0 });
  await expect
    .poll(async () => (await mesh.admin.pruneNodes({ expiredForSeconds: 0 })).spiffeIds)
    .toEqual([node.spiffeId]);
});

test('the threshold of the config is enough, and is what the record says was asked', async () => {
  await mesh.restart({ rotation: { threshold: 0.5 } });
  const { rootId } = await halfPublished();
  await expect.poll(publishedId).toBe(rootId);
  await mesh.admin.activateAuthority(rootId, false);
  const { records } = await mesh.admin.queryAudit({ type: 'authority.activated' });
  expect(records.at(-1)).toMatchObject({
    evidence: { nodes: 2, nodesApplied: 1, threshold: 0.5 },
  });
  expect(records.at(-1)).not.toHaveProperty('forced');
});

test('with uneven nodes the record, the view, the metric and the proof show the share that was judged', async () => {
  await mesh.restart({ rotation: { threshold: 0.7 } });
  const [small, large] = [await connected(), await connected()];
  const { id } = await mesh.admin.prepareAuthority();
  for (const [{ sync }, subscribers, acknowledged] of [
    [small, 1, 1],
    [large, 20, 10],
  ] as const) {
    const state = await sync.state(
      ({ bundle }) =>
        parseBundle(Buffer.from(bundle).toString(), trustDomain).x509Authorities.length === 2,
    );
    sync.acknowledge(state.revision, [{ authorityKeyId: id, subscribers, acknowledged }]);
  }
  // 11 of 21 are 52 %, and yet it is published: no node weighs more than another.
  await expect.poll(publishedId).toBe(id);
  const judged = { subscribers: 21, acknowledged: 11, sidecarShare: 0.75 };
  expect((await mesh.root('published')).propagation).toMatchObject(judged);
  const { records } = await mesh.admin.queryAudit({ type: 'authority.published' });
  expect(records.at(-1)).toMatchObject({ evidence: { ...judged, threshold: 0.7 } });
  const { text } = await adminRequest(mesh.ca.adminSocket, { method: 'GET', path: '/metrics' });
  expect(text).toContain(`signet_ca_root_sidecars_ratio{authority="${id}"} 0.75`);
  const next = await mesh.admin.activateAuthority(id, false);
  const source = { admin: mesh.admin, clock: systemClock };
  expect(formatProof(await proveRotation(source, next, 'authority'))).toContain(
    'trusted by 2 of 2 nodes and 11 of 21 sidecars (75 % node by node); 70 % were asked for',
  );
});

test('the lines of `authority rotate` count the sidecars as they come in', async () => {
  const { sync } = await connected();
  const lines: string[] = [];
  const stop = new AbortController();
  const rotating = rotateRoot({
    admin: mesh.admin,
    clock: systemClock,
    stopped: stop.signal,
    force: false,
    onStep: (step) => lines.push(formatStep(step)),
  });
  const told = (line: RegExp) =>
    expect.poll(() => lines, { timeout: 20_000 }).toContainEqual(expect.stringMatching(line));
  await told(/prepare +done/);
  const { id } = await mesh.root('prepared');
  const { revision } = await sync.state(
    ({ bundle }) =>
      parseBundle(Buffer.from(bundle).toString(), trustDomain).x509Authorities.length === 2,
  );
  const acknowledge = (acknowledged: number): void =>
    sync.acknowledge(revision, [{ authorityKeyId: id, subscribers: 3, acknowledged }]);
  for (const count of [1, 2]) {
    acknowledge(count);
    await told(
      new RegExp(`publish +waiting +${id.slice(0, 8)} +${count} of 3 sidecars, 1 of 1 nodes`),
    );
  }
  acknowledge(3);
  await told(/activate +done/);
  expect(lines).toContainEqual(
    expect.stringMatching(/publish +done .*3 of 3 sidecars, 1 of 1 nodes/),
  );
  const plan = await mesh.admin.planRotation();
  expect(plan.steps.at(-1)).toMatchObject({ step: 'retire', state: 'waiting' });
  expect(plan.jwt?.steps[0]).toMatchObject({ step: 'prepare', state: 'ready' });
  stop.abort();
  expect(await rotating).toEqual({ kind: 'interrupted' });
});

test('an override is by force alone, and recorded with who did it and what was lacking', async () => {
  const { rootId } = await halfPublished();
  await expect(mesh.admin.activateAuthority(rootId, false)).rejects.toMatchObject({
    code: 'authority_not_propagated',
  });
  await mesh.admin.activateAuthority(rootId, true);
  const { records } = await mesh.admin.queryAudit({ type: 'authority.activated' });
  expect(records.at(-1)).toMatchObject({
    actor: { kind: 'admin', uid: process.getuid?.() },
    authority: { keyId: rootId },
    forced: true,
    evidence: { nodes: 2, nodesApplied: 1, threshold: 1 },
  });
});

describe('the deadline of the config', () => {
  const lifetimes = { root: '1h', issuing: '60s', x509Svid: '4s', nodeSvid: '8s', backdate: '5s' };

  test('shorter than a lost node counts is refused at start with the arithmetic', async () => {
    await mesh.stop();
    await expect(mesh.start({ lifetimes, rotation: { deadline: '7s' } })).rejects.toMatchObject({
      code: 'lifetimes_contradict',
      message: expect.stringContaining('deadline 7s is shorter than nodeSvid 8s'),
    });
    await expect(mesh.start({ lifetimes, rotation: { deadline: '40m' } })).rejects.toThrow(
      '40m + the longest SVID 8s = 40m8s',
    );
    await mesh.restart({ lifetimes, rotation: { deadline: '8s' } });
  });

  test('ends a rotation that waits, says who is missing, and forces nothing', async () => {
    await mesh.restart({ lifetimes, rotation: { deadline: '8s' } });
    const active = await mesh.root('active');
    await connected();
    const late = await mesh.admin.prepareAuthority();
    const stopped = new AbortController().signal;
    const rotating = rotateRoot({
      admin: mesh.admin,
      clock: systemClock,
      stopped,
      force: false,
      onStep: () => {},
    });
    const overdue = expect(rotating).rejects.toMatchObject({
      code: 'rotation_overdue',
      message: expect.stringContaining(`${late.id} is not published by its deadline`),
      remedy: expect.stringContaining('--force'),
    });
    await systemClockReaches(Date.parse(late.preparedAt) + 4000);
    // Another that stays silent; the first one's certificate may have ended by the deadline.
    await connected();
    await overdue;
    expect((await mesh.root('active')).id).toBe(active.id);
  });
});

function systemClockReaches(ms: number): Promise<void> {
  return expect.poll(() => systemClock.wallMs() >= ms, { timeout: 10_000 }).toBe(true);
}
