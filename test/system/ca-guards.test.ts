import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AdminClient, adminClient, type AuthorityView, retryHintOf } from '../../api/index.ts';
import { verifyAuditLog } from '../../ca/index.ts';
import { type Child, startChild } from '../../cli/demo/child.ts';
import { signetScript, writeConfig } from '../../cli/demo/control-plane.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { systemClock } from '../../core/index.ts';
import { pemEncode } from '../../pki/index.ts';
import { parseBundle } from '../../spiffe/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { adminRequest } from '../fakes/admin-request.ts';
import { type CaAddress, joinNode, type TestNode } from './ca-client.ts';
import { CaFixture, signed, trustDomain } from './ca-fixture.ts';
import { mountSmallDisk, unmountSmallDisk } from './small-disk.ts';

describe('limits', () => {
  let mesh: CaFixture;
  beforeEach(async () => {
    mesh = await CaFixture.begin();
  });
  afterEach(() => mesh.end());

  test('a node over its rate is sent away with a hint, another is served meanwhile, and it comes in later', async () => {
    await mesh.stop();
    const limits = { signingPerNodePerSecond: 50, queue: 300 };
    const ca = await mesh.start({ limits });
    try {
      const admin = adminClient(ca.adminSocket);
      const { x509Authorities } = parseBundle(await admin.bundle(), trustDomain);
      const roots = x509Authorities.map(({ der }) => pemEncode('CERTIFICATE', der)).join('');
      const address = { port: ca.agentPort, roots };
      const enter = async (): Promise<{ node: TestNode; entryId: string }> => {
        const { token } = await admin.createToken({ ttlSeconds: 60 });
        const node = await joinNode(address, token);
        const { id } = await admin.createEntry({
          spiffeId: 'spiffe://mesh.test/web',
          parentId: node.spiffeId,
          selectors: ['unix:uid:1000'],
        });
        return { node, entryId: id };
      };
      const [mad, calm] = [await enter(), await enter()];
      // The burst of a node is 512; then it waits in line, and past the line it is sent away.
      const calls = Array.from({ length: 4 }, () => mad.node.signMany(mad.entryId, 256));
      const outcomes = (await Promise.race(calls)).items;
      expect(outcomes.length).toBe(256);
      await signed(calm.node, calm.entryId);
      const refusals = (await Promise.all(calls))
        .flatMap(({ items }) => items)
        .flatMap(({ outcome }) => (outcome?.$case === 'refusal' ? [outcome.value] : []));
      expect(refusals.length).toBeGreaterThan(0);
      for (const { kind, code, detail } of refusals) {
        expect({ kind, code }).toEqual({ kind: 'resource_exhausted', code: 'overloaded' });
        expect(detail).toMatch(/; retry in \d+ ms$/);
      }
      await signed(mad.node, mad.entryId);
      mad.node.close();
      calm.node.close();
    } finally {
      await ca.close();
    }
    await mesh.restart();
  });

  test('a node over its rate is told when to ask for its tokens again, and then gets them', async () => {
    await mesh.restart({ limits: { signingPerNodePerSecond: 50, queue: 300 } });
    const node = await mesh.join();
    const entryId = await mesh.webEntry(node);
    const wanted = { entryId, audience: ['orders'], ttlMs: 0n, selectors: [] };
    const batch = Array.from({ length: 256 }, () => wanted);
    const calls = Array.from({ length: 4 }, () => node.mint(batch));
    const hints = (await Promise.all(calls))
      .flatMap(({ items }) => items)
      .flatMap(({ outcome }) => (outcome?.$case === 'refusal' ? [outcome.value] : []))
      .map(({ kind, code, detail }) => ({ kind, code, retryMs: retryHintOf(detail) }));
    expect(hints.length).toBeGreaterThan(0);
    for (const hint of hints) {
      expect(hint).toEqual({
        kind: 'resource_exhausted',
        code: 'overloaded',
        retryMs: expect.any(Number),
      });
    }
    await eventually(async () => {
      const { items } = await node.mint([wanted]);
      expect(items[0]?.outcome?.$case).toBe('minted');
    });
    node.close();
    await mesh.restart();
  });

  test('an operator over the rate is told in seconds when to come again, while those in line are served', async () => {
    await mesh.restart({ limits: { signingPerSecond: 1, queue: 256 } });
    const node = await mesh.join();
    const body = JSON.stringify({ entryId: await mesh.webEntry(node), audience: ['orders'] });
    const mint = () =>
      adminRequest(mesh.ca.adminSocket, { method: 'POST', path: '/v1/jwt-svids', body });
    // The line holds 256; whoever comes then is sent away at once, while the others wait.
    const asked = Array.from({ length: 300 }, mint);
    const refused = await Promise.any(
      asked.map(async (each) => {
        const answer = await each;
        if (answer.status === 429) return answer;
        throw new Error(String(answer.status));
      }),
    );
    expect(refused.headers['retry-after']).toMatch(/^[1-9]\d*$/);
    const served = await Promise.any(
      asked.map(async (each) => {
        const answer = await each;
        if (answer.status < 300) return answer;
        throw new Error(String(answer.status));
      }),
    );
    expect(served.headers['retry-after']).toBeUndefined();
    node.close();
    await mesh.restart();
    await Promise.allSettled(asked);
  });

  test('a clock that goes back stops issuance with both times told, and starts it again when it is right', async () => {
    const { admin, node, entryId, offset } = await beginWithOffset(mesh);
    await signed(node, entryId);
    offset.ms = -8000;
    const refusal = /clock_backwards.*yet it has said.*ms back/;
    await expect(signed(node, entryId)).rejects.toThrow(refusal);
    await expect(node.renew()).rejects.toMatchObject({ code: 'clock_backwards' });
    // An operator's token is dated by the same clock, and so is a root.
    const mint = () => admin.mintJwt({ entryId, audience: ['orders'] });
    await expect(mint()).rejects.toMatchObject({ code: 'clock_backwards', kind: 'unavailable' });
    await expect(admin.prepareAuthority()).rejects.toMatchObject({ code: 'clock_backwards' });
    offset.ms = 0;
    await signed(node, entryId);
    expect((await mint()).spiffeId).toBe('spiffe://mesh.test/web');
    await admin.prepareAuthority();
    node.close();
    await mesh.restart();
  });

  test.for([
    { name: 'past the half life of the issuing authority', ms: 40_000 },
    { name: 'past the end of the root', ms: 2 * 3_600_000 },
  ])('a clock that is ahead for a moment, $name, moves no authority', async ({ ms }) => {
    const { admin, node, entryId, offset, ask } = await beginWithOffset(mesh);
    const before = (await admin.listAuthorities()).authorities;
    offset.ms = ms;
    const entry = await admin.createEntry({
      spiffeId: 'spiffe://mesh.test/ending',
      parentId: node.spiffeId,
      selectors: ['unix:uid:1'],
      expiresAt: new Date(systemClock.wallMs() + ms + 3_600_000).toISOString(),
    });
    const endedMs = systemClock.monotonicMs() + 3000;
    await expect.poll(() => systemClock.monotonicMs() > endedMs, { timeout: 20_000 }).toBe(true);
    await expect(admin.retireAuthority(before[0]?.id ?? '', false)).rejects.toMatchObject({
      code: 'clock_ahead',
    });
    // By that clock the certificate of every node has ended.
    const prune = () => admin.pruneNodes({ expiredForSeconds: 0 });
    await expect(prune()).rejects.toMatchObject({ code: 'clock_ahead', kind: 'unavailable' });
    offset.ms = 0;
    await expect
      .poll(() => signed(node, entryId).then(() => 'signed', String), { timeout: 20_000 })
      .toBe('signed');
    const after = (await admin.listAuthorities()).authorities;
    const isX509 = ({ tier }: AuthorityView): boolean => tier !== 'jwt';
    const places = (list: typeof before) => list.map(({ id, state }) => `${id} ${state}`);
    expect(places(after.filter(isX509))).toEqual(places(before.filter(isX509)));
    // A JWT key begins when no other signs, and the one before stays in the bundle.
    expect(after.map(({ id }) => id)).toEqual(expect.arrayContaining(before.map(({ id }) => id)));
    expect((await admin.getEntry(entry.id)).id).toBe(entry.id);
    expect(await prune()).toEqual({ spiffeIds: [] });
    expect((await ask('/readyz')).status).toBe(200);
    node.close();
    await mesh.restart();
  });

  test('a clock that stays ahead is believed after a while, and what is due is done', async () => {
    const { admin, node, offset } = await beginWithOffset(mesh);
    node.close();
    const issuingId = async (): Promise<string | undefined> =>
      (await admin.listAuthorities()).authorities.find(
        ({ tier, state }) => tier === 'issuing' && state === 'active',
      )?.id;
    const before = await issuingId();
    offset.ms = 40_000;
    await expect.poll(issuingId, { timeout: 30_000 }).not.toBe(before);
    await mesh.restart({ clockTolerance: '2m' });
  });
});

/** A CA whose clock the test sets, over the directory of the fixture; {@link CaFixture.restart} ends it. */
async function beginWithOffset(mesh: CaFixture) {
  const offset = { ms: 0 };
  await mesh.restart({}, { ...systemClock, wallMs: () => systemClock.wallMs() + offset.ms });
  const node = await mesh.join();
  const ask = (path: string) => adminRequest(mesh.ca.adminSocket, { method: 'GET', path });
  return { offset, admin: mesh.admin, node, entryId: await mesh.webEntry(node), ask };
}

describe('a CA as a process, on a machine that runs out', () => {
  let directory: string;
  let data: string;
  let admin: AdminClient;
  let child: Child | undefined;
  let isMounted = false;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'signet-guards-'));
    data = join(directory, 'data');
    for (const name of ['logs', 'tmp', 'config', 'data']) mkdirSync(join(directory, name));
  });

  afterEach(async () => {
    await child?.stop('SIGKILL');
    if (isMounted) unmountSmallDisk(data);
    isMounted = false;
    rmSync(directory, { recursive: true, force: true });
  });

  async function begin(executable?: string): Promise<{ node: TestNode; entryId: string }> {
    writeFileSync(join(directory, 'config', 'kek'), randomBytes(32).toString('hex'));
    const adminSocket = join(directory, 'admin.sock');
    const config = writeConfig(directory, 'ca', {
      trustDomain,
      data: join(data, 'ca'),
      listen: '127.0.0.1:0',
      adminSocket,
      keyEncryptionKey: { file: join(directory, 'config', 'kek') },
      lifetimes: { root: '1h', issuing: '10m', x509Svid: '60s', nodeSvid: '5m', backdate: '5s' },
    });
    admin = adminClient(adminSocket);
    const args = ['ca', 'run', '--config', config];
    child = startChild({
      name: 'ca',
      directory,
      ...(executable === undefined
        ? { script: signetScript, args }
        : { executable, script: process.execPath, args: [signetScript, ...args] }),
    });
    await waitFor('the CA answering', 30_000, async () => {
      expect(child?.ended()).toBeUndefined();
      return admin.status();
    });
    const { token } = await admin.createToken({ ttlSeconds: 60 });
    const node = await joinNode(await address(), token);
    const { id } = await admin.createEntry({
      spiffeId: 'spiffe://mesh.test/web',
      parentId: node.spiffeId,
      selectors: ['unix:uid:1000'],
    });
    await signed(node, id);
    return { node, entryId: id };
  }

  async function address(): Promise<CaAddress> {
    const { agentAddress } = await admin.status();
    const { x509Authorities } = parseBundle(await admin.bundle(), trustDomain);
    return {
      port: Number(agentAddress.split(':').at(-1)),
      roots: x509Authorities.map(({ der }) => pemEncode('CERTIFICATE', der)).join(''),
    };
  }

  async function endWhole(): Promise<void> {
    await child?.stop('SIGTERM');
    expect(child?.ended()).toBe('exit code 0');
    expect(await verifyAuditLog({ directory: join(data, 'ca', 'audit') })).toMatchObject({
      kind: 'ok',
    });
  }

  const createEntry = (path: string) =>
    admin.createEntry({
      spiffeId: `spiffe://mesh.test/${path}`,
      parentId: 'spiffe://mesh.test/cluster',
      selectors: ['unix:uid:1'],
    });

  test('of disk: what cannot be kept is refused by name, and goes on once there is room', async ({
    skip,
  }) => {
    isMounted = mountSmallDisk(data, '32m');
    if (!isMounted) skip('this machine does not let the test mount a tmpfs');
    const { node, entryId } = await begin();
    const ballast = join(data, 'ballast');
    const free = statfsSync(data);
    writeFileSync(ballast, new Uint8Array(free.bavail * free.bsize));
    // The last page of the log's file may still take a few records.
    const refusal = await waitFor('a refusal', 10_000, async () =>
      signed(node, entryId).then(
        () => undefined,
        (error: unknown) => String(error),
      ),
    );
    expect(refusal).toMatch(/disk_full/);
    expect(refusal).toMatch(/the disk of the CA's data directory is full/);
    await waitFor('the store refusing too', 10_000, async () =>
      createEntry(`full-${randomBytes(4).toString('hex')}`).then(
        () => undefined,
        ({ kind }: { kind: string }) => (kind === 'unavailable' ? true : undefined),
      ),
    );
    // It lives, and answers what needs no disk.
    expect((await admin.listEntries({})).entries.length).toBeGreaterThan(0);
    rmSync(ballast);
    await waitFor('entries again', 10_000, async () => createEntry('after').catch(() => undefined));
    await signed(node, entryId);
    expect(
      (await admin.listEntries({})).entries.some(({ spiffeId }) => spiffeId.endsWith('/after')),
    ).toBe(true);
    node.close();
    await endWhole();
  });

  test('of descriptors: it recovers when they are given back', async () => {
    const limited = join(directory, 'limited');
    writeFileSync(limited, '#!/bin/sh\nulimit -n 128\nexec "$@"\n', { mode: 0o700 });
    const { node, entryId } = await begin(limited);
    const { port } = await address();
    const idle: Socket[] = [];
    const press = (sockets: number): void => {
      for (let count = 0; count < sockets; count += 1) {
        const socket = connect(port, '127.0.0.1');
        socket.on('error', () => socket.destroy());
        idle.push(socket);
      }
    };
    press(160);
    const refusal = await waitFor('a refusal', 20_000, async () => {
      // Whatever the CA gives back meanwhile is taken again.
      press(8);
      return signed(node, entryId).then(
        () => undefined,
        (error: unknown) => String(error),
      );
    });
    expect(refusal).toMatch(/descriptors_exhausted/);
    for (const socket of idle) socket.destroy();
    await waitFor('certificates again', 20_000, async () =>
      signed(node, entryId).catch(() => undefined),
    );
    node.close();
    await endWhole();
  });
});
