import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AdminClient, adminClient } from '../../api/index.ts';
import { parseCaConfig, startCa, verifyAuditLog } from '../../ca/index.ts';
import { type Child, startChild } from '../../cli/demo/child.ts';
import { signetScript, writeConfig } from '../../cli/demo/control-plane.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { pemEncode } from '../../pki/index.ts';
import { parseBundle } from '../../spiffe/index.ts';
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

  test('a clock that goes back stops issuance with both times told, and starts it again when it is right', async () => {
    await mesh.stop();
    const offset = { ms: 0 };
    const config = parseCaConfig(
      JSON.stringify({
        trustDomain,
        data: mesh.directory,
        listen: '127.0.0.1:0',
        keyEncryptionKey: { env: 'KEK' },
        lifetimes: { root: '1h', issuing: '60s', x509Svid: '4s', nodeSvid: '20s', backdate: '5s' },
      }),
      'ca.yaml',
    );
    const ca = await startCa(config, {
      clock: { ...systemClock, wallMs: () => systemClock.wallMs() + offset.ms },
      random: systemRandom,
      log: silentLogger,
      environment: { KEK: mesh.kek },
    });
    try {
      const admin = adminClient(ca.adminSocket);
      const { x509Authorities } = parseBundle(await admin.bundle(), trustDomain);
      const roots = x509Authorities.map(({ der }) => pemEncode('CERTIFICATE', der)).join('');
      const { token } = await admin.createToken({ ttlSeconds: 60 });
      const node = await joinNode({ port: ca.agentPort, roots }, token);
      const { id } = await admin.createEntry({
        spiffeId: 'spiffe://mesh.test/web',
        parentId: node.spiffeId,
        selectors: ['unix:uid:1000'],
      });
      await signed(node, id);
      offset.ms = -8000;
      await expect(signed(node, id)).rejects.toThrow(/clock_backwards.*yet it has said.*ms back/);
      await expect(node.renew()).rejects.toMatchObject({ code: 'clock_backwards' });
      offset.ms = 0;
      await signed(node, id);
      node.close();
    } finally {
      await ca.close();
    }
    await mesh.restart();
  });
});

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
