/**
 * What a hostile or broken local process may send to a real agent: it gets a clear status, the agent's memory
 * stays in bounds, and a client beside it notices nothing.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect as netConnect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  DiscoveryRequest,
  secretTypeUrl,
} from '../../api/index.ts';
import { type ControlPlane, startControlPlane } from '../../cli/demo/control-plane.ts';
import { eventually } from '../fakes/eventually.ts';
import { DeltaSdsClient, SdsClient, secretsOf } from '../fakes/sds-client.ts';

const directory = mkdtempSync(join(tmpdir(), 'signet-sds-bad-'));
const closing: { close(): void }[] = [];
let controlPlane: ControlPlane;
let good: SdsClient;

beforeAll(async () => {
  controlPlane = await startControlPlane(directory, () => {});
  await controlPlane.admin.createEntry({
    spiffeId: 'spiffe://mesh.test/tester',
    parentId: controlPlane.nodeId,
    selectors: [`unix:uid:${process.getuid?.() ?? 0}`],
  });
  good = new SdsClient(controlPlane.agentSocket);
  good.ask(['default', 'ALL']);
  await eventually(() => expect([...secretsOf(good.last).keys()]).toEqual(['default', 'ALL']));
  good.acknowledge(['default', 'ALL']);
});

afterAll(async () => {
  good.close();
  await controlPlane.stop();
  rmSync(directory, { recursive: true });
});

/** After each of them: the good stream lives, and a new one is served within a moment. */
afterEach(async () => {
  for (const each of closing.splice(0)) each.close();
  expect(good.ended).toBeUndefined();
  const fresh = new SdsClient(controlPlane.agentSocket);
  fresh.ask(['default']);
  await eventually(() => expect([...secretsOf(fresh.last).keys()]).toEqual(['default']));
  fresh.close();
});

const methods = ['StreamSecrets', 'DeltaSecrets', 'FetchSecrets'] as const;

test.for([
  ['bytes that are no message', Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f, 1])],
  ['a field that is cut off', Buffer.from([0x22, 0x40, 0x61])],
  ['groups in groups, without end', Buffer.alloc(200_000, 0x0b)],
] as const)('%s: each method ends with a status', async ([, bytes]) => {
  for (const method of methods) {
    const stream = open(await session(), method);
    stream.write(frame(bytes));
    expect((await stream.status)['grpc-status']).toBe('13');
  }
});

test('a message that is longer than any request is refused before it is read', async () => {
  for (const method of methods) {
    const stream = open(await session(), method);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(0x7fffffff, 1);
    stream.write(head);
    stream.write(Buffer.alloc(1000));
    expect((await stream.status)['grpc-status']).toBe('8');
  }
});

test('another type of resource is an invalid argument', async () => {
  const typeUrl = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';
  const world = add(new SdsClient(controlPlane.agentSocket));
  world.ask(['default'], { typeUrl });
  const delta = add(new DeltaSdsClient(controlPlane.agentSocket));
  delta.say({ typeUrl, resourceNamesSubscribe: ['default'] });
  await eventually(() => expect([world.ended?.code, delta.ended?.code]).toEqual([3, 3]));
  expect(world.ended?.details).toContain(secretTypeUrl);
});

test('10,000 subscriptions in one message, and in 10,000', async () => {
  const one = add(new DeltaSdsClient(controlPlane.agentSocket));
  one.subscribe(...names(10_000));
  const world = add(new SdsClient(controlPlane.agentSocket));
  world.ask(names(10_000));
  const many = add(new DeltaSdsClient(controlPlane.agentSocket));
  for (const name of names(10_000)) many.subscribe(name);
  await eventually(() =>
    expect([one, world, many].map(({ ended }) => ended?.code)).toEqual([3, 3, 3]),
  );
  expect(many.ended?.details).toContain('1001 resource names, at most 1000');
  // As many as are allowed are served, whatever they are called.
  const allowed = add(new DeltaSdsClient(controlPlane.agentSocket));
  allowed.subscribe('default', ...names(999));
  await eventually(() => expect(allowed.last?.resources).toHaveLength(1));
});

test('names beyond any length are refused', async () => {
  const client = add(new DeltaSdsClient(controlPlane.agentSocket));
  client.subscribe('x'.repeat(100_000));
  await eventually(() => expect(client.ended).toMatchObject({ code: 3 }));
});

test('the streams of a connection together may name only so much, and cost only so much', async () => {
  const before = residentKiB();
  const shared = await session();
  const statuses: string[] = [];
  const streams = Array.from({ length: 40 }, (_, index) => {
    const stream = open(shared, 'DeltaSecrets');
    void stream.status.then((trailers) => statuses.push(String(trailers['grpc-status'])));
    stream.write(deltaFrame(names(100).map((name) => `${index}-${name}`.padEnd(1500, 'x'))));
    return stream;
  });
  // 6 MB of names are asked for, and 1 MiB is taken.
  const accepted = 6;
  await eventually(() => expect(statuses.length).toBe(streams.length - accepted));
  expect(new Set(statuses)).toEqual(new Set(['8']));
  expect(residentKiB() - before).toBeLessThan(100 * 1024);
});

test('names that are only claimed cost as much as those that are asked for', async () => {
  const client = add(new SdsClient(controlPlane.agentSocket));
  const codes: number[] = [];
  const streams = Array.from({ length: 12 }, (_, index) => {
    const stream = client.client.deltaSecrets();
    stream.on('data', () => {});
    stream.on('error', (error: Error & { code: number }) => codes.push(error.code));
    // 150 KB each, under a wildcard and so none of them spelt out.
    const claims = names(100).map((name) => [`${index}-${name}`.padEnd(1500, 'x'), ''] as const);
    stream.write({
      ...rest,
      resourceNamesSubscribe: [],
      resourceNamesUnsubscribe: [],
      initialResourceVersions: Object.fromEntries(claims),
    });
    return stream;
  });
  await eventually(() => expect(codes).toEqual(Array.from({ length: 12 - 6 }, () => 8)));
  for (const stream of streams) stream.cancel();
});

test.for([
  ['a version that it claims to have', false],
  ['the reason of a refusal', true],
] as const)('%s costs nothing, however long it is', async ([, refuses]) => {
  const client = add(new SdsClient(controlPlane.agentSocket));
  const word = 'v'.repeat(250_000);
  const before = residentKiB();
  const count = 1000;
  let refused = 0;
  const streams = Array.from({ length: count }, () => client.client.deltaSecrets());
  const answers = streams.map(async (stream) => {
    const claim: DeltaDiscoveryRequest = {
      ...rest,
      // Roots, which nothing replaces meanwhile.
      resourceNamesSubscribe: ['ROOTCA'],
      resourceNamesUnsubscribe: [],
      initialResourceVersions: refuses ? {} : { ROOTCA: word },
    };
    stream.on('error', () => {});
    const answer = new Promise<DeltaDiscoveryResponse>((resolve) => {
      stream.once('data', resolve);
    });
    stream.write(claim);
    const { resources, nonce: responseNonce } = await answer;
    expect(resources.map(({ name }) => name)).toEqual(['ROOTCA']);
    if (!refuses) return;
    const errorDetail = { code: 3, message: word };
    stream.write({ ...claim, resourceNamesSubscribe: [], responseNonce, errorDetail });
    // An answer to what is said after it: the refusal has been read.
    const after = new Promise((resolve) => {
      stream.once('data', resolve);
    });
    stream.write({ ...claim, resourceNamesSubscribe: ['nothing'] });
    await after;
    refused += 1;
  });
  await Promise.all(answers);
  expect(refused).toBe(refuses ? count : 0);
  // 250 MB were said. What is not kept goes with the keys that the agent has retired, when it sweeps those from its memory.
  await eventually(() => expect(residentKiB() - before).toBeLessThan(keptWordsMaxKiB), sweepMs);
  for (const stream of streams) stream.cancel();
});

test('thousands of streams that read nothing are held in bounds', async () => {
  const shared = await session();
  const count = 4000;
  const before = residentKiB();
  const request = worldFrame(['default', 'ALL']);
  const streams = Array.from({ length: count }, () => open(shared, 'StreamSecrets', false));
  for (const stream of streams) stream.write(request);
  // They are being served once a rotation reaches the good client, which is after them in line.
  const rotations = good.responses.length;
  await expect
    .poll(() => good.responses.length, { timeout: 20_000 })
    .toBeGreaterThan(rotations + 1);
  const grown = residentKiB() - before;
  console.log(`${count} streams that read nothing: ${(grown / count).toFixed(1)} KiB each`);
  expect(grown / count).toBeLessThan(bytesPerStreamMaxKiB);
});

const bytesPerStreamMaxKiB = 64;
// Half of what is said, and more than the streams cost by themselves.
// Certificates end after 10 s here, and half a minute is the most that a sweep may wait.
const sweepMs = 60_000;
const keptWordsMaxKiB = 120 * 1024;

function residentKiB(): number {
  const agent = controlPlane.children().find(({ name }) => name === 'agent');
  const status = readFileSync(`/proc/${agent?.pid ?? 0}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `name-${index}`);
}

function add<T extends { close(): void }>(client: T): T {
  closing.push(client);
  return client;
}

/** HTTP/2 by hand: the client library would not send such bytes, and reads ahead on its own. */
async function session(): Promise<ClientHttp2Session> {
  const opened = connectHttp2('http://localhost', {
    createConnection: () => netConnect(controlPlane.agentSocket),
  });
  opened.on('error', () => {});
  closing.push({ close: () => opened.destroy() });
  await new Promise((resolve) => {
    opened.once('remoteSettings', resolve);
  });
  return opened;
}

function open(shared: ClientHttp2Session, method: (typeof methods)[number], reads = true) {
  const stream = shared.request({
    ':method': 'POST',
    ':path': `/envoy.service.secret.v3.SecretDiscoveryService/${method}`,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => {});
  if (reads) stream.resume();
  const status = new Promise<Record<string, unknown>>((resolve) => {
    stream.on('trailers', resolve);
    // An error before anything was sent comes as headers alone.
    stream.on('response', (headers) => {
      if (headers['grpc-status'] !== undefined) resolve(headers);
    });
  });
  return { write: (bytes: Buffer) => stream.write(bytes), status };
}

function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

const rest = { node: undefined, typeUrl: '', responseNonce: '', errorDetail: undefined };

function worldFrame(resourceNames: string[]): Buffer {
  return frame(DiscoveryRequest.encode({ ...rest, versionInfo: '', resourceNames }).finish());
}

function deltaFrame(resourceNamesSubscribe: string[]): Buffer {
  const more = { resourceNamesUnsubscribe: [], initialResourceVersions: {} };
  return frame(DeltaDiscoveryRequest.encode({ ...rest, ...more, resourceNamesSubscribe }).finish());
}
